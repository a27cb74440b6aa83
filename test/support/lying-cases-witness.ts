/** Lies that only witnesses, or the other key of a log that changes its key, can give away. */
import { tlogProof } from "./lying-cases-bundle.ts";
import { changed } from "./lying-history.ts";
import { type BundleLie, FAIL, type Honest, type LogLie, NOT_PROVEN } from "./lying-honest.ts";
import type { View } from "./lying-log.ts";
import {
  type Cosigner,
  checkpointText,
  flipped,
  newCosigner,
  newSigner,
  note,
  signatureLine,
  signedBy,
} from "./lying-note.ts";
import { Tree } from "./lying-tree.ts";

const USAGE = 64;
const names = ["w1", "w2", "w3"] as const;

/** Three witnesses, of which two must have cosigned. */
class Witnesses {
  readonly #honest: Honest;
  readonly cosigners: readonly [Cosigner, Cosigner, Cosigner];
  readonly text: string;
  /** Seconds since 1970. */
  readonly now: number = Math.floor(Date.now() / 1000);

  constructor(honest: Honest) {
    this.#honest = honest;
    const [one, two, three] = names.map((name) => newCosigner(`witness.example/${name}`));
    this.cosigners = [one!, two!, three!];
    this.text = checkpointText(honest.origin, honest.at.size, honest.tree.root());
  }

  policy(quorum = "group q 2 w1 w2 w3\nquorum q\n", logs = `log ${this.#honest.log.vkey}\n`): string {
    return `${logs}${this.cosigners.map(({ vkey }, i) => `witness w${i + 1} ${vkey}\n`).join("")}${quorum}`;
  }

  /** The line of one of them, of so many seconds ago, over this text. */
  line(witness: 1 | 2 | 3, ago = 0, text = this.text): string {
    return this.cosigners[witness - 1]!.line(text, this.now - ago);
  }

  checkpoint(...lines: readonly string[]): string {
    return note(this.text, this.#honest.log) + lines.join("");
  }
}

type Case = Pick<LogLie, "codes"> & Partial<LogLie> & { lines: readonly string[] };

/** With a policy, told to `head` when not said. */
export function witnessed(honest: Honest): LogLie[] {
  const witnesses = new Witnesses(honest);
  const { entries, at, tree, log } = honest;
  const lie = (name: string, { lines, ...more }: Case): LogLie => ({
    name: `witnesses: ${name}`,
    show: () => honest.view(entries, { checkpoint: witnesses.checkpoint(...lines) }),
    command: "head",
    policy: witnesses.policy(),
    exit: more.codes.length === 0 ? 0 : NOT_PROVEN,
    ...more,
  });
  const [w1, w2, w3] = witnesses.cosigners;
  const [good1, good2, good3] = [witnesses.line(1), witnesses.line(2), witnesses.line(3)];
  const fork = new Tree(changed(entries, at.statement, (entry) => Object.assign(entry, { rows: 0 })));
  const forked = checkpointText(honest.origin, at.size, fork.root());
  const smaller = checkpointText(honest.origin, at.half, tree.root(at.half));
  const missing = { codes: ["quorum_missing"] };
  const invalid = { codes: ["cosignature_invalid"], exit: FAIL };
  const nested = "group two all w1 w2\ngroup q any two w3\nquorum q\n";
  const claimed = signatureLine(w3.name, w3.id, Buffer.concat([w3.stamp(witnesses.now), log.sign(witnesses.text)]));
  return [
    lie("two of three have cosigned", { lines: [good1, good3], codes: [] }),
    lie("all three have", { lines: [good3, good1, good2], codes: [] }),
    lie("a witness has cosigned at two times, of which one is too old", {
      lines: [good1, witnesses.line(2, 7200), good2],
      args: ["--max-age", "1h"],
      codes: [],
    }),
    lie("the policy demands nobody", { lines: [], policy: witnesses.policy("quorum none\n"), codes: [] }),
    lie("the policy alone names the log", { lines: [good1, good2], vkeys: [], codes: [] }),
    lie("an audit", { lines: [good1, good2], command: "audit", codes: [] }),
    lie("a cosignature is of another tree, and two others are good", {
      lines: [good1, good2, witnesses.line(3, 0, forked)],
      ...invalid,
    }),
    lie("a cosignature is of a smaller tree", { lines: [good1, good2, witnesses.line(3, 0, smaller)], ...invalid }),
    lie("a bit of a cosignature is flipped", {
      lines: [good1, good2, signatureLine(w3.name, w3.id, flipped(w3.blob(witnesses.text, witnesses.now), 70))],
      ...invalid,
    }),
    lie("the time of a cosignature is changed", {
      lines: [good1, good2, signatureLine(w3.name, w3.id, flipped(w3.blob(witnesses.text, witnesses.now), 7))],
      ...invalid,
    }),
    lie("the log's key signs in a witness's place", { lines: [good1, good2, claimed], ...invalid }),
    lie("a plain signature stands under a witness's name and key id", {
      lines: [good1, good2, signatureLine(w3.name, w3.id, w3.sign(witnesses.text))],
      ...invalid,
    }),
    lie("a good cosignature and a wrong one by the same witness", {
      lines: [good1, good2, good3, witnesses.line(3, 0, forked)],
      ...invalid,
    }),
    lie("a cosignature is of another tree, and only one other is good", {
      lines: [good1, witnesses.line(3, 0, forked)],
      ...invalid,
    }),
    lie("a cosignature is of another tree, in an audit", {
      lines: [good1, good2, witnesses.line(3, 0, forked)],
      command: "audit",
      ...invalid,
    }),
    lie("one of three has cosigned", { lines: [good1], ...missing }),
    lie("nobody has cosigned", { lines: [], ...missing }),
    lie("one has cosigned three times", { lines: [good1, witnesses.line(1, 1), witnesses.line(1, 2)], ...missing }),
    lie("one has cosigned, and two whom nobody knows", {
      lines: [
        good1,
        ...["w2", "w3"].map((name) => newCosigner(`witness.example/${name}`).line(witnesses.text, witnesses.now)),
      ],
      ...missing,
    }),
    lie("one has cosigned, and another as a plain key", {
      lines: [good1, signedBy(newSigner(w2.name), witnesses.text)],
      ...missing,
    }),
    lie("the group that is demanded has one of two", { lines: [good1], policy: witnesses.policy(nested), ...missing }),
    lie("the other two have cosigned than the one who must", {
      lines: [good1, good2],
      policy: witnesses.policy("quorum w3\n"),
      ...missing,
    }),
    lie("nobody has cosigned, and the entries are asked for", { lines: [], command: "audit", ...missing }),
    lie("nobody has cosigned, and a bundle is asked for", {
      lines: [],
      command: "prove",
      args: ["--index", String(at.statement)],
      ...missing,
    }),
    lie("a cosignature is an hour ahead", { lines: [good1, witnesses.line(2, -3600)], ...missing }),
    lie("a cosignature is four minutes ahead, which clocks may be", {
      lines: [good1, witnesses.line(2, -240)],
      codes: [],
    }),
    lie("a cosignature is two hours old, and one is allowed", {
      lines: [good1, witnesses.line(2, 7200)],
      args: ["--max-age", "1h"],
      codes: ["cosignature_old"],
    }),
    lie("all is as it was two hours ago: an old tree is shown as the present one", {
      lines: [witnesses.line(1, 7200), witnesses.line(2, 7200), witnesses.line(3, 7201)],
      args: ["--max-age", "3600"],
      codes: ["cosignature_old"],
    }),
    lie("one is two hours old, and the others are missing", {
      lines: [witnesses.line(2, 7200)],
      args: ["--max-age", "1h"],
      ...missing,
    }),
    lie("a forked tree, which no witness would cosign", {
      lines: [],
      show: () => honest.view(entries, { checkpoint: note(forked, log), tiles: () => fork }),
      ...missing,
    }),
    lie("the policy is of another log", {
      lines: [good1, good2],
      policy: witnesses.policy(undefined, `log ${newSigner(honest.origin).vkey}\n`),
      codes: ["usage"],
      exit: USAGE,
    }),
    lie("the policy names a witness twice", {
      lines: [good1],
      policy: witnesses.policy(`witness w4 ${w1.vkey}\ngroup q 2 w1 w4\nquorum q\n`),
      codes: ["usage"],
      exit: USAGE,
    }),
  ];
}

/** The log changes its key: both are given, and what was kept is under either. */
export function rotated(honest: Honest): LogLie[] {
  const { entries, at, tree, log: old } = honest;
  const next = newSigner(honest.origin);
  const vkeys = [old.vkey, next.vkey];
  const text = (size: number, of = tree): string => checkpointText(honest.origin, size, of.root(size));
  const view = (size: number, signers: readonly (typeof old)[], all = entries, of = tree): View =>
    honest.view(all.slice(0, size), {
      checkpoint: `${text(size, of)}\n${signers.map((signer) => signedBy(signer, text(size, of))).join("")}`,
      ...(all === entries ? {} : { tiles: () => new Tree(all.slice(0, size)) }),
    });
  const other = changed(entries, at.early, (entry) => Object.assign(entry, { rows: 7 }));
  const fork = new Tree(other);
  const lie = (name: string, more: Pick<LogLie, "codes"> & Partial<LogLie>): LogLie => ({
    name: `two keys: ${name}`,
    show: () => view(at.size, [old, next]),
    command: "head",
    vkeys,
    exit: more.codes.length === 0 ? 0 : FAIL,
    ...more,
  });
  const first = (vkey: string, show: () => View) => ({ vkey, show });
  const before = first(old.vkey, () => view(at.half, [old]));
  return [
    lie("both have signed", { codes: [] }),
    lie("both have signed; half was seen under the old one", { first: [before], codes: [] }),
    lie("each was seen by itself", { first: [before, first(next.vkey, () => view(at.half + 5, [next]))], codes: [] }),
    lie("the new one has not signed", { show: () => view(at.size, [old]), codes: ["signature_missing"] }),
    lie("the old one has not signed", { show: () => view(at.size, [next]), codes: ["signature_missing"] }),
    lie("the new one's signature is of another tree", {
      show: () => honest.view(entries, { checkpoint: note(text(at.size), old) + signedBy(next, text(at.half)) }),
      codes: ["signature_invalid"],
    }),
    lie("under the old one another tree was kept, of fewer entries", {
      first: [
        first(old.vkey, () => view(at.half, [old], other, fork)),
        first(next.vkey, () => view(at.half + 5, [next])),
      ],
      codes: ["inconsistent"],
    }),
    lie("under the new one another tree was kept, of fewer entries", {
      first: [before, first(next.vkey, () => view(at.half - 5, [next], other, fork))],
      codes: ["inconsistent"],
    }),
    lie("under the two keys two trees of one size were kept, and the log shows no tiles", {
      first: [before, first(next.vkey, () => view(at.half, [next], other, fork))],
      show: () => ({ ...view(at.size, [old, next]), tiles: () => new Tree([]) }),
      codes: ["split_view"],
    }),
    lie("under the new one a larger tree was kept", {
      first: [before, first(next.vkey, () => view(at.size, [next]))],
      show: () => view(at.half + 5, [old, next]),
      codes: ["rolled_back"],
    }),
    lie("they are of two logs", {
      vkeys: [old.vkey, newSigner("other.example/log").vkey],
      codes: ["usage"],
      exit: USAGE,
    }),
  ];
}

/** Bundles, bare proofs and saved checkpoints, with witnesses and without. */
export function evidence(honest: Honest): BundleLie[] {
  const { at, tree, entries, checkpoint, log } = honest;
  const witnesses = new Witnesses(honest);
  const index = at.statement;
  const entry = entries[index]!;
  const path = tree.inclusion(index);
  const [good1, good2] = [witnesses.line(1), witnesses.line(2)];
  const enough = witnesses.checkpoint(good1, good2);
  const bundle = (head: string): string =>
    JSON.stringify({
      format: "vitrine/evidence/v1",
      entry: entry.toString(),
      proof: tlogProof(index, path, head),
      disclosures: [],
    });
  const lie = (name: string, file: string | Buffer, codes: string[], more: Partial<BundleLie> = {}): BundleLie => ({
    name: `evidence: ${name}`,
    file: () => file,
    codes,
    exit: codes.length === 0 ? 0 : FAIL,
    ...more,
  });
  const policy = witnesses.policy();
  const lacking = { policy, exit: NOT_PROVEN };
  const forged = witnesses.line(3, 0, checkpointText(honest.origin, at.half, tree.root(at.half)));
  const other = Buffer.from(entry.toString().replace('"alice"', '"mallory"'));
  const proof = tlogProof(index, path, checkpoint);
  const asProof = { entry };
  const asCheckpoint = { args: ["--checkpoint"] };
  return [
    lie("a bundle with its witnesses", bundle(enough), [], { policy }),
    lie("a bundle without its witnesses", bundle(checkpoint), ["quorum_missing"], lacking),
    lie("a bundle with one forged witness and two good ones", bundle(enough + forged), ["cosignature_invalid"], {
      policy,
    }),
    lie(
      "a bundle without its witnesses, of another entry",
      bundle(checkpoint).replace("alice", "mallory"),
      ["inclusion_invalid", "quorum_missing"],
      {
        policy,
      },
    ),
    lie("a proof and its entry", proof, [], asProof),
    lie("a proof with its witnesses", tlogProof(index, path, enough), [], { ...asProof, policy }),
    lie("a proof without its witnesses", proof, ["quorum_missing"], { ...asProof, ...lacking }),
    lie("a proof and another entry", proof, ["inclusion_invalid"], { entry: other }),
    lie("a proof and its entry with a newline", proof, ["inclusion_invalid"], {
      entry: Buffer.concat([entry, Buffer.from("\n")]),
    }),
    lie("a proof of another index", tlogProof(index + 1, path, checkpoint), ["inclusion_invalid"], asProof),
    lie(
      "a proof under a checkpoint of another key",
      tlogProof(index, path, note(witnesses.text, newSigner(honest.origin))),
      ["signature_missing"],
      asProof,
    ),
    lie("a bundle in the place of a proof", bundle(checkpoint), ["bundle_malformed"], asProof),
    lie("a checkpoint in the place of a bundle", checkpoint, ["bundle_malformed"]),
    lie("a proof in the place of a bundle", proof, ["bundle_malformed"]),
    lie("a checkpoint", checkpoint, [], asCheckpoint),
    lie("a checkpoint that one of two keys has not signed", checkpoint, ["signature_missing"], {
      ...asCheckpoint,
      vkeys: [log.vkey, newSigner(honest.origin).vkey],
    }),
    lie("a checkpoint with its witnesses", enough, [], { ...asCheckpoint, policy }),
    lie("a checkpoint without its witnesses", checkpoint, ["quorum_missing"], { ...asCheckpoint, ...lacking }),
    lie("a checkpoint with a forged witness", enough + forged, ["cosignature_invalid"], { ...asCheckpoint, policy }),
    lie(
      "a checkpoint of another origin",
      note(checkpointText("other.example/log", at.size, tree.root()), log),
      ["origin_mismatch"],
      asCheckpoint,
    ),
    lie(
      "a checkpoint of another size",
      checkpoint.replace(`\n${at.size}\n`, `\n${at.size + 1}\n`),
      ["signature_invalid"],
      asCheckpoint,
    ),
    lie("a proof in the place of a checkpoint", proof, ["checkpoint_malformed"], asCheckpoint),
  ];
}

/** Lies in evidence bundles, and to the one who asks for a bundle. */
import { changed, members, remake } from "./lying-history.ts";
import { type BundleLie, FAIL, type Honest, type LogLie, NOT_PROVEN } from "./lying-honest.ts";
import { entryBundle, tilePath } from "./lying-log.ts";
import { checkpointText, flipped, newSigner, note } from "./lying-note.ts";
import { Tree } from "./lying-tree.ts";

export interface Bundle {
  format: string;
  entry: string;
  proof: string;
  disclosures: readonly string[];
}

/** c2sp.org/tlog-proof@v1 */
export function tlogProof(index: number | string, hashes: readonly Buffer[], checkpoint: string): string {
  const lines = hashes.map((hash) => `${hash.toString("base64")}\n`).join("");
  return `c2sp.org/tlog-proof@v1\nindex ${index}\n${lines}\n${checkpoint}`;
}

export function bundleOf(honest: Honest, index: number): Bundle {
  return {
    format: "vitrine/evidence/v1",
    entry: honest.entries[index]!.toString(),
    proof: tlogProof(index, honest.tree.inclusion(index), honest.checkpoint),
    disclosures: honest.disclosures.get(index)!,
  };
}

/** The first statement whose text was disclosed to us, and another one. */
export function disclosed(honest: Honest): readonly [number, number] {
  const [one, two] = [...honest.disclosures.keys()].filter(
    (index) => members(honest.entries[index]!).sql !== undefined,
  );
  return [one!, two!];
}

type Disclosure = [salt: string, name: string, value: unknown];

function redisclosed(
  disclosures: readonly string[],
  name: string,
  change: (disclosure: Disclosure) => unknown,
): string[] {
  return disclosures.map((text) => {
    const disclosure = JSON.parse(Buffer.from(text, "base64url").toString()) as Disclosure;
    return disclosure[1] === name ? Buffer.from(JSON.stringify(change(disclosure))).toString("base64url") : text;
  });
}

export function bundles(honest: Honest): BundleLie[] {
  const { tree, checkpoint, origin, log, at } = honest;
  const [index, other] = disclosed(honest);
  const bundle = bundleOf(honest, index);
  const path = tree.inclusion(index);
  const lie = (name: string, code: string, change: Partial<Record<keyof Bundle, unknown>>): BundleLie => ({
    name: `a bundle ${name}`,
    file: () => JSON.stringify({ ...bundle, ...change }),
    exit: FAIL,
    codes: [code],
  });
  const raw = (name: string, file: string | Buffer): BundleLie => ({
    ...lie(name, "bundle_malformed", {}),
    file: () => file,
  });
  const proof = (hashes: readonly Buffer[], at: number | string = index, head = checkpoint) => ({
    proof: tlogProof(at, hashes, head),
  });
  const signed = (size: number, root: Uint8Array): string => note(checkpointText(origin, size, root), log);
  const values = (change: (disclosure: Disclosure) => unknown) => ({
    disclosures: redisclosed(bundle.disclosures, "sql", change),
  });
  const spaced = bundle.entry.replace(",", ", ");
  const spacedTree = new Tree(honest.entries.with(index, Buffer.from(spaced)));
  return [
    lie(
      "discloses another value",
      "disclosure_mismatch",
      values(([salt, name]) => [salt, name, "SELECT 'harmless'"]),
    ),
    lie(
      "discloses with another salt",
      "disclosure_mismatch",
      values(([, name, value]) => [Buffer.alloc(16).toString("base64url"), name, value]),
    ),
    lie(
      "discloses the value of another name",
      "disclosure_mismatch",
      values(([salt, , value]) => [salt, "error", value]),
    ),
    lie("discloses what is no disclosure", "disclosure_mismatch", { disclosures: ["bm9uZQ"] }),
    lie("has the disclosures of another entry", "disclosure_mismatch", { disclosures: honest.disclosures.get(other)! }),
    lie("has another entry than its proof", "inclusion_invalid", { entry: honest.entries[other]!.toString() }),
    lie("has a changed entry", "inclusion_invalid", { entry: bundle.entry.replace('"alice"', '"mallory"') }),
    lie("has an entry with white space", "inclusion_invalid", { entry: spaced }),
    {
      ...lie("has an entry with white space that was logged so", "entry_malformed", {}),
      file: () =>
        JSON.stringify({
          ...bundle,
          entry: spaced,
          ...proof(spacedTree.inclusion(index), index, signed(spacedTree.size, spacedTree.root())),
        }),
    },
    lie("has the proof of another index", "inclusion_invalid", proof(tree.inclusion(other), other)),
    lie("has another index with its proof", "inclusion_invalid", proof(path, index + 1)),
    lie("has an index beyond the tree", "inclusion_invalid", proof(path, at.size)),
    lie("has a proof of another size", "inclusion_invalid", proof(tree.inclusion(index, at.half))),
    lie(
      "has a checkpoint of another size",
      "inclusion_invalid",
      proof(path, index, signed(at.half, tree.root(at.half))),
    ),
    ...[0, path.length - 1].map((i) =>
      lie(`has a flipped bit in hash ${i} of its proof`, "inclusion_invalid", proof(path.with(i, flipped(path[i]!)))),
    ),
    lie("has its proof the other way round", "inclusion_invalid", proof(path.toReversed())),
    lie("lacks a hash", "inclusion_invalid", proof(path.slice(1))),
    lie("has a hash too many", "inclusion_invalid", proof([...path, path[0]!])),
    lie("has 65 hashes", "bundle_malformed", proof(Array.from({ length: 65 }, () => path[0]!))),
    lie("has a proof without an empty line", "bundle_malformed", { proof: bundle.proof.replace("\n\n", "\n") }),
    lie("has bad base64 as `extra`", "bundle_malformed", {
      proof: bundle.proof.replace("\nindex", "\nextra %\nindex"),
    }),
    lie(
      "has another root, signed by another key",
      "signature_missing",
      proof(path, index, note(checkpointText(origin, at.size, tree.root()), newSigner(origin))),
    ),
    lie(
      "has a checkpoint of another log",
      "origin_mismatch",
      proof(
        path,
        index,
        note(checkpointText("other.example/log", at.size, tree.root()), newSigner("other.example/log")),
      ),
    ),
    lie("has a checkpoint with another root", "signature_invalid", {
      proof: bundle.proof.replace(tree.root().toString("base64"), flipped(tree.root()).toString("base64")),
    }),
    lie("is of another format", "bundle_malformed", { format: "vitrine/evidence/v2" }),
    lie("has no entry", "bundle_malformed", { entry: undefined }),
    lie("has a lone surrogate in its entry", "bundle_malformed", { entry: bundle.entry.replace("alice", "\ud800") }),
    raw("is an empty file", ""),
  ];
}

/** Told to `prove`, which must not make a bundle of them. */
export function proofs(honest: Honest): LogLie[] {
  const { entries, tree } = honest;
  const [index, other] = disclosed(honest);
  const twisted = changed(entries, index, (entry) => Object.assign(entry, { database: "other" }));
  const twistedTree = new Tree(twisted);
  const mine = honest.disclosures.get(index)!;
  const lie = (name: string, exit: number, code: string, show: LogLie["show"], kept?: LogLie["kept"]): LogLie => ({
    name: `prove: ${name}`,
    show,
    command: "prove",
    args: ["--index", String(index), "--token", "an-auditor-token", "--reason", "x"],
    exit,
    codes: [code],
    ...(kept === undefined ? {} : { kept }),
  });
  const telling = (disclosures: readonly string[]) => () =>
    honest.view(entries, { disclosures: new Map([[index, disclosures]]) });
  return [
    lie(
      "another value is disclosed",
      FAIL,
      "disclosure_mismatch",
      telling(redisclosed(mine, "sql", ([salt, name]) => [salt, name, "SELECT 1"])),
    ),
    lie(
      "the disclosures are those of another entry",
      FAIL,
      "disclosure_mismatch",
      telling(honest.disclosures.get(other)!),
    ),
    lie("the entry is changed", FAIL, "leaf_mismatch", () => honest.view(entries, { entries: twisted })),
    lie("the entry and its level 0 tile are changed", FAIL, "inclusion_invalid", () =>
      honest.view(entries, { entries: twisted, tiles: (level) => (level === 0 ? twistedTree : tree) }),
    ),
    lie(
      "all is made anew; all was audited",
      FAIL,
      "split_view",
      () => honest.view(remake(twisted, { seals: honest.source, previous: true })),
      "whole",
    ),
    lie("its bundle is missing", NOT_PROVEN, "data_missing", () =>
      honest.view(entries, { answers: { [tilePath("entries", 0)]: { missing: true } } }),
    ),
    lie("its bundle lacks an entry", FAIL, "tile_malformed", () =>
      honest.view(entries, { answers: { [tilePath("entries", 0)]: entryBundle(entries.slice(0, 255)) } }),
    ),
    lie("a tile of its proof is missing", NOT_PROVEN, "data_missing", () =>
      honest.view(entries, { answers: { [tilePath(1, 0, Math.floor(entries.length / 256))]: { missing: true } } }),
    ),
  ];
}

import fc from "fast-check";
import t from "tap";
import { findingVerdicts } from "../../src/errors.ts";
import { formatEvidenceBundle, parseEvidenceBundle, verifyBundle } from "../../src/evidence/bundle.ts";
import { parseVerifierKey } from "../../src/formats/key.ts";
import { leafHash } from "../../src/formats/merkle.ts";
import { type Bytes, bytesOf, checkCases, readVectors, toHex } from "../support/vectors.ts";

type Case = { desc: string; bundle: Bytes; disclosed?: Record<string, unknown>; wantErr?: string };
const { vkey, cases } = readVectors<{ vkey: string; cases: Case[] }>("bundles.json");
const key = parseVerifierKey(vkey);
const good = Uint8Array.from(bytesOf(cases.find(({ desc }) => desc.startsWith("with everything"))!.bundle));

checkCases("bundles", cases, ({ bundle, disclosed }) => {
  const report = verifyBundle(bytesOf(bundle), key);
  if (report.verdict !== "PASS") return { wantErr: report.findings[0]!.code };
  const values = Object.fromEntries(report.disclosures.map(({ name, value }) => [name, value]));
  const inOrder = Object.fromEntries(Object.keys(disclosed!).map((name) => [name, values[name]]));
  const all = Object.keys(inOrder).length === report.disclosures.length;
  const leaf = toHex(leafHash(Buffer.from(report.entryText!)));
  return { index: report.index, leafHash: leaf, disclosed: all ? inOrder : values };
});

t.test("the steps are those of the page, in order, and end at the first that fails", async (t) => {
  const stepOf = { inclusion_invalid: "B3", entry_malformed: "B4", disclosure_mismatch: "B5", bundle_malformed: "B1" };
  const wrong: string[] = [];
  for (const { desc, bundle, wantErr } of cases) {
    const { steps, findings, verdict, conclusion } = verifyBundle(bytesOf(bundle), key);
    const failing = wantErr === undefined ? undefined : (stepOf[wantErr as keyof typeof stepOf] ?? "B2");
    const wanted = ["B1", "B2", "B3", "B4", "B5"].map((step) => {
      if (failing === undefined || step < failing) return `${step} true`;
      return `${step} ${step === failing ? false : undefined}`;
    });
    const found = steps.map(({ step, passed }) => `${step} ${passed}`);
    if (found.join() !== wanted.join() || findings.length !== (failing === undefined ? 0 : 1)) wrong.push(desc);
    if (verdict !== (failing === undefined ? "PASS" : "FAIL") || conclusion === "") wrong.push(desc);
  }
  t.same(wrong, []);
});

t.test("what is not established is not in the report", async (t) => {
  const text = Buffer.from(good).toString();
  const forged = verifyBundle(Buffer.from(text.replace("alice", "mallory")), key);
  t.equal(forged.findings[0]?.code, "inclusion_invalid");
  t.same(
    [forged.index, forged.entry, forged.entryText, forged.disclosures, forged.sealed],
    [undefined, undefined, undefined, [], []],
  );
  const whole = verifyBundle(good, key);
  t.ok(whole.disclosures.length > 1);
  t.same(whole.disclosures.map(({ name }) => name).sort(), [...whole.sealed].sort());
  t.match(whole.conclusion, /Not established: that the log shows this tree to everybody; that nothing was left out/);
  const hidden = verifyBundle(Buffer.from(JSON.stringify({ ...JSON.parse(text), disclosures: [] })), key);
  t.same(hidden.sealed, whole.sealed);
  t.match(hidden.conclusion, `what is sealed as ${whole.sealed.join(", ")}`);
});

t.test("a bundle is written as a bundle that verifies", async (t) => {
  const text = formatEvidenceBundle(parseEvidenceBundle(good));
  t.ok(text.endsWith("}\n"));
  t.equal(verifyBundle(Buffer.from(text), key).verdict, "PASS");
});

t.test("a file over the limit is not read", async (t) => {
  t.match(verifyBundle(new Uint8Array(67108865), key).findings, [{ code: "bundle_malformed", message: /67108864/ }]);
});

t.test("any file gets a report", async (t) => {
  const changed = fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, byte]) => {
    const bytes = Uint8Array.from(good);
    bytes[at] = byte;
    return bytes;
  });
  const json = fc.json().map((text) => Uint8Array.from(Buffer.from(text)));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), json, changed), (bytes) => {
      const { verdict, findings } = verifyBundle(bytes, key);
      return verdict === "PASS" || findings.every(({ code }) => code in findingVerdicts);
    }),
    { numRuns: 300 },
  );
  t.pass();
});

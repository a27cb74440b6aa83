import fc from "fast-check";
import t from "tap";
import { formatTlogProof, parseTlogProof } from "../../src/formats/tlog-proof.ts";
import { type Bytes, bytesOf, checkCases, codeOr, readVectors, toHex } from "../support/vectors.ts";

type Case = { desc: string; proof: Bytes; wantErr?: string };
const { cases } = readVectors<{ cases: Case[] }>("tlog-proofs.json");

checkCases("tlog-proofs", cases, ({ proof }) =>
  codeOr(() => {
    const { index, hashes, checkpoint } = parseTlogProof(bytesOf(proof));
    return { index, hashes: hashes.map(toHex), checkpoint: Buffer.from(checkpoint).toString() };
  }),
);

t.test("a proof is written as it was read", async (t) => {
  const text = Buffer.from(bytesOf(cases[0]!.proof)).toString();
  t.equal(formatTlogProof(parseTlogProof(Buffer.from(text))), text);
});

t.test("any bytes are a proof or refused as bundle_malformed", async (t) => {
  const good = Uint8Array.from(bytesOf(cases[0]!.proof));
  const changed = fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, byte]) => {
    const bytes = Uint8Array.from(good);
    bytes[at] = byte;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), changed), (bytes) => {
      const found = codeOr(() => parseTlogProof(bytes));
      return !("wantErr" in found) || found.wantErr === "bundle_malformed";
    }),
    { numRuns: 1000 },
  );
  t.pass();
});

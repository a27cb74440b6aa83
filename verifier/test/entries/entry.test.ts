import fc from "fast-check";
import t from "tap";
import { parseEntry, salvageEntry } from "../../src/entries/entry.ts";
import { leafHash } from "../../src/formats/merkle.ts";
import { TestSource } from "../support/test-source.ts";
import { type Bytes, bytesOf, checkCases, codeOr, readVectors, toHex } from "../support/vectors.ts";

type Case = { desc: string; entry: Bytes; leafHash?: string; kind?: string; wantErr?: string };
const { cases } = readVectors<{ cases: Case[] }>("entries.json");

checkCases("entries", cases, ({ entry }) =>
  codeOr(() => {
    const bytes = bytesOf(entry);
    return { leafHash: toHex(leafHash(bytes)), kind: parseEntry(bytes).kind };
  }),
);

t.test("any bytes are an entry or refused as entry_malformed", async (t) => {
  const good = cases.filter((one) => one.wantErr === undefined).map((one) => Uint8Array.from(bytesOf(one.entry)));
  const short = good.filter((entry) => entry.length < 2000);
  const changed = fc.tuple(fc.nat(short.length - 1), fc.nat(1999), fc.nat(255)).map(([which, at, byte]) => {
    const bytes = Uint8Array.from(short[which]!);
    bytes[at % bytes.length] = byte;
    return bytes;
  });
  const json = fc.json().map((text) => Uint8Array.from(Buffer.from(text)));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), json, changed), (bytes) => {
      const found = codeOr(() => parseEntry(bytes));
      salvageEntry(bytes);
      return !("wantErr" in found) || found.wantErr === "entry_malformed";
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

t.test("a malformed entry keeps its place in the chain, unless it is one of the source's own", async (t) => {
  const source = new TestSource();
  source.start();
  source.session(1);
  const statement = source.statement(1, { rows: "many" });
  t.equal(salvageEntry(Buffer.from(statement))?.seq, 2);
  t.equal(salvageEntry(Buffer.from(`${statement}\n`))?.seq, 2);
  t.equal(salvageEntry(Buffer.from(statement.slice(1))), undefined);
  t.equal(salvageEntry(Buffer.from(source.entries[0]!)), undefined);
  t.equal(salvageEntry(Uint8Array.of(0xff)), undefined);
});

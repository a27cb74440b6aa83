import t from "tap";
import { checkDisclosures, disclosureDigest } from "../src/disclosure.ts";
import { type EntryValue, parseEntry } from "../src/entry.ts";
import { leafHash } from "../src/merkle.ts";
import { frameEntry, seal, TestSource } from "./source.ts";
import { type Bytes, bytesOf, vectors } from "./vectors.ts";

t.test("entries: vectors", async (t) => {
  interface Case {
    desc: string;
    entry: Bytes;
    kind?: string;
    leafHash?: string;
    wantErr?: string;
  }
  for (const { desc, entry, kind, leafHash: hash, wantErr } of vectors<{ cases: Case[] }>("entries.json").cases) {
    const bytes = bytesOf(entry);
    if (wantErr !== undefined) {
      t.throws(() => parseEntry(bytes, 3), { code: "bad_entry", details: { entry: 3 } }, desc);
      continue;
    }
    t.equal(parseEntry(bytes, 0).kind, kind, desc);
    t.equal(leafHash(bytes).toString("hex"), hash, desc);
  }
});

/** The disclosure block of one entry, as it travels. */
function block(...disclosures: Buffer[]): Buffer {
  return frameEntry({ bytes: Buffer.alloc(0), disclosures }).subarray(2);
}

t.test("disclosures: vectors", async (t) => {
  interface File {
    cases: { desc: string; json?: Bytes; name?: string; digest?: string; wantErr?: string }[];
    matches: { desc: string; entry: string; disclosure: string; wantErr?: string }[];
  }
  const { cases, matches } = vectors<File>("disclosures.json");
  for (const { desc, json, name, digest, wantErr } of cases) {
    // Malformed base64url never reaches the log: what travels is what it encodes.
    if (json === undefined) continue;
    const disclosure = bytesOf(json);
    if (digest !== undefined) t.equal(disclosureDigest(disclosure), digest, desc);
    // An entry in which the value is sealed at the name that the disclosure has.
    const sealed: Record<string, unknown> = { sealed: disclosureDigest(disclosure), bytes: 1 };
    const entry = (name ?? "sql").split(".").reduceRight((value: unknown, part) => ({ [part]: value }), sealed);
    const check = () => checkDisclosures(block(disclosure), entry as EntryValue, 5);
    if (wantErr === undefined) t.doesNotThrow(check, desc);
    else t.throws(check, { code: "bad_disclosure", details: { entry: 5 } }, desc);
  }
  for (const { desc, entry, disclosure, wantErr } of matches) {
    const value = parseEntry(Buffer.from(entry), 0);
    const check = () => checkDisclosures(block(Buffer.from(disclosure, "base64url")), value, 0);
    if (wantErr === undefined) t.doesNotThrow(check, desc);
    else t.throws(check, { code: "bad_disclosure" }, desc);
  }
});

t.test("what is wrong with a disclosure is said without its value", async (t) => {
  const source = new TestSource("s");
  const { sealed } = seal("sql", "SELECT 1");
  const entry = { ...source.head("test.event"), sql: sealed } as unknown as EntryValue;
  for (const text of ['["AAAAAAAAAAAAAAAAAAAAAA","sql","hunter2"]', '["hunter2","sql","x"]', "hunter2", '["hunter2"']) {
    try {
      checkDisclosures(block(Buffer.from(text)), entry, 0);
      t.fail("accepted");
    } catch (error) {
      t.notMatch((error as Error).message, /hunter2/);
    }
  }
});

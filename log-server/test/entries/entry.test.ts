import { isDeepStrictEqual } from "node:util";
import t from "tap";
import { disclosureDigest, sealedValues } from "../../src/entries/disclosure.ts";
import { blockOf, type CheckedDisclosures, checkDisclosures } from "../../src/entries/disclosure-check.ts";
import { type EntryValue, parseEntry } from "../../src/entries/entry.ts";
import type { LogServerError } from "../../src/errors.ts";
import { leafHash } from "../../src/formats/merkle.ts";
import { frameEntry, seal, TestSource } from "../support/source.ts";
import { type Bytes, bytesOf, vectors } from "../support/vectors.ts";

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

/** Checks a block as one that is parsed, and as one that patterns are tried on, in the middle of other bytes. */
function check(block: Buffer, entry: EntryValue, position: number): CheckedDisclosures {
  const around = Buffer.concat([Buffer.from("0"), block, Buffer.from("]")]);
  const inside = { bytes: around, start: 1, end: 1 + block.length, text: `{"]${around.toString("latin1")}`, at: 4 };
  const outcomes = [blockOf(block), inside].map((each) => {
    try {
      return checkDisclosures(each, sealedValues(entry), position);
    } catch (error) {
      return error as LogServerError;
    }
  });
  if (!isDeepStrictEqual(outcomes[0], outcomes[1])) throw new Error(`two ways, two answers: ${outcomes.join("; ")}`);
  if (outcomes[1] instanceof Error) throw outcomes[1];
  return outcomes[1]!;
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
    const checked = () => check(block(disclosure), entry as EntryValue, 5);
    if (wantErr === undefined) t.doesNotThrow(checked, desc);
    else t.throws(checked, { code: "bad_disclosure", details: { entry: 5 } }, desc);
  }
  for (const { desc, entry, disclosure, wantErr } of matches) {
    const value = parseEntry(Buffer.from(entry), 0);
    const checked = () => check(block(Buffer.from(disclosure, "base64url")), value, 0);
    if (wantErr === undefined) t.doesNotThrow(checked, desc);
    else t.throws(checked, { code: "bad_disclosure" }, desc);
  }
});

t.test("what is wrong with a disclosure is said without its value", async (t) => {
  const source = new TestSource("s");
  const { sealed } = seal("sql", "SELECT 1");
  const entry = { ...source.head("test.event"), sql: sealed } as unknown as EntryValue;
  for (const text of ['["AAAAAAAAAAAAAAAAAAAAAA","sql","hunter2"]', '["hunter2","sql","x"]', "hunter2", '["hunter2"']) {
    try {
      check(block(Buffer.from(text)), entry, 0);
      t.fail("accepted");
    } catch (error) {
      t.notMatch((error as Error).message, /hunter2/);
    }
  }
});

t.test("a disclosure whose name is longer than an entry is refused at once, in a few words", async (t) => {
  const source = new TestSource("s");
  const entry = { ...source.head("test.event"), sql: seal("sql", "SELECT 1").sealed } as unknown as EntryValue;
  const { disclosure } = seal(".".repeat(70_000), "x");
  try {
    check(block(disclosure), entry, 0);
    t.fail("accepted");
  } catch (error) {
    t.match(error, { code: "bad_disclosure" });
    t.ok((error as Error).message.length < 300);
  }
});

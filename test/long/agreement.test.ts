// What the log takes no verifier may refuse: it could not be taken out again, and every audit from then on would fail.
// Two packages read entries and disclosures by code of their own; here both read what is nearly right.
import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import fc from "fast-check";
import t from "tap";
import { schemaErrors } from "../support/schema.ts";
import { ROOT } from "../support/stack.ts";

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
type Reader = (bytes: Buffer, ...more: unknown[]) => unknown;

async function readers<Names extends string>(path: string): Promise<Record<Names, Reader>> {
  return (await import(pathToFileURL(join(ROOT, path)).href)) as Record<Names, Reader>;
}

const ofLog = await readers<"parseEntry">("log-server/dist/src/entries/entry.js");
const { makeBlock } = (await import(pathToFileURL(join(ROOT, "log-server/dist/src/entries/disclosure.js")).href)) as {
  makeBlock(disclosures: readonly Buffer[]): Buffer;
};
const { sealedValues } = await readers<"sealedValues">("log-server/dist/src/entries/disclosure.js");
const { checkDisclosures } = (await import(
  pathToFileURL(join(ROOT, "log-server/dist/src/entries/disclosure-check.js")).href
)) as { checkDisclosures(block: object, entry: unknown, position: number): unknown };
const { EntryShapes, runOf } = (await import(
  pathToFileURL(join(ROOT, "log-server/dist/src/entries/entry-shapes.js")).href
)) as {
  runOf(source: unknown, epoch: unknown): string;
  EntryShapes: new () => {
    match(text: string, length: number, run: string, seq: unknown): unknown;
    learn(entry: unknown, text: string, length: number, run: string): void;
  };
};
const { isKeyName } = (await import(pathToFileURL(join(ROOT, "log-server/dist/src/formats/note.js")).href)) as {
  isKeyName(name: string): boolean;
};
const ofVerifier = await readers<"parseEntry" | "readEntry">("verifier/dist/src/entries/entry.js");
const { Shapes } = (await import(pathToFileURL(join(ROOT, "verifier/dist/src/entries/entry-shape.js")).href)) as {
  Shapes: new () => object;
};
const { isKeyName: nameOfVerifier } = (await import(
  pathToFileURL(join(ROOT, "verifier/dist/src/formats/key.js")).href
)) as { isKeyName(name: string): boolean };
const { verifyDisclosure } = (await import(
  pathToFileURL(join(ROOT, "verifier/dist/src/entries/disclosure.js")).href
)) as {
  verifyDisclosure(text: string, entry: object): unknown;
};

function refusal(read: () => unknown): string | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

const vectors = JSON.parse(readFileSync(join(ROOT, "spec/vectors/entries.json"), "utf8")) as Record<string, unknown>;

/** Every entry that the vectors have as a text. */
function textsIn(value: unknown): string[] {
  // Long ones would make a report of a failure unreadable.
  if (typeof value === "string") return value.startsWith('{"v":1,') && value.length < 8192 ? [value] : [];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsIn) : [];
}

const seeds = textsIn(vectors).flatMap((text): Json[] => {
  try {
    return [JSON.parse(text) as Json];
  } catch {
    return [];
  }
});

const hash = "0".repeat(64);
const sealed = { sealed: "A".repeat(43), bytes: 3 };
const scalars: Json[] = [
  ...[null, true, false, 0, 1, 2, -1, 1.5, 2 ** 53 - 1, 2 ** 53, 1e300],
  ...["", "x", "é", "\ud800", "\u2028", "a\nb", "1.1", "0.1", "1.01", "1.0", "1.9007199254740992", "1.", ".1", "01.1"],
  ...[
    "kept",
    "lost",
    "relaxed",
    "completed",
    "failed",
    "denied",
    "unknown",
    "I",
    "simple",
    "function",
    "read",
    "trust",
  ],
  ...["other:1", "other:", "42501", "4250a", hash, hash.toUpperCase(), "A".repeat(43), `${"A".repeat(43)}=`],
  ...["2026-11-22T22:10:00.123456Z", "2026-02-29T00:00:00.000000Z", "2024-02-29T23:59:59.999999Z", "2026-11-22"],
];
const values: Json[] = [
  ...scalars,
  ...[[], {}, [1], ["a"], [null], sealed, { ...sealed, x: 1 }, { bytes: 3, sealed: sealed.sealed }, { sealed: "A" }],
  ...[{ base64: "AA==" }, { base64: "AB==" }, { bytes: 1, sha256: hash }, { bytes: -1, sha256: hash }],
  ...[{ bytes: 1.5, sha256: hash }, { epoch: 1 }, { epoch: 0 }, { index: 1 }, { index: 1, login: "a" }],
  ...[{ name: "b", access: "read" }, [{ name: "b", access: "read" }], [{ schema: null, name: "b", access: "read" }]],
];

/** Every place in a value, as the names that lead there. */
function placesIn(value: Json, before: string[] = []): string[][] {
  if (typeof value !== "object" || value === null) return [];
  return Object.keys(value).flatMap((name) => {
    const here = [...before, name];
    return [here, ...placesIn((value as { [name: string]: Json })[name]!, here)];
  });
}

const names = [...new Set(seeds.flatMap((seed) => placesIn(seed).map((place) => place.at(-1)!))), "zzz", "0"];

type Change = { at: number; what: "set" | "drop" | "add"; value: Json; name: string };

function change(entry: Json, { at, what, value, name }: Change): void {
  const places = placesIn(entry);
  const place = places[at % places.length]!;
  let parent = entry as { [name: string]: Json };
  for (const step of place.slice(0, -1)) parent = parent[step] as { [name: string]: Json };
  // An array would get a length that no text can have.
  if (what === "add" && !Array.isArray(parent)) parent[name] = value;
  else if (what === "drop") delete parent[place.at(-1)!];
  else parent[place.at(-1)!] = value;
}

const changes = fc.array(
  fc.record<Change>({
    at: fc.nat(),
    what: fc.constantFrom("set", "set", "drop", "add"),
    value: fc.constantFrom(...values),
    name: fc.constantFrom(...names),
  }),
  { minLength: 1, maxLength: 2 },
);

/** @returns the place that an entry names; undefined when no note can announce it, or it is an epoch's first: always parsed */
function placeOf(entry: Json): { run: string; seq: number } | undefined {
  const { source, epoch, seq } = entry as { [name: string]: Json };
  const from1 = (value: Json | undefined): boolean => Number.isSafeInteger(value) && Number(value) >= 1;
  if (typeof source !== "string" || !isKeyName(source) || !from1(epoch) || !from1(seq)) return undefined;
  return { run: runOf(source, epoch), seq: Number(seq) };
}

t.test("what the log takes as an entry, the verifier does", async (t) => {
  t.ok(seeds.length > 300, `${seeds.length} entries to begin with`);
  let taken = 0;
  let alike = 0;
  const shapes = new EntryShapes();
  const property = fc.property(fc.nat(seeds.length - 1), changes, (seed, list) => {
    const entry = structuredClone(seeds[seed]!);
    for (const one of list) change(entry, structuredClone(one));
    const bytes = Buffer.from(JSON.stringify(entry));
    // In the place that was announced, the one before the changes.
    const place = placeOf(seeds[seed]!);
    const text = bytes.toString("latin1");
    const matches = place !== undefined && shapes.match(text, text.length, place.run, place.seq) !== undefined;
    if (matches) alike += 1;
    const fault = refusal(() => ofLog.parseEntry(bytes, 0));
    if (fault !== undefined && matches) throw new Error(`like one before, and ${fault}: ${bytes}`);
    if (fault !== undefined) return;
    if (place !== undefined && !matches) shapes.learn(entry, text, text.length, place.run);
    taken += 1;
    const refused = refusal(() => ofVerifier.parseEntry(bytes));
    if (refused !== undefined) throw new Error(`${refused}: ${bytes}`);
  });
  fc.assert(property, { numRuns: 30_000 });
  t.ok(taken > 1000, `${taken} were taken`);
  t.ok(alike > 50, `${alike} were like one before`);
});

// What the schema cannot see (its `description`s): bytes, order, depth, numbers and sealed values in members that nobody
// knows, days that do not exist, and numbers over 2^53 - 1 inside of a text.
const UNSEEN = /compact form|nested|is not an integer from 0|^entry 0 of the submission: member|with a member "sealed"/;
const UNSEEN_TEXT = /2026-02-29T|9007199254740992/;

t.test("what the schema says of an entry, the log says", async (t) => {
  const good = seeds.filter(
    (seed) => refusal(() => ofLog.parseEntry(Buffer.from(JSON.stringify(seed)), 0)) === undefined,
  );
  let alike = 0;
  const property = fc.property(fc.constantFrom(...good), changes, (seed, list) => {
    const entry = structuredClone(seed);
    for (const one of list) change(entry, structuredClone(one));
    const text = JSON.stringify(entry);
    const fault = refusal(() => ofLog.parseEntry(Buffer.from(text), 0));
    // As it is read: a place that was dropped from an array is null.
    const [error] = schemaErrors([JSON.parse(text)]);
    if ((fault === undefined) === (error === undefined)) {
      if (fault === undefined) alike += 1;
      return;
    }
    if (error !== undefined) throw new Error(`the log takes it, and by the schema ${error}: ${text}`);
    if (!UNSEEN.test(fault!) && !UNSEEN_TEXT.test(text)) throw new Error(`the schema takes it, and ${fault}: ${text}`);
  });
  fc.assert(property, { numRuns: 30_000 });
  t.ok(alike > 1000, `${alike} are good by both`);
});

/** What is not JSON, not compact, not UTF-8, or another value than it looks like. */
const pieces: Buffer[] = [
  ...[
    "\\u0041",
    "\\/",
    "\\n",
    "\\u000a",
    "\\u001f",
    "\\ud800",
    "\\uDC00",
    "\\ud83d\\ude00",
    "\\u00e9",
    "\\x41",
    '\\"',
    "\\",
  ],
  ...["-0", "0", "00", "1e3", "1E3", "1.0", "1.", "-1", "9007199254740991", "9007199254740992", "9007199254740993"],
  ...[
    "9".repeat(400),
    "1e999",
    "NaN",
    "null",
    "true",
    '""',
    '"',
    "{}",
    "[]",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    " ",
    "\t",
    "\n",
  ],
  ...["\u0000", "\u001f", "\u007f", "\u0080", "\u00a0", "\u2028", "\u2029", "\ufeff", "\u00e9", "e\u0301", "\u{1f600}"],
  ...[
    '"v":1,',
    ',"v":1',
    '"n":1,',
    ',"n":1',
    '"__proto__":{},',
    '"0":1,',
    '"":1,',
    '"toString":1,',
    "/**/",
    "undefined",
  ],
].map((text) => Buffer.from(text));
pieces.push(
  ...["ff", "c080", "c3", "80", "eda080", "edb080", "f4908080", "e28080", "00"].map((hex) => Buffer.from(hex, "hex")),
);

type Cut = { at: number; length: number; piece: number };

const cuts = fc.array(
  fc.record<Cut>({
    at: fc.nat(),
    length: fc.constantFrom(0, 0, 1, 1, 2, 6),
    piece: fc.nat(pieces.length - 1),
  }),
  { minLength: 1, maxLength: 2 },
);

t.test("what the log takes, byte for byte, the verifier reads as the same", async (t) => {
  const texts = seeds.map((seed) => Buffer.from(JSON.stringify(seed)));
  const shapes = new EntryShapes();
  const known = new Shapes();
  let taken = 0;
  let refusedByBoth = 0;
  const property = fc.property(fc.nat(seeds.length - 1), cuts, (seed, list) => {
    const whole = texts[seed]!;
    let bytes = whole;
    for (const { at, length, piece } of list) {
      const from = at % (bytes.length + 1);
      bytes = Buffer.concat([bytes.subarray(0, from), pieces[piece]!, bytes.subarray(from + length)]);
    }
    const place = placeOf(seeds[seed]!);
    const teach = whole.toString("latin1");
    if (place !== undefined && refusal(() => ofLog.parseEntry(whole, 0)) === undefined) {
      if (shapes.match(teach, teach.length, place.run, place.seq) === undefined)
        shapes.learn(seeds[seed], teach, teach.length, place.run);
      ofVerifier.readEntry(whole, known);
    }
    const fault = refusal(() => ofLog.parseEntry(bytes, 0));
    const text = bytes.toString("latin1");
    const matches =
      place !== undefined && isUtf8(bytes) && shapes.match(text, text.length, place.run, place.seq) !== undefined;
    if (matches && fault !== undefined) throw new Error(`like one before, and ${fault}: ${bytes}`);
    const wrong = refusal(() => ofVerifier.parseEntry(bytes));
    const read = refusal(() => ofVerifier.readEntry(bytes, known));
    if ((wrong === undefined) !== (read === undefined)) throw new Error(`${wrong} and ${read}: ${bytes}`);
    if (fault !== undefined) {
      if (wrong !== undefined) refusedByBoth += 1;
      return;
    }
    taken += 1;
    if (wrong !== undefined) throw new Error(`${wrong}: ${bytes}`);
    const [one, other] = [ofLog.parseEntry(bytes, 0), ofVerifier.parseEntry(bytes)];
    if (JSON.stringify(one) !== bytes.toString() || JSON.stringify(other) !== bytes.toString())
      throw new Error(`it is read as another: ${bytes}`);
  });
  // Each unchanged to begin with: among them are ones with a good one's shape in a place that is none, as of epoch 0.
  fc.assert(property, { numRuns: 40_000, examples: seeds.map((_, seed): [number, Cut[]] => [seed, []]) });
  t.ok(taken > 1000, `${taken} were taken`);
  t.ok(refusedByBoth > 10_000, `${refusedByBoth} were refused by both`);
});

t.test("what can be the name of a key is the same to the log and the verifier", async (t) => {
  const wrong: string[] = [];
  for (let code = 0; code <= 0x10ffff; code++) {
    const name = `a${String.fromCodePoint(code)}b`;
    if (isKeyName(name) !== nameOfVerifier(name)) wrong.push(code.toString(16));
  }
  t.same(wrong, []);
  for (const name of ["", "+", " ", "a b", "a+b"]) t.equal(isKeyName(name) || nameOfVerifier(name), false, name);
});

t.test("what the log takes as a disclosure, the verifier does", async (t) => {
  const salt = "A".repeat(22);
  const deep = (depth: number): Json => (depth === 0 ? 1 : [deep(depth - 1)]);
  const disclosed = fc.oneof(
    fc.constantFrom(...values),
    fc.array(fc.constantFrom(...values), { maxLength: 3 }),
    fc.record({ bytes: fc.constantFrom(...scalars), sha256: fc.constantFrom(hash, "x") }),
    fc.integer({ min: 58, max: 68 }).map(deep),
  );
  let taken = 0;
  const property = fc.property(
    fc.constantFrom("sql", "params", "error", "client.address", "reason", "other", "a.b"),
    fc.constantFrom(salt, salt, salt, `${salt}A`, `${"A".repeat(21)}B`),
    disclosed,
    (name, saltText, value) => {
      const bytes = Buffer.from(JSON.stringify([saltText, name, value]));
      const text = bytes.toString("base64url");
      const member = { sealed: createHash("sha256").update(text).digest("base64url"), bytes: 1 };
      const [outer, inner] = name.split(".") as [string, string | undefined];
      const entry = { v: 1, kind: "x", [outer]: inner === undefined ? member : { [inner]: member } };
      const block = makeBlock([bytes]);
      const given = { bytes: block, start: 0, end: block.length, text: block.toString("latin1"), at: 0 };
      const sealedThere = sealedValues(entry as never);
      if (refusal(() => checkDisclosures(given, sealedThere, 0)) !== undefined) return;
      taken += 1;
      const refused = refusal(() => verifyDisclosure(text, entry));
      if (refused !== undefined) throw new Error(`${refused}: ${bytes}`);
    },
  );
  fc.assert(property, { numRuns: 20_000 });
  t.ok(taken > 500, `${taken} were taken`);
});

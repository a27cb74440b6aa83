import fc from "fast-check";
import t from "tap";
import { type Entry, parseEntry, readEntry } from "../../src/entries/entry.ts";
import { Shapes } from "../../src/entries/entry-shape.ts";
import { VerifierError } from "../../src/errors.ts";
import { decodeUtf8 } from "../../src/formats/text.ts";
import { TestSource } from "../support/test-source.ts";
import { type Bytes, bytesOf, readVectors } from "../support/vectors.ts";

const log = readVectors<{ entries: string[] }>("log.json").entries;
const cases = readVectors<{ cases: { entry: Bytes; wantErr?: string }[] }>("entries.json").cases;
const good = cases.filter(({ wantErr }) => wantErr === undefined).map(({ entry }) => bytesOf(entry));
const bad = cases.filter(({ wantErr }) => wantErr !== undefined).map(({ entry }) => bytesOf(entry));

/** What the steps S and N read of the kinds that have shapes. */
const read = ["v", "kind", "source", "epoch", "seq", "time", "session", "n", "outcome", "recovered"];
const totals = ["statements", "failed", "rows", "bytes_in", "bytes_out"];
const shaped = ["session.start", "session.end", "access.refused", "statement"];

function outlineOf(entry: Entry): object {
  return Object.fromEntries([...read, ...totals].map((name) => [name, entry[name]]));
}

/** @returns the entry, or undefined when it does not pass E1 and E2 */
function parsed(bytes: Uint8Array): Entry | undefined {
  try {
    return parseEntry(bytes);
  } catch (error) {
    if (error instanceof VerifierError) return undefined;
    throw error;
  }
}

/** @returns shapes that have learned all good vectors, and how many of the entries they match after that */
function taught(): { shapes: Shapes; matched: string[] } {
  const shapes = new Shapes();
  for (const bytes of [...good, ...log.map((text) => Buffer.from(text))]) readEntry(bytes, shapes);
  return { shapes, matched: log.filter((text) => shapes.match(text) !== undefined) };
}

t.test("all frequent entries of a log are matched, and none of the source's own", async (t) => {
  const { matched } = taught();
  const frequent = log.filter((text) => shaped.includes(JSON.parse(text).kind) && !text.includes('"recovered"'));
  t.ok(frequent.length > 200, `${frequent.length} entries`);
  const missed = frequent.filter((text) => !matched.includes(text));
  t.same(missed, []);
  t.equal(matched.length, frequent.length);
});

t.test("an outline is what parsing gives", async (t) => {
  const { shapes, matched } = taught();
  const wrong = matched.filter((text) => {
    const { entry } = readEntry(Buffer.from(text), shapes);
    return JSON.stringify(outlineOf(entry)) !== JSON.stringify(outlineOf(parseEntry(Buffer.from(text))));
  });
  t.same(wrong, []);
});

t.test("what is malformed matches no shape", async (t) => {
  const { shapes } = taught();
  const texts = bad.map(decodeUtf8).filter((text) => text !== undefined);
  t.ok(texts.length > 50, `${texts.length} malformed entries that are UTF-8`);
  t.same(
    texts.filter((text) => shapes.match(text) !== undefined),
    [],
  );
});

/** Text in the place of a member's value, of all sorts that are not what they look like. */
const values = [
  ...["-0", "0", "00", "01", "1.0", "1e3", "9007199254740991", "9007199254740992", "999999999999999", "null", " 1"],
  ...["true", "false", '""', '"\\u0041"', '"\\/"', '"\\n"', '"\t"', '"\\ud83d"', '"ü"', '"😀"', '"a" ', "[]", "{}"],
  ...['"2026-02-30T00:00:00.000000Z"', '"2024-02-29T00:00:00.000000Z"', '"2026-12-31T23:59:60.000000Z"'],
  ...['"2026-04-31T00:00:00.000000Z"', '"2026-12-31T23:59:59.999999Z"', '"0000-01-01T00:00:00.000000Z"'],
  ...['"1.0"', '"01.1"', '"1.01"', '"0.1"', '"1."', '"completed"', '"failed"', '"unknown"', '"denied"', '"function"'],
  ...['"simple"', '"E"', '"read"', '"unheard-of"', '{"sealed":"x","bytes":1}', '{"base64":"AA=="}', '[null,"a",1]'],
  `{"sealed":"${"A".repeat(43)}","bytes":1}`,
  `{"sealed":"${"A".repeat(42)}B","bytes":1}`,
  `{"bytes":1,"sealed":"${"A".repeat(43)}"}`,
  `{"sealed":"${"A".repeat(43)}","bytes":1,"more":1}`,
];

const token = /"(?:[^"\\]|\\.)*"|[0-9]+|true|false|null|[{}[\]:,]/g;

/** Changes one token, swaps two, doubles or drops one or a whole member, or changes a character. */
function changed(text: string, how: number, at: number, other: number, value: string): string {
  const tokens = text.match(token)!;
  const [i, k] = [at % tokens.length, other % tokens.length];
  if (how === 0) return tokens.with(i, value).join("");
  if (how > 7) {
    const places = [...tokens.keys()].filter((place) => tokens[place - 1] === ":");
    return tokens.with(places[at % places.length]!, value).join("");
  }
  if (how === 1) return tokens.with(i, tokens[k]!).with(k, tokens[i]!).join("");
  if (how === 2) return tokens.toSpliced(i, 0, tokens[k]!).join("");
  if (how === 3) return tokens.toSpliced(i, 1).join("");
  if (how === 4) return text.slice(0, at % text.length) + value.charAt(1) + text.slice((at % text.length) + 1);
  const entry = Object.entries(JSON.parse(text) as object);
  const [a, b] = [at % entry.length, other % entry.length];
  if (how === 5) return JSON.stringify(Object.fromEntries(entry.toSpliced(a, 1)));
  if (how === 6) return JSON.stringify(Object.fromEntries(entry.with(a, entry[b]!).with(b, entry[a]!)));
  // A member twice, or one that only another kind or outcome has.
  const names = ["rows", "recovered", "error", "sqlstate", "n", "toString", "0"];
  return `${text.slice(0, -1)},"${names[other % names.length]}":${value}}`;
}

t.test("whatever matches a shape passes E1 and E2, with the outline that parsing gives", async (t) => {
  const source = new TestSource();
  source.start();
  source.session(1);
  source.statement(1, { role: "postgres", params: ["1", null], params_count: 2, operation: 'a "b" \\ \n' });
  source.statement(1, { outcome: "failed", sqlstate: "22012", error: "division by zero" });
  const frequent = [...log, ...source.entries].filter((text) => shaped.includes(JSON.parse(text).kind));
  const { shapes } = taught();
  let matched = 0;
  let same = 0;
  fc.assert(
    fc.property(
      fc.nat(frequent.length - 1),
      fc.array(fc.tuple(fc.nat(14), fc.nat(2000), fc.nat(2000), fc.nat(values.length - 1)), {
        minLength: 1,
        maxLength: 2,
      }),
      (which, changes) => {
        let text = frequent[which]!;
        try {
          for (const [how, at, other, value] of changes) text = changed(text, how, at, other, values[value]!);
        } catch {
          // The first change left no JSON for the second to work on.
        }
        const bytes = Buffer.from(text);
        const found = shapes.match(bytes.toString());
        if (found === undefined) return true;
        matched++;
        const entry = parsed(bytes);
        if (entry === undefined) return false;
        if (text === frequent[which]) same++;
        return JSON.stringify(outlineOf(found)) === JSON.stringify(outlineOf(entry));
      },
    ),
    { numRuns: 8000 },
  );
  t.ok(matched - same > 50, `${matched} of the changed entries match, ${same} of them unchanged after all`);
});

t.test(
  "entries of which none is like another do not fill the memory, and those that are go on being matched",
  async (t) => {
    const { shapes } = taught();
    const [statement] = log.filter((text) => text.includes('"kind":"statement"'));
    for (let i = 0; i < 2000; i++) {
      const entry = JSON.parse(statement!) as Record<string, unknown>;
      readEntry(Buffer.from(JSON.stringify({ ...entry, [`unknown-${i}`]: 1 })), shapes);
    }
    readEntry(Buffer.from(statement!), shapes);
    t.equal(shapes.match(`${statement}\n`), undefined);
    t.ok(shapes.match(statement!));
  },
);

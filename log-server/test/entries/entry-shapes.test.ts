import { isUtf8 } from "node:buffer";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import t from "tap";
import { sealedValues } from "../../src/entries/disclosure.ts";
import { blockOf, checkDisclosures } from "../../src/entries/disclosure-check.ts";
import { parseEntry } from "../../src/entries/entry.ts";
import { EntryShapes, runOf, type SealedValues } from "../../src/entries/entry-shapes.ts";
import { type Form, sealableForms } from "../../src/entries/forms.ts";
import { formsOf } from "../../src/entries/kinds.ts";
import { LogServerError } from "../../src/errors.ts";
import { frameEntry, seal } from "../support/source.ts";

const RUN = runOf("s", 1);
const KINDS = ["statement", "session.start", "session.end", "access.refused", "source.start", "config.change"];
const SEALED = `{"sealed":"${"A".repeat(43)}","bytes":7}`;

// Texts stand for bytes here: each character is one (Latin-1).
const latin1 = (json: string): string => Buffer.from(json).toString("latin1");

/** Texts that a form's pattern matches, most of them valid UTF-8. */
function matched({ pattern }: Form): fc.Arbitrary<string> {
  const ascii = pattern!.replaceAll("\\xff", "\\x7f");
  const letters = fc.constantFrom("é", "\u{1F600}", "\u2028", "\ufeff", "ÿ").map(latin1);
  const broken = fc.constantFrom("\xff", "\x80", "\xed\xa0\x80", "\xc0\xaf");
  const other = fc.tuple(
    fc.stringMatching(new RegExp(`^${ascii}$`)),
    fc.nat(40),
    fc.oneof({ weight: 9, arbitrary: letters }, broken),
  );
  const whole = new RegExp(`^${pattern}$`);
  // What is put in stays where the pattern has room for it.
  return other.map(([text, at, more]) => {
    const changed = text.slice(0, at) + more + text.slice(at);
    return whole.test(changed) ? changed : text;
  });
}

/** The JSON of values that a form may have: by its pattern, sealed, or of an object member by member. */
function valuesOf(form: Form): fc.Arbitrary<string> {
  if (form.clear !== undefined) return fc.oneof(fc.constant(SEALED), matched(form.clear));
  if (form.members !== undefined) {
    const optional = Object.fromEntries([...form.members].map(([name, member]) => [name, valuesOf(member)]));
    return fc.record(optional).map(jsonOf);
  }
  return form.pattern === undefined ? fc.constant("0") : matched(form);
}

function jsonOf(members: Readonly<Record<string, string | undefined>>): string {
  return `{${Object.entries(members)
    .map(([name, json]) => `${JSON.stringify(name)}:${json}`)
    .join(",")}}`;
}

type Members = Record<string, string | undefined>;

/** Makes of a statement one that has what the others of its members ask for. */
function mended(members: Members, second: boolean): Members {
  const made = { ...members };
  if (made.recovered === undefined) {
    made.complete = String(made.incomplete === undefined);
    made.protocol = made.function_oid === undefined ? '"simple"' : '"function"';
    if (made.sqlstate !== undefined || made.error !== undefined) made.outcome = second ? made.outcome : '"failed"';
    for (const name of ["n", "duration_us", "rows", "bytes_in", "bytes_out"]) made[name] ??= "5";
    made.tx ??= '"I"';
  }
  if (made.function_oid !== undefined) made.sql = undefined;
  if ((made.params === undefined) !== (made.params_count === undefined)) {
    made.params = undefined;
    made.params_count = undefined;
  }
  return made;
}

/** Entries of a kind, many with a fault: two of them with the same members, most of the time, and other values. */
function pairs(kind: string): fc.Arbitrary<[string, string]> {
  const forms = formsOf(kind)!;
  const values = fc.record(Object.fromEntries([...forms].map(([name, form]) => [name, valuesOf(form)])));
  const rare = new Set(["recovered", "incomplete", "function_oid", "attempts", "executed", "sqlstate", "error"]);
  const draws = fc.record(Object.fromEntries([...forms].map(([name]) => [name, fc.nat(99)])));
  return fc.tuple(values, values, draws, fc.boolean()).map(([first, second, draw, mend]) => {
    const text = (members: Members, other: boolean): string => {
      const chosen: Members = {};
      for (const [name, json] of Object.entries(members)) {
        if (draw[name]! < (rare.has(name) ? 10 : 95)) chosen[name] = json;
      }
      const own = Object.entries(kind === "statement" && mend ? mended(chosen, other) : chosen)
        .filter(([, json]) => json !== undefined)
        .map(([name, json]) => `,"${name}":${json}`);
      return `{"v":1,"kind":"${kind}",${RUN}3,"time":"2026-11-23T08:06:20.926133Z"${own.join("")}}`;
    };
    return [text(first, false), text(second, true)];
  });
}

/** @returns what the entry has sealed, when it is good. */
function parsed(text: string): SealedValues | undefined {
  try {
    const entry = parseEntry(Buffer.from(text, "latin1"), 0);
    return entry.source === "s" && entry.epoch === 1 && entry.seq === 3 ? sealedValues(entry) : undefined;
  } catch (error) {
    if (error instanceof LogServerError) return undefined;
    throw error;
  }
}

const PATHS = ["sql", "params", "error", "client.address", "reason", "client", "actor.login"];

function digests(values: SealedValues): (string | undefined)[] {
  return PATHS.map((path) => values.digestAt(path));
}

/** Matches a text against the shapes. Nothing is let in by them that is not good, and nothing is read otherwise. */
function holds(shapes: EntryShapes, text: string): boolean {
  if (!isUtf8(Buffer.from(text, "latin1"))) return false;
  const shaped = shapes.match(`${text}]}"`, text.length, RUN, 3);
  if (shaped === undefined) return false;
  const values = parsed(text);
  if (values === undefined) throw new Error(`a shape matches ${text}`);
  if (!isDeepStrictEqual(digests(shaped), digests(values))) throw new Error(`a shape reads otherwise ${text}`);
  return true;
}

function learn(shapes: EntryShapes, text: string): boolean {
  if (parsed(text) === undefined) return false;
  shapes.learn(parseEntry(Buffer.from(text, "latin1"), 0), text, text.length, RUN);
  return true;
}

/** Statements as a proxy writes them. */
function statement(changes: Readonly<Record<string, unknown>> = {}): string {
  const address = seal("client.address", "127.0.0.1:5").sealed;
  const members = {
    session: "1.3",
    actor: { login: "alice", auth: "scram-sha-256", groups: ["a", "b"] },
    database: "shop",
    client: { address, application: 'a "b" \\ c' },
    protocol: "extended",
    operation: "SELECT",
    class: "read",
    relations: [
      { schema: "s", name: "t", access: "read" },
      { name: "u", access: "write" },
    ],
    functions: [],
    fingerprint: "348bee4e67e86ca6",
    complete: true,
    sql: seal("sql", "SELECT 1").sealed,
    params: seal("params", ["1"]).sealed,
    params_count: 1,
    start: "2026-11-23T08:06:20.926106Z",
    n: 1,
    tx: "I",
    duration_us: 5,
    outcome: "completed",
    tag: "SELECT 1",
    rows: 1,
    bytes_in: 38,
    bytes_out: 12,
    ...changes,
  };
  const own = JSON.stringify(members).slice(1);
  return latin1(`{"v":1,"kind":"statement",${RUN}3,"time":"2026-11-23T08:06:20.926133Z",${own}`);
}

t.test("what a form's pattern matches is compact JSON of a value with that form", async (t) => {
  const all = [...sealableForms, ...KINDS.flatMap((kind) => [...formsOf(kind)!])];
  let patterns = 0;
  for (const [, form] of all) {
    const nested = form.members === undefined ? [] : [...form.members.values()];
    for (const each of [form, ...nested]) {
      if (each.pattern === undefined) continue;
      patterns += 1;
      const sound = (text: string): boolean => {
        const bytes = Buffer.from(text, "latin1");
        if (!isUtf8(bytes)) return true;
        const value: unknown = JSON.parse(bytes.toString("utf8"));
        return JSON.stringify(value) === bytes.toString("utf8") && each(value);
      };
      fc.assert(fc.property(matched(each), sound), { numRuns: 40, verbose: false });
    }
  }
  t.ok(patterns > 60);
});

t.test("entries with the members of one before match its shape, whatever their texts and numbers", async (t) => {
  const shapes = new EntryShapes();
  t.notOk(holds(shapes, statement()), "nothing is known yet");
  t.ok(learn(shapes, statement()));
  const like = [
    {},
    { n: 999_999_999_999_999, rows: 0, tag: "INSERT 0 1", operation: "INSERT", class: "write", tx: "T" },
    { relations: [], functions: ["f", '"G"'], database: "\n\t\\" },
    { database: "shöp", relations: [{ name: "注文 \u{1F600}", access: "write" }] },
    { relations: [{ schema: "x", name: "", access: "read" }], sql: seal("sql", "other").sealed },
  ];
  for (const changes of like) t.ok(holds(shapes, statement(changes)), JSON.stringify(changes));
  const unlike = [
    { n: 0 },
    { n: 1_000_000_000_000_000 },
    { class: "reading" },
    { database: "sh\u0001p" },
    { outcome: "failed" },
    { complete: false, incomplete: "syntax" },
    { complete: false },
    { protocol: "function" },
    { rows: -1 },
    { rows: 1.5 },
    { extra: 1 },
    { client: { address: "127.0.0.1:5" } },
    { start: "2026-02-29T08:06:20.926106Z" },
    { sql: { bytes: 8, sealed: "A".repeat(43) } },
    { sql: { sealed: `${"A".repeat(42)}B`, bytes: 8 } },
  ];
  for (const changes of unlike) t.notOk(holds(shapes, statement(changes)), JSON.stringify(changes));
});

t.test("an entry in another place, or with bytes before its end, is not the one that is expected", async (t) => {
  const shapes = new EntryShapes();
  const text = statement();
  learn(shapes, text);
  t.ok(shapes.match(text, text.length, RUN, 3));
  t.notOk(shapes.match(text, text.length, RUN, 4));
  t.notOk(shapes.match(text, text.length, RUN, 33));
  t.notOk(shapes.match(text, text.length, runOf("t", 1), 3));
  t.notOk(shapes.match(text, text.length, runOf("s", 2), 3));
  t.notOk(shapes.match(`${text} `, text.length + 1, RUN, 3));
  t.notOk(shapes.match(text, text.length - 1, RUN, 3));
});

t.test("no shape lets in what parsing would refuse: other members and values", async (t) => {
  let good = 0;
  let alike = 0;
  for (const kind of KINDS.slice(0, 4)) {
    const shapes = new EntryShapes();
    const property = fc.property(pairs(kind), ([first, second]) => {
      if (learn(shapes, first)) good += 1;
      holds(shapes, first);
      if (holds(shapes, second)) alike += 1;
    });
    fc.assert(property, { numRuns: 200 });
  }
  t.ok(good > 80, `${good} are good`);
  t.ok(alike > 20, `${alike} are like one before`);
});

t.test("no shape lets in what parsing would refuse: bytes changed, left out, put in, and twice", async (t) => {
  const shapes = new EntryShapes();
  const entries = [
    statement(),
    statement({ params: undefined, params_count: undefined, protocol: "simple" }),
    statement({ outcome: "failed", sqlstate: "42P01", tag: undefined, error: seal("error", "no").sealed }),
    statement({ sql: "SELECT 'in the clear'", claimed: { user: { name: "bob", from: "comment" } } }),
  ];
  for (const text of entries) {
    t.ok(learn(shapes, text));
    t.ok(holds(shapes, text));
  }
  const piece = fc.constantFrom(
    '"',
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "0",
    "1",
    "9",
    "-",
    ".",
    "e",
    "true",
    "null",
    "\\u0041",
  );
  const other = fc.oneof(piece, fc.string({ maxLength: 3, unit: "binary" }));
  const spot = fc.record({
    of: fc.nat(3),
    at: fc.nat(1200),
    length: fc.nat(30),
    from: fc.nat(1200),
    put: other,
    way: fc.nat(3),
  });
  const changed = fc.property(spot, ({ of, at, length, from, put, way }) => {
    const text = entries[of]!;
    const [head, tail] = [text.slice(0, at), text.slice(at)];
    const ways = [
      head + put + tail,
      head + put + tail.slice(put.length),
      head + tail.slice(length),
      head + text.slice(from, from + length) + tail,
    ];
    holds(shapes, ways[way]!);
  });
  fc.assert(changed, { numRuns: 2500 });
});

t.test("what is never alike costs no more than a few shapes", async (t) => {
  const shapes = new EntryShapes();
  // Each has its members in another order.
  const orders = (i: number): string => {
    const entries = Object.entries(JSON.parse(statement()) as object);
    const own = entries.slice(6);
    for (let k = 0, n = i; k < own.length; k += 1) {
      const j = n % (k + 1);
      n = Math.floor(n / (k + 1));
      [own[k], own[j]] = [own[j]!, own[k]!];
    }
    return latin1(JSON.stringify(Object.fromEntries([...entries.slice(0, 6), ...own])));
  };
  for (let i = 0; i < 300; i += 1) learn(shapes, orders(i * 7919));
  const known = Array.from({ length: 300 }, (_, i) => holds(shapes, orders(i * 7919))).filter(Boolean);
  t.equal(known.length, 32);
});

t.test("a disclosure is told the same of, whether it is parsed or matches a pattern", async (t) => {
  const values = { sql: "SELECT 'x'\n\"\\", params: ["1", null, { base64: "AAE=" }], error: "é", reason: "why" };
  const sealed = Object.entries(values).map(([name, value]) => ({ name, ...seal(name, value) }));
  const entry = sealedValues(Object.fromEntries(sealed.map(({ name, sealed }) => [name, sealed])) as never);
  const outcome = (bytes: Buffer, text: string | undefined): unknown => {
    try {
      return checkDisclosures({ ...blockOf(bytes), text }, entry, 0);
    } catch (error) {
      if (error instanceof LogServerError) return error.message;
      throw error;
    }
  };
  const same = (disclosures: readonly Buffer[]): unknown => {
    const bytes = frameEntry({ bytes: Buffer.alloc(0), disclosures }).subarray(2);
    const plain = outcome(bytes, undefined);
    if (!isDeepStrictEqual(outcome(bytes, bytes.toString("latin1")), plain))
      throw new Error(`not the same of ${bytes}`);
    return plain;
  };
  const whole = sealed.map(({ disclosure }) => disclosure);
  t.not(typeof same(whole), "string", "good ones are taken");
  const spot = fc.record({ of: fc.nat(3), at: fc.nat(80), put: fc.uint8Array({ maxLength: 3 }), cut: fc.nat(3) });
  const changed = fc.property(spot, ({ of, at, put, cut }) => {
    const bytes = whole[of]!;
    const other = Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + cut)]);
    same(whole.with(of, other));
  });
  fc.assert(changed, { numRuns: 400 });
});

import fc from "fast-check";
import t from "tap";
import { ocsfLine } from "../../../cli/export/ocsf/index.ts";
import { ocsfLines } from "../../../cli/export/ocsf/lines.ts";
import { leafHash } from "../../../src/index.ts";
import { wrongWith } from "./support/ocsf-schema.ts";
import { golden, rowOf, vectorRows } from "./support/rows.ts";

type Event = Record<string, unknown> & { unmapped: Record<string, unknown>; metadata: Record<string, unknown> };

const eventOf = (...args: Parameters<typeof ocsfLine>): Event => JSON.parse(ocsfLine(...args)) as Event;
const plain = { raw: false };
const rows = vectorRows();

t.test("each entry there is a vector of is an event of OCSF, with its place in the log and its source", async (t) => {
  const seen = rows.map(({ desc, isGood, row }) => {
    const event = eventOf(row, plain);
    const { index, leaf_hash, entry } = event.unmapped;
    const { source, epoch, seq } = (entry ?? {}) as Record<string, unknown>;
    const place = isGood ? { source, epoch, seq, kind: event.metadata.event_code } : {};
    return { desc, wrong: wrongWith(event), index, leaf_hash, ...place };
  });
  const expected = rows.map(({ desc, isGood, row }) => {
    const { source, epoch, seq, kind } = row.entry ?? {};
    const leaf_hash = Buffer.from(leafHash(row.bytes)).toString("base64");
    return { desc, wrong: [], index: row.index, leaf_hash, ...(isGood ? { source, epoch, seq, kind } : {}) };
  });
  t.same(seen, expected);
  t.ok(rows.length > 300);
});

t.test("the events of each kind", async (t) => {
  const kinds = new Set<string>();
  const good = rows.filter(({ isGood }) => isGood);
  const chosen = good.filter(({ desc, row: { entry } }) => {
    const isNew = !kinds.has(entry!.kind);
    kinds.add(entry!.kind);
    return isNew || /denied|cancelled|failed$|unknown outcome|class write|by the proxy|sql in the clear$/.test(desc);
  });
  t.ok(chosen.length > 20);
  const made = chosen.map(({ desc, row }) => ({ desc, event: eventOf(row, plain) }));
  t.same(made, golden("ocsf.jsonl", made));
});

t.test("no member of an entry is lost", async (t) => {
  const strings = (value: unknown): string[] => {
    if (typeof value === "string") return [value];
    if (typeof value !== "object" || value === null) return [];
    return Object.values(value).flatMap(strings);
  };
  // By attribute or unmapped, each text of an entry stands in its event; the start of a statement as a number.
  const lost = rows.flatMap(({ desc, isGood, row }) => {
    if (!isGood) return [];
    const line = ocsfLine(row, plain);
    const { start, ...rest } = row.entry!;
    const missing = strings(rest).filter((text) => !line.includes(JSON.stringify(text)));
    const isOnTime =
      row.entry!.kind !== "statement" || (JSON.parse(line) as Event).time === Date.parse(start as string);
    return missing.length === 0 && isOnTime ? [] : [{ desc, missing, isOnTime }];
  });
  t.same(lost, []);
});

t.test("a member that only looks like a prototype is passed on", async (t) => {
  const { row } = rows.find(({ desc }) => desc === "a member named __proto__")!;
  t.match(ocsfLine(row, plain), /"entry":\{.*"__proto__":/);
});

t.test("what is disclosed stands where OCSF has it", async (t) => {
  const { row } = rows.find(({ desc }) => desc === "statement")!;
  const disclosed = new Map<string, unknown>([
    ["sql", "SELECT secret"],
    ["client.address", "[2001:db8::1]:4000"],
  ]);
  const event = eventOf({ ...row, disclosed }, plain);
  t.same(wrongWith(event), []);
  t.match(event, {
    query_info: { query_string: "SELECT secret", uid: "6e4261695ad1aa36" },
    src_endpoint: { ip: "2001:db8::1", port: 4000 },
    unmapped: { disclosed: { sql: "SELECT secret" } },
  });
  const sealed = eventOf(row, plain);
  t.same([sealed.query_info, sealed.unmapped.disclosed], [undefined, undefined]);
  t.match(sealed.src_endpoint, { uid: /^sha-256:[\w-]{43}$/ });
});

t.test("who stands behind a login, what it claims, and which rule decided", async (t) => {
  const { row } = rows.find(({ desc }) => desc === "statement")!;
  const { row: began } = rows.find(({ desc }) => desc === "session.start")!;
  const actor = { login: "app", auth: "password", by: "proxy", identity: "ann@example.org", groups: ["staff", "dba"] };
  const claimed = {
    user: { name: "bob@example.org", from: "comment" },
    trace: { id: "4bf92f3577b34da6a3ce929d0e0e4736", span: "00f067aa0ba902b7" },
  };
  const said = { actor, claimed, rule: "staff", would_deny: "trial", attempts: 2 };
  const event = eventOf({ ...row, entry: { ...row.entry!, ...said } }, plain);
  t.same(wrongWith(event), []);
  t.match(event, {
    actor: { user: { name: "app", uid: "ann@example.org", groups: [{ name: "staff" }, { name: "dba" }] } },
    policy: { name: "staff", is_applied: true },
    authorizations: [{ decision: "would deny", policy: { name: "trial", is_applied: false } }],
    metadata: { correlation_uid: "4bf92f3577b34da6a3ce929d0e0e4736" },
    unmapped: { entry: { claimed, attempts: 2 } },
  });
  const { unmapped: _, ...attributes } = event;
  t.notMatch(JSON.stringify(attributes), /bob@/, "a claim is no attribute: who reads one takes it for true");
  const login = eventOf({ ...began, entry: { ...began.entry!, actor } }, plain);
  t.same(wrongWith(login), []);
  t.match(login, { user: { name: "app", uid: "ann@example.org", groups: [{ name: "staff" }, { name: "dba" }] } });
  const many = { ...actor, groups: Array.from({ length: 16_000 }, () => "a") };
  const large = ocsfLine({ ...row, entry: { ...row.entry!, actor: many } }, plain);
  t.ok(large.length < 262_144);
  t.equal((JSON.parse(large) as Event & { actor: { user: { groups?: unknown } } }).actor.user.groups, undefined);
});

t.test("a row that is too large goes without what makes it large, and says so", async (t) => {
  const { row } = rows.find(({ desc }) => desc === "statement")!;
  const large = { ...row, disclosed: new Map([["sql", "é".repeat(200_000)]]) };
  const whole = ocsfLines([large], { raw: true, maxRow: 1_000_000 });
  t.ok(whole.length > 200_000);
  const cut = ocsfLines([large], { raw: true, maxRow: 300_000 });
  const event = JSON.parse(cut) as Event;
  t.ok(Buffer.byteLength(cut) < 10_000);
  t.same(wrongWith(event), []);
  t.equal(event.metadata.is_truncated, true);
  t.equal(event.unmapped.disclosed, undefined);
});

t.test("the largest entry always fits into the smallest limit", async (t) => {
  const { row } = rows.find(({ desc }) => desc === "65,535 bytes")!;
  t.ok(Buffer.byteLength(ocsfLine(row, plain)) < 262_144);
  t.ok(Buffer.byteLength(ocsfLine(rowOf(Buffer.alloc(65_535, 0xff)), plain)) < 262_144);
  t.ok(Buffer.byteLength(ocsfLine(rowOf(Buffer.alloc(65_535)), plain)) < 65_535 * 6 + 2000);
});

t.test("raw data are the entry itself", async (t) => {
  const { row } = rows.find(({ desc }) => desc === "session.start")!;
  const event = eventOf(row, { raw: true });
  t.same(wrongWith(event), []);
  t.same([event.raw_data, event.raw_data_size], [Buffer.from(row.bytes).toString(), row.bytes.length]);
});

t.test("whatever bytes are in a tree, they are an event", async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const event = eventOf(rowOf(bytes), plain);
      const raw = event.raw_data as string;
      const back = raw.startsWith("base64:") ? Buffer.from(raw.slice(7), "base64") : Buffer.from(raw);
      return wrongWith(event).length === 0 && Buffer.compare(back, bytes) === 0;
    }),
    { numRuns: 300 },
  );
});

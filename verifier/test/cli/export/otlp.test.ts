import t from "tap";
import { otlpRecord } from "../../../cli/export/otlp/record.ts";
import { requestBody, toSend } from "../../../cli/export/otlp/request.ts";
import { nanoseconds, parseAddress } from "../../../cli/export/values.ts";
import { golden, rowOf, vectorRows } from "./support/rows.ts";

type Value = {
  stringValue?: string;
  intValue?: string;
  boolValue?: boolean;
  arrayValue?: { values: { stringValue: string }[] };
};
type LogRecord = {
  timeUnixNano: string;
  observedTimeUnixNano: string;
  severityNumber: number;
  severityText: string;
  eventName: string;
  body: Value & { bytesValue?: string };
  attributes: { key: string; value: Value }[];
  traceId?: string;
  spanId?: string;
};

const rows = vectorRows();
const recordOf = (...args: Parameters<typeof otlpRecord>): LogRecord => JSON.parse(otlpRecord(...args)) as LogRecord;
const attributesOf = ({ attributes }: LogRecord): Record<string, unknown> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));

/** The JSON encoding of OTLP: what each value may be, and that no key comes twice. */
function wrongWith(record: LogRecord): string[] {
  const wrong: string[] = [];
  for (const name of ["timeUnixNano", "observedTimeUnixNano"] as const) {
    if (typeof record[name] !== "string" || !/^(0|[1-9][0-9]{0,19})$/.test(record[name])) wrong.push(name);
  }
  if (![9, 13, 17].includes(record.severityNumber)) wrong.push("severityNumber");
  const keys = record.attributes.map(({ key }) => key);
  if (new Set(keys).size !== keys.length) wrong.push("a key comes twice");
  for (const { key, value } of record.attributes) {
    const [form, ...more] = Object.keys(value);
    const one = Object.values(value)[0];
    const isRight =
      (form === "stringValue" && typeof one === "string") ||
      (form === "intValue" && typeof one === "string" && /^-?[0-9]+$/.test(one)) ||
      (form === "boolValue" && typeof one === "boolean") ||
      (form === "arrayValue" &&
        (one as { values: Value[] }).values.every((item) => typeof item.stringValue === "string"));
    if (!isRight || more.length > 0) wrong.push(key);
  }
  return wrong;
}

t.test("each entry there is a vector of is a log record with its place, and with its bytes as the body", async (t) => {
  const seen = rows.map(({ desc, isGood, row }) => {
    const record = recordOf(row);
    const { stringValue, bytesValue } = record.body;
    const body = stringValue === undefined ? Buffer.from(bytesValue!, "base64") : Buffer.from(stringValue);
    const attributes = attributesOf(record);
    const place = isGood ? [attributes["vitrine.source"], attributes["vitrine.seq"]] : [];
    return [desc, wrongWith(record), body.equals(row.bytes), attributes["vitrine.index"], ...place];
  });
  const expected = rows.map(({ desc, isGood, row: { entry, index } }) => {
    return [desc, [], true, String(index), ...(isGood ? [entry!.source, String(entry!.seq)] : [])];
  });
  t.same(seen, expected);
});

t.test("the records of each kind", async (t) => {
  const kinds = new Set<string>();
  const chosen = rows.filter(({ isGood, desc, row: { entry } }) => {
    const isNew = isGood && !kinds.has(entry!.kind);
    if (isGood) kinds.add(entry!.kind);
    return isNew || (isGood && /denied|failed$|unknown outcome|by the proxy|sql in the clear$/.test(desc));
  });
  const made = chosen.map(({ desc, row }) => ({ desc, record: recordOf(row) }));
  t.same(made, golden("otlp.jsonl", made));
});

t.test("what is disclosed has the names of the semantic conventions", async (t) => {
  const { row } = rows.find(({ desc }) => desc === "statement")!;
  const disclosed = new Map<string, unknown>([
    ["sql", "SELECT 1"],
    ["client.address", "192.0.2.1:5000"],
    ["params", [null, "x"]],
  ]);
  t.match(attributesOf(recordOf({ ...row, disclosed })), {
    "db.system.name": "postgresql",
    "db.namespace": "shop",
    "db.operation.name": "SELECT",
    "db.collection.name": "accounts",
    "db.query.text": "SELECT 1",
    "db.response.returned_rows": "1",
    "client.address": "192.0.2.1",
    "client.port": "5000",
    "vitrine.disclosed.params": '[null,"x"]',
  });
  const sealed = attributesOf(recordOf(row));
  t.same([sealed["db.query.text"], sealed["client.address"]], [undefined, undefined]);
  const long = { ...row, disclosed: new Map([["sql", "é".repeat(200_000)]]) };
  t.ok(toSend(long, 1_000_000).json.length > 200_000);
  const cut = toSend(long, 300_000);
  t.match([cut.isReduced, attributesOf(JSON.parse(cut.json) as LogRecord)["vitrine.reduced"]], [true, true]);
  t.ok(cut.json.length < 5000);
});

t.test("who stands behind a login, what it claims, and which rule decided", async (t) => {
  const { row } = rows.find(({ desc }) => desc === "statement")!;
  const { row: ended } = rows.find(({ desc }) => desc === "session.end")!;
  const actor = { login: "app", auth: "password", by: "proxy", identity: "ann@example.org", groups: ["staff", "dba"] };
  const trace = { id: "4bf92f3577b34da6a3ce929d0e0e4736", span: "00f067aa0ba902b7" };
  const claimed = { user: { name: "bob@example.org", from: "comment" }, trace };
  const said = { actor, claimed, rule: "staff", would_deny: "trial", attempts: 2, role: "owner", executed: false };
  const record = recordOf({ ...row, entry: { ...row.entry!, ...said } });
  t.same(wrongWith(record), []);
  t.same([record.traceId, record.spanId], [trace.id, trace.span]);
  const attributes = attributesOf(record);
  t.match(attributes, {
    "user.name": "app",
    "user.id": "ann@example.org",
    "vitrine.auth": "password",
    "vitrine.groups": { values: [{ stringValue: "staff" }, { stringValue: "dba" }] },
    "vitrine.claimed.user": "bob@example.org",
    "vitrine.claimed.from": "comment",
    "vitrine.rule": "staff",
    "vitrine.would_deny": "trial",
    "vitrine.attempts": "2",
    "vitrine.role": "owner",
    "vitrine.executed": "false",
  });
  const users = Object.entries(attributes).filter(([key]) => /^(user|enduser)\./.test(key));
  t.notMatch(JSON.stringify(users), /bob@/, "what is claimed is no user");
  const end = recordOf({ ...ended, entry: { ...ended.entry!, pins: ["listen", "prepare"] } });
  t.match(attributesOf(end), { "vitrine.pins": { values: [{ stringValue: "listen" }, { stringValue: "prepare" }] } });
  const none = recordOf({ ...row, entry: { ...row.entry!, claimed: { trace: { ...trace, id: "0".repeat(32) } } } });
  t.equal(none.traceId, undefined);
  const many = { ...actor, groups: Array.from({ length: 16_000 }, () => "a") };
  t.notOk("vitrine.groups" in attributesOf(recordOf({ ...row, entry: { ...row.entry!, actor: many } })));
});

t.test("the largest entry always fits into the smallest limit", async (t) => {
  const { row } = rows.find(({ desc }) => desc === "65,535 bytes")!;
  for (const one of [row, rowOf(Buffer.alloc(65_535, 0xff))]) t.ok(otlpRecord(one).length < 262_144);
  const escaped = JSON.stringify({ ...row.entry, application: undefined, x: "\\".repeat(25_000) });
  t.ok(otlpRecord(rowOf(escaped)).length < 262_144);
});

t.test("a request has a resource for each source", async (t) => {
  const some = rows.filter(({ desc }) =>
    /^(statement|session.start|a source's name beyond ASCII|not JSON)$/.test(desc),
  );
  const body = JSON.parse(requestBody(some.map(({ row }) => toSend(row, 1_000_000)))) as {
    resourceLogs: {
      resource: { attributes: { key: string; value: Value }[] };
      scopeLogs: { scope: { name: string }; logRecords: LogRecord[] }[];
    }[];
  };
  const resources = body.resourceLogs.map(({ resource, scopeLogs }) => [
    resource.attributes.find(({ key }) => key === "service.instance.id")?.value.stringValue,
    scopeLogs.map(({ scope, logRecords }) => [scope.name, logRecords.length]),
  ]);
  t.equal(resources.length, 3);
  t.same(resources[0], ["proxy-a.example", [["vitrine-verifier export", 2]]]);
  t.equal(resources[2]![0], undefined);
});

t.test("times and addresses", async (t) => {
  t.equal(nanoseconds("2026-11-22T22:10:00.001013Z"), "1795385400001013000");
  t.equal(nanoseconds("1970-01-01T00:00:00.000001Z"), "1000");
  t.equal(nanoseconds("1969-12-31T23:59:59.999999Z"), "0");
  t.equal(nanoseconds("9999-12-31T23:59:59.999999Z"), "0");
  t.same(parseAddress("192.0.2.1:5432"), { ip: "192.0.2.1", port: 5432 });
  t.same(parseAddress("[2001:db8::1]:5432"), { ip: "2001:db8::1", port: 5432 });
  t.same(parseAddress("2001:db8::1:5432"), { ip: "2001:db8::1", port: 5432 });
  t.same(parseAddress("db.example:5432"), { hostname: "db.example", port: 5432 });
  t.same(parseAddress("/run/postgresql/.s.PGSQL.5432"), { path: "/run/postgresql/.s.PGSQL.5432" });
  t.same(parseAddress("a:99999"), { path: "a:99999" });
});

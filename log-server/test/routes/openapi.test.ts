import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { parse } from "yaml";
import { httpStatus } from "../../src/errors.ts";
import { startLogServer } from "../../src/start.ts";
import { type Answer, published, send, submit } from "../support/client.ts";
import { makeLogFolder, ORIGIN } from "../support/folder.ts";
import { seal, TestSource } from "../support/source.ts";

// The server is held against spec/openapi.yaml: every path and method is there, and what comes back has the status,
// headers and schema that the page has for it.

type Json = Record<string, unknown>;
const api = parse(readFileSync(new URL("../../../../spec/openapi.yaml", import.meta.url), "utf8")) as Json;

function resolve(value: unknown): Json {
  const ref = (value as Json).$ref;
  if (ref === undefined) return value as Json;
  const path = String(ref).slice(2).split("/");
  return resolve(path.reduce((at: unknown, name) => (at as Json)[name], api));
}

/** What is wrong with a value by a schema; of JSON Schema, what the page uses. */
function fault(value: unknown, given: unknown, at: string): string | undefined {
  const schema = resolve(given);
  const type = Array.isArray(value)
    ? "array"
    : Number.isInteger(value)
      ? "integer"
      : value === null
        ? "null"
        : typeof value;
  if (schema.type !== undefined && ![schema.type].flat().includes(type)) return `${at} is of type ${type}`;
  if ("const" in schema && schema.const !== value) return `${at} is not ${schema.const}`;
  if (schema.enum !== undefined && !(schema.enum as unknown[]).includes(value)) return `${at} is ${value}`;
  if (schema.pattern !== undefined && !new RegExp(String(schema.pattern)).test(String(value))) return `${at}: ${value}`;
  if (Number(value) < Number(schema.minimum) || Number(value) > Number(schema.maximum)) return `${at} is ${value}`;
  for (const part of (schema.allOf as unknown[]) ?? []) {
    const found = fault(value, part, at);
    if (found !== undefined) return found;
  }
  if (Array.isArray(value)) {
    if (value.length < Number(schema.minItems) || value.length > Number(schema.maxItems))
      return `${at} has ${value.length}`;
    for (const [i, item] of value.entries()) {
      const found = schema.items === undefined ? undefined : fault(item, schema.items, `${at}[${i}]`);
      if (found !== undefined) return found;
    }
  } else if (type === "object") {
    for (const name of (schema.required as string[]) ?? [])
      if (!Object.hasOwn(value as Json, name)) return `${at}.${name} is missing`;
    for (const [name, member] of Object.entries((schema.properties as Json) ?? {})) {
      const found = Object.hasOwn(value as Json, name)
        ? fault((value as Json)[name], member, `${at}.${name}`)
        : undefined;
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** What is wrong with an answer, by the operation's responses. */
function answerFault(answer: Answer, operation: Json): string | undefined {
  const responses = operation.responses as Json;
  const response = resolve(responses[answer.status] ?? responses.default);
  for (const [name, header] of Object.entries((response.headers as Json) ?? {})) {
    const { schema } = resolve(header);
    const value = answer.headers[name.toLowerCase()];
    if (value === undefined && name === "ETag") continue; // "may carry"
    const typed = (schema as Json).type === "integer" ? Number(value) : value;
    const found = fault(typed, schema, name);
    if (found !== undefined) return found;
  }
  const content = response.content as Json | undefined;
  if (content === undefined) return answer.body.length > 0 ? "a body" : undefined;
  const [[media, body]] = Object.entries(content) as [[string, Json]];
  if (!answer.headers["content-type"]?.startsWith(media)) return `content type ${answer.headers["content-type"]}`;
  return media === "application/json" ? fault(answer.json(), body.schema, "body") : undefined;
}

const source = new TestSource("s").start();
const { sealed, disclosure } = seal("sql", "x");
source.add({ ...source.head("test.event"), sql: sealed }, [disclosure]).fill(298);
const folder = await makeLogFolder([source.key.vkey]);
const tokens = join(folder.path, "tokens");
const digestOf = (token: string): string => createHash("sha256").update(token).digest("hex");
await writeFile(
  tokens,
  `${digestOf("token")} auditor - ada\n${digestOf("viewer")} viewer - vic\n${digestOf("root")} admin - root\n`,
);
const log = await startLogServer(folder.config({ checkpointIntervalMs: 10, tokens, add: true, searchPublic: false }), {
  log: () => {},
});
await submit(log.url, source.submission(ORIGIN));
await published(log.url, 300);
const leaf = createHash("sha256").update(Buffer.of(0)).update(source.entries[1]!.bytes).digest("base64");

const OCTETS = { "content-type": "application/octet-stream" };
const TOKEN = { authorization: "Bearer token" };
const VIEWER = { authorization: "Bearer viewer" };
const ADMIN = { authorization: "Bearer root", "content-type": "application/json" };
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const fresh = new TestSource("fresh");
const { order: ordered } = (
  await send(log.url, "POST", "/api/v1/erasures", ADMIN, json({ scope: { login: "nobody" }, reason: "test" }))
).json();
type Request = [path: string, status: number, headers?: Record<string, string>, body?: Buffer];

/** Requests by operation, with the status that they are meant to have. */
const requests: Record<string, Request[]> = {
  getCheckpoint: [
    ["/checkpoint", 200],
    ["/checkpoint", 304, { "if-none-match": "*" }],
  ],
  getTile: [
    ["/tile/0/000", 200],
    ["/tile/0/001.p/44", 200],
    ["/tile/0/002", 404],
    ["/tile/0/1", 400],
  ],
  getEntryBundle: [
    ["/tile/entries/000", 200],
    ["/tile/entries/002.p/45", 404],
    ["/tile/entries/1", 400],
  ],
  getSth: [["/ct/v1/get-sth", 200]],
  getSthConsistency: [
    ["/ct/v1/get-sth-consistency?first=3&second=300&more=x", 200],
    ["/ct/v1/get-sth-consistency?first=3&second=99999", 404],
    ["/ct/v1/get-sth-consistency?first=3", 400],
  ],
  getProofByHash: [
    [`/ct/v1/get-proof-by-hash?hash=${encodeURIComponent(leaf)}&tree_size=300`, 200],
    [`/ct/v1/get-proof-by-hash?hash=${encodeURIComponent(leaf)}&tree_size=1`, 404],
    [`/ct/v1/get-proof-by-hash?hash=${encodeURIComponent(leaf)}&tree_size=99999`, 404],
    ["/ct/v1/get-proof-by-hash?hash=x&tree_size=1", 400],
  ],
  getEntries: [
    ["/ct/v1/get-entries?start=0&end=400", 200],
    ["/ct/v1/get-entries?start=99999&end=99999", 404],
    ["/ct/v1/get-entries?start=2&end=1", 400],
  ],
  getEntryAndProof: [
    ["/ct/v1/get-entry-and-proof?leaf_index=2&tree_size=300", 200],
    ["/ct/v1/get-entry-and-proof?leaf_index=2&tree_size=99999", 404],
    ["/ct/v1/get-entry-and-proof?leaf_index=2&tree_size=2", 400],
  ],
  submit: [
    ["/api/v1/submissions", 200, OCTETS, source.submission(ORIGIN)],
    ["/api/v1/submissions", 400, OCTETS, Buffer.from("x")],
    ["/api/v1/submissions", 403, OCTETS, new TestSource("other").start().submission(ORIGIN)],
    ["/api/v1/submissions", 409, OCTETS, new TestSource("s").start().submission("x")],
    ["/api/v1/submissions", 413, { ...OCTETS, "content-length": "67108865" }],
    ["/api/v1/submissions", 415, {}],
  ],
  add: [
    ["/add", 200, {}, Buffer.from("x")],
    ["/add", 400, {}, Buffer.from('{"v":1,"kind":')],
    ["/add", 413, { "content-length": "65536" }],
    ["/add", 415, { "content-encoding": "gzip" }, Buffer.from("x")],
  ],
  getSources: [["/api/v1/sources", 200]],
  registerSource: [
    ["/api/v1/sources", 201, ADMIN, json({ vkey: fresh.key.vkey, reason: "new" })],
    ["/api/v1/sources", 200, ADMIN, json({ vkey: fresh.key.vkey, reason: "again" })],
    ["/api/v1/sources", 409, ADMIN, json({ vkey: new TestSource("fresh").key.vkey, reason: "other" })],
    ["/api/v1/sources", 400, ADMIN, json({ vkey: "x", reason: "bad" })],
    ["/api/v1/sources", 401, { "content-type": "application/json" }, json({})],
    ["/api/v1/sources", 403, { ...ADMIN, ...VIEWER }, json({})],
    ["/api/v1/sources", 413, { ...ADMIN, "content-length": "65537" }],
    ["/api/v1/sources", 415, TOKEN, json({})],
  ],
  retireSource: [
    ["/api/v1/sources/fresh/retire", 200, ADMIN, json({ reason: "old" })],
    ["/api/v1/sources/none/retire", 404, ADMIN, json({ reason: "old" })],
    ["/api/v1/sources/fres%68/retire", 400, ADMIN, json({ reason: "old" })],
    ["/api/v1/sources/fresh/retire", 403, { ...ADMIN, ...VIEWER }, json({})],
  ],
  orderErasure: [
    ["/api/v1/erasures", 202, ADMIN, json({ scope: { index: 2 }, reason: "asked" })],
    ["/api/v1/erasures", 400, ADMIN, json({ scope: { table: "x" }, reason: "asked" })],
    ["/api/v1/erasures", 401, { "content-type": "application/json" }, json({})],
    ["/api/v1/erasures", 403, { ...ADMIN, ...VIEWER }, json({})],
  ],
  getErasure: [
    [`/api/v1/erasures/${ordered}`, 200, ADMIN],
    ["/api/v1/erasures/0", 404, ADMIN],
    ["/api/v1/erasures/x", 400, ADMIN],
    ["/api/v1/erasures/0", 401],
    ["/api/v1/erasures/0", 403, VIEWER],
  ],
  getBundle: [
    ["/api/v1/entries/1/bundle", 200],
    ["/api/v1/entries/99999/bundle", 404],
    ["/api/v1/entries/x/bundle", 400],
  ],
  getDisclosures: [
    ["/api/v1/entries/1/disclosures?reason=x", 200, TOKEN],
    ["/api/v1/entries/1/disclosures", 400, TOKEN],
    ["/api/v1/entries/x/disclosures", 401],
    ["/api/v1/entries/x/disclosures", 403, VIEWER],
    ["/api/v1/entries/99999/disclosures", 404, TOKEN],
    ["/api/v1/entries/x/disclosures", 400, TOKEN],
  ],
  search: [
    ["/api/v1/search?kind=test.event&operation=TEST.event&limit=3", 200, TOKEN],
    ["/api/v1/search?actor=nobody&actor=somebody", 200, TOKEN],
    ["/api/v1/search", 401],
    ["/api/v1/search?user=x", 400, TOKEN],
  ],
  getHealth: [["/healthz", 200]],
  getFrontPage: [["/", 200]],
  getMetrics: [["/metrics", 200]],
};
// Signed by the registered source's key, with other entries than those logged.
const rival = new TestSource("s");
Object.assign(rival, { key: source.key });
requests.submit![3]![3] = rival.start().fill(2, 1).submission(ORIGIN);

const operations = Object.entries(api.paths as Json).flatMap(([path, item]) =>
  Object.entries(item as Json).map(([method, operation]) => ({
    path,
    method: method.toUpperCase(),
    operation: operation as Json,
  })),
);

t.test("every operation answers as the page says", async (t) => {
  t.same(operations.map(({ operation }) => operation.operationId).sort(), Object.keys(requests).sort());
  const lag = async (): Promise<number> => {
    const { index_lag, search_lag } = (await send(log.url, "GET", "/healthz")).json();
    return index_lag + search_lag;
  };
  while ((await lag()) > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  for (const { method, operation } of operations) {
    for (const [path, status, headers, body] of requests[String(operation.operationId)]!) {
      const answer = await send(log.url, method, path, headers, body);
      const label = `${method} ${path.slice(0, 60)} ${status}`;
      t.equal(answer.status, status, label);
      t.equal(answerFault(answer, operation), undefined, label);
      if (method !== "GET") continue;
      const head = await send(log.url, "HEAD", path, headers);
      t.equal(head.status, status, `HEAD ${label}`);
      t.equal(head.body.length, 0);
      t.equal(head.headers["content-type"], answer.headers["content-type"], `HEAD ${label}`);
    }
  }
});

t.test("other methods are 405, and Allow names those that the page has", async (t) => {
  for (const { operation, path: pagePath } of operations) {
    const path = requests[String(operation.operationId)]![0]![0];
    const own = operations.filter((each) => each.path === pagePath).map((each) => each.method);
    for (const other of ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "GET"].filter((each) => !own.includes(each))) {
      const answer = await send(log.url, other, path);
      t.equal(answer.status, 405, `${other} ${path}`);
      const allow = own.flatMap((each) => (each === "GET" ? ["GET", "HEAD"] : [each]));
      t.equal(answer.headers.allow, allow.join(", "));
      t.equal(fault(answer.json(), { $ref: "#/components/schemas/Error" }, "body"), undefined);
    }
  }
});

t.test("the codes of the page are those of the package", async (t) => {
  const error = resolve({ $ref: "#/components/schemas/Error" }) as {
    properties: { error: { properties: { code: { enum: string[] } } } };
  };
  t.same(error.properties.error.properties.code.enum.toSorted(), Object.keys(httpStatus).sort());
});

t.test("it closes", async (t) => {
  await log.close();
  await t.rejects(send(log.url, "GET", "/checkpoint"), { code: "ECONNREFUSED" });
  await folder.remove();
});

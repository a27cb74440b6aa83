import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import t from "tap";
import { startLogServer } from "../src/start.ts";
import { get, published, send, submit } from "./support/client.ts";
import { makeLogFolder, ORIGIN } from "./support/folder.ts";
import { seal, TestSource } from "./support/source.ts";

// The HTTP surface as a script of requests and expected answers, against a log of 600 entries.

const SIZE = 600;
const source = new TestSource("proxy-1").start();
const sql = seal("sql", "SELECT 1");
source.add({ ...source.head("test.event"), sql: sql.sealed }, [sql.disclosure]).fill(SIZE - 2, 10);
const entry = (index: number): Buffer => source.entries[index]!.bytes;
const leaf = (index: number): Buffer => createHash("sha256").update(Buffer.of(0)).update(entry(index)).digest();
const base64 = (bytes: Buffer): string => bytes.toString("base64");

const folder = await makeLogFolder([source.key.vkey, new TestSource("proxy-0").key.vkey]);
t.after(() => folder.remove());
const tokens = join(folder.path, "tokens");
const digest = createHash("sha256").update("an-auditors.token").digest("hex");
const viewer = createHash("sha256").update("a-viewers.token").digest("hex");
await writeFile(tokens, `# tokens\n\n${digest} auditor - ada\n${viewer} viewer,admin - vic\n`);
const config = folder.config({ checkpointIntervalMs: 10, tokens });
const logged: string[] = [];
const log = await startLogServer(config, { log: (level, message) => logged.push(`${level}: ${message}`) });
await submit(log.url, source.submission(ORIGIN));
const { note, root } = await published(log.url, SIZE);
// The hash index follows in the background.
while ((await get(log.url, "/healthz")).json().index_lag > 0) await new Promise((resolve) => setTimeout(resolve, 5));

const JSON_TYPE = "application/json; charset=utf-8";
const TILE = { "content-type": "application/octet-stream", "cache-control": "public, max-age=31536000, immutable" };

interface Line {
  readonly ask: string;
  readonly headers?: Record<string, string>;
  readonly status: number;
  /** Of the answer; undefined: must not be there. */
  readonly with?: Record<string, string | undefined>;
  /** The error's code and further members, without its message. */
  readonly error?: Record<string, unknown>;
  readonly json?: unknown;
  readonly bytes?: Buffer;
}

const bundle = (start: number, end: number): Buffer =>
  Buffer.concat(
    source.entries
      .slice(start, end)
      .map(({ bytes }) => Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])),
  );
const leaves = (start: number, end: number): Buffer =>
  Buffer.concat(Array.from({ length: end - start }, (_, i) => leaf(start + i)));
const badParameter = (parameter: string): Record<string, unknown> => ({ code: "bad_parameter", parameter });
const beyond = { code: "beyond_tree", size: SIZE };
const ENTRY_0 = { leaf_input: base64(entry(0)), extra_data: "" };
const AUTH = { authorization: `Bearer an-auditors.token` };
const VIEWER = { authorization: `Bearer a-viewers.token` };

const script: Line[] = [
  // The static surface.
  {
    ask: "GET /checkpoint",
    status: 200,
    bytes: Buffer.from(note),
    with: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-cache" },
  },
  {
    ask: "HEAD /checkpoint",
    status: 200,
    bytes: Buffer.alloc(0),
    with: { "content-length": String(Buffer.byteLength(note)) },
  },
  { ask: "GET /checkpoint", headers: { "if-none-match": "*" }, status: 304, bytes: Buffer.alloc(0) },
  { ask: "GET /checkpoint", headers: { "if-none-match": '"other"' }, status: 200 },
  { ask: "GET /tile/0/000", status: 200, bytes: leaves(0, 256), with: TILE },
  { ask: "HEAD /tile/0/000", status: 200, bytes: Buffer.alloc(0), with: { ...TILE, "content-length": "8192" } },
  { ask: "GET /tile/0/000.p/1", status: 200, bytes: leaves(0, 1), with: TILE },
  { ask: "GET http://log.example/tile/0/000.p/1", status: 200, bytes: leaves(0, 1), with: TILE },
  { ask: "GET /tile/0/000.p/255", status: 200, bytes: leaves(0, 255), with: TILE },
  { ask: "GET /tile/0/002.p/88", status: 200, bytes: leaves(512, 600), with: TILE },
  {
    ask: "GET /tile/0/002.p/89",
    status: 404,
    error: beyond,
    with: { "cache-control": "no-store", "content-type": JSON_TYPE },
  },
  { ask: "GET /tile/0/002", status: 404, error: beyond, with: { "cache-control": "no-store" } },
  { ask: "GET /tile/0/003.p/1", status: 404, error: beyond },
  { ask: "GET /tile/1/000.p/2", status: 200, with: { ...TILE, "content-length": "64" } },
  { ask: "GET /tile/1/000.p/3", status: 404, error: beyond },
  { ask: "GET /tile/2/000.p/1", status: 404, error: beyond },
  { ask: "GET /tile/63/000.p/1", status: 404, error: beyond },
  { ask: "GET /tile/entries/001", status: 200, bytes: bundle(256, 512), with: TILE },
  { ask: "GET /tile/entries/002.p/88", status: 200, bytes: bundle(512, 600), with: TILE },
  { ask: "GET /tile/entries/002.p/7", status: 200, bytes: bundle(512, 519), with: TILE },
  { ask: "GET /tile/entries/002.p/89", status: 404, error: beyond },
  ...[
    "/tile/0/0",
    "/tile/00/000",
    "/tile/0/x000/000",
    "/tile/0/000.p/0",
    "/tile/0/000.p/256",
    "/tile/64/000",
    "/tile/0/000?x=1",
    "/tile/%30/000",
    "/tile/0/x001%2F000",
    "/tile/0/../0/000",
    "/tile/",
  ].map(
    (path): Line => ({
      ask: `GET ${path}`,
      status: 400,
      error: badParameter("path"),
      with: { "cache-control": "no-store" },
    }),
  ),

  // RFC 6962.
  { ask: "GET /ct/v1/get-sth-consistency?first=0&second=600", status: 200, json: { consistency: [] } },
  { ask: "GET /ct/v1/get-sth-consistency?first=600&second=600", status: 200, json: { consistency: [] } },
  { ask: "GET /ct/v1/get-sth-consistency?first=2&second=601", status: 404, error: beyond },
  { ask: "GET /ct/v1/get-sth-consistency?first=3&second=2", status: 400, error: badParameter("first") },
  { ask: "GET /ct/v1/get-sth-consistency?first=03&second=5", status: 400, error: badParameter("first") },
  { ask: "GET /ct/v1/get-sth-consistency?first=3&second=1e2", status: 400, error: badParameter("second") },
  { ask: "GET /ct/v1/get-sth-consistency?first=3&second=5&second=6", status: 400, error: badParameter("second") },
  { ask: "GET /ct/v1/get-sth-consistency?first=3", status: 400, error: badParameter("second") },
  { ask: "GET /ct/v1/get-sth-consistency?first=9007199254740992&second=5", status: 400, error: badParameter("first") },
  { ask: "GET /ct/v1/get-entries?start=0&end=0", status: 200, json: { entries: [ENTRY_0] } },
  {
    ask: "GET /ct/v1/get-entries?start=599&end=100000",
    status: 200,
    json: { entries: [{ leaf_input: base64(entry(599)), extra_data: "" }] },
  },
  { ask: "GET /ct/v1/get-entries?start=600&end=600", status: 404, error: beyond },
  { ask: "GET /ct/v1/get-entries?start=2&end=1", status: 400, error: badParameter("start") },
  { ask: "GET /ct/v1/get-entry-and-proof?leaf_index=0&tree_size=1", status: 200, json: { ...ENTRY_0, audit_path: [] } },
  {
    ask: "GET /ct/v1/get-entry-and-proof?leaf_index=0&tree_size=2",
    status: 200,
    json: { ...ENTRY_0, audit_path: [base64(leaf(1))] },
  },
  { ask: "GET /ct/v1/get-entry-and-proof?leaf_index=2&tree_size=2", status: 400, error: badParameter("leaf_index") },
  { ask: "GET /ct/v1/get-entry-and-proof?leaf_index=2&tree_size=601", status: 404, error: beyond },
  {
    ask: `GET /ct/v1/get-proof-by-hash?tree_size=2&hash=${encodeURIComponent(base64(leaf(1)))}`,
    status: 200,
    json: { leaf_index: 1, audit_path: [base64(leaf(0))] },
  },
  {
    ask: `GET /ct/v1/get-proof-by-hash?tree_size=1&hash=${encodeURIComponent(base64(leaf(1)))}`,
    status: 404,
    error: { code: "not_found" },
  },
  {
    ask: `GET /ct/v1/get-proof-by-hash?tree_size=600&hash=${encodeURIComponent(base64(Buffer.alloc(32)))}`,
    status: 404,
    error: { code: "not_found" },
  },
  {
    ask: `GET /ct/v1/get-proof-by-hash?tree_size=601&hash=${encodeURIComponent(base64(leaf(1)))}`,
    status: 404,
    error: beyond,
  },
  { ask: "GET /ct/v1/get-proof-by-hash?tree_size=1&hash=AAAA", status: 400, error: badParameter("hash") },
  { ask: `GET /ct/v1/get-proof-by-hash?tree_size=1&hash=${"A".repeat(43)}`, status: 400, error: badParameter("hash") },

  // Entries and disclosures.
  {
    ask: "GET /api/v1/entries/1/disclosures",
    status: 401,
    error: { code: "unauthorized" },
    with: { "www-authenticate": "Bearer" },
  },
  {
    ask: "GET /api/v1/entries/1/disclosures",
    headers: { authorization: "Bearer wrong" },
    status: 401,
    error: { code: "unauthorized" },
  },
  {
    ask: "GET /api/v1/entries/1/disclosures",
    headers: { authorization: "Basic YTpi" },
    status: 401,
    error: { code: "unauthorized" },
  },
  { ask: "GET /api/v1/entries/1/disclosures", headers: AUTH, status: 400, error: badParameter("reason") },
  { ask: "GET /api/v1/entries/1/disclosures?reason=", headers: AUTH, status: 400, error: badParameter("reason") },
  { ask: "GET /api/v1/entries/1/disclosures?reason=a%0Ab", headers: AUTH, status: 400, error: badParameter("reason") },
  {
    ask: `GET /api/v1/entries/1/disclosures?reason=${"x".repeat(513)}`,
    headers: AUTH,
    status: 400,
    error: badParameter("reason"),
  },
  {
    ask: "GET /api/v1/entries/1/disclosures?reason=x&reason=y",
    headers: AUTH,
    status: 400,
    error: badParameter("reason"),
  },
  { ask: "GET /api/v1/entries/1/disclosures?reason=%ff", headers: AUTH, status: 400, error: badParameter("query") },
  { ask: "GET /api/v1/entries/1/disclosures?reason=%e2%80", headers: AUTH, status: 400, error: badParameter("query") },
  { ask: "GET /api/v1/search?actor=%zz", status: 400, error: badParameter("query") },
  { ask: "GET /api/v1/search?actor=100%", status: 400, error: badParameter("query") },
  { ask: "GET /api/v1/entries/1/disclosures", headers: VIEWER, status: 403, error: { code: "forbidden" } },
  { ask: "GET /api/v1/entries/1/bundle", headers: AUTH, status: 400, error: badParameter("reason") },
  {
    ask: "HEAD /api/v1/entries/1/disclosures?reason=x",
    headers: AUTH,
    status: 200,
    bytes: Buffer.alloc(0),
    with: { "content-length": undefined, "cache-control": "no-store" },
  },
  { ask: "GET /api/v1/entries/600/disclosures", headers: AUTH, status: 404, error: beyond },
  { ask: "GET /api/v1/entries/600/disclosures", status: 401, error: { code: "unauthorized" } },
  { ask: "GET /api/v1/entries/01/bundle", status: 400, error: badParameter("index") },
  { ask: "GET /api/v1/entries/600/bundle", status: 404, error: beyond, with: { "cache-control": "no-store" } },
  {
    ask: "GET /api/v1/entries/1/bundle",
    headers: { authorization: "Bearer wrong" },
    status: 401,
    error: { code: "unauthorized" },
  },

  // What is not there.
  { ask: "GET /nothing", status: 404, error: { code: "not_found" } },
  { ask: "GET /checkpoint/", status: 404, error: { code: "not_found" } },
  { ask: "GET /api/v1/entries/1", status: 404, error: { code: "not_found" } },
  { ask: "POST /nowhere", headers: { "content-type": "text/plain" }, status: 404, error: { code: "not_found" } },
  {
    // Answered before the body comes.
    ask: "POST /nowhere",
    headers: { "content-type": "application/octet-stream", "content-length": "67108864" },
    status: 404,
    error: { code: "not_found" },
  },
  { ask: "POST /checkpoint", status: 405, error: { code: "method_not_allowed" }, with: { allow: "GET, HEAD" } },
  { ask: "DELETE /tile/0/000", status: 405, error: { code: "method_not_allowed" } },
  { ask: "GET /api/v1/submissions", status: 405, error: { code: "method_not_allowed" }, with: { allow: "POST" } },
  { ask: "HEAD /api/v1/submissions", status: 405, bytes: Buffer.alloc(0) },
  { ask: "PUT /api/v1/submissions", status: 405, error: { code: "method_not_allowed" } },
  {
    ask: "POST /api/v1/submissions",
    headers: { "content-type": "application/json" },
    status: 415,
    error: { code: "unsupported_media_type" },
  },
  { ask: "POST /api/v1/submissions", status: 415, error: { code: "unsupported_media_type" } },
  {
    ask: "POST /api/v1/submissions",
    headers: { "content-type": "application/octet-stream" },
    status: 400,
    error: { code: "bad_submission" },
  },
  {
    ask: "POST /api/v1/submissions",
    headers: { "content-type": "application/octet-stream", "content-length": "67108865" },
    status: 413,
    error: { code: "body_too_large", limit: 67_108_864 },
  },
  { ask: "GET /%", status: 400, error: badParameter("path") },
];

t.test("the script", async (t) => {
  for (const line of script) {
    const [method, path] = line.ask.split(" ") as [string, string];
    const answer = await send(log.url, method, path, line.headers);
    const label = `${line.ask}${line.headers ? ` ${JSON.stringify(line.headers)}` : ""}`;
    t.equal(answer.status, line.status, label);
    for (const [name, value] of Object.entries(line.with ?? {}))
      t.equal(answer.headers[name], value, `${label}: ${name}`);
    if (line.bytes !== undefined) t.ok(answer.body.equals(line.bytes), `${label}: its bytes`);
    if (line.json !== undefined) t.same(answer.json(), line.json, label);
    if (line.error !== undefined && method !== "HEAD") {
      const { message, ...rest } = answer.json().error;
      t.same(rest, line.error, label);
      t.type(message, "string");
    }
  }
});

t.test("an ETag of the checkpoint answers 304, also as one of several and weakly", async (t) => {
  const { etag } = (await get(log.url, "/checkpoint")).headers;
  for (const header of [etag!, `"x", ${etag}`, `W/${etag}`]) {
    t.equal((await get(log.url, "/checkpoint", { "if-none-match": header })).status, 304, header);
  }
});

t.test("get-sth says what the checkpoint says", async (t) => {
  const before = Date.now();
  const sth = (await get(log.url, "/ct/v1/get-sth")).json();
  t.match(sth, { tree_size: SIZE, sha256_root_hash: base64(root), checkpoint: note });
  const line = note.trimEnd().split(" ").at(-1)!;
  t.equal(sth.tree_head_signature, base64(Buffer.from(line, "base64").subarray(4)));
  t.ok(sth.timestamp <= before && sth.timestamp > before - 60_000);
});

t.test("get-entries answers at most 256, across bundles", async (t) => {
  const { entries } = (await get(log.url, "/ct/v1/get-entries?start=100&end=599")).json();
  t.same(
    entries.map((each: { leaf_input: string }) => each.leaf_input),
    source.entries.slice(100, 356).map(({ bytes }) => base64(bytes)),
  );
});

t.test(
  "an evidence bundle holds the entry, its proof to the checkpoint, and disclosures for auditors alone",
  async (t) => {
    const path = "/api/v1/entries/1/bundle";
    const evidence = (await get(log.url, path)).json();
    t.same(Object.keys(evidence), ["format", "entry", "proof", "disclosures"]);
    t.match(evidence, { format: "vitrine/evidence/v1", entry: entry(1).toString() });
    t.same(evidence.disclosures, []);
    const { audit_path } = (await get(log.url, `/ct/v1/get-entry-and-proof?leaf_index=1&tree_size=${SIZE}`)).json();
    t.equal(evidence.proof, `c2sp.org/tlog-proof@v1\nindex 1\n${audit_path.join("\n")}\n\n${note}`);
    t.same((await get(log.url, path, VIEWER)).json(), evidence, "another role opens nothing");
  },
);

t.test("sources are listed by name, those that never submitted too", async (t) => {
  const { origin, sources } = (await get(log.url, "/api/v1/sources")).json();
  t.equal(origin, ORIGIN, "a source that came to another log than it means can tell");
  t.match(sources, [
    { name: "proxy-0", epoch: 0, next: 0, chain: base64(Buffer.alloc(32)) },
    { name: "proxy-1", vkey: source.key.vkey, epoch: 1, next: SIZE, chain: base64(source.chain()) },
  ]);
});

t.test("the front page tells a person what this is, and no key", async (t) => {
  const page = (await get(log.url, "/")).body.toString();
  t.ok(page.startsWith(`The log ${ORIGIN}, with ${SIZE} signed entries.\n`), page);
  for (const [, path] of page.matchAll(/^GET (\S+)/gm))
    t.not((await get(log.url, path!.replace("/tile/...", "/tile/0/000").replace("...", "get-sth"))).status, 404, path!);
  t.notMatch(page, log.vkey.split("+").at(-1)!);
});

t.test("health and metrics", async (t) => {
  const health = await get(log.url, "/healthz");
  t.equal(health.status, 200);
  t.match(health.json(), {
    status: "ok",
    checks: { signature: "ok", tree: "ok", publishing: "ok", writing: "ok" },
    size: SIZE,
    tree_size: SIZE,
    index_lag: 0,
  });
  const metrics = (await get(log.url, "/metrics")).body.toString();
  for (const line of [
    "vitrine_log_entries_total 600",
    "vitrine_log_tree_size 600",
    "vitrine_log_published_size 600",
    'vitrine_log_submissions_total{code="accepted"} 1',
    'vitrine_log_submissions_total{code="bad_submission"} 1',
    "vitrine_log_waiting_submissions 0",
    "vitrine_log_waiting_bytes 0",
    "vitrine_log_sync_seconds_count 1",
  ]) {
    t.ok(metrics.includes(`\n${line}\n`), line);
  }
  t.match(metrics, /process_cpu_seconds_total/);
});

t.test("what is not HTTP is answered in the same form, and cut off", async (t) => {
  const { hostname, port } = new URL(log.url);
  const answer = await new Promise<string>((resolve) => {
    const socket = connect(Number(port), hostname, () => socket.write("hello\r\n\r\n"));
    let text = "";
    socket.on("data", (data) => (text += data));
    socket.on("close", () => resolve(text));
  });
  t.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n/);
  t.match(JSON.parse(answer.split("\r\n\r\n")[1]!), { error: { code: "bad_parameter" } });
});

t.test("nothing in all this was a fault of the log", async (t) => {
  t.same(logged, []);
});

t.test("it closes", async (t) => {
  await log.close();
  await t.rejects(get(log.url, "/checkpoint"), { code: "ECONNREFUSED" });
});

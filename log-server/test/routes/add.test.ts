import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import t from "tap";
import { startLogServer } from "../../src/start.ts";
import { type Answer, auditLog, get, published, send, submit } from "../support/client.ts";
import { makeLogFolder, ORIGIN } from "../support/folder.ts";
import { TestSource } from "../support/source.ts";

// POST /add: entries without a source, beside those of sources (spec/submission.md, "Entries without a source").

const add = (url: string, body: Buffer | string, headers: Record<string, string> = {}): Promise<Answer> =>
  send(url, "POST", "/add", headers, Buffer.from(body as string));

t.test("it is not there unless the configuration says so", async (t) => {
  const folder = await makeLogFolder();
  const log = await startLogServer(folder.config(), { log: () => {} });
  const answer = await add(log.url, "x");
  t.equal(answer.status, 404);
  t.match(answer.json(), { error: { code: "not_found" } });
  await log.close();
  await folder.remove();
});

t.test("entries with and without a source live in one log", async (t) => {
  const source = new TestSource("s").start().fill(299);
  const folder = await makeLogFolder([source.key.vkey]);
  t.teardown(() => folder.remove());
  const config = folder.config({ add: true, checkpointIntervalMs: 10 });
  let log = await startLogServer(config, { log: () => {} });
  const indexes = new Map<number, Buffer>();
  const adds = async (count: number, of: string): Promise<void> => {
    await Promise.all(
      Array.from({ length: count }, async (_, i) => {
        const body = Buffer.from(`${of} ${i}`);
        const answer = await add(log.url, body);
        t.equal(answer.status, 200);
        t.equal(answer.headers["content-type"], "text/plain; charset=utf-8");
        t.equal(answer.headers["cache-control"], "no-store");
        t.match(answer.body.toString(), /^(?:0|[1-9][0-9]*)$/);
        t.notOk(indexes.has(Number(answer.body)), "no index twice");
        indexes.set(Number(answer.body), body);
      }),
    );
  };
  const ranges: { seq: number; index: number; count: number }[] = [];
  const submits = async (seq: number, end: number): Promise<void> => {
    const answer = await submit(log.url, source.submission(ORIGIN, seq, end));
    t.equal(answer.status, 200);
    ranges.push(...answer.json().ranges);
  };
  await adds(3, "first");
  await Promise.all([submits(0, 100), adds(40, "beside")]);
  await Promise.all([adds(40, "again"), submits(100, 200)]);
  await log.close();
  log = await startLogServer(config, { log: () => {} });
  t.match((await get(log.url, "/api/v1/sources")).json().sources, [{ epoch: 1, next: 200 }]);
  await Promise.all([adds(40, "later"), submits(200, 300)]);
  await published(log.url, 423);

  const entries = await auditLog(log.url, log.vkey);
  t.equal(entries.length, 423);
  for (const [index, body] of indexes) t.ok(entries[index]!.equals(body), `entry ${index}`);
  for (const { seq, index, count } of ranges) {
    for (let i = 0; i < count; i += 1) t.ok(entries[index + i]!.equals(source.entries[seq + i]!.bytes));
  }
  const { next, chain } = (await get(log.url, "/api/v1/sources")).json().sources[0];
  t.equal(next, 300);
  t.equal(chain, source.chain().toString("base64"), "the source's chain knows nothing of the others");
  const repeated = await submit(log.url, source.submission(ORIGIN));
  t.same(repeated.json().ranges, ranges, "a repetition gets its indexes again, across what stands between");
  const metrics = (await get(log.url, "/metrics")).body.toString();
  t.match(metrics, /^vitrine_log_added_total\{code="accepted"\} 40$/m);
  t.match(metrics, /^vitrine_log_waiting_adds 0$/m);
  await log.close();
});

t.test("the body is the entry, whatever it is and is called", async (t) => {
  const folder = await makeLogFolder();
  t.teardown(() => folder.remove());
  const tokens = join(folder.path, "tokens");
  await writeFile(tokens, `${createHash("sha256").update("t").digest("hex")} auditor - ada\n`);
  const logged: string[] = [];
  const config = folder.config({ add: true, checkpointIntervalMs: 10, tokens });
  const log = await startLogServer(config, { log: (_, message) => logged.push(message) });
  t.teardown(() => log.close());
  const bodies = [
    Buffer.from("a"),
    Buffer.alloc(65_535, 0xff),
    Buffer.from('{"v":2,"kind":"x"}'),
    Buffer.from('{ "v":1,"kind":"x"}'),
    Buffer.from('{"v":1,"kind"'),
    Buffer.from('{"client":{"address":{"sealed":"x","bytes":1}}}'),
    Buffer.from("a"),
  ];
  const types = [
    "text/plain",
    "application/json",
    "nonsense",
    ";;;",
    "multipart/form-data; boundary=x",
    "",
    "image/png",
  ];
  for (const [i, body] of bodies.entries()) {
    const answer = await add(log.url, body, types[i] === "" ? {} : { "content-type": types[i]! });
    t.equal(answer.status, 200, String(types[i]));
    t.equal(answer.body.toString(), String(i), "the same bytes again are another entry");
  }
  await published(log.url, bodies.length);
  t.same(await auditLog(log.url, log.vkey), bodies);

  t.equal((await add(log.url, "z", { "transfer-encoding": "chunked" })).body.toString(), String(bodies.length));

  const bundle = (index: number) => get(log.url, `/api/v1/entries/${index}/bundle`);
  t.equal((await bundle(0)).json().entry, "a");
  t.match((await bundle(1)).json(), { error: { code: "not_found", message: /no text/ } });
  for (const index of [0, 1, 5]) {
    const answer = await get(log.url, `/api/v1/entries/${index}/disclosures?reason=x`, { authorization: "Bearer t" });
    t.same(answer.json(), { index, disclosures: [] });
  }

  const refused: [Buffer | string, Record<string, string>, number, object][] = [
    ["", {}, 400, { code: "bad_entry", entry: 0 }],
    ['{"v":1,"kind":', {}, 400, { code: "bad_entry", entry: 0 }],
    [new TestSource("s").start().entries[0]!.bytes, {}, 400, { code: "bad_entry" }],
    [Buffer.alloc(65_536), {}, 413, { code: "body_too_large", limit: 65_535 }],
    [Buffer.alloc(65_536), { "transfer-encoding": "chunked" }, 413, { code: "body_too_large", limit: 65_535 }],
    ["x", { "content-encoding": "gzip" }, 415, { code: "unsupported_media_type" }],
  ];
  for (const [body, headers, status, error] of refused) {
    const answer = await add(log.url, body, headers);
    t.equal(answer.status, status);
    t.match(answer.json(), { error });
  }
  t.same(logged, [], "none of it was a fault of the log");
});

t.test("with tokens, only their holders add", async (t) => {
  const folder = await makeLogFolder();
  t.teardown(() => folder.remove());
  const addTokens = join(folder.path, "adders");
  await writeFile(addTokens, `${createHash("sha256").update("mine").digest("hex")} viewer - me\n`);
  const log = await startLogServer(folder.config({ add: true, addTokens }), { log: () => {} });
  for (const headers of [{}, { authorization: "Bearer yours" }, { authorization: "Basic bWluZTo=" }]) {
    const answer = await add(log.url, "x", headers);
    t.equal(answer.status, 401);
    t.equal(answer.headers["www-authenticate"], "Bearer");
  }
  t.equal((await add(log.url, "x", { authorization: "Bearer mine" })).body.toString(), "0");
  await log.close();
  await writeFile(addTokens, "mine\n");
  await t.rejects(startLogServer(folder.config({ add: true, addTokens })), {
    code: "bad_config",
    message: /^add_tokens: /,
  });
});

t.test("many at a time become few writes; more than there is room for wait outside", async (t) => {
  const source = new TestSource("s").start();
  const folder = await makeLogFolder([source.key.vkey]);
  t.teardown(() => folder.remove());
  let open: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  let reached = 0;
  const limits = { ...folder.config().limits, waitingAdds: 20 };
  const log = await startLogServer(folder.config({ add: true, limits }), {
    log: () => {},
    at: async (point) => {
      if (point !== "append:before") return;
      reached += 1;
      if (reached === 1) await gate;
    },
  });
  const first = add(log.url, "first");
  while (reached === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  const answers: Answer[] = [];
  const rest = Array.from({ length: 39 }, (_, i) => add(log.url, `${i}`).then((answer) => answers.push(answer)));
  // The refused ones are answered while the others wait.
  while (answers.length < 20) await new Promise((resolve) => setTimeout(resolve, 2));
  for (const answer of answers) {
    t.equal(answer.status, 429);
    t.equal(answer.headers["retry-after"], "1");
    t.match(answer.json(), { error: { code: "too_busy" } });
  }
  const submitted = submit(log.url, source.submission(ORIGIN));
  while (!/^vitrine_log_waiting_submissions 1$/m.test((await get(log.url, "/metrics")).body.toString())) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  open();
  await Promise.all([first, submitted, ...rest]);
  t.equal((await submitted).status, 200, "entries that were added do not keep a source out");
  t.equal(answers.filter(({ status }) => status === 200).length, 19);
  t.equal(reached, 2, "what waited was one write");
  await log.close();
});

t.test("a client that goes away in the middle of its body leaves no trace, and takes no room", async (t) => {
  const folder = await makeLogFolder();
  t.teardown(() => folder.remove());
  const limits = { ...folder.config().limits, waitingAdds: 1 };
  const log = await startLogServer(folder.config({ add: true, limits }), { log: () => {} });
  const { hostname, port } = new URL(log.url);
  const req = request({ hostname, port, method: "POST", path: "/add", headers: { "content-length": "10" } });
  req.on("error", () => {});
  req.write("abc");
  t.equal((await add(log.url, "x")).body.toString(), "0", "it keeps nobody out");
  req.destroy();
  t.equal((await add(log.url, "x")).body.toString(), "1");
  await log.close();
});

t.test("a write that fails is told, and the log stops", async (t) => {
  const folder = await makeLogFolder();
  t.teardown(() => folder.remove());
  const log = await startLogServer(folder.config({ add: true }), {
    log: () => {},
    at: (point) => {
      if (point === "append:before") throw new Error("no space left on device");
    },
  });
  t.match((await add(log.url, "x")).json(), { error: { code: "internal" } });
  t.match(await log.failed, { code: "write_failed" });
  t.match((await add(log.url, "x")).json(), { error: { code: "internal" } });
  await log.close();
});

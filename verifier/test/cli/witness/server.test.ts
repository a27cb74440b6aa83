import { writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import t from "tap";
import { type Answer, ask, latest, start, stateFolder, submit } from "./support/start.ts";
import { TestLog } from "./support/test-log.ts";

const log = new TestLog("log.example/server");
const flags = { log: [log.key.vkey] };
const hash = "a".repeat(64);

/** Sends bytes as they are, and gives what comes back until the connection ends. */
async function raw(port: number, ...parts: (string | Buffer | (() => Promise<unknown>))[]): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  let text = "";
  socket.setEncoding("utf8");
  socket.on("data", (chunk) => {
    text += chunk;
  });
  socket.on("error", () => undefined); // "close" follows
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  for (const part of parts) {
    if (typeof part === "function") await part();
    else socket.write(part);
  }
  await closed;
  return text;
}

t.test("paths, methods and types", async (t) => {
  const { url, port } = await start(t, { state: stateFolder(t), prefix: "/w1", ...flags });
  const root = `http://127.0.0.1:${port}`;
  const cases: [string, string, number, RegExp | string][] = [
    [
      "GET",
      `${url}/`,
      200,
      /^The witness witness.example\/w1.*\n\nvkey .*\npolicy {2}witness witness.example\/w1 witness/,
    ],
    ["GET", `${url}/?x=y`, 200, /Logs: 1\n {2}log.example\/server {2}nothing cosigned\n$/],
    ["HEAD", `${url}/`, 200, /^$/],
    ["GET", `${url}/healthz`, 200, "ok\n"],
    ["POST", `${url}/healthz`, 405, /^method_not_allowed: this is asked with GET, HEAD\n/],
    ["GET", `${url}/metrics`, 200, /vitrine_witness_logs 1\n/],
    ["GET", `${url}/add-checkpoint`, 405, /^method_not_allowed: this is asked with POST\n/],
    ["PUT", `${url}/add-checkpoint`, 405, /^method_not_allowed/],
    ["GET", `${url}/${hash}/checkpoint`, 404, /^never_cosigned: /],
    ["GET", `${url}/${hash.toUpperCase()}/checkpoint`, 404, /^not_found: /],
    ["GET", `${url}/${hash}/checkpoint/`, 404, /^not_found: /],
    ["GET", `${url}/${hash}`, 404, /^not_found: /],
    ["GET", `${url}`, 404, /^not_found: /],
    ["GET", `${root}/`, 404, /^not_found: /],
    ["POST", `${root}/add-checkpoint`, 404, /^not_found: /],
    ["GET", `${root}/w1x/`, 404, /^not_found: /],
  ];
  for (const [method, path, status, body] of cases) {
    const answer = await ask(path, method);
    t.match(answer, { status, type: "text/plain; charset=utf-8", body }, `${method} ${path}`);
    t.match(answer.headers, { "x-content-type-options": "nosniff", "cache-control": "no-cache" });
  }
  t.equal((await ask(`${url}/healthz`, "DELETE")).headers.allow, "GET, HEAD");
  t.match(await submit(url, log.request(0, 3)), { status: 200 });
  t.match((await ask(`${url}/`)).body, /log.example\/server {2}size 3, 2027-01-15T08:00:00Z\n$/);
  t.match((await ask(`${url}/metrics`)).body, 'vitrine_witness_size{origin="log.example/server"} 3\n');
});

t.test("bodies that are too long, slow, encoded, or broken off", async (t) => {
  const { url, port } = await start(t, { state: stateFolder(t), ...flags }, { requestMs: 400 });
  const post = (headers: string): string => `POST /add-checkpoint HTTP/1.1\r\nhost: w\r\n${headers}\r\n`;
  const long = "a".repeat(65_537);
  t.match(await submit(url, long), { status: 413, body: /^body_too_large: the body has more than 65536 bytes\n/ });
  t.match(await submit(url, long.slice(1)), { status: 400, body: /^malformed: / });
  t.match(await ask(`${url}/add-checkpoint`, "POST", long, { "transfer-encoding": "chunked" }), { status: 413 });
  t.match(await raw(port, post("content-length: 99999999999\r\n")), /^HTTP\/1.1 413 .*connection: close/is);
  const chunk = `10000\r\n${"a".repeat(65_536)}\r\n`;
  const endless = [post("transfer-encoding: chunked\r\n"), ...Array.from({ length: 20 }, () => chunk)];
  t.match(await raw(port, ...endless), /^(HTTP\/1.1 413 .*connection: close|$)/is);
  for (const encoding of ["gzip", "br", "x"]) {
    const headers = { "content-encoding": encoding };
    t.match(await ask(`${url}/add-checkpoint`, "POST", log.request(0, 1), headers), { status: 415 });
  }
  // Half of a body, and half of a head: the connection ends by itself.
  t.match(await raw(port, post("content-length: 100\r\n"), "old 0\n"), /^HTTP\/1.1 408 /);
  t.match(await raw(port, "POST /add-checkpoint HTT"), /^HTTP\/1.1 408 /);
  t.match(await raw(port, "not HTTP at all\r\n\r\n"), /^HTTP\/1.1 400 /);
  t.match(await raw(port, `GET / HTTP/1.1\r\nhost: w\r\nx: ${"x".repeat(9000)}\r\n\r\n`), /^HTTP\/1.1 431 /);
  // A whole and good request, but not all that was announced.
  const good = log.request(0, 1);
  const socket: Socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined); // it is destroyed here
  await new Promise((resolve) => socket.write(`${post(`content-length: ${good.length + 100}\r\n`)}${good}`, resolve));
  socket.destroy();
  const answer = await submit(url, log.request(0, 2));
  t.match(answer, { status: 200 }, "what was broken off was not taken");
});

t.test("requests one behind the other on one connection, and several at once", async (t) => {
  const { port } = await start(t, { state: stateFolder(t), ...flags });
  const one = (old: number, size: number, more = ""): string => {
    const body = log.request(old, size);
    return `POST /add-checkpoint HTTP/1.1\r\nhost: w\r\n${more}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
  };
  const text = await raw(port, one(0, 1) + one(1, 2) + one(1, 3) + one(2, 5, "connection: close\r\n"));
  t.same(
    [...text.matchAll(/^HTTP\/1.1 ([0-9]+) /gm)].map(([, status]) => status),
    ["200", "200", "409", "200"],
  );
});

t.test("who asks and does not read takes no memory without end, and is let go", async (t) => {
  // A page that is longer than what the system itself holds of a connection that nobody reads.
  const list = join(stateFolder(t), "logs");
  const vkeys = Array.from({ length: 100 }, (_, i) => new TestLog(`log${i}.example/${"x".repeat(80_000)}`).key.vkey);
  writeFileSync(list, vkeys.join("\n"));
  const unread = 12_000_000;
  const begin = async (port: number): Promise<Socket> => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => undefined); // it may be let go
    socket.write("GET / HTTP/1.1\r\nhost: w\r\n\r\n");
    await new Promise((resolve) => socket.once("readable", resolve));
    return socket;
  };
  const patient = await start(t, { state: stateFolder(t), logs: [list] }, { unread });
  const held = await begin(patient.port);
  t.match(await ask(`${patient.url}/`), { status: 429, body: /^too_busy: too many answers are not read/ });
  t.match(await submit(patient.url, log.request(0, 1)), { status: 404, body: /^unknown_log/ }, "the rest goes on");
  held.destroy();
  while ((await ask(`${patient.url}/`)).status !== 200);
  await patient.stop();

  const strict = await start(t, { state: stateFolder(t), logs: [list] }, { unread, stillMs: 200 });
  const forgotten = await begin(strict.port);
  while ((await ask(`${strict.url}/`)).status !== 200);
  forgotten.destroy();
  await strict.stop();
});

t.test("answers that are asked for at once on one connection", async (t) => {
  const { url, port } = await start(t, { state: stateFolder(t), ...flags });
  const get = (more = ""): string => `GET /healthz HTTP/1.1\r\nhost: w\r\n${more}\r\n`;
  t.match(await raw(port, get().repeat(15) + get("connection: close\r\n")), /^(HTTP\/1.1 200 .*?ok\n){16}$/s);
  t.notMatch(await raw(port, get().repeat(1000)), /(HTTP\/1.1 200 .*?ok\n){17}/s, "not any number of them");
  t.match(await ask(`${url}/healthz`), { status: 200 });
});

t.test("of many that build on the same tree, one wins", async (t) => {
  const logs = Array.from({ length: 3 }, (_, i) => new TestLog(`log.example/race${i}`));
  const { url, witness } = await start(t, { state: stateFolder(t), log: logs.map(({ key }) => key.vkey) });
  const agent = new Agent({ keepAlive: true });
  const post = (body: string): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const call = request(`${url}/add-checkpoint`, { method: "POST", agent }, (response) => {
        let text = "";
        response.on("data", (chunk) => {
          text += chunk;
        });
        response.on("end", () =>
          resolve({ status: response.statusCode!, type: "", headers: response.headers, body: text }),
        );
      });
      call.on("error", reject);
      call.end(body);
    });
  const latestOf = new Map<TestLog, number>(logs.map((one) => [one, 0]));
  for (let round = 1; round <= 4; round++) {
    const bodies = Array.from({ length: 30 }, (_, i) => {
      const one = logs[i % 3]!;
      const old = latestOf.get(one)!;
      const size = old + 1 + Math.floor(i / 3);
      return { one, size, body: one.request(old, size) };
    });
    const answers = await Promise.all(bodies.map(({ body }) => post(body)));
    for (const one of logs) {
      const mine = bodies.map((each, i) => ({ ...each, answer: answers[i]! })).filter((each) => each.one === one);
      const won = mine.filter(({ answer }) => answer.status === 200);
      t.equal(won.length, 1);
      t.ok(mine.every(({ answer }) => answer.status === 200 || answer.body === `${won[0]!.size}\n`));
      latestOf.set(one, won[0]!.size);
      t.ok((await latest(url, one.key.name)).body.startsWith(one.note(won[0]!.size)));
    }
  }
  agent.destroy();
  t.ok(witness.state.journal.syncs <= 12);
});

t.test("a log makes as many requests as were agreed on; others cannot use them up", async (t) => {
  const state = stateFolder(t);
  const list = join(state, "logs");
  writeFileSync(list, `logs/v0\nvkey ${log.key.vkey}\nqpd 24\ncontact x\n`);
  const { url, clocks, reload } = await start(t, { state, logs: [list] });
  const forged = log.request(0, 1).replace(/(\u2014 \S+ \S{10})..../, "$1AAAA");
  for (let i = 0; i < 15; i++) t.match(await submit(url, forged), { status: 403 });
  // What the log has signed, everybody can read.
  t.match(await submit(url, log.request(0, 1)), { status: 200 });
  clocks.ms += 3_600_000;
  for (let i = 0; i < 15; i++) t.match(await submit(url, log.request(0, 1)), { status: 409 });
  for (let i = 0; i < 15; i++) t.match(await submit(url, log.request(1, 1)), { status: i < 5 ? 200 : 429 });
  for (let i = 1; i < 6; i++) t.match(await submit(url, log.request(i, i + 1)), { status: 200 });
  t.match((await submit(url, log.request(6, 7))).headers, { "retry-after": "3600" });
  clocks.ms += 10 * 3_600_000;
  for (let i = 6; i < 16; i++) t.match(await submit(url, log.request(i, i + 1)), { status: 200 });
  const refused = await submit(url, log.request(16, 17));
  t.match(refused, { status: 429, body: "too_many_requests: 24 requests a day are agreed on for this log\n" });
  t.match(refused.headers, { "retry-after": "3600" });
  await reload();
  t.match(await submit(url, log.request(16, 17)), { status: 429 });
  clocks.ms += 3_600_000;
  t.match(await submit(url, log.request(16, 17)), { status: 200 });
  t.match(await submit(url, log.request(17, 18)), { status: 429 });
});

t.test("no more wait at a time than may", async (t) => {
  const { url, port } = await start(t, { state: stateFolder(t), ...flags }, { waiting: 2 });
  const body = log.request(0, 1);
  const held: Socket[] = [];
  const waiting = async (): Promise<string> => (await ask(`${url}/metrics`)).body;
  for (let i = 0; i < 2; i++) {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => undefined); // it is destroyed here
    held.push(socket);
    socket.write(`POST /add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: ${body.length}\r\n\r\nold`);
  }
  while (!(await waiting()).includes("vitrine_witness_waiting 2\n"));
  const refused = await submit(url, body);
  t.match(refused, { status: 429, body: /^too_busy: / });
  t.equal(refused.headers["retry-after"], "1");
  for (const socket of held) socket.destroy();
  while (!(await waiting()).includes("vitrine_witness_waiting 0\n"));
  t.match(await submit(url, body), { status: 200 });
  t.match(await waiting(), 'vitrine_witness_answers_total{code="too_busy"} 1\n');
});

t.test("a stop answers what was asked", async (t) => {
  const { url, port, stop } = await start(t, { state: stateFolder(t), ...flags });
  const body = log.request(0, 1);
  const [half, rest] = [body.slice(0, 20), body.slice(20)];
  let stopped: Promise<void> | undefined;
  const text = await raw(
    port,
    `POST /add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${half}`,
    async () => {
      while (!(await ask(`${url}/metrics`)).body.includes("vitrine_witness_waiting 1\n"));
      stopped = stop();
    },
    rest,
  );
  t.match(text, /^HTTP\/1.1 200 OK.*\n\u2014 witness.example\/w1 /s);
  await stopped;
  await t.rejects(ask(`${url}/healthz`), { code: "ECONNREFUSED" });
});

t.test("two trees of one size: both notes are kept, and no more than that", async (t) => {
  const state = stateFolder(t);
  const { url, lines } = await start(t, { state, ...flags });
  await submit(url, log.request(0, 5));
  const { readdirSync, readFileSync } = await import("node:fs");
  for (let i = 0; i < 20; i++) {
    const fork = new TestLog(log.key.name, `other ${i}`);
    for (const old of [5, 5]) t.match(await submit(url, fork.request(old, 5)), { status: 422, body: /^split_view: / });
  }
  const files = readdirSync(join(state, "evidence"));
  t.equal(files.length, 16);
  t.equal(lines.length, 16);
  t.match(
    lines[0],
    /^log.example\/server has signed two trees of one size; both notes are in .*\/evidence\/[0-9a-f]{16}/,
  );
  const evidence = JSON.parse(readFileSync(join(state, "evidence", files[0]!), "utf8")) as Record<string, string>;
  t.match(evidence, { format: "vitrine/fork-evidence/v1", vkey: log.key.vkey, found: "split_view", kept: log.note(5) });
  t.ok(evidence.seen!.startsWith("log.example/server\n5\n") && evidence.seen !== evidence.kept);
});

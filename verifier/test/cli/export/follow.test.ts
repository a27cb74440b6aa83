import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { testKey } from "../support/keys.ts";
import { TestLog, vectorLog, vectors } from "../support/log.ts";
import { temporaryFolder } from "../support/run.ts";
import { serve } from "../support/server.ts";
import { FakeCollector } from "./support/collector.ts";
import { exportWith } from "./support/export.ts";

const size = vectors.entries.length;

t.test("a log is followed as it grows, through what fails on the way", async (t) => {
  const folder = temporaryFolder(t);
  const log = vectorLog(10);
  let isAway = false;
  const server = await serve(log, (_, response) => {
    if (isAway) response.writeHead(404).end();
    return isAway;
  });
  let refuses = false;
  const collector = await FakeCollector.start((_, response) => {
    if (refuses) response.writeHead(503, { "retry-after": "0" }).end();
    return refuses;
  });
  t.teardown(async () => {
    await server.close();
    await collector.close();
  });
  const ofLog = ["--log", server.url, "--vkey", log.key.vkey, "--state", join(folder, "state"), "--interval", "0.01"];
  const to = ["--format", "otlp", "--endpoint", collector.url, "--position", join(folder, "position"), "--follow"];
  const ended = exportWith([...ofLog, ...to]);
  const until = async (is: () => boolean): Promise<void> => {
    while (!is()) await sleep(2);
  };
  await until(() => collector.taken.length === 10);
  isAway = true;
  const asked = server.paths.length;
  await until(() => server.paths.length > asked + 1);
  isAway = false;
  log.size = 20;
  await until(() => collector.taken.length === 20);
  refuses = true;
  log.size = 30;
  const requests = collector.requests.length;
  await until(() => collector.requests.length > requests + 1);
  refuses = false;
  await until(() => collector.taken.length === 30);
  await until(() => readFileSync(join(folder, "position"), "utf8").includes('"next":30'));
  process.emit("SIGTERM");
  const { status, told } = await ended;
  t.equal(status, 0);
  t.match(told, /nothing can be exported for now: .*checkpoint/);
  t.match(told, /503; it is tried again\n.*takes records again/);
  t.match(told, /30 rows written; the next index is 30/);
});

t.test("what stands before --since is read once", async (t) => {
  const folder = temporaryFolder(t);
  const server = await serve(vectorLog());
  t.teardown(() => server.close());
  const position = join(folder, "position");
  const ofLog = ["--log", server.url, "--vkey", vectors.vkey, "--state", join(folder, "state"), "--interval", "0.01"];
  const output = join(folder, "events.jsonl");
  const to = ["--format", "ocsf", "--output", output, "--position", position, "--since", "9999-01-01"];
  const ended = exportWith([...ofLog, ...to]);
  const count = (name: string): number => server.paths.filter((path) => path.startsWith(name)).length;
  while (count("/checkpoint") < 8) await sleep(5);
  process.emit("SIGTERM");
  t.match(await ended, { status: 0, told: /0 rows written/ });
  t.equal(count("/tile/entries/000"), 1);
  t.throws(() => readFileSync(position), { code: "ENOENT" });
});

t.test("being stopped while the collector refuses loses nothing", async (t) => {
  const folder = temporaryFolder(t);
  const server = await serve(vectorLog());
  let asked = 0;
  const collector = await FakeCollector.start((_, response, nth) => {
    asked = nth;
    response.writeHead(429, { "retry-after": "60" }).end();
    return true;
  });
  t.teardown(async () => {
    await server.close();
    await collector.close();
  });
  const position = join(folder, "position");
  const ofLog = ["--log", server.url, "--vkey", vectors.vkey, "--state", join(folder, "state")];
  const ended = exportWith([...ofLog, "--format", "otlp", "--endpoint", collector.url, "--position", position]);
  while (asked === 0) await sleep(2);
  process.emit("SIGTERM");
  t.match(await ended, { status: 0, told: /0 rows written; the next index is 0/ });
  t.throws(() => readFileSync(position), { code: "ENOENT" });
});

t.test("a tree that turns into another one ends it", async (t) => {
  const folder = temporaryFolder(t);
  const log = vectorLog(50);
  const fork = new TestLog(log.key, [...vectors.entries].reverse(), 60);
  let shown = log;
  const server = await serve(log, (path, response) => {
    const body = shown.file(path);
    if (body !== undefined) response.end(body);
    return body !== undefined;
  });
  t.teardown(() => server.close());
  const output = join(folder, "events.jsonl");
  const ofLog = ["--log", server.url, "--vkey", log.key.vkey, "--state", join(folder, "state"), "--interval", "0.01"];
  const ended = exportWith([...ofLog, "--format", "ocsf", "--output", output]);
  const rows = (): number => readFileSync(output, { encoding: "utf8", flag: "a+" }).split("\n").length - 1;
  while (rows() < 50) await sleep(5);
  shown = fork;
  t.match(await ended, { status: 1, told: /inconsistent/ });
  t.equal(rows(), 50);
});

t.test("with a token rows have what is sealed, held against its digest; of acts nothing is asked", async (t) => {
  const folder = temporaryFolder(t);
  const key = testKey("log.example/vitrine");
  const disclosure = (name: string, value: unknown): string =>
    Buffer.from(JSON.stringify(["AAAAAAAAAAAAAAAAAAAAAA", name, value])).toString("base64url");
  const sealed = (text: string): object => ({
    sealed: createHash("sha256").update(text).digest("base64url"),
    bytes: 5,
  });
  const sql = disclosure("sql", "SELECT secret");
  const address = disclosure("client.address", "192.0.2.1:7");
  const reason = disclosure("reason", "why not");
  const statement = JSON.parse(vectors.entries.find((entry) => entry.includes('"kind":"statement"'))!) as Record<
    string,
    unknown
  >;
  const entries = [
    {
      ...statement,
      sql: sealed(sql),
      client: { address: sealed(address) },
      params: undefined,
      params_count: undefined,
    },
    {
      v: 1,
      kind: "disclosure.read",
      source: `${key.name}/acts`,
      epoch: 1,
      seq: 1,
      time: statement.time,
      reader: "r",
      index: 0,
      names: ["sql"],
      reason: sealed(reason),
    },
  ].map((entry) => JSON.stringify(entry));
  const log = new TestLog(key, entries);
  const asked: string[] = [];
  const server = await serve(log, (path, response, request) => {
    if (!path.startsWith("/api/")) return false;
    asked.push(`${path} ${String(request.headers.authorization)}`);
    const disclosures = [sql, disclosure("client.address", "203.0.113.9:7")];
    response.end(JSON.stringify({ index: 0, disclosures }));
    return true;
  });
  t.teardown(() => server.close());
  const token = join(folder, "token");
  writeFileSync(token, "abcdef123456\n");
  const output = join(folder, "events.jsonl");
  const ofLog = ["--log", server.url, "--vkey", key.vkey, "--state", join(folder, "state"), "--once"];
  const asking = ["--token", token, "--reason", "for the SIEM & co"];
  const result = await exportWith([...ofLog, "--format", "ocsf", "--output", output, ...asking]);
  t.equal(result.status, 0, result.told);
  t.same(asked, ["/api/v1/entries/0/disclosures?reason=for%20the%20SIEM%20%26%20co Bearer abcdef123456"]);
  t.match(result.told, /entry 0 goes without a value that the log disclosed: .*client.address/);
  const written = readFileSync(output, "utf8");
  const [first, second] = written
    .split("\n")
    .map((line) => (line === "" ? {} : JSON.parse(line)) as Record<string, unknown>);
  t.match(first, { query_info: { query_string: "SELECT secret" }, src_endpoint: { uid: /^sha-256:/ } });
  t.match(second, { class_uid: 6003, unmapped: { entry: { source: "log.example/vitrine/acts" } } });
  t.notMatch(written + result.told, /abcdef123456|203\.0\.113/);
});

t.equal(size > 256, true, "the log has more than one bundle");

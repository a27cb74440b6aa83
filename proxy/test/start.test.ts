import { readFileSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import { CONFIG_KEYS, type ProxyConfig, readProxyConfig } from "../src/config.ts";
import { RELOADED } from "../src/config-in-force.ts";
import { type RunningProxy, startProxy } from "../src/start.ts";
import { newKeys, tempDir, until } from "./audit/help.ts";
import { TestLog } from "./audit/log.ts";
import { FakePostgres } from "./fake-postgres.ts";
import { Client, startup } from "./help.ts";
import { B, F } from "./session/stage.ts";

/** A port that was free a moment ago. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

interface Whole {
  readonly log: TestLog;
  readonly upstream: FakePostgres;
  readonly proxy: RunningProxy;
  readonly config: ProxyConfig;
  /** What it told its operator. */
  readonly lines: string[];
  readonly status: string;
  /** Gives the configuration file another text. */
  rewrite(change: (text: string) => string): void;
  login(user: string): Promise<Client>;
}

/** A proxy as `vitrine proxy` starts it, with a log and a database that do what the test wants. */
async function whole(t: Test, more: string): Promise<Whole> {
  const dir = await tempDir(t);
  const keys = newKeys("proxy-1.example");
  const log = await new TestLog(keys.vkey, newKeys("log.example/test").vkey).listen();
  const upstream = await new FakePostgres().listen();
  writeFileSync(join(dir, "source.key"), `${keys.skey}\n`, { mode: 0o600 });
  const port = await freePort();
  const text = `
listen: 127.0.0.1:0
status: 127.0.0.1:${port}
upstream: postgres://127.0.0.1:${upstream.port}
log: { url: "${log.url}", vkey: "${log.vkey}", level: debug, format: json }
source: { key: source.key }
spool: { dir: . }
${more}`;
  const file = join(dir, "proxy.yaml");
  writeFileSync(file, text);
  const config = await readProxyConfig(file);
  const lines: string[] = [];
  const proxy = await startProxy(config, { line: (line) => lines.push(line) });
  const clients: Client[] = [];
  t.teardown(async () => {
    for (const { socket } of clients) socket.destroy();
    await proxy.close();
    await upstream.close();
    await log.close();
  });
  return {
    log,
    upstream,
    proxy,
    config,
    lines,
    rewrite: (change) => writeFileSync(file, change(text)),
    status: `http://127.0.0.1:${port}`,
    login: async (user) => {
      const client = new Client(connect({ ...proxy.address, allowHalfOpen: true }));
      clients.push(client);
      client.socket.write(startup({ user }));
      await until("the login is through", () => client.received.includes("Z") || client.ended);
      return client;
    },
  };
}

const told = (lines: readonly string[]): string[] => lines.map((line) => (JSON.parse(line) as { event: string }).event);

t.test("the manual has every metric with its type and labels", async (t) => {
  const all = await whole(t, "");
  const client = await all.login("alice");
  client.socket.write(F.query("SELECT 1"));
  await until("it is forwarded", () => all.upstream.last.received.length > 0);
  all.upstream.last.send(B.row("1"), B.complete("SELECT 1"), B.ready());
  await until("it is answered", () => client.received.includes("SELECT 1"));
  const text = await (await fetch(`${all.status}/metrics`)).text();
  const types = [...text.matchAll(/^# TYPE (vitrine_[a-z_]+) ([a-z]+)$/gm)].map(([, name, type]) => [name, type]);
  const manual = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const rows = [...manual.matchAll(/^\| `(vitrine_[a-z_]+)` \| ([a-z]+) \|([^|]*)\|/gm)];
  t.same(rows.map(([, name, type]) => [name, type]).sort(), types.sort());
  for (const [, name, , labels] of rows) {
    const used = new RegExp(`^${name}(?:_bucket)?\\{([^}]*)\\}`, "m").exec(text)?.[1] ?? "";
    const names = [...used.matchAll(/([a-z]+)="/g)].map(([, one]) => one!).filter((one) => one !== "le");
    const documented = [...labels!.matchAll(/`([a-z]+)`/g)].map(([, one]) => one!);
    // A counter by label has no series before the first.
    if (names.length > 0) t.same(names.sort(), documented.sort(), name!);
  }
  t.match(text, /^vitrine_proxy_clients\{state="idle"\} 1$/m);
  t.match(text, /^vitrine_proxy_statement_seconds_count\{outcome="completed"\} 1$/m);
  t.match(text, /^vitrine_proxy_connect_seconds_count 1$/m);
  t.match(text, /^vitrine_proxy_sessions_total 1$/m);
  t.match(text, /^vitrine_proxy_commit_seconds_count [1-9]/m);
  t.match(text, /^vitrine_proxy_commit_records_sum [1-9]/m);
});

t.test("the health says what is wrong", async (t) => {
  const all = await whole(t, "");
  const health = async (): Promise<[number, { status: string; checks: object }]> => {
    const answer = await fetch(`${all.status}/healthz`);
    return [answer.status, (await answer.json()) as { status: string; checks: object }];
  };
  t.match(await health(), [
    200,
    { status: "ok", source: "proxy-1.example", checks: { listener: "ok", upstream: "ok", spool: "open", log: "ok" } },
  ]);
  t.equal(all.upstream.backends.length, 1, "nobody was here, so it was tried");
  await health();
  t.equal(all.upstream.backends.length, 1, "and not again at once");
  t.equal((await fetch(`${all.status}/healthz`, { method: "POST" })).status, 405);
  t.equal((await fetch(`${all.status}/else`)).status, 404);
});

t.test("a server that cannot be reached", async (t) => {
  const all = await whole(t, "");
  await all.upstream.close();
  const answer = await fetch(`${all.status}/healthz`);
  t.equal(answer.status, 503);
  t.match(await answer.json(), {
    status: "failing",
    checks: { listener: "ok", upstream: "unreachable", spool: "open" },
  });
});

t.test("sessions, refusals and failures are told, without text or secrets", async (t) => {
  const all = await whole(t, "limits: { idle_timeout_ms: 150, clients: 1 }\n");
  const client = await all.login("alice");
  const other = await all.login("bob\u001b[31m");
  t.equal(other.refusal, "53300");
  client.socket.write(F.query("SELECT 'secret'"));
  await until("it is forwarded", () => all.upstream.last.received.length > 0);
  all.upstream.last.send(B.error("42601"), B.ready());
  await until("the session is ended for being idle", () => client.received.includes("C57P05"));
  client.socket.end();
  await until("its end is told", () => told(all.lines).includes("session.end"));
  t.same(told(all.lines), [
    "client.connected",
    "session.start",
    "client.connected",
    "login.refused",
    "session.failed",
    "session.end",
  ]);
  const start = JSON.parse(all.lines[1]!) as Record<string, unknown>;
  t.match(start, { level: "debug", session: "1.1", user: "alice", database: "alice", client: /^127\.0\.0\.1:\d+$/ });
  t.match(JSON.parse(all.lines[3]!), { level: "info", code: "too_many_connections", user: "bob\u001b[31m" });
  t.match(JSON.parse(all.lines[4]!), { level: "warn", code: "idle_timeout", session: "1.1" });
  t.match(JSON.parse(all.lines[5]!), { reason: "idle-timeout", statements: 1, failed: 1 });
  t.notMatch(all.lines.join("\n"), /secret|\u001b/);
});

t.test(
  "a reload: what can change does, in the log first; what cannot is named; a file with an error changes nothing",
  async (t) => {
    const all = await whole(t, "limits: { clients: 10 }\n");
    const client = await all.login("alice");
    const changes = (): Record<string, unknown>[] => all.log.ofKind("config.change").map(({ json }) => json);

    t.match(await all.proxy.reload(), /^configuration [0-9a-f]{16}: unchanged$/);
    all.rewrite((text) => `${text}nonsense: 1\n`);
    await t.rejects(all.proxy.reload(), { code: "bad_config", message: /there is no key "nonsense"/ });
    t.equal(told(all.lines).at(-1), "config.refused");

    all.rewrite((text) =>
      text.replace("clients: 10", "clients: 1, idle_timeout_ms: 200").replace("127.0.0.1:0", "127.0.0.1:1"),
    );
    const said = await all.proxy.reload();
    t.match(said, /: changed limits\.clients, limits\.idle_timeout_ms; only a restart changes listen$/);
    t.match(JSON.parse(all.lines.at(-1)!), { event: "config.changed", message: said });
    t.equal((await all.login("bob")).refusal, "53300", "the new limit of clients counts at once");
    await until("the session that was there has the new timeout", () => client.refusal === "57P05");
    client.socket.end();

    all.rewrite((text) => text.replace("level: debug", "level: error"));
    await Promise.all([all.proxy.reload(), all.proxy.reload()]);
    const before = all.lines.length;
    await all.login("carol");
    t.equal(all.lines.length, before, "nothing of it is told any more");

    await until("the log has the changes", () => changes().length === 2);
    const { digest } = all.config;
    t.match(changes()[0], { previous_config: digest });
    t.match(changes()[1], { previous_config: changes()[0]!.config });
  },
);

t.test("the manual has the keys that count at a reload", async (t) => {
  const manual = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const sentence = /^These keys count from then on: ([^.]*(?:\.[^ ][^.]*)*)\. /m.exec(manual)![1]!;
  t.same([...sentence.matchAll(/`([a-z_.]+)`/g)].map(([, key]) => key).sort(), [...RELOADED].sort());
  for (const key of RELOADED)
    t.ok(
      CONFIG_KEYS.some(({ path }) => path === key),
      key,
    );
});

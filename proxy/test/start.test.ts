import { readFileSync } from "node:fs";
import { connect } from "node:net";
import t from "tap";
import { CONFIG_KEYS } from "../src/config/keys.ts";
import { RELOADED } from "../src/reload/config.ts";
import { until } from "./audit/help.ts";
import { Client, startup } from "./help.ts";
import { B, F } from "./session/stage.ts";
import { whole } from "./whole.ts";

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
  const all = await whole(t, "limits: { clients: 1 }\n");
  const client = await all.login("alice");
  const other = await all.login("bob\u001b[31m");
  t.equal(other.refusal, "53300");
  client.socket.write(F.query("SELECT 'secret'"));
  await until("it is forwarded", () => all.upstream.last.received.length > 0);
  all.upstream.last.send(B.error("42601"), B.ready());
  await until("it is answered", () => client.received.includes(B.ready()));
  all.rewrite((text) => text.replace("clients: 1", "clients: 1, idle_timeout_ms: 1"));
  await all.proxy.reload();
  await until("the session is ended for being idle", () => client.received.includes("C57P05"));
  client.socket.end();
  await until("its end is told", () => told(all.lines).includes("session.end"));
  t.same(told(all.lines), [
    "client.connected",
    "session.start",
    "client.connected",
    "login.refused",
    "config.changed",
    "session.failed",
    "session.end",
  ]);
  const start = JSON.parse(all.lines[1]!) as Record<string, unknown>;
  t.match(start, { level: "debug", session: "1.1", user: "alice", database: "alice", client: /^127\.0\.0\.1:\d+$/ });
  t.match(JSON.parse(all.lines[3]!), { level: "info", code: "too_many_connections", user: "bob\u001b[31m" });
  t.match(JSON.parse(all.lines[5]!), { level: "warn", code: "idle_timeout", session: "1.1" });
  t.match(JSON.parse(all.lines[6]!), { reason: "idle-timeout", statements: 1, failed: 1 });
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
      text.replace("clients: 10", "clients: 1, drain_timeout_ms: 9").replace("127.0.0.1:0", "127.0.0.1:1"),
    );
    const said = await all.proxy.reload();
    t.match(said, /: changed limits\.clients, limits\.drain_timeout_ms; only a restart changes listen$/);
    t.match(JSON.parse(all.lines.at(-1)!), { event: "config.changed", message: said });
    t.equal((await all.login("bob")).refusal, "53300", "the new limit of clients counts at once");
    all.rewrite((text) => text.replace("clients: 10", "clients: 1, idle_timeout_ms: 1"));
    await all.proxy.reload();
    await until("the session that was there has the new timeout", () => client.refusal === "57P05");
    client.socket.end();

    all.rewrite((text) => text.replace("level: debug", "level: error"));
    await Promise.all([all.proxy.reload(), all.proxy.reload()]);
    const before = all.lines.length;
    await all.login("carol");
    t.equal(all.lines.length, before, "nothing of it is told any more");

    await until("the log has the changes", () => changes().length === 3);
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

const CONSOLE = `
users: users
auth: [{ database: [vitrine, "ops_*"], network: [127.0.0.1, local, 10.0.0.0/8, "::1"], method: trust }]
console: { users: [ops], stats_users: [eve] }
limits: { clients: 2 }
`;

/** Says it, and waits for the answer. */
async function ask(client: Client, text: string): Promise<string> {
  client.received = Buffer.alloc(0);
  client.socket.write(F.query(text));
  await until(`${text} is answered`, () => client.received.subarray(-6).equals(B.ready()));
  return client.received.toString("latin1");
}

t.test("the console: who may, what it shows, and that it is recorded", async (t) => {
  const all = await whole(t, CONSOLE);
  const alice = await all.login("alice");
  const second = await all.login("alice");
  t.equal(second.ended, false);
  const ops = await all.login("ops", "vitrine");
  t.equal(ops.ended, false, "though the limit of clients is reached");
  const eve = await all.login("eve", "vitrine");
  const ann = await all.login("ann", "vitrine");
  t.equal(ann.refusal, "28000", "known, but not here");
  t.equal((await all.login("nobody", "vitrine")).ended, true);

  alice.socket.write(F.query("SELECT 1"));
  await until("it is forwarded", () => all.upstream.backends[0]!.received.length > 0);
  t.match(await ask(ops, "SHOW CLIENTS"), /C.*alice.*active.*1\.1.*alice.*idle.*1\.2.*ops.*vitrine.*1\.3/s);
  t.match(await ask(ops, "SHOW SERVERS"), /S.*alice.*active.*S.*alice.*idle/s);
  t.match(await ask(ops, "SHOW POOLS"), /alice.*alice.*relay/s);
  t.match(await ask(ops, "SHOW CONFIG"), /limits\.clients\0*.{0,8}2.*yes/s);
  t.match(
    await ask(ops, "SHOW CONFIG"),
    '[{"database":["vitrine","ops_*"],"network":["127.0.0.1","local","10.0.0.0/8","::1"],"method":"trust"}]',
  );
  t.match(await ask(eve, "SHOW STATE"), /active.*yes.*paused.*no/s);
  for (const shown of [
    "DATABASES",
    "USERS",
    "LISTS",
    "STATS",
    "STATS_TOTALS",
    "POOL_TOTALS",
    "SPOOL",
    "VERSION",
    "HELP",
  ])
    t.match(await ask(eve, `SHOW ${shown}`), /SHOW\0/, shown);
  t.match(await ask(eve, "KILL_CLIENT 1.1"), /C42501\0/);
  t.match(await ask(ops, "KILL_CLIENT 9.9"), /C55000\0/);
  t.match(await ask(ops, "KILL_CLIENT 1.1"), /KILL_CLIENT\0/);
  await until("it is killed", () => alice.received.includes("C57P01"));
  alice.socket.end();
  all.upstream.backends[0]!.socket.destroy();
  for (const { socket } of [ops, eve, second]) socket.end();
  await until("their ends are recorded", () => all.log.ofKind("session.end").length === 4);
  const statements = all.log.ofKind("statement").map(({ json }) => json);
  t.ok(
    statements.some(
      ({ database, outcome, operation }) => database === "vitrine" && outcome === "completed" && operation === "SHOW",
    ),
  );
  t.ok(
    statements.some(
      ({ database, outcome, sqlstate }) => database === "vitrine" && outcome === "failed" && sqlstate === "42501",
    ),
  );
  t.ok(all.log.ofKind("session.end").some(({ json }) => json.reason === "killed"));
  const start = all.log.ofKind("session.start").find(({ json }) => json.database === "vitrine")!.json;
  t.match(start, { actor: { login: "ops", auth: "trust" } });
  t.same(
    all.lines
      .map((line) => JSON.parse(line) as Record<string, string>)
      .filter(({ event }) => event === "console.command")
      .map(({ message, on, by }) => [message, on, by]),
    [
      ["KILL_CLIENT", "9.9", "ops"],
      ["KILL_CLIENT", "1.1", "ops"],
    ],
  );
});

t.test("a pause: what was begun ends, nothing else begins, nothing fails", async (t) => {
  const all = await whole(t, CONSOLE.replace("clients: 2", "clients: 20"));
  const alice = await all.login("alice");
  const server = all.upstream.last;
  const ops = await all.login("ops", "vitrine");
  alice.socket.write(F.query("SELECT 1"));
  await until("it is forwarded", () => server.received.length > 0);
  let paused = false;
  const pausing = ask(ops, "PAUSE").then((answer) => {
    paused = true;
    return answer;
  });
  const eve = await all.login("eve", "vitrine");
  while (!/paused.*yes/s.test(await ask(eve, "SHOW STATE"))) await new Promise((resolve) => setTimeout(resolve, 5));
  t.equal(paused, false);
  t.match(await (await fetch(`${all.status}/healthz`)).json(), { status: "failing", checks: { listener: "paused" } });
  server.send(B.row("1"), B.complete("SELECT 1"), B.ready());
  t.match(await pausing, /PAUSE\0/);
  t.ok(alice.received.includes("SELECT 1"), "what was begun ended");
  const before = server.received.length;
  alice.socket.write(F.query("SELECT 2"));
  const opened = all.upstream.backends.length;
  const late = all.login("alice");
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal(server.received.length, before);
  t.equal(all.upstream.backends.length, opened);
  t.match(await ask(ops, "RESUME"), /RESUME\0/);
  await until("it goes on", () => server.received.length > before);
  server.send(B.row("2"), B.complete("SELECT 1"), B.ready());
  t.equal((await late).ended, false);
  t.match(await ask(ops, "RESUME"), /C55000\0/, "nothing is paused");
});

t.test("a pause: who leaves meanwhile is gone, and who comes to end it is let in", async (t) => {
  const all = await whole(t, CONSOLE.replace("clients: 2", "clients: 20, logins: 6"));
  const logins = async (count: number): Promise<void> => {
    const line = `vitrine_proxy_clients{state="login"} ${count}\n`;
    while (!(await (await fetch(`${all.status}/metrics`)).text()).includes(line))
      await new Promise((resolve) => setTimeout(resolve, 5));
  };
  const come = (): Client => {
    const client = new Client(connect({ ...all.proxy.address, allowHalfOpen: true }));
    t.teardown(() => client.socket.destroy());
    client.socket.write(startup({ user: "alice" }));
    return client;
  };
  const first = await all.login("ops", "vitrine");
  await ask(first, "PAUSE");
  first.socket.destroy();
  for (let i = 1; i <= 20; i += 1) {
    const client = come();
    const connected = () => told(all.lines).filter((event) => event === "client.connected").length;
    await until("it is there", () => connected() === 1 + i);
    client.socket.destroy();
  }
  await logins(0);
  const waiting = Array.from({ length: 6 }, come);
  await until("some are told", () => waiting.filter(({ refusal }) => refusal === "53300").length === 3);
  await logins(3);
  const ops = await all.login("ops", "vitrine");
  t.equal(ops.ended, false, "there is room for an operator");
  t.match(await ask(ops, "RESUME"), /RESUME\0/);
  await until(
    "those who waited are in",
    () => waiting.filter(({ received }) => received.includes(B.ready())).length === 3,
  );
  t.equal(all.upstream.backends.length, 3, "and no server was asked for anybody else");
});

t.test("a pause: who waits in it is not idle", async (t) => {
  const all = await whole(t, CONSOLE.replace("clients: 2", "clients: 20"));
  const alice = await all.login("alice");
  const ops = await all.login("ops", "vitrine");
  await ask(ops, "PAUSE");
  alice.socket.write(F.query("SELECT 1"));
  all.rewrite((text) => text.replace("clients: 20", "clients: 20, idle_timeout_ms: 1"));
  t.match(await all.proxy.reload(), /changed limits.idle_timeout_ms/);
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal(alice.ended, false);
  await ask(ops, "RESUME");
  await until("it goes on", () => all.upstream.last.received.includes("SELECT 1"));
  all.upstream.last.send(B.row("1"), B.complete("SELECT 1"), B.ready());
  await until("it is answered; then it is idle", () => alice.ended);
  t.match(alice.received.toString("latin1"), /SELECT 1\0.*C57P05\0/s);
});

t.test("shutdown: when all have left; when all are between transactions; at once", async (t) => {
  const all = await whole(t, CONSOLE);
  const alice = await all.login("alice");
  const server = all.upstream.last;
  const ops = await all.login("ops", "vitrine");
  t.match(await ask(ops, "SHUTDOWN WAIT_FOR_CLIENTS"), /SHUTDOWN\0/);
  t.match(await (await fetch(`${all.status}/healthz`)).json(), { checks: { listener: "closed" } });
  alice.socket.write(F.query("BEGIN"));
  await until("it goes on", () => server.received.length > 0);
  server.send(B.complete("BEGIN"), B.ready("T"));
  await until("it is answered", () => alice.received.includes("BEGIN"));
  t.match(await ask(ops, "SHUTDOWN WAIT_FOR_SERVERS"), /SHUTDOWN\0/);
  t.equal(alice.ended, false, "it is in a transaction");
  t.equal(all.stops, 0);
  alice.socket.write(F.query("COMMIT"));
  await until("it goes on", () => server.received.includes("COMMIT"));
  server.send(B.complete("COMMIT"), B.ready());
  await until("then it is ended", () => alice.received.includes("C57P01"));
  t.ok(alice.received.includes("COMMIT"), "and the transaction did not fail");
  alice.socket.end();
  await until("then the end is asked for", () => all.stops === 1);
  await ask(ops, "SHUTDOWN");
  await until("and again", () => all.stops === 2);
});

import t from "tap";
import { type Activity, Timeouts } from "../../src/client/timeouts.ts";
import type { ProxyError } from "../../src/errors.ts";
import { until } from "../audit/help.ts";
import { rig, startup } from "../help.ts";
import { B, F } from "../session/stage.ts";

const NONE = { idleTimeoutMs: 0, idleInTransactionMs: 0, statementTimeoutMs: 0 };

interface Watched {
  readonly timeouts: Timeouts;
  readonly told: string[];
  activity: Activity;
  limits: typeof NONE;
}

function watched(limits: Partial<typeof NONE>): Watched {
  const told: string[] = [];
  const one: { -readonly [K in keyof Watched]: Watched[K] } = {
    told,
    activity: { idle: true, tx: "I", statements: 0 },
    limits: { ...NONE, ...limits },
    timeouts: new Timeouts(
      () => one.limits,
      () => one.activity,
      { cancel: (ms) => told.push(`cancel ${ms}`), expire: (error: ProxyError) => told.push(error.code) },
      30,
    ),
  };
  return one;
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

t.test("each state has its own limit, and no limit is none", async (t) => {
  const states: [Activity, Partial<typeof NONE>, string][] = [
    [{ idle: true, tx: "I", statements: 0 }, { idleTimeoutMs: 5 }, "idle_timeout"],
    [{ idle: true, tx: "T", statements: 3 }, { idleInTransactionMs: 5 }, "idle_in_transaction_timeout"],
    [{ idle: true, tx: "E", statements: 3 }, { idleInTransactionMs: 5 }, "idle_in_transaction_timeout"],
    [{ idle: false, tx: "I", statements: 3 }, { statementTimeoutMs: 5 }, "cancel 5"],
  ];
  const all = states.map(([activity, limits, told]) => ({ activity, told, one: watched(limits) }));
  const others = states.map(([activity]) => ({ activity, one: watched({}) }));
  for (const { one, activity } of [...all, ...others]) {
    one.activity = activity;
    one.timeouts.seen();
  }
  for (const { one, told } of all) {
    await until(told, () => one.told.length > 0);
    t.equal(one.told[0], told);
  }
  for (const { one } of others) t.same(one.told, []);
  for (const { one } of [...all, ...others]) one.timeouts.stop();
});

t.test("a sign of life puts off the end; a shorter limit overtakes a longer one", async (t) => {
  const one = watched({ idleTimeoutMs: 60_000, statementTimeoutMs: 10 });
  one.timeouts.seen();
  one.activity = { idle: false, tx: "I", statements: 0 };
  one.timeouts.seen();
  await until("the statement is cancelled", () => one.told.length > 0);
  one.activity = { idle: true, tx: "I", statements: 1 };
  one.timeouts.seen();
  await wait(60);
  t.same(one.told, ["cancel 10"], "it ended, so nothing more happens to it");
  one.timeouts.stop();
});

t.test("statements one after the other have their time each; one that does not stop ends the session", async (t) => {
  const one = watched({ statementTimeoutMs: 200 });
  one.activity = { idle: false, tx: "I", statements: 0 };
  one.timeouts.seen();
  let longest = 0;
  for (let statements = 1; statements <= 7; statements += 1) {
    const began = performance.now();
    await wait(30);
    longest = Math.max(longest, performance.now() - began);
    one.activity = { idle: false, tx: "I", statements };
    one.timeouts.seen();
  }
  // On a machine that stood still for so long nothing can be said.
  if (longest < 190) t.same(one.told, [], "over 200 ms together");
  one.told.length = 0;
  // The same statement, however much is read of it.
  const reading = setInterval(() => one.timeouts.seen(), 20);
  await until("it is cancelled, and then it is over", () => one.told.length === 2);
  clearInterval(reading);
  t.same(one.told, ["cancel 200", "statement_timeout"]);
  one.timeouts.stop();
});

t.test("a limit that is set while the session lives counts from when it was last seen", async (t) => {
  const one = watched({});
  one.timeouts.seen();
  await wait(20);
  t.same(one.told, []);
  one.limits = { ...NONE, idleTimeoutMs: 10 };
  one.timeouts.changed();
  await until("it is over", () => one.told.length > 0);
  t.same(one.told, ["idle_timeout"]);
  one.timeouts.stop();
});

t.test("an idle session is ended, recorded and told", async (t) => {
  const cases = [
    { limits: { idleTimeoutMs: 20 }, state: "57P05", reason: "idle-timeout", statements: 0 },
    { limits: { idleInTransactionMs: 20 }, state: "25P03", reason: "transaction-timeout", statements: 1 },
  ];
  for (const { limits, state, reason, statements } of cases) {
    const all = await rig(t, { limits });
    const client = await all.client();
    client.socket.write(startup({ user: "alice" }));
    if (statements > 0) {
      await until("the login is through", () => client.received.includes(B.ready()));
      client.socket.write(F.query("BEGIN"));
      await until("it is forwarded", () => all.upstream.last.received.length > 0);
      all.upstream.last.send(B.complete("BEGIN"), B.ready("T"));
    }
    await until("the session is ended", () => client.ended);
    t.equal(client.refusal, state);
    client.socket.end();
    await until("its record is closed", () => all.proxy.clients === 0);
    t.equal(all.upstream.last.received.at(-5), 0x58, "the server is told to terminate, and rolls back");
    await all.stop();
    t.match(all.bench.log.ofKind("session.end")[0]!.json, { reason, statements, failed: 0 });
  }
});

t.test("a statement over its time is cancelled, and the session goes on", async (t) => {
  const all = await rig(t, { limits: { statementTimeoutMs: 1000 } });
  const client = await all.session();
  const backend = all.upstream.last;
  all.upstream.onStartup = (cancel) => {
    cancel.busy = true;
  };
  client.socket.write(F.query("SELECT 1"));
  await until("a cancel arrives", () => all.upstream.backends.length === 2);
  await until("the client is warned", () => client.received.includes("statement timeout of the proxy (1000 ms)"));
  // What the client sends while the cancel is on its way must not be what it hits.
  client.socket.write(F.query("SELECT 2"));
  const before = backend.received.length;
  await wait(30);
  t.equal(backend.received.length, before);
  all.upstream.last.socket.end();
  backend.send(B.error("57014"), B.ready());
  await until("the next one goes through", () => backend.received.length > before);
  backend.send(B.row("2"), B.complete("SELECT 1"), B.ready());
  await until("it is answered", () => client.received.includes("SELECT 1"));
  t.equal(client.ended, false);
  client.socket.end();
  await until("its record is closed", () => all.proxy.clients === 0);
  await all.stop();
  t.match(
    all.bench.log.ofKind("statement").map(({ json }) => json.outcome),
    ["cancelled", "completed"],
  );
});

t.test("the limit of clients counts those who are logged in, and is never passed", async (t) => {
  const all = await rig(t, { clients: 2 });
  const waiting: (() => void)[] = [];
  all.upstream.onStartup = (backend) => waiting.push(() => backend.send(B.auth(0), B.key(77), B.ready()));
  const clients = await Promise.all(Array.from({ length: 5 }, () => all.client()));
  for (const { socket } of clients) socket.write(startup({ user: "alice" }));
  await until("all five are at their login", () => waiting.length === 5);
  for (const answer of waiting) answer();
  await until("three are refused", () => clients.filter(({ refusal }) => refusal === "53300").length === 3);
  t.equal(all.proxy.sessions, 2);
  for (const { socket } of clients) socket.end();
  await until("all are gone", () => all.proxy.clients === 0);
  const kinds = await all.stop();
  t.equal(kinds.filter((kind) => kind === "access.refused").length, 3);
  t.equal(kinds.filter((kind) => kind === "session.start").length, 2);
});

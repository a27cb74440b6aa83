// A primary and its standby, real ones: which of them a session gets, and what a failover leaves behind.
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Postgres } from "@vitrine/cli";
import t, { type Test } from "tap";
import { CountingClient, tell } from "../support/counting-client.ts";
import { errorField, type Message, RawClient, send, startupPacket } from "../support/raw-client.ts";
import { login, RAW, underWay, until } from "../support/sessions.ts";
import { DATABASE, type Entry, runNode, Stack, statements, temporaryFolder, VITRINE } from "../support/stack.ts";
import { type Pair, promote, startPair } from "../support/standby.ts";

/** Logs in without a password as RAW does, by the proxy's word and on servers that it shares. */
const POOLED = "pooled";
/** The same, and may only read. */
const READER = "reader";
const CLIENTS = 12;

const folder = temporaryFolder("standby");
const pairs: Pair[] = [];

t.setTimeout(590_000);
t.teardown(async () => {
  await Promise.all(pairs.map((pair) => pair.stop()));
  rmSync(folder, { recursive: true, force: true });
});

async function pair(name: string): Promise<Pair> {
  const made = await startPair(join(folder, name), [POOLED, READER]);
  pairs.push(made);
  return made;
}

async function usersFile(...names: string[]): Promise<string> {
  const users = join(folder, "users.txt");
  for (const name of names) {
    const added = await runNode(VITRINE, ["proxy", "user", "add", name, "--file", users, "--no-password"]);
    if (added.code !== 0) throw new Error(added.stderr);
  }
  return users;
}

/** A proxy in front of these servers, in this order. */
async function before(t: Test, servers: readonly Postgres[], query: string, keys: object = {}): Promise<Stack> {
  const upstream = `postgres://${servers.map(({ port }) => `127.0.0.1:${port}`).join(",")}/?${query}`;
  const stack = await Stack.create(servers[0]!, {
    logKeys: { limits: { requests_per_second: 100_000 } },
    proxyKeys: { upstream, ...keys },
  });
  t.teardown(() => stack.destroy());
  return stack.start();
}

/** The proxy's keys where all but one role share server connections. */
function sharing(users: string): Record<string, unknown> {
  const auth = [{ user: RAW, method: "relay" }, { method: "trust" }];
  return { auth, users, upstream_auth: ["trust"], pool: { mode: "transaction", size: CLIENTS / 2 } };
}

/** The first column of a row. */
const firstOf = (row: Buffer | undefined): string | undefined => row?.toString("utf8", 11, 11 + row.readInt32BE(7));

const value = (messages: readonly Message[]): string | undefined =>
  firstOf(messages.find(({ type }) => type === "D")?.bytes);

async function ask(client: RawClient, sql: string, withinMs?: number): Promise<string | undefined> {
  client.write(send.query(sql));
  return value(await client.ready(1, withinMs));
}

/** The port of the server that a statement runs on. */
const PORT = "SELECT current_setting('port')";

/** Which server libpq goes to, for the same list; undefined when there is no psql here. */
function byLibpq(servers: readonly Postgres[], target: string, user: string): number | undefined {
  const url = `postgres://${servers.map(({ port }) => `127.0.0.1:${port}`).join(",")}/${DATABASE}?target_session_attrs=${target}`;
  const { error, stdout } = spawnSync("psql", ["-X", "-A", "-t", "-U", user, "-c", PORT, url], { encoding: "utf8" });
  return error === undefined ? Number(stdout.trim()) : undefined;
}

t.test("each session gets the server that target_session_attrs asks for, as with libpq", async (t) => {
  const { primary, standby } = await pair("targets");
  const admin = await primary.connect("postgres");
  await admin.query(`ALTER ROLE ${READER} SET default_transaction_read_only = on`);
  await admin.end();
  const users = await usersFile(POOLED, READER);
  // The one that is wanted stands last.
  const [forward, backward] = [
    [primary, standby],
    [standby, primary],
  ] as const;
  const wanted = [
    ["any", backward, standby],
    ["read-write", backward, primary],
    ["primary", backward, primary],
    ["read-only", forward, standby],
    ["standby", forward, standby],
    ["prefer-standby", forward, standby],
  ] as const;
  for (const [target, servers, right] of wanted) {
    const keys = sharing(users);
    const stack = await before(t, servers, `target_session_attrs=${target}`, keys);
    const libpq = byLibpq(servers, target, RAW);
    if (libpq !== undefined) t.equal(libpq, right.port, `${target}: so does libpq`);
    const pooled = await RawClient.login(stack.proxyPort, { user: POOLED, database: DATABASE });
    t.equal(await ask(pooled, PORT), String(right.port), `${target}: pooled, at once`);
    await pooled.end();
    const relayed = await login(stack.proxyPort, target);
    // By now it is known which is which, from the pool's own session.
    t.equal(await ask(relayed, PORT), String(right.port), `${target}: relayed`);
    await relayed.end();
    await stack.proxy.end("SIGTERM");
    const entries = await stack.settled((all) => all.some(({ kind }) => kind === "source.stop"));
    const start = entries.findLast(({ kind }) => kind === "session.start");
    t.match(
      start,
      { actor: { login: RAW }, server: { host: `127.0.0.1:${right.port}` } },
      `${target}: so it is recorded`,
    );
    await stack.destroy();
  }
  const alone = await before(t, [primary], "target_session_attrs=read-only", sharing(users));
  const reader = await RawClient.login(alone.proxyPort, { user: READER, database: DATABASE });
  t.equal(await ask(reader, PORT), String(primary.port), "a primary will do for a role that may only read");
  await reader.end();
  const writer = await RawClient.open(alone.proxyPort);
  writer.write(startupPacket({ user: POOLED, database: DATABASE }));
  const refused = (await writer.until(() => false)).find(({ type }) => type === "E");
  t.equal(refused && errorField(refused, "C"), "57P03", "and for no other");
});

t.test("a standby that is promoted serves nobody who wants a standby, once it has said so", async (t) => {
  const servers = await pair("promoted");
  const { primary, standby } = servers;
  const list = [primary, standby];
  const users = await usersFile(POOLED);
  const wanted = await before(t, list, "target_session_attrs=standby", sharing(users));
  const preferred = await before(t, list, "target_session_attrs=prefer-standby", sharing(users));
  const as = (stack: Stack): Promise<RawClient> =>
    RawClient.login(stack.proxyPort, { user: POOLED, database: DATABASE });
  const [strict, lenient] = [await as(wanted), await as(preferred)];
  const relayed = await login(wanted.proxyPort, "relayed");
  for (const client of [strict, lenient, relayed]) t.equal(await ask(client, PORT), String(standby.port));
  await promote(servers);
  for (const client of [strict, lenient, relayed]) {
    t.equal(await ask(client, PORT), String(standby.port), "it says what it is behind a statement");
  }
  strict.write(send.query(PORT));
  const [refused] = await strict.ready();
  t.equal(refused?.type === "E" && errorField(refused, "C"), "57P03", "there is no standby any more");
  t.equal(await ask(lenient, PORT), String(standby.port), "rather a primary than none");
  t.equal(await ask(relayed, PORT), String(standby.port), "a session of its own stays where it is, as with libpq");
  for (const client of [strict, lenient, relayed]) await client.end();
});

/** What becomes of the two servers, while everybody counts. */
const FAILOVERS: Readonly<Record<string, (pair: Pair) => Promise<void>>> = {
  "the primary is killed, then the standby promoted": async (pair) => {
    process.kill(pair.primary.pid, "SIGKILL");
    await pair.primary.ended;
    await sleep(300);
    await promote(pair);
  },
  // Behind the promotion nothing is acknowledged by the old one: it waits for a standby that it has no more.
  "the standby is promoted, then the primary stopped at once": async (pair) => {
    await promote(pair);
    await sleep(300);
    process.kill(pair.primary.pid, "SIGQUIT");
    await pair.primary.ended;
  },
};
/** A read that is under way when its server goes; where it ran when it was answered. */
const SLOW = `${PORT}, count(*) FROM generate_series(1, 40000000)`;
/** One that waits for a table that somebody holds, on the server that goes alone. */
const WAITING = `${PORT}, count(*) FROM held`;
/** What a client may be told: lost, shut down, not now, not the right one, unreachable. */
const CLEAR = new Set(["08006", "57P01", "57P02", "57P03", "08001"]);

for (const [what, failover] of Object.entries(FAILOVERS))
  for (const way of ["relayed", "pooled"] as const)
    t.test(`${way}: ${what}`, async (t) => {
      const name = `${way}-${what.split(" ")[1]}`;
      const servers = await pair(name);
      const { primary, standby } = servers;
      const users = await usersFile(RAW);
      const keys = way === "pooled" ? { ...sharing(users), auth: [{ method: "trust" }] } : {};
      const stack = await before(t, [primary, standby], "target_session_attrs=primary", {
        ...keys,
        breaker: { open_ms: 200 },
        retry: { attempts: 20, backoff_ms: 100 },
      });
      const admin = await primary.connect(DATABASE);
      await admin.query("CREATE TABLE counters (id int PRIMARY KEY, n bigint NOT NULL)");
      await admin.query(`INSERT INTO counters SELECT i, 0 FROM generate_series(1, ${CLIENTS}) i`);
      await admin.query("CREATE TABLE held ()");
      await admin.query("GRANT ALL ON counters, held TO PUBLIC");
      await admin.end();
      const clients = Array.from(
        { length: CLIENTS },
        (_, i) => new CountingClient(i + 1, (name) => login(stack.proxyPort, name), Math.random),
      );
      const sum = (of: (client: CountingClient) => number): number =>
        clients.reduce((total, client) => total + of(client), 0);
      const acknowledged = (): number => sum((client) => client.acknowledged);
      let goesOn = true;
      const counting = Promise.all(clients.map((client) => client.run(() => goesOn)));
      await until("they count", () => acknowledged() > 300);
      // A server whose first process was killed answers what it has begun, if it need not wait; one that is stopped at
      // once does not.
      const stopped = what.endsWith("at once");
      const reading = stopped ? WAITING : SLOW;
      const reader = await login(stack.proxyPort, "reader");
      const holder = stopped ? await primary.connect(DATABASE) : undefined;
      await holder?.query("BEGIN; LOCK TABLE held");
      const read = ask(reader, reading, 240_000);
      await underWay(primary, reading);
      await failover(servers);
      const gone = Date.now();
      const counted = clients.map((client) => client.acknowledged);
      await until("all count again", () => clients.every((client, i) => client.acknowledged > counted[i]! + 5));
      const seconds = (Date.now() - gone) / 1000;
      goesOn = false;
      await counting;
      const readOn = await read;
      await reader.end();
      t.equal(await stack.proxy.end("SIGTERM"), 0);

      const direct = await standby.connect(DATABASE);
      const { rows } = await direct.query("SELECT id, n::int AS n FROM counters ORDER BY id");
      await direct.end();
      const told = new Map(clients.map(({ name }) => [name, { certain: 0, possible: 0, open: new Map() }]));
      const entries: Entry[] = [];
      await stack.eachEntry(
        (entry) => {
          entries.push(entry);
          tell(told, entry);
        },
        ({ kind }) => kind === "source.stop",
      );
      for (const client of clients) {
        const { n } = rows[client.id - 1] as { n: number };
        const [least, most] = client.bounds;
        const { certain, possible } = told.get(client.name)!;
        t.same(client.violations, [], `${client.name}: nothing twice, nothing lost`);
        t.ok(n >= least && n <= most, `${client.name}: ${n} increments, it knows of ${least} to ${most}`);
        t.ok(
          certain <= n && n <= certain + possible,
          `${n} increments, the log tells of ${certain} to ${certain + possible}`,
        );
      }
      const codes = clients.flatMap(({ errors }) => [...errors.keys()]);
      t.same(
        codes.filter((code) => !CLEAR.has(code)),
        [],
        `what they were told is clear: ${[...new Set(codes)].sort()}`,
      );
      const repeated = statements(entries).filter(({ attempts }) => attempts !== undefined);
      t.ok(
        repeated.every((entry) => entry.class === "read"),
        "only reads are asked again",
      );
      const hosts = new Set(
        entries.filter(({ kind }) => kind === "session.start").map(({ server }) => (server as { host: string }).host),
      );
      const expected = (stopped ? { relayed: undefined, pooled: standby } : { relayed: primary, pooled: primary })[way];
      t.equal(readOn, expected && String(expected.port), "the read that was under way");
      if (stopped && way === "pooled") t.ok(repeated.length > 0, `${repeated.length} reads were asked again`);
      if (way === "relayed") {
        t.equal(repeated.length, 0);
        t.same(hosts, new Set([primary, standby].map(({ port }) => `127.0.0.1:${port}`)), "both have served");
      }
      t.comment(
        `${acknowledged()} increments acknowledged, ${sum(({ unanswered }) => unanswered)} not answered, ` +
          `${sum(({ losses }) => losses)} sessions lost, ${repeated.length} reads asked again, ` +
          `all count again ${seconds.toFixed(1)} s behind the failover`,
      );
      const { code, stdout, stderr } = await stack.verifier("audit");
      t.equal(code, 0, code === 0 ? "the audit passes" : stdout + stderr);
      await stack.destroy();
      await servers.stop();
    });

t.end();

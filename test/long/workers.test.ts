// Several worker processes behind one port: one limit, one cancel space, and what becomes of one that is killed.
import { readdirSync, readFileSync, readlinkSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Postgres } from "@vitrine/cli";
import { formatVerifier, makeVerifier } from "@vitrine/proxy";
import pg from "pg";
import t, { type Test } from "tap";
import { errorField, RawClient, send, startupPacket } from "../support/raw-client.ts";
import { Gate, login, RAW, trust, until } from "../support/sessions.ts";
import {
  DATABASE,
  freePort,
  Stack,
  type StackOptions,
  startDatabase,
  statements,
  temporaryFolder,
} from "../support/stack.ts";

const folder = temporaryFolder("workers");
const PASSWORD = "of the operator";
let database: Postgres;

t.before(async () => {
  database = await startDatabase(folder);
  await trust(database, folder);
});

t.after(async () => {
  await database?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function started(t: Test, options: StackOptions): Promise<Stack> {
  const stack = await (await Stack.create(database, options)).start();
  t.teardown(() => stack.destroy());
  return stack;
}

/** Process ids of the workers. */
function workers(stack: Stack): number[] {
  const { pid } = stack.proxy;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1");
  return children.trim().split(" ").filter(Boolean).map(Number);
}

/** Whether a process has a file open whose path has this in it. */
function hasOpen(pid: number, part: string): boolean {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).some((fd) => {
    try {
      return readlinkSync(`${folder}/${fd}`).includes(part);
    } catch {
      return false; // closed meanwhile
    }
  });
}

/** Logs in one after the other: of many at once a worker that is slow to say that it has one gets fewer, or none. */
async function logins(stack: Stack, count: number, name: string): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  while (clients.length < count) clients.push(await login(stack.proxyPort, `${name}-${clients.length}`));
  return clients;
}

/** The source that records a client's session: each worker is one of its own. */
async function sourceOf(client: RawClient): Promise<string> {
  client.write(send.query("SHOW vitrine.session"));
  const row = (await client.ready()).find(({ type }) => type === "D");
  return (JSON.parse(row!.bytes.subarray(11).toString("utf8")) as { source: string }).source;
}

/** A file with somebody who may use the console. */
async function operator(): Promise<string> {
  const verifier = formatVerifier(await makeVerifier(PASSWORD));
  const lines = [`secret=${Buffer.alloc(32, 1).toString("base64")}`, `"ops" "${verifier}"`, '"raw" ""', ""];
  const file = join(folder, "users");
  writeFileSync(file, lines.join("\n"), { mode: 0o600 });
  return file;
}

interface Keyed {
  readonly client: RawClient;
  /** What a cancel request for it names: the process and the secret. */
  readonly key: Buffer;
}

async function keyed(stack: Stack): Promise<Keyed> {
  const client = await RawClient.open(stack.proxyPort);
  client.write(startupPacket({ user: RAW, database: DATABASE }));
  const messages = await client.until((seen) => seen.some(({ type }) => type === "Z"));
  return { client, key: messages.find(({ type }) => type === "K")!.bytes.subarray(5) };
}

/** Asks, by a connection of its own, that what runs there be cancelled. */
async function canceller(stack: Stack, { key }: Keyed): Promise<RawClient> {
  const client = await RawClient.open(stack.proxyPort);
  const head = Buffer.alloc(8);
  head.writeInt32BE(8 + key.length);
  head.writeInt32BE(80877102, 4);
  client.write(head, key);
  return client;
}

/** Does it while a worker does nothing. */
async function without(pid: number, work: () => Promise<void>): Promise<void> {
  process.kill(pid, "SIGSTOP");
  try {
    await until("it stands still", () => readFileSync(`/proc/${pid}/stat`, "latin1").includes(") T "));
    await work();
  } finally {
    process.kill(pid, "SIGCONT");
  }
}

/** The operator, at the console of whichever worker. */
async function seat(stack: Stack): Promise<pg.Client> {
  const at = new pg.Client({
    host: "127.0.0.1",
    port: stack.proxyPort,
    user: "ops",
    password: PASSWORD,
    database: "vitrine",
  });
  await at.connect();
  // The end is what they are told last.
  at.on("error", () => undefined);
  return at;
}

/** The SQLSTATE that a login is refused with, or the client. */
async function attempt(stack: Stack): Promise<RawClient | string> {
  const client = await RawClient.open(stack.proxyPort);
  client.write(startupPacket({ user: RAW, database: DATABASE }));
  const messages = await client.until((seen) => seen.some(({ type }) => type === "Z" || type === "E"));
  const error = messages.find(({ type }) => type === "E");
  return error === undefined ? client : (errorField(error, "C") ?? "");
}

async function audited(stack: Stack): Promise<string> {
  const { code, stdout, stderr } = await stack.verifier("audit");
  return code === 0 ? "" : stdout + stderr;
}

t.test("one is killed under load: the others notice nothing, and what it had begun is unknown", async (t) => {
  const stack = await started(t, { workers: 3 });
  const [one] = workers(stack);
  t.equal(workers(stack).length, 3);
  const clients = await logins(stack, 9, "load");
  const gate = await Gate.closed(database);
  for (const client of clients) client.write(send.query(`SELECT ${Gate.WAIT}; SELECT 2`));
  await gate.held(9);
  process.kill(one!, "SIGKILL");
  await until("its clients are cut off", () => clients.some(({ closed }) => closed));
  await gate.open();
  const answers = await Promise.all(clients.map((client) => client.ready()));
  const cut = clients.filter(({ closed }) => closed).length;
  t.ok(cut > 0 && cut < 9, `${cut} were with the one that was killed`);
  t.equal(answers.filter((messages) => messages.some(({ type }) => type === "Z")).length, 9 - cut);
  await until("another one took its place", async () => workers(stack).length === 3 && !workers(stack).includes(one!));
  await until("it serves", async () => /worker \d serves again/.test(stack.proxy.output));
  for (const client of clients) if (!client.closed) await client.end();
  for (const client of await logins(stack, 6, "later")) await client.end();
  t.equal(await stack.proxy.end("SIGTERM"), 0);
  const entries = await stack.settled((all) => all.filter(({ kind }) => kind === "source.stop").length === 3);
  const unknown = statements(entries).filter(({ outcome }) => outcome === "unknown");
  t.equal(unknown.length, 2 * cut, "two statements of each of its clients");
  t.equal(new Set(unknown.map(({ source }) => source)).size, 1);
  t.ok(unknown.every(({ recovered }) => recovered !== undefined));
  t.equal(new Set(entries.map(({ source }) => source)).size, 3, "three sources");
  t.equal(await audited(stack), "");
});

t.test("a request to cancel reaches the session whichever worker it comes to", async (t) => {
  const stack = await started(t, { workers: 2 });
  const clients = await Promise.all(Array.from({ length: 6 }, () => keyed(stack)));
  for (const { client } of clients) client.write(send.query("SELECT pg_sleep(20)"));
  for (const one of clients) {
    const { client } = one;
    // Again until it is heard: a request may come before the statement.
    const answer = client.ready();
    let heard = false;
    answer.then(() => {
      heard = true;
    });
    await until("it is cancelled", async () => {
      const asked = await canceller(stack, one);
      await asked.until(() => asked.closed);
      return heard;
    });
    const error = (await answer).find(({ type }) => type === "E");
    t.equal(errorField(error!, "C"), "57014");
  }
  const stranger = await RawClient.open(stack.proxyPort);
  stranger.write(Buffer.from([0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 0, 0, 0, 2]));
  await stranger.until(() => stranger.closed);
  for (const { client } of clients) await client.end();
});

t.test("a request to cancel is over when it was delivered, whichever worker it comes to", async (t) => {
  const LIMIT_MS = 5_000;
  const stack = await started(t, { workers: 3 });
  const session = await keyed(stack);
  const number = Number(/worker-(\d)$/.exec(await sourceOf(session.client))?.[1] ?? 1);
  const numberOf = (pid: number): number => [2, 3].find((n) => hasOpen(pid, `.worker-${n}/`)) ?? 1;
  const its = workers(stack).find((pid) => numberOf(pid) === number)!;
  const other = workers(stack).find((pid) => pid !== its)!;
  const ask = async (count: number): Promise<RawClient[]> => {
    const asked: RawClient[] = [];
    while (asked.length < count) asked.push(await canceller(stack, session));
    return asked;
  };
  const over = (asked: readonly RawClient[]): number => asked.filter(({ closed }) => closed).length;

  // A worker that does nothing is given one connection, and no other before it has taken that.
  const first: RawClient[] = [];
  await without(other, () =>
    until("a worker that has nothing to do with it is not waited for", async () => {
      const begun = performance.now();
      const asked = await ask(6);
      first.push(...asked);
      await until("they are over", () => over(asked) >= 5);
      return performance.now() - begun < LIMIT_MS;
    }),
  );
  // The one that it was given would hit what comes next.
  await until("all are over", () => over(first) === first.length);

  const gate = await Gate.closed(database);
  session.client.write(send.query(`SELECT ${Gate.WAIT}`));
  await gate.held(1);
  await without(its, async () => {
    const begun = performance.now();
    const asked = await ask(6);
    // The workers that they come to have read what they sent when they have served those that come behind.
    await logins(stack, 4, "behind");
    const early = over(asked);
    t.ok(early === 0 || performance.now() - begun >= LIMIT_MS, `${early} were over before they were delivered`);
    await until("it is not waited for without end", () => over(asked) >= 5);
  });
  const error = (await session.client.ready()).find(({ type }) => type === "E");
  t.equal(errorField(error!, "C"), "57014");
  await gate.open();
});

t.test("one limit of clients, wherever they are", async (t) => {
  const stack = await started(t, { workers: 2, limits: { clients: 5 } });
  const first = await Promise.all(Array.from({ length: 12 }, () => attempt(stack)));
  const inside = first.filter((one) => typeof one !== "string");
  t.equal(inside.length, 5);
  t.same(new Set(first.filter((one) => typeof one === "string")), new Set(["53300"]));
  for (const client of inside) await client.end();
  await until("all five places are free again, on whichever worker", async () => {
    const again = await Promise.all(Array.from({ length: 5 }, () => attempt(stack)));
    for (const one of again) if (typeof one !== "string") await one.end();
    return again.every((one) => typeof one !== "string");
  });
});

t.test("one status address, one reload, and all sources in one audit", async (t) => {
  const port = await freePort();
  const stack = await started(t, { workers: 2, proxyKeys: { status: `127.0.0.1:${port}` } });
  for (const client of await logins(stack, 4, "counted")) await client.end();
  const scrape = async (): Promise<string> => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const metrics = await scrape();
  t.match(metrics, /^vitrine_proxy_sessions_total 4$/m);
  t.match(metrics, /^vitrine_proxy_workers 2$/m);
  t.match(metrics, /^vitrine_proxy_connect_seconds_count 4$/m);
  t.match(metrics, /^process_cpu_seconds_total /m);
  const health = await fetch(`http://127.0.0.1:${port}/healthz`);
  t.equal(health.status, 200);
  t.match(await health.json(), { status: "ok" });
  process.kill(stack.proxy.pid!, "SIGHUP");
  await until(
    "it was read again",
    async () => stack.proxy.output.match(/config\.changed: configuration [0-9a-f]+: unchanged/g)?.length === 2,
  );
  for (const [i, pid] of workers(stack).entries()) {
    process.kill(pid, "SIGKILL");
    await until("another serves", () => stack.proxy.output.match(/worker \d serves again/g)?.length === i + 1);
  }
  for (const client of await logins(stack, 1, "behind them")) await client.end();
  const later = await scrape();
  t.match(later, /^vitrine_proxy_sessions_total 5$/m, "none of those who counted the others is left");
  t.match(later, /^vitrine_proxy_connect_seconds_count 5$/m);
  t.match(later, /^vitrine_proxy_worker_ends_total 2$/m);
  t.equal(await stack.proxy.end("SIGTERM"), 0);
  await stack.settled((all) => all.filter(({ kind }) => kind === "source.stop").length === 2);
  t.equal(await audited(stack), "");
});

t.test("the console of any worker is that of all", async (t) => {
  const users = await operator();
  const stack = await started(t, {
    workers: 2,
    proxyKeys: {
      users,
      auth: [{ user: RAW, database: DATABASE, method: "trust" }],
      upstream_auth: ["trust"],
      // Each worker has pools of its own, and clients do not come to them in equal numbers.
      pool: { mode: "transaction", size: 6 },
      console: { users: ["ops"] },
    },
  });
  const clients = await logins(stack, 6, "seen");
  for (const client of clients) {
    client.write(send.query("BEGIN"));
    await client.ready();
  }
  const consoles = [await seat(stack), await seat(stack)];
  const show = async (at: pg.Client, what: string): Promise<Record<string, unknown>[]> =>
    (await at.query(`SHOW ${what}`)).rows;
  for (const at of consoles) {
    const seen = (await show(at, "CLIENTS")).filter(({ user }) => user === RAW);
    t.equal(seen.length, 6);
    t.same(new Set(seen.map(({ worker }) => worker)), new Set(["1", "2"]));
    t.match(await show(at, "POOLS"), [{ user: RAW, cl_active: "6", sv_active: "6" }]);
    t.equal((await show(at, "SERVERS")).length, 6);
    t.match(await show(at, "DATABASES"), [
      { name: DATABASE, current_connections: "6", current_client_connections: "6" },
    ]);
    t.match(await show(at, "USERS"), [{ name: RAW, current_client_connections: "6" }]);
    const lists = new Map((await show(at, "LISTS")).map(({ list, items }) => [list, items]));
    t.same([lists.get("pools"), lists.get("used_servers"), lists.get("databases")], ["1", "6", "1"]);
    const totals = new Map((await show(at, "POOL_TOTALS")).map(({ name, count }) => [name, count]));
    t.equal(totals.get("opened"), "6");
    t.match(await show(at, "STATS_TOTALS"), [{ database: DATABASE, session_count: "6" }]);
    t.same(
      (await show(at, "SPOOL")).map(({ worker }) => worker),
      ["1", "2"],
    );
    t.match(await show(at, "STATE"), [{ key: "active", value: "yes" }, { value: "no" }, { value: "no" }]);
    t.equal((await show(at, "VERSION")).length, 1);
  }
  const [one, other] = consoles as [pg.Client, pg.Client];
  // What one worker calls so another may as well.
  const ids = (await show(one, "CLIENTS")).filter(({ user }) => user === RAW);
  const twice = ids.find(({ id, worker }) => ids.some((more) => more.id === id && more.worker !== worker));
  if (twice !== undefined) {
    await t.rejects(one.query(`KILL_CLIENT ${twice.id}`), { code: "55000", message: /name the worker/ });
  }
  await one.query(`KILL_CLIENT ${ids[0]!.id} ${ids[0]!.worker}`);
  await until(
    "one has ended",
    async () => (await show(other, "CLIENTS")).filter(({ user }) => user === RAW).length === 5,
  );
  await t.rejects(one.query("KILL_CLIENT 99.99"), { code: "55000" });
  // A pause is everywhere, and waits for everybody.
  let quiet = false;
  const paused = one.query(`PAUSE ${DATABASE}`).then(() => {
    quiet = true;
  });
  await until("it is paused", async () => (await show(other, "POOLS"))[0]?.paused === "1");
  for (const client of clients) {
    t.notOk(quiet, "one is still in its transaction");
    if (client.closed) continue;
    client.write(send.query("COMMIT"));
    await client.ready();
  }
  await paused;
  const open = clients.filter(({ closed }) => !closed);
  let answered = 0;
  const answers = open.map(async (client) => {
    client.write(send.query("SELECT 1"));
    await client.ready();
    answered += 1;
  });
  t.equal((await show(other, "CLIENTS")).filter(({ user }) => user === RAW).length, 5);
  t.equal(answered, 0, "they wait");
  await other.query(`RESUME ${DATABASE}`);
  await Promise.all(answers);
  await t.rejects(other.query(`RESUME ${DATABASE}`), { code: "55000" });
  // A worker that comes later is brought to where the others are.
  await one.query("PAUSE");
  const [killed] = workers(stack);
  process.kill(killed!, "SIGKILL");
  await until("another one serves", async () => /worker \d serves again/.test(stack.proxy.output));
  const desk = await seat(stack);
  await until("it is paused everywhere", async () => (await show(desk, "STATE"))[1]?.value === "yes");
  const late = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const client = await RawClient.open(stack.proxyPort);
      client.write(startupPacket({ user: RAW, database: DATABASE }));
      return client;
    }),
  );
  const inside = late.map((client) => client.until((seen) => seen.some(({ type }) => type === "Z")));
  t.equal(await Promise.race([...inside, new Promise((resolve) => setTimeout(resolve, 500, "nobody"))]), "nobody");
  await desk.query("RESUME");
  await Promise.all(inside);
  for (const client of late) await client.end();
  await desk.query("RECONNECT");
  await until("the server connections are gone", async () => (await show(desk, "SERVERS")).length === 0);
  await desk.query("RELOAD");
  await until("it is told", () => /console\.command: RELOAD/.test(stack.proxy.output));
  await desk.query("SHUTDOWN WAIT_FOR_CLIENTS");
  for (const client of open) if (!client.closed) await client.end();
  t.same(await stack.proxy.ended(60_000), { code: 0, signal: null });
  for (const at of [...consoles, desk]) await at.end().catch(() => undefined);
});

t.test("whatever is wrong with files by now, a worker that was killed costs nobody else anything", async (t) => {
  const stack = await started(t, { workers: 2 });
  const file = join(stack.folder, "proxy.yaml");
  const text = readFileSync(file, "utf8");
  const said = (what: RegExp): number => stack.proxy.output.match(new RegExp(what, "g"))?.length ?? 0;
  const second = workers(stack).find((pid) => hasOpen(pid, ".worker-2/"))!;
  const clients = await logins(stack, 4, "stays");
  const sources = await Promise.all(clients.map(sourceOf));
  t.equal(new Set(sources).size, 2, "both have some");
  writeFileSync(file, `${text}limits: { clients: 7 }\n`);
  process.kill(stack.proxy.pid!, "SIGHUP");
  await until("each has taken it", () => said(/ config\.changed: .*changed limits\.clients/) === 2);
  writeFileSync(file, "nothing of this is a configuration");
  const key = join(stack.folder, "source.key.worker-2");
  renameSync(key, `${key}.away`);
  process.kill(second, "SIGKILL");
  await until("it was tried often enough", () => said(/worker 2 could not start again: .*source\.key\.worker-2/) >= 4);
  const gone = (): Set<string> => new Set(sources.filter((_, i) => clients[i]!.closed));
  await until("the clients of one are gone", () =>
    clients.every(({ closed }, i) => closed === gone().has(sources[i]!) && gone().size > 0),
  );
  t.equal(gone().size, 1, "and no others");
  const left = clients.filter(({ closed }) => !closed);
  for (const client of left) {
    client.write(send.query("SELECT 1"));
    await client.ready();
    t.equal(client.closed, false);
  }
  renameSync(`${key}.away`, key);
  await until("it is in its place", () => said(/worker 2 serves again/) === 1);
  t.equal(said(/worker [12] could not start again: .*proxy\.yaml/), 0);
  const more = await Promise.all(Array.from({ length: 7 - left.length }, (_, i) => login(stack.proxyPort, `new-${i}`)));
  t.equal(more.filter(({ closed }) => closed).length, 0, "all at once, up to the limit");
  t.equal(await attempt(stack), "53300", "it has taken what was in force");
});

t.test("a worker that is beginning when the configuration is read again takes it too", async (t) => {
  const stack = await started(t, { workers: 2 });
  const file = join(stack.folder, "proxy.yaml");
  const second = workers(stack).find((pid) => hasOpen(pid, ".worker-2/"))!;
  // One that begins asks the log for its source, and waits some seconds for an answer.
  process.kill(stack.log.pid!, "SIGSTOP");
  process.kill(second, "SIGKILL");
  await until("its successor has begun with the configuration that was", () =>
    workers(stack).some((pid) => pid !== second && hasOpen(pid, ".worker-2/")),
  );
  writeFileSync(file, `${readFileSync(file, "utf8")}limits: { clients: 7 }\n`);
  process.kill(stack.proxy.pid!, "SIGHUP");
  const taken = (): number => stack.proxy.output.match(/ config\.changed: .*changed limits\.clients/g)?.length ?? 0;
  await until("the other one has taken it", () => taken() >= 1);
  process.kill(stack.log.pid!, "SIGCONT");
  await until("it serves", () => /worker 2 serves again/.test(stack.proxy.output));
  await until("both have taken it", () => taken() === 2);
});

t.test("no worker is left: the proxy stays, and tries again until they can begin", async (t) => {
  const stack = await started(t, { workers: 2 });
  const file = join(stack.folder, "proxy.yaml");
  writeFileSync(file, readFileSync(file, "utf8").replace(/^log:\n/m, "log:\n  format: json\n"));
  process.kill(stack.proxy.pid!, "SIGHUP");
  await until("each has taken it", () => stack.proxy.output.match(/changed log\.format/g)?.length === 2);
  const before = stack.proxy.output.length;
  const keys = ["source.key", "source.key.worker-2"].map((name) => join(stack.folder, name));
  for (const key of keys) renameSync(key, `${key}.away`);
  for (const pid of workers(stack)) process.kill(pid, "SIGKILL");
  const said = (what: RegExp): boolean => what.test(stack.proxy.output);
  // One that fails twice before the other fails once is the fifth end within a minute.
  await Promise.all(
    keys.map(async (key, i) => {
      await until(`${i + 1} could not begin`, () => said(new RegExp(`worker ${i + 1} could not start again`)));
      renameSync(`${key}.away`, key);
    }),
  );
  await until("both serve", () => said(/worker 1 serves again/) && said(/worker 2 serves again/));
  await (await login(stack.proxyPort, "later")).end();
  for (const line of stack.proxy.output.slice(before).trim().split("\n")) {
    if (!line.startsWith("vitrine: ")) t.type(JSON.parse(line), Object);
  }
  t.equal(await stack.proxy.end("SIGTERM"), 0);
});

t.test("a worker that ends while the proxy waits for its last clients is not followed, nor waited for", async (t) => {
  const users = await operator();
  const stack = await started(t, {
    workers: 2,
    proxyKeys: {
      users,
      auth: [{ user: RAW, database: DATABASE, method: "trust" }],
      upstream_auth: ["trust"],
      console: { users: ["ops"] },
    },
  });
  const clients = await logins(stack, 2, "last");
  const sources = await Promise.all(clients.map(sourceOf));
  t.equal(new Set(sources).size, 2, "one at each");
  const desk = await seat(stack);
  await desk.query("SHUTDOWN WAIT_FOR_CLIENTS");
  await desk.end().catch(() => undefined);
  const [one, two] = workers(stack);
  process.kill(one!, "SIGKILL");
  await until("its client is cut", () => clients.some(({ closed }) => closed));
  const [other] = clients.filter(({ closed }) => !closed);
  other!.write(send.query("SELECT 1"));
  t.ok(
    (await other!.ready()).some(({ type }) => type === "Z"),
    "the other one is served",
  );
  const line = /worker \d ended by itself: killed by SIGKILL; the next start records what it had begun/;
  await until("it is told", () => line.test(stack.proxy.output));
  t.same(workers(stack), [two]);
  await other!.end();
  t.same(await stack.proxy.ended(30_000), { code: 0, signal: null });
});

t.test("workers that end again and again end the proxy, which says so", async (t) => {
  const stack = await started(t, { workers: 2 });
  const killed = new Set<number>();
  for (let i = 1; i <= 5; i += 1) {
    await until(
      "another one took its place",
      async () => workers(stack).filter((pid) => !killed.has(pid)).length === 2,
    );
    const [next] = workers(stack);
    killed.add(next!);
    process.kill(next!, "SIGKILL");
  }
  const end = await stack.proxy.ended(60_000);
  t.same(end, { code: 1, signal: null });
  t.match(stack.proxy.output, /worker_failed: 5 workers ended within a minute, .*SIGKILL/);
});

t.test("a worker that cannot start: none does, and the reason is told", async (t) => {
  const stack = await Stack.create(database, { workers: 2 });
  t.teardown(() => stack.destroy());
  await stack.log.start();
  rmSync(`${stack.folder}/source.key.worker-2`);
  const { code, output } = await stack.proxy.run();
  t.equal(code, 1);
  t.match(output, /bad_key: .*source\.key\.worker-2/);
});

t.end();

// Connections break at the worst places, and the database goes down: nothing happens twice, nothing that was
// acknowledged is lost, and the log says the same.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Postgres, startPostgres } from "@vitrine/cli";
import t from "tap";
import { CountingClient, tell } from "../support/counting-client.ts";
import { FaultRelay, PLACES } from "../support/fault-relay.ts";
import { login, RAW, trust } from "../support/sessions.ts";
import { DATABASE, runNode, Stack, startDatabase, temporaryFolder, VITRINE } from "../support/stack.ts";

/** Of each way. On two busy cores a thousand take about a second: COUNTER_OPERATIONS=500000 for more. */
const OPERATIONS = Number(process.env.COUNTER_OPERATIONS ?? 15_000);
const CLIENTS = Number(process.env.COUNTER_CLIENTS ?? 16);
const RESTARTS = 4;

const seed = Number(process.env.COUNTER_SEED ?? Date.now() % 1_000_000);
let state = seed;
/** Mulberry32: a run can be repeated as far as its own choices go. */
function random(): number {
  state = (state + 0x6d2b79f5) % 2 ** 32;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
}

const folder = temporaryFolder("counter");
let database: Postgres;

t.after(async () => {
  await database?.stop();
  rmSync(folder, { recursive: true, force: true });
});

t.before(async () => {
  database = await startDatabase(folder);
  await trust(database, folder);
});

/** The proxy's keys where it lets clients in itself and has their statements run on connections that they share. */
async function pooling(): Promise<Record<string, unknown>> {
  const users = join(folder, "users.txt");
  const added = await runNode(VITRINE, ["proxy", "user", "add", RAW, "--file", users, "--no-password"]);
  if (added.code !== 0) throw new Error(added.stderr);
  const keys = { auth: [{ method: "trust" }], users, upstream_auth: ["trust"] };
  return { ...keys, pool: { mode: "transaction", size: CLIENTS / 2 } };
}

const WAYS = (process.env.COUNTER_WAYS ?? "relayed,pooled").split(",");

for (const way of WAYS)
  t.test(`${way}: ${OPERATIONS} operations, seed ${seed}`, async (t) => {
    const relay = await new FaultRelay(random).listen();
    t.teardown(() => relay.close());
    relay.target = database.port;
    const stack = await Stack.create(
      { ...database, port: relay.port },
      {
        logKeys: { limits: { requests_per_second: 100_000 } },
        proxyKeys: { breaker: { open_ms: 50 }, ...(way === "pooled" ? await pooling() : {}) },
      },
    );
    t.teardown(() => stack.destroy());
    await stack.start();
    const admin = await database.connect(DATABASE);
    await admin.query("DROP TABLE IF EXISTS counters");
    await admin.query("CREATE TABLE counters (id int PRIMARY KEY, n bigint NOT NULL)");
    await admin.query(`INSERT INTO counters SELECT i, 0 FROM generate_series(1, ${CLIENTS}) i`);
    await admin.query("GRANT ALL ON counters TO PUBLIC");
    await admin.end();

    const begun = Date.now();
    relay.probability = 0.02;
    const clients = Array.from(
      { length: CLIENTS },
      (_, i) => new CountingClient(i + 1, (name) => login(stack.proxyPort, name), random),
    );
    const done = (): number => clients.reduce((sum, { operations }) => sum + operations, 0);
    const counting = Promise.all(clients.map((client) => client.run(() => done() < OPERATIONS)));
    for (let i = 1; i <= RESTARTS; i += 1) {
      while (done() < (OPERATIONS * i) / (RESTARTS + 1)) await sleep(20);
      // In turn: sessions are told, and an immediate shutdown, which is a crash.
      if (i % 2 === 0) process.kill(database.pid, "SIGQUIT");
      else await database.stop();
      await database.ended;
      database = await startPostgres({
        folder: join(folder, "postgres"),
        passwordFile: join(folder, "superuser"),
        logFile: join(folder, "postgres.log"),
      });
      relay.target = database.port;
    }
    await counting;
    relay.probability = 0;
    const seconds = (Date.now() - begun) / 1000;
    t.equal(await stack.proxy.end("SIGTERM"), 0);
    // What was cut off may still run: its backend is gone when it is done.
    const direct = await database.connect(DATABASE);
    for (let busy = 1; busy > 0; ) {
      await sleep(50);
      const found = await direct.query(
        "SELECT count(*)::int AS busy FROM pg_stat_activity WHERE application_name LIKE 'counter-%'",
      );
      busy = found.rows[0].busy as number;
    }
    const rows = (await direct.query("SELECT id, n::int AS n FROM counters ORDER BY id")).rows as {
      id: number;
      n: number;
    }[];
    await direct.end();

    const told = new Map(clients.map(({ name }) => [name, { certain: 0, possible: 0, open: new Map() }]));
    let entries = 0;
    let repeated = 0;
    await stack.eachEntry(
      (entry) => {
        entries += 1;
        if (entry.kind === "statement" && entry.attempts !== undefined) {
          repeated += 1;
          if (entry.class !== "read") t.fail(`${entry.operation} was sent ${entry.attempts} times`);
        }
        tell(told, entry);
      },
      ({ kind }) => kind === "source.stop",
    );
    for (const client of clients) {
      const n = rows.find(({ id }) => id === client.id)!.n;
      const [least, most] = client.bounds;
      const { certain, possible } = told.get(client.name)!;
      t.same(client.violations, [], client.name);
      t.ok(n >= least && n <= most, `${client.name}: ${n} increments, it knows of ${least} to ${most}`);
      t.ok(
        client.acknowledged <= certain,
        `${client.name}: the log has all ${client.acknowledged} that it was told of`,
      );
      t.ok(
        certain <= n && n <= certain + possible,
        `${client.name}: ${n} increments, the log tells of ${certain} to ${certain + possible}`,
      );
    }
    const sum = (of: (client: CountingClient) => number): number =>
      clients.reduce((total, client) => total + of(client), 0);
    const lines = [
      `${done()} operations in ${seconds.toFixed(0)} s by ${CLIENTS} clients`,
      `${sum(({ acknowledged }) => acknowledged)} increments acknowledged, ${sum(({ unanswered }) => unanswered)} not answered, ${sum(({ reads }) => reads)} reads`,
      `${relay.sum} cuts (${PLACES.map((place) => `${place} ${relay.cuts[place]}`).join(", ")}), ${RESTARTS} restarts, ${sum(({ losses }) => losses)} connections lost`,
      `${rows.reduce((total, { n }) => total + n, 0)} in the database, ${entries} entries, ${repeated} reads sent again`,
    ];
    for (const line of lines) t.comment(line);
    t.ok(
      PLACES.every((place) => relay.cuts[place] > 0),
      "every place was hit",
    );
    t.equal(repeated > 0, way === "pooled", `${repeated} reads were sent again`);
    const { code, stdout, stderr } = await stack.verifier("audit");
    t.equal(code, 0, code === 0 ? "the audit passes" : stdout + stderr);
  });

t.end();

// kill -9 of the proxy and of the log-server, again and again, under load. Afterwards the database, the clients and the
// log must agree: no acknowledged entry lost, none twice, nothing executed that was not announced in the spool.
import { rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Postgres } from "@vitrine/cli";
import type pg from "pg";
import t from "tap";
import { type Entry, Stack, startDatabase, statements, temporaryFolder } from "../support/stack.ts";

const KILLS = Number(process.env.VITRINE_KILLS ?? 36);
const CLIENTS = 8;

const folder = temporaryFolder("kill");
let database: Postgres;
let stack: Stack;

t.before(async () => {
  database = await startDatabase(folder);
  // The statement's text stands in the clear, so that the test can tell which entry is which.
  stack = await Stack.create(database, { sealed: ["params", "error", "client.address"] });
  await stack.start();
  const direct = await stack.client("direct");
  await direct.query("CREATE TABLE ledger (id int PRIMARY KEY)");
  await direct.end();
});

t.after(async () => {
  await stack?.destroy();
  await database?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Clients that insert one number after the other, each in a statement of its own, and reconnect when cut off. */
class Load {
  readonly attempted = new Set<number>();
  readonly acknowledged = new Set<number>();
  readonly unexpected: string[] = [];
  #next = 1;
  #stopping = false;
  readonly #clients: Promise<void>[];

  constructor() {
    this.#clients = Array.from({ length: CLIENTS }, (_, i) => this.#client(i % 2 === 0));
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#clients);
  }

  async #client(simple: boolean): Promise<void> {
    while (!this.#stopping) {
      let client: pg.Client;
      try {
        client = await stack.client();
      } catch {
        // The proxy is down just now.
        await sleep(50);
        continue;
      }
      try {
        while (!this.#stopping) {
          const id = this.#next++;
          this.attempted.add(id);
          const text = `INSERT INTO ledger VALUES (${id})`;
          await (simple ? client.query(text) : client.query({ text, values: [] }));
          this.acknowledged.add(id);
          await client.query("SELECT count(*) FROM ledger WHERE id < 10");
        }
      } catch (error) {
        const { code, message } = error as pg.DatabaseError;
        if (code !== undefined && !["57P01", "ECONNRESET", "EPIPE"].includes(code))
          this.unexpected.push(`${code} ${message}`);
      } finally {
        await client.end().catch(() => undefined);
      }
    }
  }
}

const idOf = (entry: Entry): number | undefined => {
  const match = /^INSERT INTO ledger VALUES \((\d+)\)$/.exec(String(entry.sql));
  return match === null ? undefined : Number(match[1]);
};

t.test(`${KILLS} kills under load`, { timeout: 600_000 }, async (t) => {
  const load = new Load();
  let audits = 0;
  for (let kill = 0; kill < KILLS; kill += 1) {
    // Not a time that means anything: it only spreads the kills over what the processes do.
    await sleep(100 + Math.floor(Math.random() * 400));
    const parts = kill % 5 === 4 ? [stack.log, stack.proxy] : kill % 5 < 3 ? [stack.proxy] : [stack.log];
    await Promise.all(parts.map((part) => part.end("SIGKILL")));
    for (const part of parts) await part.start();
    if (kill % 6 === 5) {
      const head = await stack.verifier("head");
      t.equal(head.code, 0, `after kill ${kill + 1}: ${head.stdout}${head.stderr}`);
      audits += 1;
    }
  }
  await load.stop();
  t.ok(audits >= 5);
  t.same(load.unexpected, [], "no error that a client should not see");
  t.equal(await stack.proxy.end("SIGTERM"), 0);

  const direct = await stack.client("direct");
  const executed = new Set((await direct.query("SELECT id FROM ledger")).rows.map(({ id }) => id as number));
  await direct.end();
  // The last entries are acknowledged; the checkpoint that covers them follows within its interval.
  const entries = statements(await stack.settled((all) => all.at(-1)?.kind === "source.stop"));
  const byId = new Map<number, Entry[]>();
  for (const entry of entries) {
    const id = idOf(entry);
    if (id !== undefined) byId.set(id, [...(byId.get(id) ?? []), entry]);
  }
  const outcomes = [...byId.values()].flat().map(({ outcome }) => outcome);
  t.comment(
    `${KILLS} kills: ${load.attempted.size} statements, ${load.acknowledged.size} acknowledged, ${executed.size} executed, ` +
      `${outcomes.filter((outcome) => outcome === "unknown").length} with an unknown outcome, ${entries.length} statement entries`,
  );
  t.same(
    [...executed].filter((id) => !byId.has(id)),
    [],
    "nothing was executed that is not in the log",
  );
  t.same(
    [...load.acknowledged].filter((id) => !executed.has(id)),
    [],
    "what was acknowledged was executed",
  );
  t.same(
    [...byId].filter(([, all]) => all.length > 1).map(([id]) => id),
    [],
    "nothing is in the log twice",
  );
  t.same(
    [...byId.keys()].filter((id) => !load.attempted.has(id)),
    [],
    "nothing is in the log that nobody asked for",
  );
  t.same([...new Set(outcomes)].sort(), ["completed", "unknown"], "the interrupted ones have an unknown outcome");
  t.same(
    [...byId.values()]
      .flat()
      .filter(
        (entry) => entry.outcome === "unknown" && !executed.has(idOf(entry)!) && load.acknowledged.has(idOf(entry)!),
      ),
    [],
  );

  const audit = await stack.verifier("audit");
  t.equal(audit.code, 0, audit.stdout + audit.stderr);
});

t.end();

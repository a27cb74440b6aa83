// A disk that fails under the proxy, a log that is slow, a clock that steps: clients are told, nothing runs unrecorded,
// and afterwards everything is in the log, or declared to be missing.
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Postgres } from "@vitrine/cli";
import type pg from "pg";
import t, { type Test } from "tap";
import { cannotInject, inject } from "../support/faults.ts";
import { pause, until } from "../support/sessions.ts";
import { DATABASE, type Entry, Stack, startDatabase, statements, temporaryFolder } from "../support/stack.ts";

const folder = temporaryFolder("proxy-faults");
let database: Postgres;
let owner: pg.Client;

t.before(async () => {
  database = await startDatabase(folder);
  owner = await database.connect(DATABASE);
  await owner.query("CREATE TABLE kept (run int, n int, filler text); GRANT ALL ON kept TO PUBLIC");
});

t.after(async () => {
  await owner.end();
  await database.stop();
  rmSync(folder, { recursive: true, force: true });
});

let run = 0;

/** Clients that write until they are told to stop, or are stopped. */
class Writers {
  readonly acknowledged: number[] = [];
  /** SQLSTATEs and codes of what ended them. */
  readonly told: string[] = [];
  readonly #done: Promise<unknown>;
  #next = 0;
  #stopping = false;

  constructor(stack: Stack, number: number, filler: string, clients = 3) {
    this.#done = Promise.all(
      Array.from({ length: clients }, async () => {
        const client = await stack.client("proxied");
        // Who hears it between two statements is told by the next one only that it has ended.
        let heard: Error | undefined;
        client.on("error", (error) => {
          heard ??= error;
        });
        try {
          while (!this.#stopping) {
            const n = this.#next++;
            await client.query(`INSERT INTO kept VALUES (${number}, ${n}, '${filler}')`);
            this.acknowledged.push(n);
          }
        } catch (error) {
          const told = heard ?? (error as Error);
          this.told.push((told as pg.DatabaseError).code ?? told.message);
        } finally {
          await client.end().catch(() => undefined);
        }
      }),
    );
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#done;
  }

  /** Until something has ended them all. */
  ended(): Promise<unknown> {
    return this.#done;
  }
}

/** What was told, executed and logged of a run must fit. */
async function settle(t: Test, stack: Stack, number: number, writers: Writers): Promise<readonly Entry[]> {
  await stack.proxy.end("SIGTERM");
  const { rows } = await owner.query("SELECT n FROM kept WHERE run = $1", [number]);
  const executed = new Set(rows.map(({ n }) => n as number));
  const all = await stack.settled((entries) => entries.at(-1)?.kind === "source.stop");
  const logged = new Map<number, Entry[]>();
  for (const entry of statements(all)) {
    const match = new RegExp(`^INSERT INTO kept VALUES \\(${number}, (\\d+), `).exec(String(entry.sql));
    if (match !== null) logged.set(Number(match[1]), [...(logged.get(Number(match[1])) ?? []), entry]);
  }
  t.same(
    writers.acknowledged.filter((n) => !executed.has(n)),
    [],
    "what was acknowledged was executed",
  );
  t.same(
    [...executed].filter((n) => !logged.has(n)),
    [],
    "what was executed is in the log",
  );
  t.same(
    [...logged.values()].filter((entries) => entries.length !== 1),
    [],
    "once",
  );
  const audit = await stack.verifier("audit");
  t.equal(audit.code, 0, "the audit passes", { stdout: audit.stdout });
  return all;
}

const segments = (stack: Stack): string[] =>
  readdirSync(join(stack.folder, "spool"))
    .filter((name) => name.startsWith("segment-"))
    .map((name) => join(stack.folder, "spool", name));
const record = (stack: Stack): string[] => [join(stack.folder, "spool/submitted")];
/** The next segment, under the name that it has before it is one. */
const spare = (stack: Stack): string[] => ["spare", "spare-new"].flatMap((name) => [join(stack.folder, "spool", name)]);

interface Fault {
  readonly name: string;
  readonly where: (stack: Stack) => string[];
  readonly inject: string;
  /** What clients are told, and whoever comes later; undefined where the process is gone. */
  readonly told: string | undefined;
  /** The first such call from then on, and a later one; a segment is begun seldom. */
  readonly times: readonly number[];
  /** What stands in each statement: so much that segments are soon full, or not. */
  readonly filler: string;
}

function failing(
  what: Pick<Fault, "name" | "where" | "times" | "filler">,
  call: string,
  ...errors: (readonly [error: string, told: string])[]
): Fault[] {
  return [
    ...errors.map(([error, told]) => ({
      ...what,
      name: `${what.name}: ${error}`,
      inject: `${call}:error=${error}`,
      told,
    })),
    { ...what, name: `${what.name}: killed in its place`, inject: `${call}:signal=SIGKILL`, told: undefined },
  ];
}

const OFTEN = { times: [1, 6], filler: "x".repeat(20) };
const SELDOM = { times: [1], filler: "x".repeat(8_000) };
const batch = { name: "a batch of the spool", where: segments, ...OFTEN };
const submitted = { name: "the record of what was submitted", where: record, ...OFTEN };
const next = { name: "the next segment", where: spare, ...SELDOM };
const faults: readonly Fault[] = [
  ...failing(batch, "pwrite64", ["EIO", "58030"], ["ENOSPC", "53100"], ["EDQUOT", "53100"]),
  ...failing(submitted, "pwrite64", ["EIO", "58030"], ["ENOSPC", "53100"]),
  ...failing(next, "openat", ["ENOSPC", "53100"], ["EMFILE", "58030"]),
  ...failing({ ...next, name: "its name" }, "rename", ["EIO", "58030"]),
];

const skip = cannotInject();

for (const { name, where, inject: fault, told, times, filler } of faults) {
  for (const when of times) {
    t.test(`${name}, time ${when}`, { skip }, async (t) => {
      const number = ++run;
      const stack = await (await Stack.create(database, { sealed: [], spool: { max_bytes: 33_554_432 } })).start();
      t.teardown(() => stack.destroy());
      const writers = new Writers(stack, number, filler);
      await until("something is written", () => writers.acknowledged.length > 5);
      await inject(stack.proxy, stack.folder, `${fault}:when=${when}`, where(stack));
      await writers.ended();
      if (told !== undefined) {
        t.same([...new Set(writers.told)], [told], "every client is told why");
        const late = await stack.client("proxied").then(
          () => "let in",
          (error: pg.DatabaseError) => error.code,
        );
        t.equal(late, told, "and so is who comes later");
        t.ok(stack.proxy.running, "the proxy says so for as long as it is asked");
      }
      await stack.proxy.end("SIGKILL");
      await stack.proxy.start();
      await settle(t, stack, number, writers);
    });
  }
}

t.test("a log that takes its time: nobody notices, and all of it arrives", async (t) => {
  const number = ++run;
  let slow = 400;
  const relay = createServer((incoming, outgoing) => {
    const { method, url, headers } = incoming;
    const onward = request({ host: "127.0.0.1", port: target, method, path: url, headers }, (answer) => {
      setTimeout(() => {
        outgoing.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(outgoing);
      }, slow);
    });
    onward.on("error", () => outgoing.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
  const { port } = relay.address() as AddressInfo;
  let target = 0;
  const stack = await Stack.create(database, { sealed: [], logUrl: `http://127.0.0.1:${port}` });
  target = stack.logPort;
  await stack.start();
  t.teardown(async () => {
    await stack.destroy();
    relay.closeAllConnections();
    relay.close();
  });
  const writers = new Writers(stack, number, "x");
  await until("much is written", () => writers.acknowledged.length > 500);
  await writers.stop();
  t.same(writers.told, []);
  slow = 0;
  await settle(t, stack, number, writers);
});

t.test("a clock that steps back, and forth", async (t) => {
  const number = ++run;
  const shift = join(folder, "shift.mjs");
  const offset = join(folder, "offset");
  writeFileSync(offset, "0");
  // The wall clock of the process alone: an hour back, an hour forth, as the file says.
  writeFileSync(
    shift,
    `import { readFileSync } from "node:fs";
     const now = Date.now;
     Date.now = () => now() + Number(readFileSync(${JSON.stringify(offset)}, "utf8"));`,
  );
  const stack = await (
    await Stack.create(database, { sealed: [], proxyEnvironment: { NODE_OPTIONS: `--import ${shift}` } })
  ).start();
  t.teardown(() => stack.destroy());
  const writers = new Writers(stack, number, "x");
  for (const hours of [0, -1, 2, 0]) {
    writeFileSync(offset, String(hours * 3_600_000));
    const before = writers.acknowledged.length;
    await pause(1500);
    await until("it goes on", () => writers.acknowledged.length > before + 20);
  }
  await writers.stop();
  t.same(writers.told, []);
  const all = await settle(t, stack, number, writers);
  const times = all.filter(({ source }) => source === stack.source).map(({ time }) => Date.parse(String(time)));
  t.ok(
    times.some((time, i) => i > 0 && time < times[i - 1]! - 3_000_000),
    "the log shows the step",
  );
});

t.end();

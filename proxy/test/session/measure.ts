/**
 * What a statement costs between the sockets: `node proxy/dist/test/session/measure.js [seconds]`. Sessions as pgbench has
 * them (prepared, 16 at once) go through framer, session, held queue and recorder, with a real spool and a log that
 * answers; nothing is written to a socket. Processor time of the process, in windows of an eighth of a second: the median
 * and the least, as other work on the machine only ever adds to it.
 */
import { fork } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { formatTimestamp, Recorder } from "../../src/audit/index.ts";
import { HeldQueue } from "../../src/client/held.ts";
import { BackendSide } from "../../src/session/backend-side.ts";
import { FrontendSide } from "../../src/session/frontend-side.ts";
import { type Durability, Policy } from "../../src/session/policy.ts";
import { Session, type Shared } from "../../src/session/session.ts";
import { SEALABLE, Values } from "../../src/session/values.ts";
import { Analyzer } from "../../src/statements/index.ts";
import { Framer } from "../../src/wire/framer.ts";
import { newKeys } from "../audit/help.ts";
import { B, F } from "./stage.ts";

const SESSIONS = 16;
const WINDOW_MS = 125;
const TEXT = "SELECT abalance FROM pgbench_accounts WHERE aid = $1;";
const ANSWER = Buffer.concat([B.bound(), B.rowDescription(), B.row("42"), B.complete("SELECT 1"), B.ready()]);

/** The sockets' turns: what is to be read next. */
class Turns {
  #next: (() => void)[] = [];

  push(read: () => void): void {
    this.#next.push(read);
    if (this.#next.length === 1) setImmediate(() => this.#run());
  }

  #run(): void {
    const now = this.#next;
    this.#next = [];
    for (const read of now) read();
  }
}

function play(shared: Shared, turns: Turns, number: number, onDone: () => boolean): void {
  const { recorder } = shared;
  const startup = {
    protocol: "3.0",
    user: "alice",
    database: "bench",
    parameters: new Map([["application_name", "pgbench"]]),
  };
  const session = new Session(shared, startup, `127.0.0.1:${40_000 + number}`, () => `1.${number}`);
  const sink = (write: () => void): ConstructorParameters<typeof HeldQueue>[1] => ({
    write,
    cork: () => undefined,
    uncork: () => undefined,
  });
  let prepared = false;
  const toServer = new HeldQueue(
    recorder,
    sink(() => prepared && turns.push(answer)),
    () => undefined,
  );
  const toClient = new HeldQueue(
    recorder,
    sink(() => onDone() && turns.push(ask)),
    () => undefined,
  );
  const forward = (bytes: Buffer, wait: number, whole: boolean): void => toServer.push(bytes, wait, whole);
  const outlet = { forward, completed: () => undefined, terminated: () => undefined };
  const fromClient = new Framer(new FrontendSide(session, outlet, { statementBytes: 1 << 26 }));
  const fromServer = new Framer(new BackendSide(session));
  const asks = Array.from({ length: 100 }, (_, i) =>
    Buffer.concat([F.bind("P_0", "", [String(100_000 + i)]), F.describe("P"), F.execute(), F.sync()]),
  );
  let asked = 0;
  const ask = (): void => {
    fromClient.feed(asks[asked++ % asks.length]!);
    toServer.flush();
  };
  const answer = (): void => {
    fromServer.feed(ANSWER);
    toClient.push(ANSWER, session.gate, fromServer.atBoundary);
    toClient.flush();
  };
  fromServer.feed(Buffer.concat([B.auth(0), B.ready()]));
  fromClient.feed(Buffer.concat([F.parse(TEXT, "P_0"), F.sync()]));
  toServer.flush();
  fromServer.feed(Buffer.concat([B.parsed(), B.ready()]));
  prepared = true;
  turns.push(ask);
}

async function measure(name: string, reads: Durability, others: Durability, seconds: number): Promise<void> {
  const keys = newKeys("measure.example");
  const log = fork(fileURLToPath(new URL("easy-log.js", import.meta.url)), [keys.vkey]);
  const port = await new Promise<number>((resolve) => log.once("message", (message) => resolve(Number(message))));
  const dir = await mkdtemp(join(tmpdir(), "vitrine-measure-"));
  const recorder = await Recorder.open({
    key: keys.skey,
    spool: { dir, maxBytes: 1024 ** 3, maxAgeMs: 900_000 },
    record: { path: join(dir, "submitted") },
    log: { url: `http://127.0.0.1:${port}`, vkey: newKeys("log.example").vkey },
    software: { name: "measure", version: "1" },
    configDigest: "00".repeat(32),
    durability: { reads, others, windowMs: 200 },
  });
  const values = new Values(SEALABLE, 1 << 23);
  const policy = new Policy(reads, others);
  const shared = { recorder, analyzer: await Analyzer.load(), values, policy, clock: () => formatTimestamp() };
  const turns = new Turns();
  let done = 0;
  let over = false;
  let running = SESSIONS;
  const onDone = (): boolean => {
    done += 1;
    if (over) running -= 1;
    return !over;
  };
  for (let i = 0; i < SESSIONS; i += 1) play(shared, turns, i, onDone);
  await sleep(1500);
  const costs: number[] = [];
  for (const end = performance.now() + seconds * 1000; performance.now() < end; ) {
    const before = done;
    const cpu = process.cpuUsage();
    await sleep(WINDOW_MS);
    const { user, system } = process.cpuUsage(cpu);
    costs.push((user + system) / (done - before));
  }
  over = true;
  while (running > 0) await sleep(10);
  costs.sort((a, b) => a - b);
  const { commits, entries } = recorder.stats();
  console.log(
    `${name}: ${costs[costs.length >> 1]!.toFixed(1)} µs a statement, at least ${costs[0]!.toFixed(1)}; ` +
      `${(entries / commits).toFixed(1)} entries a commit`,
  );
  await recorder.stop("shutdown", 60_000);
  log.kill();
  await rm(dir, { recursive: true });
}

const seconds = Number(process.argv[2] ?? 4);
await measure("relaxed", "relaxed", "relaxed", seconds);
await measure("default", "before-result", "before-execute", seconds);

/**
 * What pooling itself costs: `node proxy/dist/test/pool/measure.js`. A client's messages go through a Front to a server
 * that answers at once from memory, so that nothing is measured but the way between; processor time, the best of five.
 */
import { Duplex } from "node:stream";
import { type LetIn, Pools, pooled } from "../../src/pool/index.ts";
import { B, F } from "../session/stage.ts";
import { analyzer, OpenDoor, SETTINGS } from "./help.ts";

const ROUNDS = 20_000;

/** Answers each write with the same bytes. */
class Server extends Duplex {
  answer: Buffer = Buffer.alloc(0);

  override _write(_chunk: Buffer, _encoding: string, done: () => void): void {
    this.push(this.answer);
    done();
  }

  override _writev(_chunks: unknown, done: () => void): void {
    this.push(this.answer);
    done();
  }

  override _read(): void {}
}

const row = B.row("x".repeat(40));
const done = [B.complete("SELECT 1"), B.ready()];
const loads: readonly { name: string; ask: Buffer; answer: Buffer; rounds: number }[] = [
  {
    name: "simple query",
    ask: F.query("SELECT 1"),
    answer: Buffer.concat([B.rowDescription(), row, ...done]),
    rounds: ROUNDS,
  },
  {
    name: "unnamed statement",
    ask: Buffer.concat([F.parse("SELECT $1::text"), F.bind("", "", ["x"]), F.execute(), F.sync()]),
    answer: Buffer.concat([B.parsed(), B.bound(), row, ...done]),
    rounds: ROUNDS,
  },
  {
    name: "named statement",
    ask: Buffer.concat([F.bind("s", "", ["x"]), F.execute(), F.sync()]),
    answer: Buffer.concat([B.bound(), row, ...done]),
    rounds: ROUNDS,
  },
  {
    name: "1,000 rows",
    ask: F.query("SELECT 1"),
    answer: Buffer.concat([B.rowDescription(), ...Array.from({ length: 1000 }, () => row), ...done]),
    rounds: ROUNDS / 20,
  },
];

const client = {
  startup: { protocol: "3.0", user: "ann", database: "shop", parameters: new Map() },
  raw: Buffer.alloc(0),
  address: "a:1",
};
const door = (): OpenDoor => new OpenDoor("ann");

for (const mode of ["bare", "session", "transaction"] as const) {
  const server = new Server();
  const pools = new Pools<LetIn>(
    { ...SETTINGS, mode: mode === "bare" ? "session" : mode },
    async () => ({
      stream: server,
      parameters: new Map([["client_encoding", "UTF8"]]),
      key: undefined,
      address: "",
      cancel: async () => undefined,
    }),
    analyzer,
  );
  const { stream } = mode === "bare" ? { stream: server as Duplex } : await pooled(pools, door)(client);
  if (mode !== "bare") {
    await answers(stream);
    server.answer = Buffer.concat([B.parsed(), B.ready()]);
    const parsed = answers(stream);
    stream.write(Buffer.concat([F.parse("SELECT $1::text", "s"), F.sync()]));
    await parsed;
  }
  for (const { name, ask, answer, rounds } of loads) {
    server.answer = answer;
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 5; i += 1) {
      const before = process.cpuUsage();
      for (let n = 0; n < rounds; n += 1) {
        const answered = answers(stream);
        stream.write(ask);
        await answered;
      }
      const { user, system } = process.cpuUsage(before);
      best = Math.min(best, (user + system) / rounds);
    }
    console.log(`${mode}, ${name}: ${best.toFixed(2)} us`);
  }
  if (mode === "transaction") {
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 5; i += 1) {
      const before = process.cpuUsage();
      for (let n = 0; n < 2000; n += 1) {
        const { stream: one } = await pooled(pools, door)(client);
        await answers(one);
        one.destroy();
      }
      const { user, system } = process.cpuUsage(before);
      best = Math.min(best, (user + system) / 2000);
    }
    console.log(`${mode}, a login: ${best.toFixed(1)} us`);
  }
  pools.close();
}

/** Waits for a ReadyForQuery. */
function answers(stream: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const onData = (chunk: Buffer): void => {
      if (chunk[chunk.length - 6] !== 0x5a) return;
      stream.off("data", onData);
      resolve();
    };
    stream.on("data", onData);
  });
}

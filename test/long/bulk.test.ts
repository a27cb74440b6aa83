// Large and many: memory stays flat, whichever side does not read.
import { rmSync } from "node:fs";
import { connect } from "node:net";
import type { Postgres } from "@vitrine/cli";
import t, { type Test } from "tap";
import { errorField, RawClient, send, startupPacket } from "../support/raw-client.ts";
import { login, pause, RAW, recorded, residentBytes, trust } from "../support/sessions.ts";
import { DATABASE, Stack, startDatabase, statements, temporaryFolder } from "../support/stack.ts";

const MB = 1_000_000;
const LARGE_RESULT = "SELECT repeat('x', 1000) FROM generate_series(1, 200000)";
const folder = temporaryFolder("bulk");
let database: Postgres;
let stack: Stack;

t.before(async () => {
  database = await startDatabase(folder);
  await trust(database, folder);
  const owner = await database.connect(DATABASE);
  await owner.query("CREATE UNLOGGED TABLE sink (a text); GRANT ALL ON sink TO raw");
  await owner.end();
  stack = await (await Stack.create(database)).start();
  t.comment(`at rest: ${Math.round(residentBytes(stack.proxy.pid!) / MB)} MB`);
  // The garbage that any traffic leaves is not what is looked for.
  const client = await new Sink("warm up").ready();
  client.socket.write(send.query(LARGE_RESULT));
  await client.ready();
  await client.end();
});

t.after(async () => {
  await stack?.destroy();
  await database?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Does it, and holds the most memory that the proxy had meanwhile against what it had before. */
async function flat(t: Test, limit: number, name: string, work: () => Promise<unknown>): Promise<void> {
  const pid = stack.proxy.pid!;
  const before = residentBytes(pid);
  let most = before;
  const sample = setInterval(() => {
    most = Math.max(most, residentBytes(pid));
  }, 20);
  const began = performance.now();
  await work();
  clearInterval(sample);
  most = Math.max(most, residentBytes(pid));
  const grown = (most - before) / MB;
  const seconds = (performance.now() - began) / 1000;
  t.comment(`${name}: ${Math.round(before / MB)} MB + ${grown.toFixed(0)} MB, ${seconds.toFixed(1)} s`);
  t.ok(grown < limit, `${name}: ${grown.toFixed(0)} MB more, at most ${limit}`);
}

/** Counts what it gets, and keeps nothing. */
class Sink {
  readonly socket = connect({ host: "127.0.0.1", port: stack.proxyPort, noDelay: true });
  bytes = 0;
  #tail: Buffer = Buffer.alloc(0);
  #changed: () => void = () => undefined;

  constructor(application: string) {
    this.socket.on("data", (chunk: Buffer) => {
      this.bytes += chunk.length;
      this.#tail = Buffer.concat([this.#tail, chunk]).subarray(-6);
      this.#changed();
    });
    this.socket.on("error", () => undefined);
    this.socket.write(startupPacket({ user: RAW, database: DATABASE, application_name: application }));
  }

  /** Waits until the last that came is a ReadyForQuery. */
  async ready(): Promise<this> {
    while (this.#tail.toString("latin1", 0, 5) !== "Z\0\0\0\u0005") {
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
    this.#tail = Buffer.alloc(0);
    return this;
  }

  /** Sends so many times, no faster than it is taken. */
  async pour(bytes: Buffer, times: number): Promise<void> {
    for (let i = 0; i < times; i += 1) {
      if (!this.socket.write(bytes)) await new Promise((resolve) => this.socket.once("drain", resolve));
    }
  }

  async end(): Promise<void> {
    this.socket.end(send.terminate());
    await new Promise((resolve) => this.socket.once("close", resolve));
  }
}

t.test("a result of 200 MB that the client does not read for a while", async (t) => {
  const client = await new Sink("unread").ready();
  await flat(t, 60, "unread result", async () => {
    client.socket.pause();
    client.socket.write(send.query(LARGE_RESULT));
    await pause(1500);
    const soFar = client.bytes;
    await pause(200);
    t.equal(client.bytes, soFar, "nothing is read");
    client.socket.resume();
    await client.ready();
  });
  t.ok(client.bytes > 200 * MB, "and then all of it is there");
  await client.end();
  const { all, told } = await recorded(stack, "unread");
  t.same(told, ["SELECT completed"]);
  t.match(statements(all)[0], { rows: 200_000 });
});

t.test("a result of 200 MB that the client never reads, until it goes away", async (t) => {
  const client = await new Sink("never read").ready();
  await flat(t, 60, "never read", async () => {
    client.socket.pause();
    client.socket.write(send.query(LARGE_RESULT));
    await pause(1000);
    client.socket.resetAndDestroy();
    const { told, end } = await recorded(stack, "never read");
    t.match(told, [/^SELECT (cancelled|failed|completed)/]);
    t.equal(end.reason, "client-closed");
  });
});

t.test("100,000 messages in a pipeline before the first answer is read", async (t) => {
  const client = await new Sink("pipeline").ready();
  const one = Buffer.concat([send.bind([], "p"), send.execute()]);
  const batch = Buffer.concat(Array.from({ length: 1000 }, () => one));
  client.socket.write(Buffer.concat([send.parse("SELECT 1", "p"), send.sync()]));
  await client.ready();
  const pour = async (): Promise<void> => {
    await client.pour(batch, 50);
    client.socket.write(send.sync());
    await client.ready();
  };
  // So many entries take their room on the way to the log, whoever reads; what is asked is whether more is held.
  await pour();
  // The entries on their way to the log are part of it, and how many there are is the machine's affair.
  await flat(t, 150, "pipeline", async () => {
    client.socket.pause();
    const pouring = pour();
    await pause(1000);
    client.socket.resume();
    await pouring;
  });
  await client.end();
  const { end } = await recorded(stack, "pipeline");
  t.match(end, { statements: 100_000, failed: 0, rows: 100_000 });
});

t.test("a Bind of 100 MB", async (t) => {
  const client = await new Sink("large bind").ready();
  const value = "y".repeat(100 * MB);
  const bind = send.bind([value]);
  await flat(t, 60, "bind", async () => {
    client.socket.write(Buffer.concat([send.parse("SELECT length($1)"), bind, send.execute(), send.sync()]));
    await client.ready();
  });
  await client.end();
  const { all, told } = await recorded(stack, "large bind");
  t.same(told, ["SELECT completed"]);
  const statement = statements(all)[0]!;
  t.match(statement, { params_count: 1, params: { bytes: bind.length - 5 } });
  const index = (await stack.entries()).findIndex(({ seq }) => seq === statement.seq);
  const { params } = await stack.disclosed(index);
  t.match(params, { bytes: bind.length - 5, sha256: /^[0-9a-f]{64}$/ }, "disclosed by its digest");
});

t.test("COPY of 200 MB in, and out again", async (t) => {
  const client = await new Sink("copy").ready();
  const line = `${"z".repeat(999)}\n`;
  const piece = send.copyData(line.repeat(100));
  await flat(t, 60, "COPY in", async () => {
    const asked = client.bytes;
    client.socket.write(send.query("COPY sink FROM STDIN"));
    while (client.bytes === asked) await pause(5);
    await client.pour(piece, 2000);
    client.socket.write(send.copyDone());
    await client.ready();
  });
  const before = client.bytes;
  await flat(t, 60, "COPY out", async () => {
    client.socket.write(send.query("COPY sink TO STDOUT"));
    await client.ready();
  });
  t.ok(client.bytes - before > 200 * MB);
  await client.end();
  const { all, told } = await recorded(stack, "copy");
  t.same(told, ["COPY completed", "COPY completed"]);
  t.match(statements(all), [
    { rows: 200_000, bytes_in: 2000 * piece.length + send.query("COPY sink FROM STDIN").length },
    { rows: 200_000 },
  ]);
});

t.test("a single value of 50 MB comes through", async (t) => {
  const client = await new Sink("large value").ready();
  const before = client.bytes;
  await flat(t, 60, "value", async () => {
    client.socket.write(send.query(`SELECT repeat('x', ${50 * MB})`));
    await client.ready();
  });
  t.ok(client.bytes - before > 50 * MB);
  await client.end();
});

t.test("a length that nobody could mean is refused before anything is buffered", async (t) => {
  for (const head of ["5100000003", "5140000000", "51ffffffff", "447fffffff"]) {
    const client = await login(stack.proxyPort, "lengths");
    client.write(Buffer.from(head, "hex"));
    const [error] = await client.until(() => client.closed);
    t.match(errorField(error!, "C"), /^(08P01|54000)$/, head);
  }
  const early = await RawClient.open(stack.proxyPort);
  early.write(Buffer.from("7fffffff00030000", "hex"));
  const [error] = await early.until(() => early.closed);
  t.equal(errorField(error!, "C"), "08P01");
});

t.test("the audit passes over all of it", async (t) => {
  await stack.proxy.end("SIGTERM");
  const audit = await stack.verifier("audit");
  t.equal(audit.code, 0, audit.stdout + audit.stderr);
});

t.end();

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Test } from "tap";
import { formatTimestamp, type Recorder } from "../../src/audit/index.ts";
import { CancelKeys } from "../../src/client/cancel.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import {
  type Door,
  type DoorStep,
  type LetIn,
  type OpenedServer,
  type OpenServer,
  type PoolSettings,
  Pools,
  pooled,
} from "../../src/pool/index.ts";
import { AUTHENTICATION_OK } from "../../src/pool/welcome.ts";
import { ProxyServer } from "../../src/server.ts";
import { Policy } from "../../src/session/policy.ts";
import { SEALABLE, Values } from "../../src/session/values.ts";
import { Analyzer } from "../../src/statements/index.ts";
import { ReadRetry, Retries } from "../../src/upstream/index.ts";
import { parseKeyData, parseParameterStatus } from "../../src/wire/backend.ts";
import { cancelRequest } from "../../src/wire/write.ts";
import { type Bench, setUp } from "../audit/help.ts";
import { QUICK, startup } from "../help.ts";
import { startServer } from "../statements/oracle/server.ts";

export const analyzer: Analyzer = await Analyzer.load();

export const SETTINGS: PoolSettings = {
  mode: "session",
  size: 5,
  min: 0,
  maxPerUser: 0,
  maxPerDatabase: 0,
  maxTotal: 0,
  queueTimeoutMs: 60_000,
  idleTimeoutMs: 0,
  lifetimeMs: 0,
  checkAfterMs: 0,
  preparedStatements: 100,
  pinUnknown: true,
};

/** One message of the server's. */
export interface Message {
  readonly type: string;
  readonly body: Buffer;
}

/** A client that writes what it is told, and keeps every message it gets. */
export class Wire {
  readonly socket: Socket;
  messages: Message[] = [];
  closed = false;
  /** As last reported. */
  readonly parameters: Map<string, string> = new Map();
  key: { readonly pid: number; readonly key: Buffer } | undefined;
  #rest: Buffer = Buffer.alloc(0);
  #waiting: (() => void)[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.closed = true;
      this.#wake();
    });
  }

  get types(): string {
    return this.messages.map(({ type }) => type).join("");
  }

  /** Waits until there are so many ReadyForQuery messages among those that were not taken yet. */
  async ready(count = 1): Promise<Message[]> {
    await this.until(() => this.messages.filter(({ type }) => type === "Z").length >= count);
    const messages = this.messages;
    this.messages = [];
    return messages;
  }

  async until(done: () => boolean): Promise<void> {
    while (!done()) {
      if (this.closed) throw new Error(`the connection is closed; received ${this.types} ${this.lastError ?? ""}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  async end(): Promise<void> {
    if (!this.closed) {
      this.socket.end(Buffer.from([0x58, 0, 0, 0, 4]));
      await once(this.socket, "close");
    }
  }

  get lastError(): string | undefined {
    const error = this.messages.findLast(({ type }) => type === "E");
    return error === undefined ? undefined : errorOf(error);
  }

  #onData(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (bytes.length >= 5 && bytes.length > bytes.readUInt32BE(1)) {
      const size = 1 + bytes.readUInt32BE(1);
      const message = { type: String.fromCharCode(bytes[0]!), body: Buffer.from(bytes.subarray(5, size)) };
      if (message.type === "S") {
        const { name, value } = parseParameterStatus(bytes.subarray(0, size));
        this.parameters.set(name, value);
      } else if (message.type === "K") this.key = parseKeyData(bytes.subarray(0, size));
      this.messages.push(message);
      bytes = bytes.subarray(size);
    }
    this.#rest = Buffer.from(bytes);
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}

/** SQLSTATE and message. */
export function errorOf({ body }: Message): string {
  const fields = body.toString("utf8").split("\0");
  const of = (letter: string): string => fields.find((field) => field.startsWith(letter))?.slice(1) ?? "";
  return `${of("C")} ${of("M")}`;
}

/** The rows of an answer, as texts. */
export function rowsOf(messages: readonly Message[]): (string | null)[][] {
  return messages
    .filter(({ type }) => type === "D")
    .map(({ body }) => {
      const row: (string | null)[] = [];
      let at = 2;
      for (let n = body.readUInt16BE(0); n > 0; n -= 1) {
        const length = body.readInt32BE(at);
        row.push(length < 0 ? null : body.toString("utf8", at + 4, at + 4 + length));
        at += 4 + Math.max(0, length);
      }
      return row;
    });
}

/** Logs in where everyone is trusted. */
export async function logIn(open: () => Socket, parameters: Record<string, string>): Promise<Wire> {
  const wire = new Wire(open());
  wire.socket.write(startup(parameters));
  await wire.until(() => wire.types.includes("Z"));
  wire.messages = [];
  return wire;
}

export interface Postgres {
  open(): Socket;
  /** A client of the server itself. */
  direct(parameters?: Record<string, string>): Promise<Wire>;
  readonly server: OpenServer;
  stop(): Promise<void>;
}

/** @returns a PostgreSQL that trusts everyone, with roles `ann` and `bob`; or why there is none here */
export async function postgres(): Promise<Postgres | string> {
  const server = await startServer();
  if (typeof server === "string") return server;
  const open = (): Socket => connect({ path: server.socket });
  const direct = (parameters = {}): Promise<Wire> => logIn(open, { user: "ann", database: "postgres", ...parameters });
  // Its socket is there before it lets anybody in.
  let admin: Wire | undefined;
  for (let i = 0; admin === undefined; i += 1) {
    admin = await direct({ user: "postgres" }).catch((error: unknown) => {
      if (i === 1200) throw error;
      return undefined;
    });
    if (admin === undefined) await new Promise((resolve) => setTimeout(resolve, 50));
  }
  admin.socket.write(
    Q(
      "CREATE ROLE ann LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE helper; GRANT helper TO ann; GRANT ALL ON SCHEMA public TO PUBLIC; GRANT pg_signal_backend TO ann",
    ),
  );
  await admin.ready();
  await admin.end();
  return { open, direct, server: loginTo(open), stop: () => server.stop() };
}

/** Logs in to a server that trusts everyone. */
export function loginTo(open: () => Socket): OpenServer {
  return async ({ user, database, parameters }): Promise<OpenedServer> => {
    const wire = await logIn(open, { user, database, ...Object.fromEntries(parameters) });
    const { socket, key } = wire;
    socket.removeAllListeners("data").removeAllListeners("close").removeAllListeners("error");
    return {
      stream: socket,
      parameters: wire.parameters,
      key,
      address: "socket",
      cancel: async () => {
        const cancel = open();
        cancel.on("error", () => cancel.destroy());
        cancel.resume();
        cancel.end(cancelRequest(key!.pid, key!.key));
        await once(cancel, "close");
      },
    };
  };
}

/** Lets everybody in. */
export class OpenDoor implements Door<LetIn> {
  readonly #role: string;

  constructor(role: string) {
    this.#role = role;
  }

  async begin(): Promise<DoorStep<LetIn>> {
    return { kind: "accepted", send: AUTHENTICATION_OK, accepted: { role: this.#role } };
  }

  feed(): Promise<DoorStep<LetIn>> {
    throw new Error("nothing was asked");
  }
}

export interface PoolRig {
  readonly bench: Bench;
  readonly pools: Pools<LetIn>;
  readonly proxy: ProxyServer;
  readonly recorder: Recorder;
  /** A client of the proxy that is logged in. */
  client(parameters?: Record<string, string>): Promise<Wire>;
  open(): Socket;
  readonly port: number;
  /** The entries that the log has, once the recorder is stopped. */
  stop(): Promise<Record<string, unknown>[]>;
}

/** A proxy whose clients are all let in and answered by a pool. */
export async function poolRig(
  t: { teardown(f: () => unknown): unknown },
  server: OpenServer,
  settings: Partial<PoolSettings> = {},
): Promise<PoolRig> {
  const bench = await setUp(t);
  const recorder = await bench.open();
  const retries = new Retries(QUICK);
  const pools = new Pools<LetIn>(
    { ...SETTINGS, ...settings },
    server,
    analyzer,
    (unanswered) => new ReadRetry(retries, { retried: () => undefined }, unanswered),
  );
  let sessions = 0;
  const metrics = new Metrics();
  const proxy = new ProxyServer({
    shared: {
      recorder,
      analyzer,
      values: new Values(SEALABLE, 1 << 23),
      policy: new Policy("relaxed", "relaxed"),
      clock: formatTimestamp,
    },
    settings: {
      loginTimeoutMs: 60_000,
      statementBytes: 1 << 20,
      clients: 1000,
      logins: 1000,
      idleTimeoutMs: 0,
      idleInTransactionMs: 0,
      statementTimeoutMs: 0,
    },
    open: pooled(pools, ({ startup: { user } }) => new OpenDoor(user)),
    keys: new CancelKeys(),
    metrics,
    nextSessionId: () => `1.${++sessions}`,
    admission: () => undefined,
  });
  const { port } = await proxy.listen("127.0.0.1", 0);
  const open = (): Socket => connect({ host: "127.0.0.1", port, noDelay: true });
  const clients: Wire[] = [];
  let stopped = false;
  const stop = async (): Promise<Record<string, unknown>[]> => {
    if (!stopped) {
      stopped = true;
      for (const { socket } of clients) socket.destroy();
      await proxy.close(0);
      pools.close();
      await recorder.stop("shutdown", 60_000);
    }
    return bench.log.entries.map(({ json }) => json as Record<string, unknown>);
  };
  t.teardown(stop);
  return {
    bench,
    pools,
    proxy,
    recorder,
    open,
    port,
    client: async (parameters = {}) => {
      const wire = await logIn(open, { user: "ann", database: "postgres", ...parameters });
      clients.push(wire);
      return wire;
    },
    stop,
  };
}

/** A Query message. */
export function Q(text: string): Buffer {
  const body = Buffer.from(`${text}\0`);
  const message = Buffer.alloc(5 + body.length);
  message.write("Q");
  message.writeUInt32BE(4 + body.length, 1);
  body.copy(message, 5);
  return message;
}

/** Asks, and waits for the answer. @returns the rows, or the error */
export async function ask(wire: Wire, sql: string): Promise<(string | null)[][] | string> {
  wire.socket.write(Q(sql));
  const messages = await wire.ready();
  const error = messages.find(({ type }) => type === "E");
  return error === undefined ? rowsOf(messages) : errorOf(error);
}

/** @returns the first value of the first row @throws with the error */
export async function value(wire: Wire, sql: string): Promise<string | null> {
  const rows = await ask(wire, sql);
  if (typeof rows === "string") throw new Error(rows);
  return rows[0]?.[0] ?? null;
}

/** What of buffers is in use: collected twice, for the memory of those that are not is given back behind the collector. */
export async function keptBytes(): Promise<number> {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  for (let i = 0; i < 2; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return process.memoryUsage().arrayBuffers;
}

/** Holds of a pool of so many servers, which had `used` of them so far: all are back, and two at the same time are two. */
export async function givenBack(
  t: Test,
  rig: PoolRig,
  clients: readonly Wire[],
  { used, size }: { readonly used: number; readonly size: number },
): Promise<void> {
  const { idle, active, testing, cancelling } = rig.pools.stats()[0]!.servers;
  t.same([active, testing, cancelling], [0, 0, 0], "all are given back");
  // One that was opened as well may have come too late to serve anybody.
  t.ok(idle >= used && idle <= size, `${idle} idle`);
  const two = clients.slice(0, 2);
  await Promise.all(two.map((client) => ask(client, "BEGIN")));
  const pids = await Promise.all(two.map((client) => value(client, "SELECT pg_backend_pid()")));
  t.equal(new Set(pids).size, 2, "two that are needed at the same time");
  await Promise.all(two.map((client) => ask(client, "COMMIT")));
}

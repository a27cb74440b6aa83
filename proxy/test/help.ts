import { connect, type Socket } from "node:net";
import type { Access } from "../src/access/index.ts";
import { formatTimestamp, type Recorder } from "../src/audit/index.ts";
import type { OpenBackend } from "../src/backend.ts";
import { CancelKeys } from "../src/client/cancel.ts";
import type { ConnectionContext, ConnectionSettings } from "../src/client/connection-context.ts";
import { ProxyError } from "../src/errors.ts";
import { Metrics } from "../src/metrics/metrics.ts";
import { ProxyServer } from "../src/server.ts";
import { relayTo } from "../src/servers/relay.ts";
import { Policy } from "../src/session/policy.ts";
import { SEALABLE, Values } from "../src/session/values.ts";
import { Analyzer } from "../src/statements/index.ts";
import type { ClientTls, ServerTls } from "../src/tls/index.ts";
import {
  Retries,
  type RetrySettings,
  type Target,
  type Upstream,
  UpstreamMetrics,
  Upstreams,
} from "../src/upstream/index.ts";
import { WatchedDisk } from "./audit/disk.ts";
import { type Bench, setUp, until } from "./audit/help.ts";
import { FakePostgres } from "./fake-postgres.ts";

const analyzer = await Analyzer.load();

/** Retries that a test need not wait for. */
export const QUICK: RetrySettings = {
  attempts: 2,
  backoffMs: 5,
  maxBackoffMs: 10,
  deadlineMs: 10_000,
  budgetPercent: 20,
  reserve: 10,
  readBytes: 65_536,
};

/** Servers at these ports of this machine. */
export function upstreamsAt(
  ports: readonly number[],
  metrics: Metrics,
  options: Partial<Upstream> = {},
  retries: Retries = new Retries(QUICK),
  random?: () => number,
  tls?: ServerTls,
): Upstreams {
  return new Upstreams(
    {
      hosts: ports.map((port) => ({ host: "127.0.0.1", port })),
      target: "any",
      shuffled: false,
      connectTimeoutMs: undefined,
      parameters: new Map(),
      ...options,
    },
    { connectTimeoutMs: 10_000, breaker: { failures: 5, openMs: 1000, avoidMs: 10_000 }, tls },
    retries,
    new UpstreamMetrics(metrics.registry),
    random,
  );
}

export interface Rig {
  readonly bench: Bench;
  readonly disk: WatchedDisk;
  readonly upstream: FakePostgres;
  readonly recorder: Recorder;
  readonly proxy: ProxyServer;
  /** What its connections are given. */
  readonly context: ConnectionContext;
  readonly port: number;
  /** Connects a client to the proxy. */
  client(): Promise<Client>;
  /** Connects one and logs it in. */
  session(): Promise<Client>;
  /** Kinds of the entries that the log has, once the recorder is stopped. */
  stop(): Promise<string[]>;
}

/** The proxy's own parts, with a disk that can be held and a database that does what it is told. */
export async function rig(
  t: { teardown(f: () => unknown): unknown },
  options: {
    login?: number;
    disclosureBytes?: number;
    clients?: number;
    limits?: Partial<ConnectionSettings>;
    target?: Target;
    /** A server behind the rig's own. */
    second?: FakePostgres;
    /** Of the clients. */
    tls?: ClientTls;
    /** To the servers. */
    serverTls?: ServerTls;
    access?: Access;
    /** In place of one server connection for each client. */
    open?: (upstreams: Upstreams) => Promise<OpenBackend>;
  } = {},
): Promise<Rig> {
  const bench = await setUp(t);
  const disk = new WatchedDisk();
  const upstream = await new FakePostgres().listen();
  t.teardown(() => upstream.close());
  let proxy: ProxyServer | undefined;
  const recorder = await bench.open({
    disk: disk.open,
    onState: (state, error) => {
      if (state === "failed") proxy?.failAll(error as ProxyError);
    },
  });
  const metrics = new Metrics();
  const ports = [upstream.port, ...(options.second === undefined ? [] : [options.second.port])];
  const wanted = options.target === undefined ? {} : { target: options.target };
  const upstreams = upstreamsAt(ports, metrics, wanted, undefined, undefined, options.serverTls);
  let sessions = 0;
  const context: ConnectionContext = {
    shared: {
      recorder,
      analyzer,
      values: new Values(SEALABLE, options.disclosureBytes ?? 1 << 23),
      policy: new Policy("before-result", "before-execute"),
      clock: formatTimestamp,
      access: options.access,
    },
    settings: {
      loginTimeoutMs: options.login ?? 5000,
      statementBytes: 1 << 20,
      clients: options.clients ?? 100,
      logins: 100,
      idleTimeoutMs: 0,
      idleInTransactionMs: 0,
      statementTimeoutMs: 0,
      ...options.limits,
    },
    open: options.open === undefined ? relayTo(upstreams) : await options.open(upstreams),
    keys: new CancelKeys(),
    metrics,
    tls: options.tls,
    nextSessionId: () => {
      const { clients = 100 } = options;
      if (running.sessions >= clients) throw new ProxyError("too_many_connections", `${clients} are the limit`);
      return `1.${++sessions}`;
    },
    admission: () => undefined,
  };
  const running = new ProxyServer(context);
  proxy = running;
  const { port } = await running.listen("127.0.0.1", 0);
  const clients: Client[] = [];
  let stopped = false;
  t.teardown(async () => {
    for (const { socket } of clients) socket.destroy();
    await running.close(0);
    if (!stopped) await recorder.stop("shutdown", 0);
  });
  const open = async (): Promise<Client> => {
    const one = new Client(connect({ host: "127.0.0.1", port, noDelay: true, allowHalfOpen: true }));
    clients.push(one);
    return one;
  };
  return {
    bench,
    disk,
    upstream,
    recorder,
    proxy: running,
    context,
    port,
    client: open,
    session: async () => {
      const one = await open();
      one.socket.write(startup({ user: "alice" }));
      await until("the login is through", () => one.received.includes("Z"));
      one.received = Buffer.alloc(0);
      return one;
    },
    stop: async () => {
      stopped = true;
      await recorder.stop("shutdown", 60_000);
      return bench.log.entries.map(({ json }) => json.kind);
    },
  };
}

export function startup(parameters: Record<string, string>): Buffer {
  const text = Object.entries(parameters).flat();
  const body = Buffer.from(`${text.join("\0")}\0\0`);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + body.length);
  head.writeUInt32BE(196608, 4);
  return Buffer.concat([head, body]);
}

/** Keeps every byte. It does not close its side when the other one does. */
export class Client {
  readonly socket: Socket;
  received: Buffer = Buffer.alloc(0);
  /** The proxy has said its last byte. */
  ended = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
    });
    socket.on("error", () => undefined);
    socket.on("end", () => {
      this.ended = true;
    });
    socket.on("close", () => {
      this.ended = true;
    });
  }

  /** The SQLSTATE of an ErrorResponse of the proxy's among what was received. */
  get refusal(): string | undefined {
    return /\0C([0-9A-Z]{5})\0.*\0Rvitrine\0/s.exec(this.received.toString("latin1"))?.[1];
  }
}

/** One real PostgreSQL and every way to it: direct, relayed, relayed under access rules, and through both kinds of pool. */
import { connect, createServer } from "node:net";
import { Access, parseRules } from "../src/access/index.ts";
import type { OpenBackend } from "../src/backend.ts";
import type { ConnectionSettings } from "../src/client/connection-context.ts";
import { Metrics } from "../src/metrics/metrics.ts";
import { type LetIn, type OpenServer, type PoolSettings, Pools, pooled } from "../src/pool/index.ts";
import { relayTo } from "../src/servers/relay.ts";
import { until } from "./audit/help.ts";
import { FakePostgres } from "./fake-postgres.ts";
import { Client, type Rig, rig, startup, upstreamsAt } from "./help.ts";
import { analyzer, loginTo, type Message, OpenDoor, type Postgres, SETTINGS, Wire } from "./pool/help.ts";

type T = { teardown(f: () => unknown): unknown };

/** What is asked of a way: nothing is denied by these rules, but every byte of the server's is looked at. */
const ALL_ALLOWED = `version: 1
rules:
  - {name: all, action: allow, what: {class: [read, session, copy, write, function, ddl, role, admin, unknown]}}
`;

export interface Way {
  readonly name: string;
  /** Undefined for the direct one. */
  readonly rig: Rig | undefined;
  readonly pools: Pools<LetIn> | undefined;
  readonly port: number;
}

export const WAYS = ["relayed", "under rules", "pooled by session", "pooled by transaction"] as const;
export type WayName = "direct" | (typeof WAYS)[number];

/** A server that does what the test tells it. */
export async function played(t: T): Promise<Destination & { readonly fake: FakePostgres }> {
  const fake = await new FakePostgres().listen();
  t.teardown(() => fake.close());
  const { port } = fake;
  return { fake, port, server: loginTo(() => connect({ host: "127.0.0.1", port, noDelay: true })) };
}

/** The server's Unix socket, as a port of this machine. */
export async function bridged(t: T, database: Postgres): Promise<Destination> {
  const sockets = new Set<{ destroy(): unknown }>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const upstream = database.open();
    sockets.add(client).add(upstream);
    client.on("error", () => upstream.destroy()).on("close", () => upstream.destroy());
    upstream.on("error", () => client.destroy()).on("close", () => client.destroy());
    client.pipe(upstream).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as { port: number }).port, server: database.server };
}

function access(): Access {
  const read = parseRules(ALL_ALLOWED);
  if ("problems" in read) throw new Error(JSON.stringify(read.problems));
  return new Access(read.set);
}

/** A server: its port, and a login there for a pool. */
export interface Destination {
  readonly port: number;
  readonly server: OpenServer;
}

/** One way to a server. */
export async function way(
  t: T,
  name: WayName,
  { port, server }: Destination,
  settings: Partial<PoolSettings> = {},
  limits: Partial<ConnectionSettings> = {},
): Promise<Way> {
  if (name === "direct") return { name, rig: undefined, pools: undefined, port };
  let pools: Pools<LetIn> | undefined;
  const mode = name === "pooled by session" ? "session" : "transaction";
  const open = async (): Promise<OpenBackend> => {
    if (!name.startsWith("pooled")) return relayTo(upstreamsAt([port], new Metrics()));
    pools = new Pools<LetIn>({ ...SETTINGS, mode, ...settings }, server, analyzer);
    return pooled(pools, ({ startup: { user } }) => new OpenDoor(user));
  };
  const one = await rig(t, { open, limits, ...(name === "under rules" ? { access: access() } : {}) });
  t.teardown(() => pools?.close());
  return { name, rig: one, pools, port: one.port };
}

/** Logs in that way. */
export async function enter({ port }: Way, parameters: Record<string, string> = {}): Promise<Wire> {
  const wire = new Wire(connect({ host: "127.0.0.1", port, noDelay: true }));
  wire.socket.write(startup({ user: "ann", database: "postgres", ...parameters }));
  await wire.until(() => wire.types.includes("Z"));
  wire.messages = [];
  return wire;
}

/** Messages as texts, without what a server may report at any time, and without the process that a notification names. */
export function shown(messages: readonly Message[]): string[] {
  return messages
    .filter(({ type }) => type !== "S")
    .map(({ type, body }) => `${type} ${(type === "A" ? body.subarray(4) : body).toString("latin1")}`);
}

/** Keeps every byte, from behind the login on. */
export interface Connected extends Client {
  /** What came with the login. */
  readonly greeting: Buffer;
}

/** Logs in that way, and keeps bytes and not messages. */
export async function connected({ port }: Way, parameters: Record<string, string>): Promise<Connected> {
  const client = new Client(connect({ host: "127.0.0.1", port, noDelay: true, allowHalfOpen: true }));
  client.socket.write(startup(parameters));
  await until("the login is through", () => client.ended || client.received.includes("Z\0\0\0\u0005I"));
  if (client.ended) throw new Error(`no login: ${client.received.toString("latin1")}`);
  const greeting = client.received;
  client.received = Buffer.alloc(0);
  return Object.assign(client, { greeting });
}

/** Bytes as messages, a text each; what is left behind the last whole one as it is. */
export function frames(bytes: Buffer): string[] {
  const texts: string[] = [];
  let at = 0;
  while (bytes.length - at >= 5 && bytes.length - at > bytes.readUInt32BE(at + 1)) {
    const size = 1 + bytes.readUInt32BE(at + 1);
    texts.push(`${String.fromCharCode(bytes[at]!)} ${bytes.toString("latin1", at + 5, at + size)}`);
    at += size;
  }
  if (at < bytes.length) texts.push(`... ${bytes.toString("latin1", at)}`);
  return texts;
}

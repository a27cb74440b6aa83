// Clients that the proxy authenticates itself, from their first byte to their last entry.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { AuthSettings } from "../../src/auth/index.ts";
import { saslInitialResponse, saslResponse } from "../../src/auth/messages.ts";
import { ScramClient } from "../../src/auth/scram-client.ts";
import { relayTo } from "../../src/servers/relay.ts";
import { Terminating } from "../../src/servers/terminate.ts";
import { Analyzer } from "../../src/statements/index.ts";
import { until } from "../audit/help.ts";
import { PENCIL, SECRET } from "../auth/help.ts";
import { type Client, type Rig, rig, startup } from "../help.ts";
import { SETTINGS } from "../pool/help.ts";
import { B } from "../session/stage.ts";

const analyzer = await Analyzer.load();
/** Of whose role PostgreSQL would read 63 bytes. */
const LONG = `"lee" "${PENCIL}" role=${"r".repeat(64)}`;

async function setUp(t: Test, settings: Partial<AuthSettings> = {}): Promise<{ rig: Rig; terminating: Terminating }> {
  const users = join(t.testdir({}), "users");
  const lines = [`secret=${SECRET}`, `"ann" "${PENCIL}" identity=ann@example.org groups=b,a role=app`, LONG, ""];
  writeFileSync(users, lines.join("\n"), { mode: 0o600 });
  const auth: AuthSettings = {
    rules: [
      {
        user: [{ text: "old", before: "old", after: undefined }],
        database: undefined,
        network: undefined,
        method: "relay",
      },
      { user: undefined, database: undefined, network: undefined, method: "terminate" },
    ],
    users,
    upstream: ["trust"],
    passwords: undefined,
    failuresPerMinute: 60,
    ...settings,
  };
  let terminating: Terminating | undefined;
  const all = await rig(t, {
    open: async (upstreams) => {
      terminating = await Terminating.load(auth, SETTINGS, upstreams, analyzer, () => undefined);
      return terminating.opener(relayTo(upstreams), () => undefined);
    },
  });
  t.teardown(() => terminating!.close());
  all.upstream.onStartup = (backend) =>
    backend.send(B.auth(0), B.status("server_version", "18.1"), B.key(77), B.ready());
  return { rig: all, terminating: terminating! };
}

/** Writes in pieces, each a read of its own. */
async function write(client: Client, bytes: Buffer, size: number): Promise<void> {
  for (let at = 0; at < bytes.length; at += size) {
    client.socket.write(bytes.subarray(at, at + size));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The next message of this type, as far as it is there. */
function message(client: Client, type: string): Buffer | undefined {
  for (let rest = client.received; rest.length >= 5 && rest.length > rest.readUInt32BE(1); ) {
    const size = 1 + rest.readUInt32BE(1);
    if (String.fromCharCode(rest[0]!) === type) return rest.subarray(0, size);
    rest = rest.subarray(size);
  }
  return undefined;
}

async function login(client: Client, user: string, password: string, size = 10_000): Promise<void> {
  const scram = new ScramClient({ secret: { password }, mechanism: "SCRAM-SHA-256", binding: undefined });
  await write(client, startup({ user, database: "shop" }), size);
  await until("it asks", () => message(client, "R") !== undefined);
  client.received = Buffer.alloc(0);
  await write(client, saslInitialResponse("SCRAM-SHA-256", scram.first()), size);
  await until("it goes on", () => message(client, "R") !== undefined);
  const challenge = message(client, "R")!.toString("utf8", 9);
  client.received = Buffer.alloc(0);
  await write(client, saslResponse(await scram.final(challenge)), size);
  await until("it decides", () => message(client, "Z") !== undefined || message(client, "E") !== undefined);
}

t.test("a login, however it is split, and who it is in every entry", async (t) => {
  const { rig: all } = await setUp(t);
  for (const size of [1, 3, 10_000]) {
    const client = await all.client();
    await login(client, "ann", "pencil", size);
    t.equal(message(client, "E"), undefined);
    t.match(message(client, "S")?.toString("latin1"), /server_version\u000018\.1/);
    client.socket.end(Buffer.from("X\0\0\0\x04", "latin1"));
    await until("it ended", () => client.ended);
  }
  await all.stop();
  const actor = { login: "ann", auth: "scram-sha-256", by: "proxy", identity: "ann@example.org", groups: ["a", "b"] };
  const entries = all.bench.log.entries.map(({ json }) => json as Record<string, unknown>);
  t.same(
    entries.filter(({ kind }) => kind === "session.start" || kind === "session.end").map((entry) => entry.actor),
    new Array(6).fill(actor),
  );
});

t.test("a refusal is recorded before it is told, and no server hears of it", async (t) => {
  const { rig: all } = await setUp(t);
  const client = await all.client();
  await login(client, "ann", "wrong");
  t.equal(client.refusal, "28P01");
  const other = await all.client();
  await login(other, "nobody", "pencil");
  t.equal(other.refusal, "28P01");
  t.equal(all.upstream.backends.length, 0);
  const kinds = await all.stop();
  t.equal(kinds.filter((kind) => kind === "access.refused").length, 2);
  const refused = all.bench.log.entries.map(({ json }) => json as Record<string, unknown>);
  t.match(
    refused.find(({ kind }) => kind === "access.refused"),
    { actor: { login: "ann" }, by: "proxy", sqlstate: "28P01" },
  );
});

t.test("a server's refusal is told as the server tells it, but for what concerns the proxy's own login", async (t) => {
  const { rig: all } = await setUp(t);
  for (const [code, told] of [
    ["3D000", "3D000"],
    ["28P01", "08004"],
    ["28000", "08004"],
    ["42501", "42501"],
    // After the retries: every host has said that it takes nobody now.
    ["57P03", "57P03"],
  ] as const) {
    all.upstream.onStartup = (backend) => backend.send(B.error(code, "FATAL"));
    const client = await all.client();
    await login(client, "ann", "pencil");
    t.equal(client.refusal, told);
  }
});

t.test("a role whose name PostgreSQL would cut is nobody's", async (t) => {
  const { rig: all } = await setUp(t);
  const client = await all.client();
  await login(client, "lee", "pencil");
  t.equal(client.refusal, "08P01");
  t.equal(all.upstream.backends.length, 0);
  client.socket.destroy();
});

t.test("a server that may not be trusted", async (t) => {
  const { rig: all, terminating } = await setUp(t, { upstream: ["scram-sha-256"] });
  const client = await all.client();
  await login(client, "ann", "pencil");
  t.equal(client.refusal, "08001", "it lets anybody in");
  terminating.settings = {
    rules: [{ user: undefined, database: undefined, network: undefined, method: "reject" }],
    users: undefined,
    upstream: ["trust"],
    passwords: undefined,
    failuresPerMinute: 60,
  };
  const rejected = await all.client();
  rejected.socket.write(startup({ user: "ann" }));
  await until("it is refused", () => rejected.refusal !== undefined);
  t.equal(rejected.refusal, "28000", "by the rules that are in force by now");
});

t.test("whom the server authenticates it goes on to authenticate", async (t) => {
  const { rig: all } = await setUp(t);
  const client = await all.client();
  client.socket.write(startup({ user: "old" }));
  await until("it is in", () => message(client, "Z") !== undefined);
  client.socket.end(Buffer.from("X\0\0\0\x04", "latin1"));
  await until("it ended", () => client.ended);
  await all.stop();
  const start = all.bench.log.entries.find(({ json }) => json.kind === "session.start");
  t.same((start as unknown as { json: { actor: unknown } }).json.actor, { login: "old", auth: "trust" });
});

t.test("clients that go away at any point of their login leave nothing behind", async (t) => {
  const { rig: all, terminating } = await setUp(t);
  const scram = new ScramClient({ secret: { password: "pencil" }, mechanism: "SCRAM-SHA-256", binding: undefined });
  const initial = saslInitialResponse("SCRAM-SHA-256", scram.first());
  for (let cut = 0; cut <= initial.length; cut += 7) {
    const client = await all.client();
    client.socket.write(startup({ user: "ann" }));
    await until("it asks", () => message(client, "R") !== undefined);
    client.socket.write(initial.subarray(0, cut));
    if (cut % 2 === 0) client.socket.destroy();
    else client.socket.end();
  }
  // The proof, and away: the server connection that is being opened for it is nobody's.
  const last = await all.client();
  last.socket.write(startup({ user: "ann" }));
  await until("it asks", () => message(last, "R") !== undefined);
  last.received = Buffer.alloc(0);
  last.socket.write(initial);
  await until("it goes on", () => message(last, "R") !== undefined);
  last.socket.write(saslResponse(await scram.final(message(last, "R")!.toString("utf8", 9))));
  last.socket.destroy();
  await until("they are gone", () => terminating.pools.clients.size === 0 && all.proxy.clients === 0);
  const client = await all.client();
  await login(client, "ann", "pencil");
  t.equal(message(client, "E"), undefined);
  t.equal(terminating.pools.clients.size, 1);
});

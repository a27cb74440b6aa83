// What a client may say before it is let in, and what of it a server hears.

import { connect } from "node:net";
import t from "tap";
import { StartupReader } from "../../src/wire/startup.ts";
import { until } from "../audit/help.ts";
import { Client, startup } from "../help.ts";
import { B, F } from "../session/stage.ts";
import { played, WAYS, type Way, way } from "../ways.ts";

t.setTimeout(300_000);
const SSL = Buffer.from("0000000804d2162f", "hex");
const GSSENC = Buffer.from("0000000804d21630", "hex");

function open({ port }: Way): Client {
  return new Client(connect({ host: "127.0.0.1", port, noDelay: true, allowHalfOpen: true }));
}

const over = (client: Client): Promise<void> => until("the connection ends", () => client.ended);
const loggedIn = (client: Client): Promise<void> =>
  until("the login is through", () => client.ended || client.received.includes("Z\0\0\0\u0005I"));

/** Ends it. @returns SQLSTATE and login of the refusals in the log */
async function refusals(one: Way, ...clients: Client[]): Promise<string[]> {
  for (const { socket } of clients) socket.destroy();
  await until("they are gone", () => one.rig!.proxy.clients === 0);
  await one.rig!.stop();
  return one
    .rig!.bench.log.ofKind("access.refused")
    .map(({ json }) => `${json.sqlstate} ${(json.actor as { login: string }).login}`);
}

t.test("bytes behind a request for encryption end the connection, in the clear as well", async (t) => {
  const there = await played(t);
  const one = await way(t, "relayed", there);
  for (const request of [SSL, GSSENC]) {
    for (const behind of [startup({ user: "mallory" }), Buffer.from([0]), F.query("SELECT 1"), request]) {
      const client = open(one);
      client.socket.write(Buffer.concat([request, behind]));
      await over(client);
      t.equal(client.refusal, "08P01");
      t.not(client.received[0], 0x4e, "it is not even answered");
      client.socket.destroy();
    }
  }
  t.equal(there.fake.backends.length, 0);
  t.same(await refusals(one), [], "nobody has said who it is");
});

t.test("encryption may be asked for in either order, then the session; cut anywhere", async (t) => {
  const there = await played(t);
  const one = await way(t, "relayed", there);
  const packets = [SSL, GSSENC, startup({ user: "alice", database: "shop" })];
  for (const [first, second] of [
    [SSL, GSSENC],
    [GSSENC, SSL],
  ] as const) {
    const client = open(one);
    for (const [i, packet] of [first, second].entries()) {
      for (const byte of packet) {
        client.socket.write(Buffer.from([byte]));
        await new Promise((resolve) => setImmediate(resolve));
      }
      await until("it is declined", () => client.received.toString() === "N".repeat(i + 1));
    }
    client.socket.write(packets[2]!);
    await loggedIn(client);
    t.equal(client.received.toString("latin1", 0, 3), "NNR");
    client.socket.destroy();
  }
  t.equal(there.fake.backends.length, 2);
});

t.test("a login that comes a byte at a time has no more time than any", async (t) => {
  const there = await played(t);
  const one = await way(t, "relayed", there, {}, { loginTimeoutMs: 1000 });
  const client = open(one);
  const packet = startup({ user: "alice", application_name: "x".repeat(2000) });
  let sent = 0;
  const drip = setInterval(() => {
    if (!client.ended && sent < packet.length - 1) client.socket.write(packet.subarray(sent, ++sent));
  }, 10);
  await over(client);
  clearInterval(drip);
  t.equal(client.refusal, "08P01");
  t.match(client.received.toString(), /the login took too long/);
  t.ok(sent > 5 && sent < packet.length - 1, `after ${sent} bytes of ${packet.length}`);
  client.socket.destroy();
});

t.test("a name that PostgreSQL would cut is refused: it would let in somebody else", async (t) => {
  const longest = "u".repeat(63);
  for (const name of WAYS) {
    const there = await played(t);
    const one = await way(t, name, there);
    const clients: Client[] = [];
    const ask = async (parameters: Record<string, string>): Promise<string | undefined> => {
      const client = open(one);
      clients.push(client);
      client.socket.write(startup(parameters));
      await loggedIn(client);
      return client.refusal;
    };
    t.equal(await ask({ user: longest, database: longest }), undefined, name);
    const heard = there.fake.backends.length;
    t.equal(await ask({ user: "ann", database: `${longest}x` }), "08P01");
    t.equal(await ask({ user: "ann", database: "é".repeat(32) }), "08P01", "bytes count");
    t.equal(await ask({ user: `${longest}x` }), "08P01", "and is the database's name as well");
    if (!name.startsWith("pooled")) {
      t.equal(await ask({ user: `${longest}x`, database: "shop" }), "08P01");
      t.equal(await ask({ user: "é".repeat(32), database: "shop" }), "08P01");
    }
    t.equal(there.fake.backends.length, heard, "no server hears of it");
    const refused = await refusals(one, ...clients);
    t.same(refused.slice(0, 3), ["08P01 ann", "08P01 ann", `08P01 ${longest}x`], "and each is recorded");
    t.equal(refused.length, name.startsWith("pooled") ? 3 : 5);
  }
});

t.test(
  "a version and options from the future: what is spoken here is said, and the server hears nothing else",
  async (t) => {
    for (const name of ["relayed", "pooled by session", "pooled by transaction"] as const) {
      const there = await played(t);
      const heard: Buffer[] = [];
      there.fake.onConnection = (socket, begin) => {
        socket.on("data", (chunk: Buffer) => heard.push(chunk));
        begin(socket);
      };
      const one = await way(t, name, there);
      const client = open(one);
      const packet = startup({ user: "alice", "_pq_.test_protocol_negotiation": "" });
      // libpq of PostgreSQL 19 asks for this version, to find out who cannot say no.
      packet.writeUInt32BE(196608 + 9999, 4);
      client.socket.write(packet);
      await loggedIn(client);
      const told = client.received.toString("latin1");
      t.match(told, /v\0\0\0.\0\u0003\0\u0002\0\0\0\u0001_pq_\.test_protocol_negotiation\0/, name);
      const said = new StartupReader().feed(Buffer.concat(heard).subarray(0, Buffer.concat(heard).readUInt32BE(0)));
      if (said?.kind !== "startup") throw new Error("no startup packet");
      t.match(said.startup.protocol, /^3\.[02]$/);
      t.notOk([...said.startup.parameters.keys()].some((key) => key.startsWith("_pq_")));
      t.same(await refusals(one, client), []);
    }
  },
);

t.test("replication is refused however it is spelled, and reaches no server", async (t) => {
  for (const name of WAYS) {
    const there = await played(t);
    const one = await way(t, name, there);
    const clients: Client[] = [];
    const spellings = ["true", "TRUE", "t", "tr", "on", "yes", "y", "1", "database", "DataBase", "", "nonsense", "2"];
    for (const replication of spellings) {
      const client = open(one);
      clients.push(client);
      client.socket.write(startup({ user: "copier", database: "shop", replication }));
      await over(client);
      t.equal(client.refusal, "0A000", `${name}: ${JSON.stringify(replication)}`);
    }
    t.equal(there.fake.backends.length, 0);
    for (const replication of ["false", "off", "no", "0", "OFF"]) {
      const client = open(one);
      clients.push(client);
      client.socket.write(startup({ user: "copier", database: "shop", replication }));
      await loggedIn(client);
      t.equal(client.refusal, undefined, `${name}: ${replication} asks for none`);
    }
    t.same(await refusals(one, ...clients), new Array(spellings.length).fill("0A000 copier"));
  }
});

t.test("before it is let in a client may answer what it is asked, and nothing else", async (t) => {
  for (const name of ["relayed", "under rules"] as const) {
    const there = await played(t);
    there.fake.onStartup = (backend) => backend.send(B.auth(5, "salt"));
    const one = await way(t, name, there);
    const clients: Client[] = [];
    for (const message of [
      F.query("SELECT 1"),
      F.parse("SELECT 1"),
      F.sync(),
      F.flush(),
      F.functionCall(177),
      F.copyDone(),
    ]) {
      const client = open(one);
      clients.push(client);
      client.socket.write(startup({ user: "hasty" }));
      await until("it is asked", () => client.received.includes("salt"));
      client.socket.write(message);
      await over(client);
      t.equal(client.refusal, "08P01", name);
      t.notOk(there.fake.last.received.includes("SELECT"));
    }
    t.same(await refusals(one, ...clients), new Array(6).fill("08P01 hasty"));
  }
});

t.end();

// A client that asks for more of the protocol than is spoken here gets what is, and the server is not asked for more.
import fc from "fast-check";
import t from "tap";
import { negotiate, spokenStartup, withNegotiated } from "../../src/wire/negotiate.ts";
import { type FirstPacket, type Startup, StartupReader } from "../../src/wire/startup.ts";
import { until } from "../audit/help.ts";
import { rig, startup } from "../help.ts";
import { B } from "../session/stage.ts";

const asked = (minor: number, parameters: Record<string, string>): Startup => ({
  protocol: `3.${minor}`,
  user: "alice",
  database: "alice",
  parameters: new Map(Object.entries({ user: "alice", ...parameters })),
});

const read = (packet: Buffer): Startup => {
  const first = new StartupReader().feed(packet) as FirstPacket & { kind: "startup" };
  return first.startup;
};

/** NegotiateProtocolVersion: the version, how many options, their names. */
const negotiated = (minor: number, ...options: string[]): Buffer => {
  const body = Buffer.alloc(8);
  body.writeUInt32BE(196608 + minor);
  body.writeUInt32BE(options.length, 4);
  const names = Buffer.from(options.map((name) => `${name}\0`).join(""));
  const head = Buffer.alloc(5);
  head.write("v");
  head.writeUInt32BE(4 + body.length + names.length, 1);
  return Buffer.concat([head, body, names]);
};

t.test("what is spoken here goes as it came", async (t) => {
  for (const minor of [0, 2]) {
    t.same(negotiate(asked(minor, {})), { minor });
    t.equal(spokenStartup(asked(minor, { application_name: "a" })), undefined);
  }
});

t.test("a later version and unknown options are left out, and nothing else is", async (t) => {
  const startup = asked(9999, { "_pq_.compression": "zstd", options: "-c work_mem=1MB", "_pq_.x": "" });
  const spoken = read(spokenStartup(startup)!);
  t.equal(spoken.protocol, "3.2");
  t.same(
    [...spoken.parameters],
    [
      ["user", "alice"],
      ["options", "-c work_mem=1MB"],
    ],
  );
  t.ok(negotiate(startup).message?.equals(negotiated(2, "_pq_.compression", "_pq_.x")));
  t.equal(read(spokenStartup(asked(0, { "_pq_.x": "1" }))!).protocol, "3.0");
});

t.test("what the server says of it is joined with that, however it is cut", (t) => {
  const startup = asked(9, { "_pq_.x": "1" });
  const auth = B.auth(0);
  const error = B.error("53300", "FATAL");
  const cases = [
    [auth, Buffer.concat([negotiated(2, "_pq_.x"), auth])],
    [Buffer.concat([negotiated(0), auth]), Buffer.concat([negotiated(0, "_pq_.x"), auth])],
    [error, error],
  ] as const;
  for (const [said, told] of cases) {
    for (let size = 0; size <= said.length; size += 1) {
      const result = withNegotiated(said.subarray(0, size), startup);
      if (result === undefined) t.ok(size < said.length);
      else t.ok(Buffer.concat([result, said.subarray(size)]).equals(told));
    }
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      withNegotiated(Buffer.from(bytes), startup);
    }),
  );
  t.end();
});

t.test("through the proxy, and in the entry", async (t) => {
  const all = await rig(t);
  const client = await all.client();
  const packet = startup({ user: "alice", "_pq_.x": "1" });
  packet.writeUInt32BE(196608 + 7, 4);
  client.socket.write(packet);
  await until("the login is through", () => client.received.includes("Z"));
  const told = negotiated(2, "_pq_.x");
  t.ok(client.received.subarray(0, told.length).equals(told));
  client.socket.destroy();
  await until("the proxy has let the client go", () => all.proxy.clients === 0);
  await all.stop();
  t.equal(all.bench.log.ofKind("session.start")[0]!.json.protocol, "3.2");
});

// Servers before version 14 do not report what they are. A fake one says so when it is asked, as libpq asks it.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import t, { type Test } from "tap";
import { ProxyError } from "../../src/errors.ts";
import { relayTo } from "../../src/servers/relay.ts";
import { Terminating } from "../../src/servers/terminate.ts";
import { Analyzer } from "../../src/statements/index.ts";
import { ROLE_QUESTION, RoleSift, readRole, type Target } from "../../src/upstream/index.ts";
import { until } from "../audit/help.ts";
import { SECRET } from "../auth/help.ts";
import { type Backend, FakePostgres } from "../fake-postgres.ts";
import { type Client, type Rig, rig, startup } from "../help.ts";
import { SETTINGS } from "../pool/help.ts";
import { B } from "../session/stage.ts";

const analyzer = await Analyzer.load();

const answer = (recovers: string, readOnly: string): Buffer =>
  Buffer.concat([
    B.rowDescription(),
    B.row(recovers),
    B.complete("SELECT 1"),
    B.rowDescription(),
    B.row(readOnly),
    B.complete("SHOW"),
    B.ready(),
  ]);
const WELCOME = Buffer.concat([B.auth(0), B.status("server_version", "13.1"), B.key(77), B.ready()]);

/** A server before version 14 that is this, and answers the question in pieces of so many bytes. */
function old(server: FakePostgres, said: Buffer, piece = 1000): void {
  server.onStartup = async (backend) => {
    backend.send(WELCOME);
    await asked(backend);
    for (let at = 0; at < said.length; at += piece) {
      backend.send(said.subarray(at, at + piece));
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
}

async function asked(backend: Backend): Promise<void> {
  await until("it is asked", () => backend.received.length >= ROLE_QUESTION.length);
  backend.received = backend.received.subarray(ROLE_QUESTION.length);
}

async function two(
  t: Test,
  target: Target,
  way: "relayed" | "pooled",
  mode: "session" | "transaction" = "transaction",
): Promise<Rig & { second: FakePostgres }> {
  const second = await new FakePostgres().listen();
  t.teardown(() => second.close());
  const users = join(t.testdir({}), "users");
  writeFileSync(users, `secret=${SECRET}\n"alice" ""\n`, { mode: 0o600 });
  const everybody = { user: undefined, database: undefined, network: undefined };
  const all = await rig(t, {
    target,
    second,
    open: async (upstreams) => {
      const method = way === "relayed" ? "relay" : "trust";
      const auth = { rules: [{ ...everybody, method }], users, upstream: ["trust"], passwords: undefined } as const;
      const terminating = await Terminating.load(
        { ...auth, failuresPerMinute: 60 },
        { ...SETTINGS, mode },
        upstreams,
        analyzer,
        () => undefined,
      );
      t.teardown(() => terminating.close());
      return terminating.opener(relayTo(upstreams), () => undefined);
    },
  });
  return { ...all, second };
}

/** Logs in, and in again where the first server was the wrong one. */
async function logIn(all: Rig): Promise<Client> {
  for (let tries = 1; ; tries += 1) {
    const client = await all.client();
    client.socket.write(startup({ user: "alice" }));
    await until("it is in, or refused", () => client.received.includes("Z\0\0\0\x05I") || client.ended);
    if (!client.ended) return client;
    if (tries === 2 || client.refusal !== "57P03") throw new Error(`refused: ${client.refusal}`);
  }
}

const STANDBY = answer("t", "on");
const PRIMARY = answer("f", "off");

t.test("an old server is asked, and the session is on the one that is wanted", async (t) => {
  for (const way of ["relayed", "pooled"] as const) {
    for (const [target, first, second, right] of [
      ["standby", PRIMARY, STANDBY, 1],
      // Its role or database may only read there, or all may: the other one is tried for a while.
      ["read-write", answer("f", "on"), PRIMARY, 1],
      ["read-only", answer("f", "on"), PRIMARY, 0],
    ] as const) {
      const all = await two(t, target, way);
      old(all.upstream, first, right === 0 ? 1 : 1000);
      old(all.second, second, 3);
      const client = await logIn(all).catch((error: Error) => error);
      if (client instanceof Error) {
        t.fail(`${way} ${target}: ${client.message}`);
        continue;
      }
      const server = [all.upstream, all.second][right]!;
      t.equal(client.received.includes("SHOW"), false, "the client sees nothing of that");
      t.match(client.received.toString("latin1"), /server_version\x0013\.1\0.*Z\0\0\0\x05I$/s);
      server.last.received = Buffer.alloc(0);
      client.socket.write(Buffer.from("Q\0\0\0\x0dSELECT 1\0", "latin1"));
      await until(`${way}, ${target}: it is asked`, () => server.last.received.includes("SELECT 1"));
      client.received = Buffer.alloc(0);
      server.last.send(B.rowDescription(), B.row("1"), B.complete("SELECT 1"), B.ready());
      await until("it answers", () => client.received.includes("Z"));
      await all.proxy.close(0);
      const kinds = await all.stop();
      t.equal(kinds.filter((kind) => kind === "statement").length, 1, "the question is nobody's statement");
    }
  }
});

t.test("one that does not know, or dies over it, is not what is wanted", async (t) => {
  const dumb = Buffer.concat([B.error("42883"), B.ready()]);
  for (const way of ["relayed", "pooled"] as const) {
    const all = await two(t, "standby", way);
    for (const server of [all.upstream, all.second]) old(server, dumb);
    const client = await all.client();
    client.socket.write(startup({ user: "alice" }));
    await until("it is refused", () => client.refusal !== undefined);
    t.equal(client.refusal, "57P03");
    for (const server of [all.upstream, all.second]) {
      server.onStartup = async (backend) => {
        backend.send(WELCOME);
        await asked(backend);
        backend.socket.destroy();
      };
    }
    const other = await all.client();
    other.socket.write(startup({ user: "alice" }));
    await until("it is refused", () => other.refusal !== undefined);
    t.equal(other.refusal, "08006");
  }
});

t.test("one that reports it is not asked", async (t) => {
  for (const way of ["relayed", "pooled"] as const) {
    const all = await two(t, "primary", way);
    all.upstream.onStartup = (backend) =>
      backend.send(
        B.auth(0),
        B.status("in_hot_standby", "off"),
        B.status("default_transaction_read_only", "off"),
        B.key(77),
        B.ready(),
      );
    await logIn(all);
    t.equal(all.upstream.last.received.length, 0);
  }
});

t.test("the record says which server a session is on, where it has one to itself", async (t) => {
  for (const [way, mode, named] of [
    ["relayed", "session", true],
    ["pooled", "session", true],
    ["pooled", "transaction", false],
  ] as const) {
    const all = await two(t, "primary", way, mode);
    old(all.upstream, STANDBY);
    old(all.second, PRIMARY);
    await logIn(all);
    await all.proxy.close(0);
    await all.stop();
    const { server } = all.bench.log.ofKind("session.start")[0]!.json;
    const { host } = server as { host?: string };
    t.equal(host, named ? `127.0.0.1:${all.second.port}` : undefined, `${way}, ${mode}`);
  }
});

t.test("a server that has become another is lent to nobody any more", async (t) => {
  const all = await two(t, "standby", "pooled");
  const report = (standby: "on" | "off"): Buffer =>
    Buffer.concat([B.status("in_hot_standby", standby), B.status("default_transaction_read_only", "off")]);
  for (const server of [all.upstream, all.second]) {
    server.onStartup = (backend) => backend.send(B.auth(0), report("on"), B.key(77), B.ready());
  }
  const client = await logIn(all);
  const ask = async (server: FakePostgres, ...before: Buffer[]): Promise<void> => {
    client.socket.write(Buffer.from("Q\0\0\0\x0dSELECT 1\0", "latin1"));
    await until("it is asked", () => server.backends.at(-1)?.received.includes("SELECT 1") === true);
    const backend = server.last;
    backend.received = Buffer.alloc(0);
    client.received = Buffer.alloc(0);
    backend.send(B.rowDescription(), B.row("1"), B.complete("SELECT 1"), ...before, B.ready());
    await until("it answers", () => client.received.includes("Z\0\0\0\x05I"));
  };
  const promoted = all.upstream;
  await ask(promoted);
  // Only what concerns the server, and not the session, counts.
  await ask(promoted, B.status("default_transaction_read_only", "on"));
  await ask(promoted);
  await ask(promoted, B.status("in_hot_standby", "off"));
  await until("it is left", () => promoted.last.socket.destroyed);
  await ask(all.second);
  t.equal(all.upstream.backends.length, 1, "and the others go to the other one first");
  await all.proxy.close(0);
  await all.stop();
});

t.test("what stands between and behind the answer is the client's", async (t) => {
  const notice = Buffer.from("N\0\0\0\x05\0", "latin1");
  const status = B.status("TimeZone", "UTC");
  const bytes = Buffer.concat([status, STANDBY.subarray(0, -6), notice, STANDBY.subarray(-6), notice]);
  const role = readRole(bytes);
  t.same([...role!.reported.values()], ["on", "on"]);
  t.same(role!.others, Buffer.concat([status, notice, notice]));
  t.throws(() => readRole(Buffer.alloc(70_000, "Na")), { code: "protocol_violation" });
  t.throws(() => readRole(Buffer.from("D\0\0\0\x01", "latin1")), { code: "protocol_violation" });
});

t.test("whatever a server says, however it is split: nothing is lost before the question, and nothing hangs it", () => {
  const message = fc
    .tuple(fc.constantFrom(..."RSKNEv"), fc.uint8Array({ maxLength: 20 }))
    .map(([type, body]) => Buffer.concat([Buffer.from(type), sized(body.length + 4), Buffer.from(body)]));
  fc.assert(
    fc.property(fc.array(message), fc.uint8Array({ maxLength: 40 }), fc.array(fc.nat(30)), (login, noise, cuts) => {
      let questions = 0;
      const sift = new RoleSift(
        () => {
          questions += 1;
        },
        () => undefined,
      );
      const before = Buffer.concat(login);
      const out: Buffer[] = [];
      let rest = Buffer.concat([before, B.ready(), Buffer.from(noise)]);
      try {
        for (const cut of [...cuts, rest.length]) {
          out.push(Buffer.from(sift.over ? rest.subarray(0, cut) : sift.feed(rest.subarray(0, cut))));
          rest = rest.subarray(cut);
        }
      } catch (error) {
        // Of the noise behind the question.
        return error instanceof ProxyError;
      }
      const told = Buffer.concat(out);
      return questions === 1 && told.subarray(0, before.length).equals(before);
    }),
    { numRuns: 300 },
  );
  return Promise.resolve();
});

function sized(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  return bytes;
}

// What a server says just before it ends, and whether the client has to hear it.
import { connect } from "node:net";
import t, { type Test } from "tap";
import { frame } from "../../src/wire/write.ts";
import { until } from "../audit/help.ts";
import { type Backend, FakePostgres } from "../fake-postgres.ts";
import { B, F } from "../session/stage.ts";
import { loginTo, poolRig, Q, type Wire } from "./help.ts";

const ANSWER = Buffer.concat([B.rowDescription(), B.row("42"), B.complete("SELECT 1"), B.ready()]);
const warning = (code: string): Buffer =>
  frame(0x4e, Buffer.from(`SWARNING\0VWARNING\0C${code}\0Mterminating connection\0\0`));

/** A client whose first server connection says this to its first statement; any other answers it. */
async function asked(
  t: Test,
  request: Buffer,
  answer: (backend: Backend) => void,
): Promise<{ client: Wire; server: FakePostgres; entries(): Promise<unknown[]> }> {
  const server = await new FakePostgres().listen();
  t.teardown(() => server.close());
  const open = loginTo(() => connect({ host: "127.0.0.1", port: server.port, noDelay: true }));
  const rig = await poolRig(t, open, { mode: "transaction" });
  const client = await rig.client();
  client.socket.write(request);
  await until("it is asked", () => server.last.received.length > 0);
  server.last.received = Buffer.alloc(0);
  answer(server.last);
  return {
    client,
    server,
    entries: async () => {
      const all = await rig.stop();
      return all.filter(({ kind }) => kind === "statement").map(({ outcome, attempts }) => [outcome, attempts]);
    },
  };
}

/** Answers what comes to the second connection. */
async function answered(server: FakePostgres, answer: Buffer): Promise<void> {
  await until("another one is asked", () => server.backends.length === 2 && server.last.received.length > 0);
  server.last.send(answer);
}

t.test("a read goes elsewhere whether the server ends with an error, a warning, or both", async (t) => {
  for (const words of [
    [B.error("57P01", "FATAL")],
    [warning("57P02")],
    [warning("57P01"), B.error("57P01", "FATAL")],
    [],
  ]) {
    const { client, server, entries } = await asked(t, Q("SELECT 42"), (backend) => {
      backend.send(...words);
      backend.socket.end();
    });
    await answered(server, ANSWER);
    t.equal((await client.ready()).map(({ type }) => type).join(""), "TDCZ", "and the client hears nothing of it");
    t.same(await entries(), [["completed", 2]]);
  }
});

t.test("what the server had said of the answer in the same breath is not told twice", async (t) => {
  const request = Buffer.concat([F.parse("SELECT 42"), F.bind(), F.execute(), F.sync()]);
  const { client, server } = await asked(t, request, (backend) => {
    backend.send(B.parsed(), B.bound(), warning("57P02"));
    backend.socket.end();
  });
  await answered(server, Buffer.concat([B.parsed(), B.bound(), B.row("42"), B.complete("SELECT 1"), B.ready()]));
  t.equal((await client.ready()).map(({ type }) => type).join(""), "12DCZ");
});

t.test("a server that goes on after all: the client hears all it said, in order", async (t) => {
  const { client, server, entries } = await asked(t, Q("SELECT 42"), (backend) =>
    backend.send(B.rowDescription(), warning("57P02"), B.row("42"), B.complete("SELECT 1"), B.ready()),
  );
  t.equal((await client.ready()).map(({ type }) => type).join(""), "TNDCZ");
  t.equal(server.backends.length, 1);
  t.same(await entries(), [["completed", undefined]]);
});

t.test("an error that ends a statement and no session is the answer, whatever its code", async (t) => {
  const { client, server, entries } = await asked(t, Q("SELECT 42"), (backend) =>
    backend.send(B.error("57P01"), B.ready()),
  );
  t.equal((await client.ready()).map(({ type }) => type).join(""), "EZ");
  t.equal(server.backends.length, 1);
  t.same(await entries(), [["failed", undefined]]);
});

t.test("what may have had an effect is told, and asked of nobody else", async (t) => {
  const { client, server, entries } = await asked(t, Q("UPDATE t SET a = 1"), (backend) => {
    backend.send(warning("57P02"));
    backend.socket.end();
  });
  await until("the client is told", () => client.closed);
  t.match(client.types, /^NE$/);
  t.equal(server.backends.length, 1);
  t.same(await entries(), [["unknown", undefined]]);
});

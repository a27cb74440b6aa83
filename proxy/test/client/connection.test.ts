// Who may see a byte, and when; and that every way a connection can end leaves one record and no socket.
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import t from "tap";
import { Connection } from "../../src/client/connection.ts";
import { systemError } from "../audit/disk.ts";
import { until } from "../audit/help.ts";
import { type Client, type Rig, rig, startup } from "../help.ts";
import { B, F } from "../session/stage.ts";

/** Stalls the disk. @returns how to let it go on */
function stall({ disk }: Rig): () => void {
  let release: () => void = () => undefined;
  disk.hold = new Promise((resolve) => {
    release = () => {
      disk.hold = undefined;
      resolve();
    };
  });
  return release;
}

const onDisk = ({ disk }: Rig, text: string): boolean => disk.writes.some(({ bytes }) => bytes.includes(text));
const disclosed = (sql: string): string => `"operation":"${sql.split(" ")[0]}"`;
/** Longer than anything on the way takes. */
const aWhile = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 60));

async function gone({ proxy }: Rig, client: Client): Promise<void> {
  await until("the proxy has let the client go", () => proxy.clients === 0);
  client.socket.destroy();
}

/** No socket of a client is left. */
async function closed({ proxy }: Rig): Promise<void> {
  let sockets = Number.NaN;
  await until("the proxy has closed its sockets", () => {
    proxy.sockets().then((count) => {
      sockets = count;
    });
    return sockets === 0;
  });
  await until("the proxy has let the clients go", () => proxy.clients === 0);
}

t.test("before-execute: not a byte of a statement reaches the server before its intent is on disk", async (t) => {
  const cases: readonly (readonly [string, Buffer, string])[] = [
    ["Query", F.query("INSERT INTO t VALUES (1)"), disclosed("INSERT INTO")],
    [
      "Parse, Bind, Execute",
      Buffer.concat([F.parse("DELETE FROM t"), F.bind(), F.execute()]),
      disclosed("DELETE FROM"),
    ],
    ["FunctionCall", F.functionCall(177, "1", "2"), '"function_oid":177'],
  ];
  for (const [name, bytes, mark] of cases) {
    const all = await rig(t);
    const client = await all.session();
    const backend = all.upstream.last;
    const release = stall(all);
    client.socket.write(bytes);
    await until("the intent is there", () => all.recorder.stats().openIntents === 1);
    await aWhile();
    t.notOk(onDisk(all, mark), "the disk is stalled");
    t.notOk(/[QEF]/.test(types(backend.received)), `${name}: nothing that executes has arrived`);
    release();
    await until("it arrives", () => backend.received.length === bytes.length);
    t.ok(onDisk(all, mark), `${name}: its intent is on disk by then`);
    client.socket.destroy();
  }
});

t.test("before-execute: the last piece of a call that is passed on in pieces", async (t) => {
  const all = await rig(t, { disclosureBytes: 1024 });
  const client = await all.session();
  const release = stall(all);
  const bytes = F.functionCall(177, "x".repeat(400_000));
  client.socket.write(bytes);
  await until("the intent is there", () => all.recorder.stats().openIntents === 1);
  await aWhile();
  t.ok(all.upstream.last.received.length < bytes.length, "the server does not have all of it");
  t.notOk(onDisk(all, '"function_oid":177'));
  release();
  await until("it arrives", () => all.upstream.last.received.length === bytes.length);
  t.ok(onDisk(all, '"function_oid":177'));
});

t.test("before-result: not a byte of the answer reaches the client before the intent is on disk", async (t) => {
  const all = await rig(t);
  const client = await all.session();
  const release = stall(all);
  client.socket.write(F.query("SELECT 1"));
  await until("the read is forwarded", () => all.upstream.last.received.length > 0);
  const answer = Buffer.concat([B.rowDescription(), B.row(), B.complete("SELECT 1"), B.ready()]);
  all.upstream.last.send(answer);
  await aWhile();
  t.equal(client.received.length, 0);
  t.notOk(onDisk(all, disclosed("SELECT")));
  release();
  await until("the answer is here", () => client.received.length === answer.length);
  t.ok(onDisk(all, disclosed("SELECT")));
  t.ok(client.received.equals(answer));
});

t.test("a login is not confirmed before session.start is on disk", async (t) => {
  const all = await rig(t);
  const client = await all.client();
  all.upstream.onStartup = (backend) => backend.send(B.auth(0), B.key(77));
  client.socket.write(startup({ user: "alice" }));
  await until("the server let it in", () => client.received.length > 0);
  const release = stall(all);
  all.upstream.last.send(B.ready());
  await aWhile();
  t.notOk(types(client.received).includes("Z"));
  release();
  await until("the login is through", () => types(client.received).includes("Z"));
  t.ok(onDisk(all, '"kind":"session.start"'));
});

t.test("what is held when a session is ended was never executed, and has no entry", async (t) => {
  const all = await rig(t);
  const client = await all.session();
  const release = stall(all);
  // It takes its time, so that everything is durable before it is gone.
  all.upstream.last.busy = true;
  client.socket.write(
    Buffer.concat([F.query("INSERT INTO t VALUES (1)"), F.query("SELECT 1"), Buffer.from("!\0\0\0\u0004")]),
  );
  await until("the session is ended", () => client.ended);
  release();
  t.equal(client.refusal, "08P01");
  await until("everything is durable", () => onDisk(all, disclosed("INSERT")));
  all.upstream.last.socket.end();
  await gone(all, client);
  t.equal(types(all.upstream.last.received), "X", "the server only heard the end");
  const kinds = await all.stop();
  t.same(kinds, ["source.start", "session.start", "session.end", "source.stop"]);
  t.match(all.bench.log.ofKind("session.end")[0]!.json, { reason: "protocol-error", statements: 0 });
});

t.test("what stands before a bad message goes its way", async (t) => {
  const all = await rig(t);
  const client = await all.session();
  all.upstream.last.busy = true;
  client.socket.write(Buffer.concat([F.query("SELECT 1"), Buffer.from("!\0\0\0\u0004")]));
  await until("the session is ended", () => client.ended);
  await until("the server heard it all", () => types(all.upstream.last.received) === "QX");
  all.upstream.last.send(B.complete("SELECT 1"), B.ready());
  all.upstream.last.socket.end();
  await gone(all, client);
  await all.stop();
  t.match(all.bench.log.ofKind("statement")[0]!.json, { operation: "SELECT", outcome: "completed" });
});

t.test("no error stands in the middle of a message of the server's", async (t) => {
  const row = B.row("x".repeat(1000));
  const ends: readonly (readonly [string, (all: Rig) => void])[] = [
    ["the rest of it, and nonsense behind", ({ upstream }) => upstream.last.send(row.subarray(500), B.parsed())],
    ["the proxy is stopped", ({ proxy }) => void proxy.close(0)],
    ["the server goes away", ({ upstream }) => void upstream.last.socket.destroy()],
  ];
  for (const [name, end] of ends) {
    const all = await rig(t);
    const client = await all.session();
    client.socket.write(F.query("SELECT 1"));
    await until("the read is forwarded", () => all.upstream.last.received.length > 0);
    all.upstream.last.send(row.subarray(0, 500));
    await until("the first half is here", () => client.received.length === 500);
    end(all);
    await until("the client's connection ends", () => client.ended);
    t.ok(client.received.equals(row.subarray(0, 500)), name);
    all.upstream.last.socket.destroy();
    await gone(all, client);
  }
});

t.test("a server that goes away between messages: the client is told, unless the server told it", async (t) => {
  for (const [last, told] of [
    [[B.row()], "08006"],
    [[B.row(), B.error("57P01", "FATAL")], undefined],
  ] as const) {
    const all = await rig(t);
    const client = await all.session();
    client.socket.write(F.query("SELECT 1"));
    await until("the read is forwarded", () => all.upstream.last.received.length > 0);
    all.upstream.last.send(...last);
    all.upstream.last.socket.end();
    await until("the client's connection ends", () => client.ended);
    t.equal(client.refusal, told);
    await gone(all, client);
    await all.stop();
    t.match(all.bench.log.ofKind("statement")[0]!.json, {
      outcome: told === undefined ? "failed" : "unknown",
      rows: 1,
    });
    t.match(all.bench.log.ofKind("session.end")[0]!.json, { reason: "server-closed" });
  }
});

t.test("a server that goes away in the middle of the login without a word", async (t) => {
  for (const when of ["at once", "after a request"]) {
    const all = await rig(t);
    all.upstream.onStartup = (backend) => {
      if (when !== "at once") backend.send(B.auth(5, "salt"));
      backend.socket.end();
    };
    const client = await all.client();
    client.socket.write(startup({ user: "alice" }));
    await until("the client's connection ends", () => client.ended);
    t.equal(client.refusal, "08006", when);
    await gone(all, client);
    t.same(await all.stop(), ["source.start", "access.refused", "source.stop"]);
  }
});

t.test("a server that cannot be reached: the client is told, recorded, and its end is seen", async (t) => {
  const all = await rig(t);
  await all.upstream.close();
  const client = await all.client();
  client.socket.write(startup({ user: "alice" }));
  await until("the client's connection ends", () => client.ended);
  t.equal(client.refusal, "08001");
  await until("the proxy has let the client go", () => all.proxy.clients === 0);
  client.socket.end();
  await closed(all);
  await all.stop();
  t.match(all.bench.log.ofKind("access.refused")[0]!.json, { by: "proxy", sqlstate: "08001" });
});

t.test("a client that is not read at the moment when the server goes away", async (t) => {
  const all = await rig(t);
  const client = await all.session();
  all.upstream.last.socket.pause();
  // More than the sockets' buffers hold, so that the proxy stops reading.
  const piece = F.query(`SELECT '${"x".repeat(900_000)}'`);
  for (let i = 0; i < 30; i += 1) client.socket.write(piece);
  await until("the client is stopped", () => client.socket.writableLength > 1_000_000);
  await aWhile();
  all.upstream.last.socket.destroy();
  await until("the client's connection ends", () => client.ended);
  t.equal(client.refusal, "08006");
  client.socket.end();
  await closed(all);
});

t.test("a half packet, silence, and a login that takes too long", async (t) => {
  const all = await rig(t, { login: 1000 });
  const silent = await all.client();
  const half = await all.client();
  half.socket.write(startup({ user: "alice" }).subarray(0, 9));
  all.upstream.onStartup = (backend) => backend.send(B.auth(5, "salt"));
  const slow = await all.client();
  slow.socket.write(startup({ user: "alice" }));
  for (const client of [silent, half, slow]) {
    await until("the client's connection ends", () => client.ended);
    t.equal(client.refusal, "08P01");
    client.socket.end();
  }
  await closed(all);
  t.same(await all.stop(), ["source.start", "access.refused", "source.stop"], "only one named a user");
});

t.test("a server that hangs in a login holds nobody: neither who waits too long nor who leaves", async (t) => {
  for (const how of ["waits", "ends", "resets"]) {
    const all = await rig(t, { login: 1000 });
    all.upstream.onStartup = (backend) => {
      backend.busy = true;
      backend.send(B.auth(3));
    };
    const client = await all.client();
    client.socket.write(startup({ user: "alice" }));
    await until("it is asked", () => client.received.length > 0);
    if (how === "resets") client.socket.resetAndDestroy();
    else if (how === "ends") client.socket.end();
    else await until("it is told", () => client.refusal !== undefined);
    client.socket.end();
    await until(`${how}: the proxy has let it go`, () => all.proxy.clients === 0);
    t.match(await all.stop(), ["source.start", "access.refused", "source.stop"], how);
  }
});

t.test("so many that say nothing are not even let connect", async (t) => {
  const all = await rig(t, { clients: 2 });
  await all.session();
  const clients = await Promise.all(Array.from({ length: 150 }, () => all.client()));
  await until("some are turned away", () => clients.filter(({ ended }) => ended).length === 50);
  await aWhile();
  t.equal(clients.filter(({ ended }) => ended).length, 50);
  t.equal(await all.proxy.sockets(), 101, "the one that is logged in takes nobody's place");
  for (const { socket } of clients) socket.destroy();
  await until("they are gone", () => all.proxy.clients === 1);
  await all.session();
  t.equal(all.proxy.sessions, 2, "and when they are gone others get in");
});

t.test("strangers who are refused do not fill the spool so far that sessions end", async (t) => {
  const all = await rig(t);
  await all.bench.log.close();
  const { recorder } = all;
  const session = await all.session();
  const fill = async (share: number): Promise<void> => {
    while (recorder.stats().bytes < share * recorder.stats().maxBytes) {
      const position = recorder.record("config.change", '"config":""', [Buffer.alloc(1 << 19)]);
      await new Promise<void>((resolve) => recorder.whenDurable(position, resolve));
    }
  };
  await fill(0.81);
  t.equal(recorder.state, "restricted");
  const heard = await all.client();
  heard.socket.write(startup({ replication: "on", user: "mallory" }));
  await until("one is refused", () => heard.refusal === "0A000");
  await fill(0.86);
  const { entries } = recorder.stats();
  const unheard = await all.client();
  unheard.socket.write(startup({ replication: "on", user: "mallory" }));
  await until("the next is closed", () => unheard.ended);
  t.equal(unheard.received.length, 0);
  t.equal(recorder.stats().entries, entries);
  t.equal(recorder.state, "restricted");
  session.socket.write(F.query("SELECT 1"));
  await until("who is there goes on", () => all.upstream.last.received.includes("SELECT 1"));
});

t.test("a client with too many unanswered statements is not read on, until they are answered", async (t) => {
  const all = await rig(t);
  const client = await all.session();
  const one = Buffer.concat([F.parse("SELECT 1", "s"), F.bind("s"), F.execute()]);
  client.socket.write(one);
  await until("it arrives", () => all.upstream.last.received.length === one.length);
  const many = 14_000;
  client.socket.write(Buffer.concat(Array.from({ length: many }, () => F.execute())));
  await until("so many are open", () => all.recorder.stats().openIntents >= 4096);
  await aWhile();
  const open = all.recorder.stats().openIntents;
  t.ok(open < 11_000, `${open} are open`);
  all.upstream.last.send(B.parsed(), B.bound());
  const answer = Buffer.concat(Array.from({ length: 1000 }, () => B.complete("SELECT 0")));
  for (let answered = 0; answered <= many; answered += 1000) {
    const size = Math.min(1000, many + 1 - answered) * B.complete("SELECT 0").length;
    all.upstream.last.send(answer.subarray(0, size));
    await until("they are recorded", () => all.recorder.stats().entries >= Math.min(many, answered + 1000));
  }
  await until("all are answered", () => all.recorder.stats().openIntents === 0);
  t.ok(all.recorder.stats().entries > many);
});

t.test("behind a cancel request nothing is heard", async (t) => {
  const all = await rig(t);
  const client = await all.client();
  client.socket.write(Buffer.from("0000001004d2162e0000004d6b657921", "hex"));
  await aWhile();
  client.socket.write(startup({ user: "alice" }));
  await until("the client's connection ends", () => client.ended);
  await aWhile();
  t.equal(all.upstream.backends.length, 0);
  t.equal(client.received.length, 0);
  await gone(all, client);
});

t.test(
  "a statement that outlasts the drain is cancelled; a server that does not even then answer is left",
  async (t) => {
    for (const answers of [true, false]) {
      const all = await rig(t);
      const client = await all.session();
      const backend = all.upstream.last;
      client.socket.write(F.query("SELECT 1"));
      await until("the read is forwarded", () => backend.received.length > 0);
      backend.busy = true;
      const closing = all.proxy.close(50);
      await until("a cancel arrives", () => all.upstream.backends.length === 2);
      t.equal(client.refusal, "57P01");
      if (answers) {
        backend.send(B.error("57014"));
        backend.socket.end();
      }
      await closing;
      t.equal(all.proxy.clients, 0);
      // Nothing comes behind the source's own last entry: the recorder would throw.
      const kinds = await all.stop();
      t.same(kinds, ["source.start", "session.start", "statement", "session.end", "source.stop"]);
      t.match(all.bench.log.ofKind("statement")[0]!.json, { outcome: answers ? "cancelled" : "unknown" });
      t.match(all.bench.log.ofKind("session.end")[0]!.json, { reason: "shutdown" });
      backend.send(B.complete("SELECT 1"));
      await aWhile();
    }
  },
);

t.test("a drain waits until a client has taken what it was sent", async (t) => {
  const all = await rig(t);
  const untaken: (() => void)[] = [];
  let over = false;
  let slow = false;
  const socket = new Duplex({
    allowHalfOpen: true,
    read: () => undefined,
    write: (_chunk, _encoding, taken) => (slow ? untaken.push(taken) : taken()),
  });
  const connection = new Connection(socket as Socket, true, all.context, {
    loggedIn: () => undefined,
    over: () => {
      over = true;
    },
  });
  t.teardown(() => connection.abandon());
  socket.push(startup({ user: "alice" }));
  await until("it is in", () => connection.state === "idle");
  slow = true;
  socket.push(F.query("SELECT 1"));
  await until("the statement is there", () => all.upstream.last.received.includes("SELECT 1"));
  all.upstream.last.send(B.row("1"), B.complete("SELECT 1"), B.ready());
  await until("it is answered", () => untaken.length > 0 && connection.state === "idle");
  connection.drain();
  await aWhile();
  t.equal(connection.state, "idle");
  slow = false;
  for (const taken of untaken) taken();
  await until("then it is over", () => over);
});

t.test("a client that does not read is stopped all the same, and what the server answers is recorded", async (t) => {
  const all = await rig(t);
  const client = await all.session();
  const backend = all.upstream.last;
  backend.busy = true;
  client.socket.write(F.query("SELECT 1"));
  await until("the read is forwarded", () => backend.received.length > 0);
  client.socket.pause();
  const row = B.row("x".repeat(60_000));
  let rows = 0;
  await until("the server is stopped", () => {
    if (backend.socket.writableLength > 1_000_000) return true;
    backend.send(row);
    rows += 1;
    return false;
  });
  const closing = all.proxy.close(50);
  await until("a cancel arrives", () => all.upstream.backends.length === 2);
  backend.send(B.error("57014"));
  backend.socket.end();
  await closing;
  await all.stop();
  t.match(all.bench.log.ofKind("statement")[0]!.json, { outcome: "cancelled", rows });
});

t.test("a spool that fails: what is held stays unsaid, the client is told", async (t) => {
  for (const sql of ["INSERT INTO t VALUES (1)", "SELECT 1"]) {
    const all = await rig(t);
    const client = await all.session();
    const release = stall(all);
    client.socket.write(F.query(sql));
    await until("the intent is there", () => all.recorder.stats().openIntents === 1);
    if (sql.startsWith("SELECT")) {
      await until("the read is forwarded", () => all.upstream.last.received.length > 0);
      all.upstream.last.send(B.row("secret"), B.complete("SELECT 1"), B.ready());
      await aWhile();
    }
    all.disk.fault = (act) => {
      if (act === "write") throw systemError("EIO");
    };
    release();
    await until("the client's connection ends", () => client.ended);
    t.equal(client.refusal, "58030");
    t.notOk(client.received.includes("secret"));
    t.notOk(all.upstream.last.received.includes("INSERT"));
    all.upstream.last.socket.end();
    await gone(all, client);
  }
});

/** The types of the messages in it. */
function types(bytes: Buffer): string {
  let text = "";
  for (let at = 0; at + 5 <= bytes.length; at += 1 + bytes.readUInt32BE(at + 1))
    text += String.fromCharCode(bytes[at]!);
  return text;
}

// Servers that go away anywhere, say more than they were asked, or are not all the same; by every way that leads to them.
import t from "tap";
import type { LetIn } from "../../src/pool/index.ts";
import type { Pool } from "../../src/pool/pool.ts";
import { frame } from "../../src/wire/write.ts";
import { until } from "../audit/help.ts";
import type { Backend } from "../fake-postgres.ts";
import { B, F } from "../session/stage.ts";
import { connected, frames, played, WAYS, type Way, way } from "../ways.ts";

t.setTimeout(300_000);
const asked = Buffer.concat([
  ...[F.parse("SELECT 1"), F.bind(), F.describe("P"), F.execute(), F.sync()],
  ...[F.query("SELECT 2; DELETE FROM t"), F.query("COPY t TO STDOUT")],
]);
const messages = [
  ...[B.parsed(), B.bound(), B.rowDescription(), B.row("one"), B.complete("SELECT 1"), B.ready()],
  ...[B.rowDescription(), B.row("two"), B.complete("SELECT 1"), B.complete("DELETE 3"), B.ready()],
  ...[B.copyOut(), B.copyData("1\n"), B.copyDone(), B.complete("COPY 1"), B.ready()],
];
const answers = Buffer.concat(messages);
/** Where a message ends. */
const ends = new Set<number>([0]);
for (const { length } of messages) ends.add([...ends].at(-1)! + length);
const COMPLETED = ["SELECT", "SELECT", "DELETE", "COPY"];

/** The one that has been asked all of it. */
async function askedAt(backends: readonly Backend[], bytes: Buffer): Promise<Backend> {
  const has = ({ received }: Backend): boolean => received.includes(bytes);
  await until("it is asked", () => backends.some(has));
  return backends.find(has)!;
}

const gone = (one: Way): Promise<void> => until("it is gone", () => one.rig!.proxy.clients === 0);

t.test(
  "a server that ends at any byte of its answer: all that came is told, then 08006, but never inside a message",
  async (t) => {
    for (const name of WAYS) {
      const there = await played(t);
      const one = await way(t, name, there);
      const wrong: unknown[] = [];
      let n = 0;
      for (; n < answers.length; n += 1) {
        const client = await connected(one, { user: "alice" });
        client.socket.write(asked);
        const backend = await askedAt(there.fake.backends, F.query("COPY t TO STDOUT"));
        if (n > 0) backend.send(answers.subarray(0, n));
        backend.socket.end();
        await until("the connection ends", () => client.ended);
        const last = [...ends].filter((end) => end <= n).at(-1)!;
        const whole = client.received.subarray(0, last).equals(answers.subarray(0, last));
        const rest = client.received.subarray(last);
        // What came of a message that has not come to its end may be passed on, as it is; then there is no error behind it.
        const part = rest.equals(answers.subarray(last, last + rest.length)) && last + rest.length <= n;
        const error = client.refusal === "08006" && rest[0] === 0x45 && rest.length === 1 + rest.readUInt32BE(1);
        if (!whole || !(error || (part && rest.length > 0) || (part && !ends.has(n)))) {
          wrong.push([n, frames(client.received)]);
        }
        client.socket.destroy();
        await gone(one);
        for (const { socket } of there.fake.backends.splice(0)) socket.destroy();
      }
      t.same(wrong.slice(0, 3), [], `${name}: ${wrong.length} of ${n} are wrong`);
      await one.rig!.stop();
      const log = one.rig!.bench.log;
      t.equal(log.ofKind("session.end").length, n);
      const told = new Map<unknown, string[]>();
      for (const { json } of log.ofKind("statement")) {
        told.set(json.session, [...(told.get(json.session) ?? []), `${json.operation} ${json.outcome}`]);
      }
      for (const [i, { json }] of log.ofKind("session.end").entries()) {
        const done = messages.filter((_, k) => [...ends][k + 1]! <= i).filter((bytes) => bytes[0] === 0x43).length;
        const statements = told.get(json.session) ?? [];
        const completed = statements.filter((text) => text.endsWith("completed"));
        // What was answered stands as that, everything else as unknown; of what was not committed yet, that as well.
        const commits = statements.filter((text) => text === "COMMIT unknown").length;
        if (
          json.reason !== "server-closed" ||
          completed.join() !==
            COMPLETED.slice(0, done)
              .map((operation) => `${operation} completed`)
              .join() ||
          statements.length - commits !== COMPLETED.length
        ) {
          t.fail(`${name}: ended behind ${i} bytes: ${json.reason}, ${statements}`);
        }
      }
    }
  },
);

t.test("a server's answer is the same to the client however it is cut", async (t) => {
  for (const name of WAYS) {
    const there = await played(t);
    const one = await way(t, name, there, { size: 1 });
    const client = await connected(one, { user: "alice" });
    const round = async (pieces: readonly Buffer[]): Promise<boolean> => {
      client.socket.write(asked);
      const backend = await askedAt(there.fake.backends, F.query("COPY t TO STDOUT"));
      backend.received = Buffer.alloc(0);
      for (const piece of pieces) {
        backend.send(piece);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await until("it is answered", () => client.received.length >= answers.length || client.ended);
      const same = client.received.equals(answers);
      client.received = Buffer.alloc(0);
      return same;
    };
    const wrong: number[] = [];
    for (let cut = 1; cut < answers.length; cut += 1) {
      if (!(await round([answers.subarray(0, cut), answers.subarray(cut)]))) wrong.push(cut);
    }
    t.same(wrong, [], `${name}: cut at each byte`);
    t.ok(await round([...answers].map((byte) => Buffer.from([byte]))), `${name}: byte by byte`);
    client.socket.destroy();
    await gone(one);
    await one.rig!.stop();
    t.equal(one.rig!.bench.log.ofKind("statement").length, COMPLETED.length * answers.length);
  }
});

const NOTICE = frame(0x4e, Buffer.from("SNOTICE\0VNOTICE\0C00000\0Mnobody asked\0\0"));
const NOTIFICATION = frame(0x41, Buffer.from("\0\0\0\u0007channel\0payload\0", "latin1"));
const answer = [B.rowDescription(), B.row(), B.complete("SELECT 1"), B.ready()];

t.test(
  "what an idle pooled connection says is told to nobody, but for parameters, which the next one is told",
  async (t) => {
    const there = await played(t);
    const one = await way(t, "pooled by transaction", there, { size: 1 });
    const client = await connected(one, { user: "alice" });
    const ask = async (sql: string): Promise<string[]> => {
      client.received = Buffer.alloc(0);
      client.socket.write(F.query(sql));
      (await askedAt(there.fake.backends, F.query(sql))).send(...answer);
      await until("it is answered", () => client.received.includes("Z\0\0\0\u0005I"));
      return frames(client.received).map((text) => text.slice(0, 1));
    };
    t.same(await ask("SELECT 1"), ["T", "D", "C", "Z"]);
    there.fake.last.send(NOTICE, B.status("TimeZone", "Mars"), NOTIFICATION);
    const pool = [...one.pools!.clients][0]!.pool as Pool<LetIn>;
    // The notification stands behind it in the same bytes.
    await until("it is known", () => [...pool.servers].some(({ parameters }) => parameters.get("TimeZone") === "Mars"));
    t.equal(client.received.length, Buffer.concat(answer).length, "nobody asked");
    t.same(await ask("SELECT 2"), ["S", "T", "D", "C", "Z"]);
    t.match(client.received.toString("latin1"), /TimeZone\0Mars/);
    t.same(await ask("SELECT 3"), ["T", "D", "C", "Z"], "once");
    for (const [sql, last] of [
      ["SELECT 4", B.error("57P01", "FATAL")],
      ["SELECT 5", B.row()],
      ["SELECT 6", Buffer.from("!\0\0\0\u0001")],
      ["SELECT 7", B.ready()],
    ] as const) {
      const { length } = there.fake.backends;
      there.fake.last.send(last);
      await until("it is dropped", () => one.pools!.serverStats().length === 0);
      t.same((await ask(sql)).at(-1), "Z");
      t.equal(there.fake.backends.length, length + 1, "on another connection");
      t.notOk(client.received.includes("57P01"));
    }
    // In one read with the ReadyForQuery that gave it back.
    client.received = Buffer.alloc(0);
    client.socket.write(F.query("SELECT 8"));
    (await askedAt(there.fake.backends, F.query("SELECT 8"))).send(...answer, B.error("57P01", "FATAL"));
    await until("it is dropped", () => one.pools!.serverStats().length === 0);
    await until("it is answered", () => client.received.length >= Buffer.concat(answer).length);
    t.same(frames(client.received), frames(Buffer.concat(answer)), "the client has its answer, and no more");
    t.same((await ask("SELECT 9")).at(-1), "Z");
    client.socket.destroy();
  },
);

t.test("a client that gets another server is told what that one reports otherwise, before its answer", async (t) => {
  const there = await played(t);
  const kinds = [
    { server_version: "17.2", in_hot_standby: "off" },
    { server_version: "18.1", in_hot_standby: "on", search_path: "public" },
  ];
  let opened = 0;
  there.fake.onStartup = (backend) => {
    const reported = Object.entries(kinds[opened % 2]!).map(([name, value]) => B.status(name, value));
    opened += 1;
    backend.send(B.auth(0), ...reported, B.key(77), B.ready());
  };
  const one = await way(t, "pooled by transaction", there, { size: 2 });
  const [holder, client] = [await connected(one, { user: "alice" }), await connected(one, { user: "alice" })];
  t.match(client.greeting.toString("latin1"), /server_version\x0017\.2/);
  const ask = async (who: typeof client, sql: string, status: string): Promise<string[]> => {
    who.received = Buffer.alloc(0);
    who.socket.write(F.query(sql));
    (await askedAt(there.fake.backends, F.query(sql))).send(B.complete(sql), B.ready(status));
    await until("it is answered", () => who.received.includes(`Z\0\0\0\u0005${status}`));
    return frames(who.received).map((text) => text.replaceAll("\0", " ").trim());
  };
  t.same(await ask(holder, "BEGIN", "T"), ["C BEGIN", "Z T"]);
  t.same(await ask(client, "SELECT 1", "I"), [
    ...["S server_version 18.1", "S in_hot_standby on", "S search_path public"],
    ...["C SELECT 1", "Z I"],
  ]);
  t.same(await ask(client, "SELECT 2", "I"), ["C SELECT 2", "Z I"], "once");
  t.same(await ask(holder, "COMMIT", "I"), ["C COMMIT", "Z I"]);
  t.same(await ask(client, "SELECT 3", "I"), ["S server_version 17.2", "S in_hot_standby off", "C SELECT 3", "Z I"]);
  for (const { socket } of [holder, client]) socket.destroy();
});

t.end();

// However a connection goes, or does not go: both peers are treated as without the proxy, and the log tells it.
import { rmSync } from "node:fs";
import { connect } from "node:net";
import type { Postgres } from "@vitrine/cli";
import t from "tap";
import { errorField, type Message, RawClient, send, startupPacket } from "../support/raw-client.ts";
import { Gate, login, openSockets, pause, RAW, recorded, told, trust, underWay, until } from "../support/sessions.ts";
import { DATABASE, Stack, startDatabase, statements, temporaryFolder } from "../support/stack.ts";

const folder = temporaryFolder("behaviour");
let database: Postgres;
let stack: Stack;
/** Another proxy before the same database, with narrow limits. */
let narrow: Stack;
const DRAIN_MS = 8000;
/** Sockets of a proxy without clients: the one that listens, its connection to the log, and its output. */
let atRest = 0;

t.before(async () => {
  database = await startDatabase(folder);
  await trust(database, folder);
  const owner = await database.connect(DATABASE);
  await owner.query("CREATE TABLE kept (a int); GRANT ALL ON kept TO raw");
  await owner.end();
  stack = await (await Stack.create(database, { limits: { connect_timeout_ms: 60_000 } })).start();
  await stack.settled((entries) => entries.length > 0);
  atRest = openSockets(stack.proxy.pid!);
  const limits = { clients: 5, login_timeout_ms: 12_000, drain_timeout_ms: DRAIN_MS, statement_bytes: 65536 };
  narrow = await (await Stack.create(database, { limits })).start();
});

t.after(async () => {
  await stack?.destroy();
  await narrow?.destroy();
  await database?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const errors = (messages: readonly Message[]): (string | undefined)[] =>
  messages.filter(({ type }) => type === "E").map((error) => errorField(error, "C"));

const backendPid = (messages: readonly Message[]): number =>
  messages.find(({ type }) => type === "K")!.bytes.readUInt32BE(5);

/** Logs in and says the server process and the key for cancel requests. */
async function open(port: number, application: string): Promise<{ client: RawClient; pid: number; key: Buffer }> {
  const client = await RawClient.open(port);
  client.write(startupPacket({ user: RAW, database: DATABASE, application_name: application }));
  const messages = await client.ready();
  const key = messages.find(({ type }) => type === "K")!.bytes.subarray(9);
  return { client, pid: backendPid(messages), key };
}

const closed = (client: RawClient): Promise<Message[]> => client.until(() => client.closed);

/** When the server's own processes were started: anew once one of its processes was killed, and somewhat later. */
async function serverBegan(): Promise<string | undefined> {
  try {
    const client = await database.connect("postgres");
    const began = "SELECT backend_start::text AS began FROM pg_stat_activity WHERE backend_type = 'checkpointer'";
    const { rows } = await client.query(began);
    await client.end();
    return (rows[0] as { began: string } | undefined)?.began;
  } catch {
    return undefined; // it lets nobody in
  }
}

async function count(): Promise<number> {
  const client = await database.connect(DATABASE);
  const { rows } = await client.query("SELECT count(*)::int AS n FROM kept");
  await client.end();
  return rows[0].n;
}

t.test("the client vanishes", async (t) => {
  const gate = await Gate.closed(database);
  const ways: readonly {
    readonly name: string;
    readonly go: (client: RawClient) => Promise<unknown>;
    readonly told: readonly (string | RegExp)[];
    readonly behind?: () => Promise<unknown>;
  }[] = [
    { name: "idle", go: async () => undefined, told: [] },
    {
      name: "in the middle of a statement",
      go: async (client) => {
        client.write(send.query(`INSERT INTO kept SELECT 1 FROM ${Gate.WAIT}`));
        await gate.held(1);
      },
      // It may well hear of it before the statement is done.
      behind: () => pause(100).then(() => gate.open()),
      told: ["INSERT completed"],
    },
    {
      name: "in the middle of a transaction",
      go: async (client) => {
        client.write(send.query("BEGIN"), send.query("INSERT INTO kept VALUES (2)"));
        await client.ready(2);
      },
      told: ["BEGIN completed", "INSERT completed"],
    },
    {
      name: "in the middle of COPY",
      go: async (client) => {
        client.write(send.query("COPY kept FROM STDIN"));
        await client.until((seen) => seen.some(({ type }) => type === "G"));
        client.write(send.copyData("3\n"));
        await pause(50);
      },
      told: [/^COPY (failed|unknown)/],
    },
    {
      name: "in the middle of a large result",
      go: async (client) => {
        client.write(send.query("SELECT repeat('x', 1000) FROM generate_series(1, 10000000)"));
        await client.until((seen) => seen.length > 100);
      },
      told: [/^SELECT (cancelled 57014|failed)/],
    },
  ];
  for (const { name, go, told: wanted, behind } of ways) {
    const client = await login(stack.proxyPort, `vanishes ${name}`);
    await go(client);
    client.socket.resetAndDestroy();
    await behind?.();
    const session = await recorded(stack, `vanishes ${name}`);
    t.equal(session.end.reason, "client-closed", name);
    t.match(session.told, wanted, name);
    t.equal(session.told.length, wanted.length);
  }
  t.equal(await count(), 1, "what the server had begun was done, what was not committed was not");
});

t.test("the client ends its side, or says Terminate, with statements under way: they are done", async (t) => {
  const half = await login(stack.proxyPort, "half-closed");
  half.write(send.query("SELECT pg_sleep(0.2)"), send.query("SELECT generate_series(1, 20000)"));
  half.socket.end();
  const answers = await closed(half);
  t.equal(answers.filter(({ type }) => type === "D").length, 20_001);
  t.equal(answers.at(-1)?.type, "Z");
  const first = await recorded(stack, "half-closed");
  t.same(first.told, ["SELECT completed", "SELECT completed"]);
  t.equal(first.end.reason, "client-closed");

  const through = await login(stack.proxyPort, "terminated");
  through.write(send.query("SELECT pg_sleep(0.2)"), send.parse("SELECT 1"), send.bind(), send.execute(), send.sync());
  through.write(send.terminate(), send.query("INSERT INTO kept VALUES (9)"));
  await closed(through);
  const second = await recorded(stack, "terminated");
  t.same(second.told, ["SELECT completed", "SELECT completed"], "nothing behind the Terminate");
  t.equal(second.end.reason, "client-terminated");
});

t.test("what a client may do and a proxy might stumble over", async (t) => {
  const scripts: readonly (readonly [string, readonly Buffer[][], readonly string[]])[] = [
    [
      "a Query in the middle of COPY",
      [[send.query("COPY kept FROM STDIN"), send.query("SELECT 1")]],
      ["COPY failed 08P01", "SELECT unknown"],
    ],
    [
      "a suspended portal carried on twice at once",
      [
        [send.parse("SELECT generate_series(1, 5)"), send.bind(), send.execute("", 3), send.flush()],
        [send.execute("", 3), send.execute("", 3), send.sync(), send.terminate()],
      ],
      ["SELECT completed", "SELECT completed"],
    ],
    [
      "a suspended portal carried on twice at once, and failing",
      [
        [send.parse("SELECT 1 / (4 - i) FROM generate_series(1, 5) i"), send.bind(), send.execute("", 2), send.flush()],
        [send.execute("", 2), send.execute("", 2), send.sync(), send.terminate()],
      ],
      ["SELECT failed 22012"],
    ],
    [
      "an empty statement that is not: an error skipped the one",
      [
        [send.parse("INSERT INTO kept VALUES (7)", "x"), send.sync()],
        [
          ...[send.parse("nonsense"), send.close("S", "x"), send.parse("", "x"), send.sync()],
          ...[send.bind([], "x"), send.execute(), send.sync(), send.terminate()],
        ],
      ],
      ["UNKNOWN failed 42601", "INSERT completed"],
    ],
    [
      "a cursor of SQL, read in portions",
      [
        [send.query("BEGIN; DECLARE c CURSOR FOR SELECT generate_series(1, 5)")],
        [send.execute("c", 2), send.sync()],
        [send.execute("c", 2), send.sync(), send.query("COMMIT"), send.terminate()],
      ],
      ["BEGIN completed", "DECLARE CURSOR completed", "COMMIT completed", "UNKNOWN completed"],
    ],
    [
      "text whose quotes end elsewhere",
      [
        [send.query("SET standard_conforming_strings = off")],
        [send.query("SELECT '\\''; INSERT INTO kept VALUES (8); --'"), send.terminate()],
      ],
      ["SET completed", "UNKNOWN completed", "UNKNOWN completed"],
    ],
  ];
  for (const [name, rounds, wanted] of scripts) {
    const heard: string[][] = [];
    for (const port of [database.port, stack.proxyPort]) {
      const client = await login(port, name);
      const texts: string[] = [];
      for (const round of rounds) {
        client.write(...round);
        if (round === rounds.at(-1)) await closed(client).then((messages) => texts.push(...shown(messages)));
        else {
          const last = round.at(-1)![0] === 0x48 ? "s" : "Z";
          texts.push(...shown(await client.until((seen) => seen.some(({ type }) => type === last))));
        }
      }
      heard.push(texts);
    }
    t.same(heard[1], heard[0], `${name}: the same answers`);
    t.same((await recorded(stack, name)).told, wanted, `${name}: the entries`);
  }
});

const shown = (messages: readonly Message[]): string[] =>
  messages.map(({ type, bytes }) => `${type} ${bytes.subarray(5).toString("latin1")}`);

t.test("a login that does not come, or not as it should", async (t) => {
  const silent = await RawClient.open(narrow.proxyPort);
  const half = await RawClient.open(narrow.proxyPort);
  half.write(startupPacket({ user: RAW }).subarray(0, 11));
  for (const client of [silent, half]) t.same(errors(await closed(client)), ["08P01"]);

  const odd = async (packet: Buffer): Promise<(string | undefined)[]> => {
    const client = await RawClient.open(narrow.proxyPort);
    client.write(packet);
    return errors(await closed(client));
  };
  t.same(await odd(startupPacket({ user: "\u0001".repeat(9900) })), ["08P01"], "a name that fits no entry");
  const long = { database: "\u0001".repeat(63), application_name: "\u0001".repeat(9500) };
  t.same(await odd(startupPacket({ user: RAW, ...long })), ["3D000"], "names that just do");
  t.same(await odd(Buffer.concat([startupPacket({ user: "hasty" }), Buffer.from("x")])), ["08P01"]);
  t.same(await odd(startupPacket({ user: "copier", replication: "database" })), ["0A000"]);
  const refusals = await narrow.settled((all) => all.filter(({ kind }) => kind === "access.refused").length === 3);
  t.match(
    refusals.filter(({ kind }) => kind === "access.refused"),
    [
      { by: "server", sqlstate: "3D000" },
      { by: "proxy", sqlstate: "08P01", actor: { login: "hasty" } },
      { by: "proxy", sqlstate: "0A000", actor: { login: "copier" } },
    ],
  );
});

t.test(
  "more clients than the limit: those above it are told, recorded, and others let in when some leave",
  async (t) => {
    const clients = await Promise.all(
      Array.from({ length: 105 }, async () => {
        const client = await RawClient.open(narrow.proxyPort);
        client.write(startupPacket({ user: RAW, database: DATABASE, application_name: "many" }));
        return {
          client,
          messages: await client.until((seen) => seen.some(({ type }) => type === "Z" || type === "E")),
        };
      }),
    );
    const inside = clients.filter(({ messages }) => messages.at(-1)?.type === "Z");
    const outside = clients.filter((one) => !inside.includes(one));
    t.ok(inside.length <= 5, `${inside.length} are in`);
    for (const { messages } of outside) if (errors(messages)[0] !== "53300") t.fail(`refused with ${errors(messages)}`);
    for (const { client } of inside) await client.end();
    await until("somebody is let in again", async () => {
      const client = await RawClient.open(narrow.proxyPort);
      client.write(startupPacket({ user: RAW, database: DATABASE }));
      const messages = await client.until((seen) => seen.some(({ type }) => type === "Z" || type === "E"));
      client.socket.destroy();
      return messages.at(-1)?.type === "Z";
    });
    const entries = await narrow.settled(
      (all) => all.filter(({ sqlstate }) => sqlstate === "53300").length >= outside.length,
    );
    t.match(
      entries.find(({ sqlstate, by }) => sqlstate === "53300" && by === "proxy"),
      { kind: "access.refused" },
    );
  },
);

t.test("two hundred connections at once, without that limit", async (t) => {
  const before = (await stack.entries()).length;
  const clients = await Promise.all(
    Array.from({ length: 200 }, async () => {
      const client = await RawClient.open(stack.proxyPort);
      client.write(startupPacket({ user: RAW, database: DATABASE, application_name: "at once" }));
      const messages = await client.until((seen) => seen.some(({ type }) => type === "Z" || type === "E"));
      return { client, sqlstate: errors(messages)[0] };
    }),
  );
  const sessions = clients.filter(({ sqlstate }) => sqlstate === undefined);
  for (const { client } of sessions) await client.end();
  // The server has its own limit, and speaks for itself.
  t.ok(sessions.length > 50, `${sessions.length} are in`);
  for (const { sqlstate } of clients)
    if (sqlstate !== undefined && sqlstate !== "53300") t.fail(`refused: ${sqlstate}`);
  const entries = await stack.settled(
    (all) => all.slice(before).filter(({ kind }) => kind === "session.end").length === sessions.length,
  );
  t.equal(
    entries.slice(before).filter(({ kind, by }) => kind === "access.refused" && by === "server").length,
    clients.length - sessions.length,
  );
});

t.test("cancel: the right key, and it alone, cancels that statement, and it alone", async (t) => {
  const cancel = async (pid: number, key: Buffer, first?: Buffer): Promise<void> => {
    const socket = connect({ host: "127.0.0.1", port: stack.proxyPort });
    const end = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    if (first !== undefined) {
      socket.write(first);
      await new Promise((resolve) => socket.once("data", resolve));
    }
    const packet = Buffer.alloc(12);
    packet.writeUInt32BE(12 + key.length, 0);
    packet.writeUInt32BE(80877102, 4);
    packet.writeUInt32BE(pid, 8);
    socket.write(Buffer.concat([packet, key]));
    socket.resume();
    await end;
  };
  const [one, two] = [await open(stack.proxyPort, "cancel one"), await open(stack.proxyPort, "cancel two")];
  const outsider = await open(database.port, "cancel outsider");
  const gate = await Gate.closed(database);
  const waiting = send.query(`SELECT ${Gate.WAIT}`);
  for (const { client } of [one, two, outsider]) client.write(waiting);
  await gate.held(3);
  await cancel(two.pid, one.key);
  await cancel(one.pid, Buffer.alloc(4));
  await cancel(outsider.pid, outsider.key);
  await pause(200);
  t.equal(one.client.types(), "", "with another's pid, or a wrong key");
  await cancel(one.pid, one.key);
  t.same(errors(await one.client.ready()), ["57014"]);
  await gate.open();
  t.same(errors(await two.client.ready()), [], "with its own pid and another's key");
  t.same(errors(await outsider.client.ready()), [], "a session that is not the proxy's");
  one.client.write(send.query("SELECT pg_sleep(30)"));
  await underWay(database, "SELECT pg_sleep(30)");
  await cancel(one.pid, one.key, Buffer.from("0000000804d2162f", "hex"));
  t.same(errors(await one.client.ready()), ["57014"], "behind an SSLRequest");
  one.client.write(send.query("SELECT 1"));
  t.same(errors(await one.client.ready()), [], "the session goes on");
  for (const { client } of [one, two, outsider]) await client.end();
  t.same((await recorded(stack, "cancel one")).told, [
    "SELECT cancelled 57014",
    "SELECT cancelled 57014",
    "SELECT completed",
  ]);
  await cancel(one.pid, one.key);
});

t.test("a statement over the limit is refused, recorded as denied, and ends the session", async (t) => {
  for (const message of [send.query(`SELECT '${"x".repeat(70_000)}'`), send.parse(`SELECT '${"x".repeat(70_000)}'`)]) {
    const name = `too large ${String.fromCharCode(message[0]!)}`;
    const client = await login(narrow.proxyPort, name);
    client.write(message);
    t.same(errors(await closed(client)), ["54000"]);
    const { all, told: outcomes, end } = await recorded(narrow, name);
    t.same(outcomes, ["UNKNOWN denied 54000"]);
    t.match(statements(all)[0], { incomplete: "too-large", protocol: message[0] === 0x51 ? "simple" : "extended" });
    t.equal(end.reason, "protocol-error");
  }
});

t.test("the server ends a session: the same words, and an entry for what was under way", async (t) => {
  for (const [name, work, outcome] of [
    ["idle", undefined, []],
    ["in a statement", send.query("SELECT pg_sleep(10)"), ["SELECT failed 57P01"]],
  ] as const) {
    const heard: unknown[] = [];
    for (const port of [database.port, stack.proxyPort]) {
      const { client, pid } = await open(port, `terminated ${name}`);
      if (work !== undefined) {
        client.write(work);
        await underWay(database, "SELECT pg_sleep(10)");
      }
      const admin = await database.connect("postgres");
      await admin.query(`SELECT pg_terminate_backend(${pid})`);
      await admin.end();
      heard.push(shown(await closed(client)));
    }
    t.same(heard[1], heard[0], name);
    const session = await recorded(stack, `terminated ${name}`);
    t.same(session.told, outcome);
    t.equal(session.end.reason, "server-closed");
  }
});

t.test("a server process is killed", async (t) => {
  const ways: readonly (readonly [string, (client: RawClient) => Promise<unknown>, readonly string[]])[] = [
    ["idle", async () => undefined, []],
    [
      "in the middle of a result",
      async (client) => {
        client.write(send.query("SELECT repeat('x', 1000) FROM generate_series(1, 10000000)"));
        await client.until((seen) => seen.length > 100);
      },
      ["SELECT unknown"],
    ],
    [
      "in the middle of COPY",
      async (client) => {
        client.write(send.query("COPY kept FROM STDIN"));
        await client.until((seen) => seen.some(({ type }) => type === "G"));
        client.write(send.copyData("4\n"));
        await pause(50);
      },
      ["COPY unknown"],
    ],
  ];
  for (const [name, work, outcome] of ways) {
    const { client, pid } = await open(stack.proxyPort, `killed ${name}`);
    await work(client);
    const began = await serverBegan();
    process.kill(pid, "SIGKILL");
    const last = (await closed(client)).at(-1);
    if (name === "in the middle of COPY") t.equal(last?.type === "E" && errorField(last, "C"), "08006");
    const session = await recorded(stack, `killed ${name}`);
    t.same(session.told, outcome, name);
    t.equal(session.end.reason, "server-closed", name);
    await until("the server is back", async () => {
      const again = await serverBegan();
      return again !== undefined && again !== began;
    });
  }
});

t.test("SIGTERM: the idle go, statements end, transactions get their time; then the source's last word", async (t) => {
  const idle = await login(narrow.proxyPort, "stop idle");
  const busy = await login(narrow.proxyPort, "stop busy");
  const open = await login(narrow.proxyPort, "stop open");
  const long = await login(narrow.proxyPort, "stop long");
  open.write(send.query("BEGIN"));
  await open.ready();
  const gate = await Gate.closed(database);
  busy.write(send.query(`SELECT ${Gate.WAIT}`));
  long.write(send.query("SELECT pg_sleep(30)"));
  await gate.held(1);
  await underWay(database, "SELECT pg_sleep(30)");
  const began = Date.now();
  const stopping = narrow.proxy.end("SIGTERM");
  t.same(errors(await closed(idle)), ["57P01"]);
  t.notOk(busy.closed || open.closed || long.closed, "at once");
  open.write(send.query("SELECT 1"));
  t.same(
    (await open.ready()).map(({ type }) => type),
    ["T", "D", "C", "Z"],
    "a transaction goes on",
  );
  await gate.open();
  const ended = await closed(busy);
  t.same(
    ended.map(({ type }) => type),
    ["T", "D", "C", "Z", "E"],
    "a statement is answered",
  );
  t.same(errors(ended), ["57P01"]);
  t.notOk(open.closed || long.closed, "and then the session ends, without waiting for others");
  t.same(errors(await closed(open)), ["57P01"]);
  t.same(errors(await closed(long)), ["57P01"]);
  t.ok(Date.now() - began >= DRAIN_MS - 50, "they were given their time");
  t.equal(await stopping, 0, narrow.proxy.output);
  const entries = await narrow.settled((all) => all.at(-1)?.kind === "source.stop");
  const ends = entries.slice(-9).filter(({ kind }) => kind === "session.end");
  t.same(
    ends.map(({ reason }) => reason),
    ["shutdown", "shutdown", "shutdown", "shutdown"],
  );
  t.same(
    statements(entries).slice(-4).map(told).sort(),
    ["BEGIN completed", "SELECT cancelled 57014", "SELECT completed", "SELECT completed"],
    "all statements have their outcome",
  );
});

t.test("the whole server is killed, and cannot be reached", async (t) => {
  const { client } = await open(stack.proxyPort, "server killed");
  client.write(send.query("SELECT pg_sleep(30)"));
  await underWay(database, "SELECT pg_sleep(30)");
  process.kill(database.pid, "SIGKILL");
  await database.ended;
  const last = (await closed(client)).at(-1)!;
  t.match(errorField(last, "C"), /^(08006|57P0[123])$/);
  const session = await recorded(stack, "server killed");
  t.match(session.told, [/^SELECT (unknown|failed 57P0[123])$/]);
  t.equal(session.end.reason, "server-closed");
  await until("nobody listens there", async () => {
    const late = await RawClient.open(stack.proxyPort);
    late.write(startupPacket({ user: RAW, database: DATABASE }));
    return errors(await closed(late))[0] === "08001";
  });
  const entries = await stack.settled((all) => all.some(({ sqlstate }) => sqlstate === "08001"));
  t.match(
    entries.find(({ sqlstate }) => sqlstate === "08001"),
    { kind: "access.refused", by: "proxy", actor: { login: RAW } },
  );
});

t.test("nothing is left open, and the audit passes over all of it", async (t) => {
  await until("every socket is closed", () => openSockets(stack.proxy.pid!) <= atRest);
  t.ok(stack.proxy.running);
  for (const one of [stack, narrow]) {
    await one.proxy.end("SIGTERM");
    const audit = await one.verifier("audit");
    t.equal(audit.code, 0, audit.stdout + audit.stderr);
  }
});

t.end();

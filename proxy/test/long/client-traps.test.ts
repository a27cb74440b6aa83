// Clients that go away in the middle, end their side, or send and do not read; by every way to a real PostgreSQL.
import fc from "fast-check";
import t from "tap";
import { until } from "../audit/help.ts";
import { ask, type Postgres, postgres, Q, value, type Wire } from "../pool/help.ts";
import { F } from "../session/stage.ts";
import { bridged, enter, frames, shown, WAYS, type Way, way } from "../ways.ts";

const started = await postgres();
if (typeof started === "string") {
  t.pass(`skipped: ${started}`);
  process.exit(0);
}
const database: Postgres = started;
t.setTimeout(300_000);
t.teardown(() => database.stop());

const gone = (one: Way): Promise<void> =>
  until("it is gone", () => one.rig === undefined || one.rig.proxy.clients === 0);
const run = (sql: string): Buffer[] => [F.parse(sql), F.bind(), F.execute()];
const insert = "INSERT INTO left_open VALUES (1)";
const has = (wire: Wire, type: string): Promise<void> => until(`there is ${type}`, () => wire.types.includes(type));

t.test("a client that goes in the middle of anything leaves nothing: no row, no lock, no session", async (t) => {
  const there = await bridged(t, database);
  const admin = await database.direct({ user: "postgres" });
  await ask(admin, "CREATE TABLE left_open (a int); GRANT ALL ON left_open TO PUBLIC");
  const cases: readonly (readonly [string, (wire: Wire) => Promise<unknown>, readonly RegExp[]])[] = [
    ["idle", async () => undefined, []],
    [
      "a transaction",
      async (wire) => {
        await ask(wire, "BEGIN");
        await ask(wire, `${insert}; SELECT pg_advisory_xact_lock(1)`);
      },
      [/^BEGIN c/, /^INSERT c/, /^SELECT c/],
    ],
    [
      "a segment without its Sync",
      async (wire) => {
        wire.socket.write(Buffer.concat([...run(insert), F.flush()]));
        await has(wire, "C");
      },
      // Its outcome, and that it is not known whether that was committed.
      [/^INSERT completed/, /^COMMIT unknown/],
    ],
    [
      "COPY",
      async (wire) => {
        wire.socket.write(Q("COPY left_open FROM STDIN"));
        await has(wire, "G");
        wire.socket.write(F.copyData("1\n"));
      },
      [/^COPY (failed|unknown|cancelled)/],
    ],
    ["half a message", async (wire) => wire.socket.write(Q(insert).subarray(0, 20)), []],
    [
      "half a message in a transaction",
      async (wire) => {
        await ask(wire, `BEGIN; ${insert}`);
        wire.socket.write(Q(insert).subarray(0, 20));
      },
      [/^BEGIN c/, /^INSERT c/],
    ],
    [
      "a result that it does not read",
      async (wire) => {
        wire.socket.write(Q(`BEGIN; ${insert}; SELECT repeat('x', 1000) FROM generate_series(1, 20000)`));
        await has(wire, "D");
        wire.socket.pause();
      },
      [/^BEGIN c/, /^INSERT c/, /^SELECT (cancelled|completed|failed|unknown)/],
    ],
    [
      "a failed transaction, and what it skips",
      async (wire) => {
        wire.socket.write(Buffer.concat([Q("BEGIN"), ...run(insert), F.parse("SELEC"), ...run(insert)]));
        await has(wire, "E");
      },
      [/^BEGIN c/, /^INSERT c/, /^UNKNOWN failed 42601/],
    ],
  ];
  const locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' OR relation = 'left_open'::regclass";
  for (const name of WAYS) {
    const one = await way(t, name, there, { size: 1 });
    const { log } = one.rig!.bench;
    for (const how of ["a reset", "the end of its side"]) {
      for (const [what, begin, told] of cases) {
        const application = `${how} in ${what}`;
        const client = await enter(one, { application_name: application });
        await begin(client);
        if (how === "a reset") client.socket.resetAndDestroy();
        else client.socket.end();
        client.socket.resume();
        await gone(one);
        const next = await enter(one);
        t.same(
          await ask(next, "SELECT count(*), current_setting('transaction_isolation') FROM left_open"),
          [["0", "read committed"]],
          `${name}, ${application}: nothing was committed, and the next one is in no transaction`,
        );
        await next.end();
        t.equal(await settles(admin, locks, "0"), "0", `${name}, ${application}: no lock`);
        const of = (kind: string): Record<string, unknown>[] =>
          log
            .ofKind(kind)
            .map(({ json }) => json)
            .filter(({ session }) => session === of.session);
        of.session = undefined as unknown;
        await until("its start is in the log", () => {
          of.session = log
            .ofKind("session.start")
            .find(({ json }) => (json.client as { application?: string }).application === application)?.json.session;
          return of.session !== undefined;
        });
        await until("its end is in the log", () => of("session.end").length === 1);
        t.match(of("session.end")[0], { reason: "client-closed" });
        const entries = of("statement").map(
          ({ operation, outcome, sqlstate }) => `${operation} ${outcome} ${sqlstate}`,
        );
        t.match(entries, told, `${name}, ${application}: the entries`);
        t.equal(entries.length, told.length, `${name}, ${application}: ${entries}`);
      }
    }
  }
  await admin.end();
});

/** Asks until it is so; a server takes a moment to notice an end. */
async function settles(admin: Wire, sql: string, wanted: string): Promise<string | null> {
  for (let tries = 0; tries < 500; tries += 1) {
    if ((await value(admin, sql)) === wanted) break;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return value(admin, sql);
}

t.test("a client that ends its side is answered as the server itself would answer it", async (t) => {
  const there = await bridged(t, database);
  const admin = await database.direct({ user: "postgres" });
  await ask(admin, "CREATE TABLE parted (a text); GRANT ALL ON parted TO PUBLIC");
  const write = (what: string): string => `INSERT INTO parted VALUES ('${what}')`;
  const cases: readonly (readonly [string, (who: string) => Buffer[]])[] = [
    ["queries", (who) => [Q("SELECT pg_sleep(0.1)"), Q("SELECT generate_series(1, 20000)"), Q(write(who))]],
    ["segments", (who) => [...run("SELECT pg_sleep(0.1)"), F.sync(), ...run(write(who)), F.sync()]],
    ["a segment without its Sync", (who) => [...run(write(who)), F.flush()]],
    ["Terminate, and more behind it", (who) => [Q(write(who)), F.terminate(), Q(write(`${who}, behind`))]],
    ["Terminate behind a segment", (who) => [...run(write(who)), F.sync(), F.terminate()]],
    ["half a message behind a whole one", (who) => [Q(write(who)), Q(write(`${who}, half`)).subarray(0, 30)]],
    ["a Query that an error skips", (who) => [F.parse("SELEC"), Q(write(who))]],
    ["a COPY that waits for data", () => [Q("COPY parted FROM STDIN")]],
    ["nothing", () => []],
  ];
  const heard = new Map<string, string[]>();
  for (const name of ["direct", ...WAYS] as const) {
    const one = await way(t, name, there, { size: 1 });
    for (const [what, messages] of cases) {
      await ask(admin, "TRUNCATE parted");
      const client = await enter(one);
      client.socket.write(Buffer.concat(messages("it")));
      client.socket.end();
      await until("the connection ends", () => client.closed);
      await gone(one);
      const answers = shown(client.messages);
      const kept = await settled(admin);
      if (name === "direct") heard.set(what, [...answers, ...kept]);
      else {
        const expected = heard.get(what)!;
        t.equal(answers.length + kept.length, expected.length, `${name}: ${what}`);
        t.same([...answers, ...kept].slice(-8), expected.slice(-8), `${name}: ${what}`);
      }
    }
  }
  t.ok(heard.get("queries")!.length > 20_000);
  t.same(heard.get("a segment without its Sync")!.at(-1), "parted: ", "what was not synced was not committed");
  t.same(heard.get("Terminate, and more behind it")!.at(-1), "parted: it");
  await admin.end();
});

/** What is in the table once nobody else is at it. */
async function settled(admin: Wire): Promise<string[]> {
  await settles(
    admin,
    `SELECT count(*) FROM pg_stat_activity WHERE usename = 'ann' AND (state <> 'idle' OR wait_event IS NULL)`,
    "0",
  );
  return [`parted: ${(await value(admin, "SELECT string_agg(a, '; ' ORDER BY a) FROM parted")) ?? ""}`];
}

const texts = [
  ...["INSERT INTO cut VALUES (1)", "INSERT INTO cut VALUES (2)", "SELECT 1", "SELECT 1/0", "SELEC", "", "BEGIN"],
  ...["COMMIT", "ROLLBACK", "COPY cut FROM STDIN", "INSERT INTO cut VALUES (3); SELECT 1/0", "SAVEPOINT s"],
  ...[
    "INSERT INTO cut VALUES (4); INSERT INTO cut VALUES (5)",
    "ROLLBACK TO s",
    "DEALLOCATE ALL",
    "CREATE TEMP TABLE x ()",
  ],
];
const REFUSED_OR_ENDED =
  /C08P01\0Munexpected message type 0x\w+ during COPY from stdin|C08006\0Munexpected EOF.*(?=\0W)/;
const text = fc.constantFrom(...texts);
const name = fc.constantFrom("", "", "a", "b");
const message = fc.oneof(
  { weight: 6, arbitrary: text.map(run).map((bytes) => Buffer.concat(bytes)) },
  { weight: 4, arbitrary: text.map(Q) },
  { weight: 2, arbitrary: fc.tuple(text, name).map(([sql, as]) => F.parse(sql, as)) },
  { weight: 2, arbitrary: name.map((of) => Buffer.concat([F.bind(of), F.execute()])) },
  { weight: 4, arbitrary: fc.constant(F.sync()) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(F.flush(), F.copyData("7\n"), F.copyDone(), F.copyFail(), F.close("S", "a")),
  },
  { weight: 1, arbitrary: fc.constant(Buffer.concat([Q("COPY cut FROM STDIN"), F.copyData("8\n"), F.copyDone()])) },
  { weight: 1, arbitrary: fc.constant(F.functionCall(177, "1", "2")) },
);

const segment = (sql: string): Buffer => Buffer.concat(run(sql));
const again = Buffer.concat([F.bind(), F.execute()]);
/** What was found once. */
const examples: [Buffer[], number][] = [
  [[Q("COPY cut FROM STDIN"), Q("ROLLBACK TO s")], 1],
  // PostgreSQL says that it is idle, and refuses the next statement on that connection.
  [[segment("INSERT INTO cut VALUES (1)"), segment("INSERT INTO cut VALUES (2)"), Q(""), F.sync()], 30],
  [[segment("INSERT INTO cut VALUES (1)"), F.functionCall(177, "1", "2"), F.sync()], 30],
  // It answers nothing, for it waits for data.
  [[segment("COPY cut FROM STDIN"), F.sync(), again, F.sync(), Q("SELECT 1"), again], 5],
  [[segment("COPY cut FROM STDIN"), F.sync(), again, F.sync()], 30],
];

t.test("any conversation, cut anywhere and ended: the same answers, and the same is committed", async (t) => {
  const there = await bridged(t, database);
  const admin = await database.direct({ user: "postgres" });
  await ask(admin, "CREATE TABLE cut (a int); GRANT ALL ON cut TO PUBLIC");
  const ways = await Promise.all((["direct", ...WAYS] as const).map((one) => way(t, one, there, { size: 1 })));
  const play = async (one: Way, bytes: Buffer, half: boolean): Promise<string[]> => {
    await ask(admin, "TRUNCATE cut");
    const client = await enter(one);
    client.socket.end(bytes);
    await until("the connection ends", () => client.closed);
    await gone(one);
    const next = await enter(one);
    // What the first has left open would be committed with it.
    next.socket.write(Q("SELECT 'next'"));
    const heard = [...shown(client.messages), ...shown(await next.ready())]
      // Of an error not where in its source the server found it: that depends on how much of a message it had.
      .map((line) => line.replace(/\0F\w+\.c\0.*/s, ""))
      // Nor which of two ends a COPY: the server refuses half a message by its type, and whoever forwards whole messages
      // only has nothing to show it but the end.
      .map((line) => (half ? line.replace(REFUSED_OR_ENDED, "(the client's end, or half a message)") : line));
    await next.end();
    await gone(one);
    return [...heard, `committed: ${await value(admin, "SELECT string_agg(a::text, ' ' ORDER BY a) FROM cut")}`];
  };
  await fc.assert(
    fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 8 }), fc.nat(30), async (messages, cut) => {
      // The pool answers some things itself and at once, the server with the next Flush at the latest.
      const last = messages.at(-1)!;
      const begun = last.subarray(0, Math.max(0, last.length - 1 - cut));
      const half = cut < 8;
      const bytes = half
        ? Buffer.concat([...messages.slice(0, -1), F.flush(), begun])
        : Buffer.concat([...messages, F.flush()]);
      const [direct, ...others] = ways;
      const expected = await play(direct!, bytes, half);
      for (const one of others) {
        const heard = await play(one, bytes, half).catch((error: unknown) => {
          throw new Error(`${one.name}: ${frames(bytes)}: ${error}`);
        });
        if (JSON.stringify(heard) !== JSON.stringify(expected)) {
          throw new Error(`${one.name}\nexpected ${JSON.stringify(expected)}\nheard    ${JSON.stringify(heard)}`);
        }
      }
    }),
    { numRuns: Number(process.env.RUNS ?? 60), endOnFailure: true, examples },
  );
  await admin.end();
});

t.test("both sides send more than anybody keeps, and neither waits for ever", async (t) => {
  const there = await bridged(t, database);
  const COUNT = 250;
  const filler = "x".repeat(100_000);
  const query = Q(`SELECT repeat('y', 100000), '${filler.length}' /* ${filler} */`);
  const extended = Buffer.concat([
    F.parse(`SELECT repeat('y', 100000), length($1)`),
    F.bind("", "", [filler]),
    ...[F.execute(), F.sync()],
  ]);
  for (const name of WAYS) {
    for (const [what, message] of [
      ["simple", query],
      ["extended", extended],
    ] as const) {
      // Where messages are read and changed on their way, in both forms.
      if (what === "extended" && name !== "pooled by transaction") continue;
      const one = await way(t, name, there, { size: 1 });
      const client = await enter(one);
      let answered = 0;
      let bytes = 0;
      client.socket.removeAllListeners("data");
      let tail: Buffer = Buffer.alloc(0);
      client.socket.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        const all = Buffer.concat([tail, chunk]);
        for (let at = all.indexOf("Z\0\0\0\u0005I"); at >= 0; at = all.indexOf("Z\0\0\0\u0005I", at + 1)) answered += 1;
        tail = all.subarray(Math.max(0, all.length - 5));
      });
      client.socket.pause();
      for (let i = 0; i < COUNT; i += 1) client.socket.write(message);
      // It writes, and does not read, until nothing moves any more.
      let left = -1;
      while (left !== client.socket.writableLength) {
        left = client.socket.writableLength;
        await new Promise((resolve) => setTimeout(resolve, 150));
      }
      t.ok(left > 3_000_000, `${name}, ${what}: it is stopped, with ${left} bytes to go`);
      t.equal(answered, 0);
      client.socket.resume();
      await until(`${name}, ${what}: all is answered`, () => answered === COUNT);
      t.ok(bytes > COUNT * 100_000);
      client.socket.destroy();
      await gone(one);
      await one.rig!.stop();
      const entries = one.rig!.bench.log.ofKind("statement");
      t.equal(entries.filter(({ json }) => json.outcome === "completed").length, COUNT);
    }
  }
});

t.end();

// Conversations in which a proxy loses its place, with a real PostgreSQL and by every way that leads to it: the answers
// are the server's, message for message, and each execution is one entry with all of its rows.
import t from "tap";
import { until } from "../audit/help.ts";
import { type Postgres, postgres, Q, type Wire } from "../pool/help.ts";
import { F } from "../session/stage.ts";
import { bridged, enter, shown, WAYS, type Way, way } from "../ways.ts";

const started = await postgres();
if (typeof started === "string") {
  t.pass(`skipped: ${started}`);
  process.exit(0);
}
const database: Postgres = started;
t.setTimeout(300_000);
t.teardown(() => database.stop());

interface Round {
  readonly send: readonly Buffer[];
  /** How many ReadyForQuery answer it; or the types of its answer when it ends without one. */
  readonly until: number | string;
}

interface Script {
  readonly name: string;
  readonly rounds: readonly Round[];
  /** Operation, outcome, SQLSTATE and rows of its entries; `bound` of what was not executed. */
  readonly entries: readonly string[];
}

const ready = (count: number, ...send: Buffer[]): Round => ({ send, until: count });
const types = (until: string, ...send: Buffer[]): Round => ({ send, until });
const run = (sql: string): Buffer[] => [F.parse(sql), F.bind(), F.execute()];
const series = "SELECT generate_series(1, 5)";
const copy = "COPY copied FROM STDIN";
const bad = F.copyData("no number\n");
const more = [F.copyData("8\n"), F.copyData("9\n")];
const after = Q("SELECT 'after'");

/** The planner computes what calls itself immutable, whatever it does. */
const SETUP = `CREATE TABLE copied (a int); CREATE TABLE peeked (a int);
  CREATE FUNCTION note() RETURNS void LANGUAGE sql AS 'INSERT INTO peeked VALUES (1)';
  CREATE FUNCTION peek(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
    BEGIN PERFORM note(); RAISE NOTICE 'seen'; RETURN 1; END $$;
  CREATE FUNCTION lost(i int) RETURNS int LANGUAGE plpgsql AS $$
    DECLARE c refcursor := 'no such'; BEGIN IF i = 2 THEN CLOSE c; END IF; RETURN i; END $$;
  CREATE FUNCTION failing(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1 / 0; END'`;

/** In every one the session goes on: what comes next is answered as ever. */
const SCRIPTS: readonly Script[] = [
  {
    name: "a portal in three portions is one execution of five rows",
    rounds: [ready(1, F.parse(series), F.bind(), F.execute("", 2), F.execute("", 2), F.execute("", 2), F.sync())],
    entries: ["SELECT completed 5"],
  },
  {
    name: "a named portal lives from Sync to Sync to the end of its transaction",
    rounds: [
      ready(1, Q("BEGIN")),
      ready(1, F.parse(series, "s"), F.bind("s", "p"), F.execute("p", 2), F.sync()),
      ready(1, F.parse("SELECT 'between'"), F.bind(), F.execute(), F.sync()),
      ready(1, F.describe("P", "p"), F.execute("p", 2), F.sync()),
      ready(1, Q("COMMIT")),
      ready(1, F.execute("p"), F.sync()),
      ready(1, F.close("S", "s"), F.sync()),
    ],
    entries: [
      "BEGIN completed",
      "SELECT completed 1",
      "COMMIT completed",
      "SELECT completed 4",
      "UNKNOWN failed 34000",
    ],
  },
  {
    name: "a suspended portal ends with COMMIT, ROLLBACK TO or CLOSE, and a later Execute is another",
    rounds: [
      ready(
        1,
        F.parse(series, "s"),
        F.bind("s", "p"),
        F.execute("p", 2),
        ...run("COMMIT"),
        F.execute("p", 2),
        F.sync(),
      ),
      ready(1, Q("BEGIN; SAVEPOINT a")),
      ready(1, F.bind("s", "p"), F.execute("p", 2), F.sync()),
      ready(1, Q("ROLLBACK TO a")),
      ready(1, F.execute("p", 2), F.sync()),
      ready(1, Q("ROLLBACK TO a")),
      ready(1, F.bind("s", "p"), F.parse("SELECT $1", "v"), F.bind("v", "w", ["x"]), F.sync()),
      ready(1, Q("ROLLBACK TO a")),
      ready(1, F.close("S", "v"), F.execute("w"), F.sync()),
      ready(1, Q("ROLLBACK TO a")),
      ready(1, F.bind("s", "p"), F.execute("p", 1), F.sync()),
      ready(1, Q("CLOSE p")),
      ready(1, F.execute("p", 2), F.execute("p", 2), F.sync()),
      ready(1, Q("ROLLBACK TO a")),
      ready(1, F.parse("SELECT lost(i) FROM generate_series(1, 2) i"), F.bind("", "p"), F.execute("p", 1), F.sync()),
      ready(1, F.execute("p", 1), F.sync()),
      ready(2, Q("ROLLBACK"), F.close("S", "s"), F.sync()),
    ],
    entries: [
      ...["COMMIT completed", "SELECT completed 2", "SELECT failed 34000", "BEGIN completed", "SAVEPOINT completed"],
      ...["ROLLBACK completed", "SELECT completed 2", "SELECT failed 34000", "ROLLBACK completed"],
      ...["ROLLBACK completed", "SELECT completed bound", "SELECT failed 34000", "ROLLBACK completed"],
      ...[
        "SELECT completed bound",
        "CLOSE CURSOR completed",
        "SELECT completed 1",
        "SELECT failed 34000",
        "ROLLBACK completed",
      ],
      ...["SELECT failed 34000 1", "ROLLBACK completed"],
    ],
  },
  {
    name: "the unnamed portal dies at the next Bind, and at a Query",
    rounds: [
      ready(1, Q("BEGIN")),
      ready(1, F.parse(series), F.bind(), F.execute("", 2), F.bind(), F.execute("", 4), F.sync()),
      ready(1, after),
      ready(1, F.execute(), F.sync()),
      ready(1, Q("ROLLBACK")),
    ],
    entries: [
      "BEGIN completed",
      "SELECT completed 2",
      "SELECT completed 1",
      "SELECT completed 4",
      "UNKNOWN failed 34000",
      "ROLLBACK completed",
    ],
  },
  {
    name: "Describe of a statement and of a portal; Close of what is not there",
    rounds: [
      ready(1, F.parse("SELECT $1::int", "d"), F.describe("S", "d"), F.bind("d", "", ["1"]), F.describe("P"), F.sync()),
      ready(1, F.parse("SET work_mem = '5MB'"), F.describe("S"), F.bind(), F.describe("P"), F.sync()),
      ready(1, F.close("S", "never"), F.close("P", "never"), F.close("S", "d"), F.close("S", "d"), F.sync()),
      ready(1, F.describe("S", "d"), F.sync()),
    ],
    entries: ["SELECT completed bound", "UNKNOWN failed 26000"],
  },
  {
    name: "what is bound and not executed is planned, and functions run with that",
    rounds: [
      ready(1, F.parse("SELECT peek(1)"), F.bind(), F.sync()),
      ready(1, F.parse("INSERT INTO copied SELECT peek(1)"), F.bind(), F.describe("P"), F.parse("SELEC"), F.sync()),
      ready(1, F.parse("SELECT peek(1)"), F.bind(), F.bind(), F.execute(), F.sync()),
      ready(1, F.parse("SELECT failing(1)"), F.bind(), F.execute(), F.sync()),
      ready(1, Q("BEGIN")),
      ready(1, F.parse("SELECT peek(1)", "late"), F.bind("late", "late"), F.sync()),
      ready(1, F.execute("late"), F.close("S", "late"), F.sync()),
      ready(1, Q("ROLLBACK")),
      ready(2, Q("SELECT count(*) FROM peeked"), Q("TRUNCATE peeked")),
    ],
    entries: [
      ...["SELECT completed bound", "UNKNOWN failed 42601", "INSERT completed bound"],
      ...["SELECT completed bound", "SELECT completed 1", "SELECT failed 22012"],
      ...[
        "BEGIN completed",
        "SELECT completed 1",
        "ROLLBACK completed",
        "SELECT completed 1",
        "TRUNCATE TABLE completed",
      ],
    ],
  },
  {
    name: "a Parse that fails leaves its name free: to be closed, and to be given",
    rounds: [
      ready(1, F.parse("SELEC", "free"), F.sync()),
      ready(1, F.close("S", "free"), F.sync()),
      ready(1, F.bind("free"), F.execute(), F.sync()),
      ready(1, F.parse("SELECT 'given'", "free"), F.bind("free"), F.execute(), F.sync()),
      ready(1, F.parse("SELECT 'again'", "free"), F.sync()),
      ready(1, F.bind("free"), F.execute(), F.close("S", "free"), F.sync()),
    ],
    entries: [
      "UNKNOWN failed 42601",
      "UNKNOWN failed 26000",
      "SELECT completed 1",
      "SELECT failed 42P05",
      "SELECT completed 1",
    ],
  },
  {
    name: "a Parse that was skipped gave no name",
    rounds: [ready(2, ...run("SELECT 1/0"), F.parse("SELECT 'skipped'", "late"), F.sync(), F.bind("late"), F.sync())],
    entries: ["SELECT failed 22012", "UNKNOWN failed 26000"],
  },
  {
    name: "DEALLOCATE ALL in a pipeline forgets what stands before it, and nothing behind it",
    rounds: [
      ready(1, F.parse("SELECT 'old'", "old"), F.sync()),
      ready(
        3,
        ...[Q("DEALLOCATE ALL"), F.parse("SELECT 'new'", "new"), F.bind("new"), F.execute(), F.sync()],
        ...[F.bind("old"), F.execute(), F.sync()],
      ),
      ready(
        1,
        ...[F.parse("SELECT 'a'", "a"), ...run("DEALLOCATE ALL"), F.parse("SELECT 'b'", "b")],
        ...[F.bind("b"), F.execute(), F.sync()],
      ),
      ready(2, F.bind("b"), F.execute(), F.sync(), F.bind("a"), F.execute(), F.sync()),
      ready(1, Q("DEALLOCATE ALL")),
    ],
    entries: [
      "DEALLOCATE ALL completed",
      "SELECT completed 1",
      "UNKNOWN failed 26000",
      "DEALLOCATE ALL completed",
      "SELECT completed 1",
      "SELECT completed 1",
      "UNKNOWN failed 26000",
      "DEALLOCATE ALL completed",
    ],
  },
  {
    name: "behind an error everything is skipped up to Sync, a Query and a FunctionCall too",
    rounds: [
      ready(
        2,
        ...[...run("SELECT 'before'"), ...run("SELECT 1/0"), ...run("SELECT 'skipped'")],
        ...[Q("SELECT 'skipped'"), F.functionCall(177, "1", "2"), F.flush(), F.sync(), after],
      ),
    ],
    entries: ["SELECT completed 1", "SELECT failed 22012", "SELECT completed 1"],
  },
  {
    name: "a Query in several statements, with an error, an empty one, and a comment alone",
    rounds: [
      ready(1, Q("SELECT 1; SELECT 2, 3; INSERT INTO copied VALUES (1), (2); DELETE FROM copied")),
      ready(1, Q("SELECT 1; INSERT INTO copied VALUES (3); SELECT 1/0; SELECT 2")),
      ready(2, Q(";;"), Q("/* nothing */")),
      ready(1, Q("SELECT count(*) FROM copied")),
    ],
    entries: [
      "SELECT completed 1",
      "SELECT completed 1",
      "INSERT completed 2",
      "DELETE completed 2",
      "SELECT completed 1",
      "INSERT completed 1",
      "SELECT failed 22012",
      "SELECT completed 1",
    ],
  },
  {
    name: "what cannot run in a transaction is not put into one",
    rounds: [
      ready(1, Q("VACUUM copied")),
      ready(1, ...run("VACUUM copied"), F.sync()),
      ready(1, Q("CREATE INDEX CONCURRENTLY copied_a ON copied (a)")),
      ready(1, ...run("REINDEX INDEX CONCURRENTLY copied_a"), F.sync()),
      ready(1, ...run("DROP INDEX CONCURRENTLY copied_a"), F.sync()),
      ready(1, ...run("SELECT 1"), ...run("VACUUM copied"), F.sync()),
      ready(1, Q("SELECT 1; VACUUM copied")),
    ],
    entries: [
      "VACUUM completed",
      "VACUUM completed",
      "CREATE INDEX completed",
      "REINDEX completed",
      "DROP INDEX completed",
      "SELECT completed 1",
      "VACUUM failed 25001",
      "SELECT completed 1",
      "VACUUM failed 25001",
    ],
  },
  {
    name: "COPY in: Flush and Sync in the middle are ignored, by the simple and the extended protocol",
    rounds: [
      types("G", Q(copy)),
      ready(1, F.copyData("1\n"), F.flush(), F.sync(), F.copyData("2\n"), F.sync(), F.copyDone()),
      types("12G", ...run(copy), F.flush()),
      ready(1, F.copyData("3\n"), F.sync(), F.flush(), F.sync(), F.copyData("4\n"), F.copyDone(), F.sync()),
      ready(1, Q("TRUNCATE copied")),
    ],
    entries: ["COPY completed 2", "COPY completed 2", "TRUNCATE TABLE completed"],
  },
  {
    name: "COPY in that the server ends with an error, while the client sends on",
    rounds: [
      types("G", Q(copy)),
      types("EZ", bad),
      ready(1, ...more, F.copyDone(), after),
      types("G", Q(copy)),
      types("EZ", bad),
      ready(1, ...more, F.copyFail(), after),
    ],
    entries: ["COPY failed 22P02", "SELECT completed 1", "COPY failed 22P02", "SELECT completed 1"],
  },
  {
    name: "the same in the extended protocol: what follows is skipped up to Sync, and not beyond",
    rounds: [
      types("12G", ...run(copy), F.flush()),
      types("E", bad),
      ready(1, ...more, F.copyDone(), F.sync()),
      types("12G", ...run(copy), F.sync()),
      types("E", bad),
      ready(2, ...more, F.copyDone(), Q("SELECT 'skipped'"), F.sync(), after),
    ],
    entries: ["COPY failed 22P02", "COPY failed 22P02", "SELECT completed 1"],
  },
  {
    name: "COPY in that fails before it reads anything, or the Sync in it: that one is answered",
    rounds: [
      types("12GEZ", ...run(`${copy} (FREEZE)`), F.sync()),
      types("GEZ", Q(`${copy} (FREEZE)`)),
      ready(4, ...run(`${copy} (FREEZE)`), F.sync(), F.copyData("1\n"), F.copyDone(), F.sync(), after, Q("SELECT 1/0")),
      ready(4, Q(`${copy} (FREEZE)`), F.sync(), F.copyData("1\n"), F.copyDone(), F.sync(), after),
      types("12G", ...run(copy), F.flush()),
      types("EZ", bad, F.sync()),
      ready(2, F.sync(), after),
    ],
    entries: [
      ...["COPY failed 55000", "COPY failed 55000"],
      ...["COPY failed 55000", "SELECT completed 1", "SELECT failed 22012"],
      ...["COPY failed 55000", "SELECT completed 1", "COPY failed 22P02", "SELECT completed 1"],
    ],
  },
  {
    name: "COPY in that the client gives up",
    rounds: [
      types("G", Q(copy)),
      ready(1, F.copyData("1\n"), F.copyFail()),
      types("12G", ...run(copy), F.flush()),
      ready(1, F.copyData("1\n"), F.copyFail(), F.sync()),
      ready(1, Q("SELECT count(*) FROM copied")),
    ],
    entries: ["COPY cancelled 57014", "COPY cancelled 57014", "SELECT completed 1"],
  },
  {
    name: "COPY in, all of it sent ahead, with an error, and with what is never reached",
    rounds: [
      ready(2, Q(copy), F.copyData("1\n"), F.copyDone(), after),
      ready(2, Q(copy), bad, ...more, F.copyDone(), after),
      ready(2, Q("COPY no_such FROM STDIN"), ...more, F.copyDone(), after),
      ready(2, ...run(copy), F.copyData("1\n"), F.copyDone(), F.sync(), after),
      ready(2, ...run(copy), bad, F.copyDone(), F.sync(), after),
      ready(2, ...run("COPY no_such FROM STDIN"), ...more, F.copyDone(), F.sync(), after),
      ready(1, Q(`${copy}; ${copy}; SELECT 'both'`), F.copyData("1\n"), F.copyDone(), F.copyData("2\n"), F.copyDone()),
      ready(1, Q("TRUNCATE copied")),
    ],
    entries: [
      ...["COPY completed 1", "SELECT completed 1", "COPY failed 22P02", "SELECT completed 1"],
      ...["COPY failed 42P01", "SELECT completed 1", "COPY completed 1", "SELECT completed 1"],
      ...["COPY failed 22P02", "SELECT completed 1", "COPY failed 42P01", "SELECT completed 1"],
      ...["COPY completed 1", "COPY completed 1", "SELECT completed 1", "TRUNCATE TABLE completed"],
    ],
  },
  {
    name: "CopyData, CopyDone and CopyFail where there is no COPY are ignored",
    rounds: [ready(2, ...more, F.copyDone(), F.copyFail(), after, F.copyDone(), F.copyData("x"), after)],
    entries: ["SELECT completed 1", "SELECT completed 1"],
  },
  {
    name: "COPY out, and an error in its middle",
    rounds: [
      ready(1, Q("COPY (SELECT generate_series(1, 3)) TO STDOUT")),
      ready(1, Q("COPY (SELECT 1 / (3 - i) FROM generate_series(1, 5) i) TO STDOUT")),
      ready(1, ...run("COPY (SELECT generate_series(1, 3)) TO STDOUT"), F.sync()),
    ],
    entries: ["COPY completed 3", "COPY failed 22012", "COPY completed 3"],
  },
  {
    name: "a FunctionCall, one that fails, one in a failed transaction",
    rounds: [
      ready(3, F.functionCall(177, "40", "2"), F.functionCall(177, "40", "x"), F.functionCall(0)),
      ready(4, Q("BEGIN"), Q("SELECT 1/0"), F.functionCall(177, "40", "2"), Q("ROLLBACK")),
    ],
    entries: [
      ...["FUNCTION CALL completed", "FUNCTION CALL failed 22P02", "FUNCTION CALL failed 42883"],
      ...["BEGIN completed", "SELECT failed 22012", "FUNCTION CALL failed 25P02", "ROLLBACK completed"],
    ],
  },
  {
    name: "notices stand where the server put them",
    rounds: [
      ready(2, Q("DO $$ BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two'; END $$"), Q("SELECT 1; COMMIT")),
      ready(1, ...run("DO $$ BEGIN RAISE NOTICE 'three'; END $$"), F.sync()),
    ],
    entries: ["DO completed", "SELECT completed 1", "COMMIT completed", "DO completed"],
  },
  {
    name: "an error is told at once, without a Sync or a Flush; what came before it with it",
    rounds: [
      types("E", F.parse("SELEC")),
      ready(1, F.sync()),
      types("12DC1E", ...run("SELECT 1"), F.parse("SELECT 2"), F.bind("no such")),
      ready(1, F.sync()),
    ],
    entries: ["UNKNOWN failed 42601", "SELECT completed 1", "UNKNOWN failed 26000"],
  },
  {
    name: "Flush is answered without a ReadyForQuery, again and again",
    rounds: [
      types("1", F.parse("SELECT 1"), F.flush()),
      types("2", F.bind(), F.flush()),
      types("T", F.describe("P"), F.flush()),
      types("DC", F.execute(), F.flush()),
      types("12DC", ...run("SELECT 2"), F.flush()),
      ready(1, F.sync()),
      ready(2, F.sync(), F.sync()),
    ],
    entries: ["SELECT completed 1", "SELECT completed 1"],
  },
];

async function play(wire: Wire, { rounds, name }: Script): Promise<string[]> {
  const heard: string[] = [];
  for (const { send, until: end } of rounds) {
    wire.socket.write(Buffer.concat(send));
    const done = (): boolean =>
      typeof end === "number"
        ? wire.messages.filter(({ type }) => type === "Z").length >= end
        : wire.messages.filter(({ type }) => type !== "S" && type !== "N").length >= end.length;
    await until(`${name}: ${end}, with ${wire.types}`, () => done() || wire.closed);
    const got = wire.messages.filter(({ type }) => type !== "S" && type !== "N").map(({ type }) => type);
    if (typeof end === "string" && got.join("") !== end) throw new Error(`${name}: ${got.join("")} and not ${end}`);
    heard.push(...shown(wire.messages));
    wire.messages = [];
  }
  return heard;
}

t.test("by every way the same answers, and the same entries", async (t) => {
  const destination = await bridged(t, database);
  const setUp = await database.direct();
  setUp.socket.write(Q(SETUP));
  await setUp.ready();
  await setUp.end();
  const expected = new Map<Script, string[]>();
  const direct = await enter(await way(t, "direct", destination));
  for (const script of SCRIPTS) expected.set(script, await play(direct, script));
  await direct.end();
  for (const name of WAYS) {
    const one: Way = await way(t, name, destination, { size: 1 });
    const client = await enter(one);
    for (const script of SCRIPTS) t.same(await play(client, script), expected.get(script), `${name}: ${script.name}`);
    await client.end();
    await until("it is gone", () => one.rig!.proxy.clients === 0);
    await one.rig!.stop();
    const told = one
      .rig!.bench.log.ofKind("statement")
      .map(({ json }) =>
        [
          json.operation,
          json.outcome,
          json.sqlstate,
          json.rows || undefined,
          json.executed === false ? "bound" : undefined,
        ]
          .filter((x) => x !== undefined)
          .join(" "),
      );
    t.same(
      told,
      SCRIPTS.flatMap(({ entries }) => entries),
      `${name}: the entries`,
    );
  }
});

t.end();

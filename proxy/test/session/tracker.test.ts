// What cannot be staged with a real server: answers that cross, errors at odd places, sessions that break off.
import t from "tap";
import { ProxyError } from "../../src/errors.ts";
import { B, F, Stage } from "./stage.ts";

interface Script {
  readonly name: string;
  play(stage: Stage): void;
  /** Operation, outcome and SQLSTATE of the statements, once the session has ended. */
  readonly entries: readonly string[];
}

const select = [F.parse("SELECT generate_series(1, 9)"), F.bind()];

const SCRIPTS: readonly Script[] = [
  {
    name: "a Sync that the server swallows in COPY has no answer",
    play: (s) =>
      s
        .client(F.parse("COPY t FROM STDIN"), F.bind(), F.execute(), F.sync())
        .server(B.parsed(), B.bound(), B.copyIn())
        .client(F.copyData("1\n"), F.sync(), F.flush(), F.copyDone(), F.sync())
        .server(B.complete("COPY 1"), B.ready())
        .client(F.query("SELECT 1"))
        .server(B.rowDescription(), B.row(), B.complete("SELECT 1"), B.ready()),
    entries: ["COPY completed", "SELECT completed"],
  },
  {
    name: "two COPYs in one text, all data sent ahead",
    play: (s) =>
      s
        .client(F.query("COPY t FROM STDIN; COPY u FROM STDIN"), F.copyData("1\n"), F.copyDone())
        .client(F.copyData("2\n"), F.copyDone(), F.query("SELECT 1"))
        .server(B.copyIn(), B.complete("COPY 1"), B.copyIn(), B.complete("COPY 1"), B.ready())
        .server(B.complete("SELECT 1"), B.ready()),
    entries: ["COPY completed", "COPY completed", "SELECT completed"],
  },
  {
    name: "a Query in the middle of COPY: an error, and then the server's last word",
    play: (s) =>
      s
        .client(F.query("COPY t FROM STDIN"))
        .server(B.copyIn())
        .client(F.query("SELECT 1"))
        .server(B.error("08P01"), B.error("08P01", "FATAL")),
    entries: ["COPY failed 08P01", "SELECT unknown"],
  },
  {
    name: "an error at Sync is the implicit COMMIT's, once",
    play: (s) =>
      s
        .client(...select, F.execute(), F.sync())
        .server(B.parsed(), B.bound(), B.complete("SELECT 9"), B.error("23503"), B.error("57P01", "FATAL")),
    entries: ["SELECT completed", "COMMIT failed 23503"],
  },
  {
    name: "the server is lost between the answer to a write and the end of its implicit transaction",
    play: (s) =>
      s
        .client(F.parse("DELETE FROM t"), F.bind(), F.execute(), F.sync())
        .server(B.parsed(), B.bound(), B.complete("DELETE 1")),
    entries: ["DELETE completed", "COMMIT unknown"],
  },
  {
    name: "the same behind a call, and between two writes in one text",
    play: (s) =>
      s
        .client(F.functionCall(177, "1", "2"))
        .server(B.functionResult("3"), B.ready())
        .client(F.query("DELETE FROM t; INSERT INTO t VALUES (1)"))
        .server(B.complete("DELETE 1")),
    entries: ["FUNCTION CALL completed", "DELETE completed", "COMMIT unknown", "INSERT unknown"],
  },
  {
    name: "but not behind a read, a setting, a whole text, in a transaction block, or behind an error",
    play: (s) =>
      s
        .client(F.parse("DELETE FROM t"), F.bind(), F.execute(), F.sync())
        .server(B.parsed(), B.bound(), B.complete("DELETE 1"), B.error("23503"), B.ready())
        .client(F.query("DELETE FROM t; DELETE FROM u"))
        .server(B.complete("DELETE 1"), B.complete("DELETE 1"), B.ready("I"))
        .client(F.query("BEGIN"), F.parse("DELETE FROM t"), F.bind(), F.execute(), F.sync(), F.query("COMMIT"))
        .server(B.complete("BEGIN"), B.ready("T"), B.parsed(), B.bound(), B.complete("DELETE 1"), B.ready("T"))
        .server(B.complete("COMMIT"), B.ready())
        .client(F.parse("SET a.b = 1"), F.bind(), F.execute(), F.parse("SELECT 1"), F.bind(), F.execute(), F.sync())
        .server(B.parsed(), B.bound(), B.complete("SET"), B.parsed(), B.bound(), B.complete("SELECT 1")),
    entries: [
      "DELETE completed",
      "COMMIT failed 23503",
      "DELETE completed",
      "DELETE completed",
      "BEGIN completed",
      "DELETE completed",
      "COMMIT completed",
      "SET completed",
      "SELECT completed",
    ],
  },
  {
    name: "nor in a block that was begun in the same text or segment; but behind one that ended there",
    play: (s) =>
      s
        .client(F.query("BEGIN; DELETE FROM t; COMMIT; DELETE FROM u; BEGIN; INSERT INTO t VALUES (1); SELECT 1"))
        .server(B.complete("BEGIN"), B.complete("DELETE 1"), B.complete("COMMIT"), B.complete("DELETE 1"))
        .server(B.complete("BEGIN"), B.complete("INSERT 0 1")),
    entries: [
      ...["BEGIN completed", "DELETE completed", "COMMIT completed", "DELETE completed", "BEGIN completed"],
      ...["INSERT completed", "SELECT unknown"],
    ],
  },
  {
    name: "what a block that has ended leaves behind it is not known",
    play: (s) =>
      s
        .client(F.query("BEGIN; ROLLBACK; DELETE FROM t; SELECT 1"))
        .server(B.complete("BEGIN"), B.complete("ROLLBACK"), B.complete("DELETE 1")),
    entries: ["BEGIN completed", "ROLLBACK completed", "DELETE completed", "COMMIT unknown", "SELECT unknown"],
  },
  {
    name: "the same of a block that was open when the segment began",
    play: (s) =>
      s
        .client(F.query("BEGIN"))
        .server(B.complete("BEGIN"), B.ready("T"))
        .client(F.parse("COMMIT"), F.bind(), F.execute(), F.parse("DELETE FROM t"), F.bind(), F.execute(), F.sync())
        .server(B.parsed(), B.bound(), B.complete("COMMIT"), B.parsed(), B.bound(), B.complete("DELETE 1")),
    entries: ["BEGIN completed", "COMMIT completed", "DELETE completed", "COMMIT unknown"],
  },
  {
    name: "nor behind a COMMIT that begins another block",
    play: (s) =>
      s
        .client(F.query("BEGIN; COMMIT AND CHAIN; DELETE FROM t; SELECT 1"))
        .server(B.complete("BEGIN"), B.complete("COMMIT"), B.complete("DELETE 1")),
    entries: ["BEGIN completed", "COMMIT completed", "DELETE completed", "SELECT unknown"],
  },
  {
    name: "a function call is answered, and its implicit COMMIT fails",
    play: (s) => s.client(F.functionCall(177, "1", "2")).server(B.functionResult("3"), B.error("23503"), B.ready()),
    entries: ["FUNCTION CALL completed", "COMMIT failed 23503"],
  },
  {
    name: "two Executes that carry on the same portal: the second finds it at its end",
    play: (s) =>
      s
        .client(...select, F.execute("", 4), F.flush())
        .server(B.parsed(), B.bound(), B.row(), B.suspended())
        .client(F.execute(), F.execute(), F.sync())
        .server(B.row(), B.complete("SELECT 8"), B.complete("SELECT 0"), B.ready()),
    entries: ["SELECT completed", "SELECT completed"],
  },
  {
    name: "two Executes that carry on the same portal, and the first fails",
    play: (s) =>
      s
        .client(...select, F.execute("", 4), F.flush())
        .server(B.parsed(), B.bound(), B.row(), B.suspended())
        .client(F.execute(), F.execute(), F.sync())
        .server(B.row(), B.error("22012"), B.ready()),
    entries: ["SELECT failed 22012"],
  },
  {
    name: "two Executes that carry on the same portal, and the connection breaks",
    play: (s) =>
      s
        .client(...select, F.execute("", 4), F.flush())
        .server(B.parsed(), B.bound(), B.row(), B.suspended())
        .client(F.execute(), F.execute(), F.sync()),
    entries: ["SELECT unknown"],
  },
  {
    name: "three Executes sent at once, suspended after the first, and the connection breaks",
    play: (s) =>
      s
        .client(...select, F.execute("", 4), F.execute("", 4), F.execute("", 4), F.sync())
        .server(B.parsed(), B.bound(), B.row(), B.suspended(), B.row()),
    entries: ["SELECT unknown"],
  },
  {
    name: "a portal that ended with its transaction, executed again while something else is under way",
    play: (s) =>
      s
        .client(F.parse("SELECT 1"), F.bind("", "p"), F.execute("p", 4), F.sync(), F.query("SELECT pg_sleep(1)"))
        .server(B.parsed(), B.bound(), B.row(), B.suspended(), B.ready())
        .client(F.execute("p"), F.sync())
        .server(B.complete("SELECT 1"), B.ready(), B.error("34000"), B.ready()),
    entries: ["SELECT completed", "SELECT completed", "SELECT failed 34000"],
  },
  {
    name: "what is parsed behind a DEALLOCATE ALL in a pipeline stays",
    play: (s) =>
      s
        .client(F.parse("SELECT 1", "old"), F.sync())
        .server(B.parsed(), B.ready())
        .client(F.query("DEALLOCATE ALL"), F.parse("INSERT INTO t VALUES (1)", "new"), F.sync())
        .server(B.complete("DEALLOCATE ALL"), B.ready(), B.parsed(), B.ready())
        .client(F.bind("new"), F.execute(), F.bind("old"), F.sync())
        .server(B.bound(), B.complete("INSERT 0 1"), B.error("26000"), B.ready()),
    entries: ["DEALLOCATE ALL completed", "INSERT completed", "UNKNOWN failed 26000"],
  },
  {
    name: "a cursor that SQL opened, read in portions by name",
    play: (s) =>
      s
        .client(F.query("BEGIN; DECLARE c CURSOR FOR SELECT 1"), F.execute("c", 2), F.sync())
        .server(B.complete("BEGIN"), B.complete("DECLARE CURSOR"), B.ready("T"), B.row(), B.suspended(), B.ready("T"))
        .client(F.execute("c", 2), F.sync(), F.query("ROLLBACK"))
        .server(B.row(), B.suspended(), B.ready("T"), B.complete("ROLLBACK"), B.ready()),
    entries: ["BEGIN completed", "DECLARE CURSOR completed", "ROLLBACK completed", "UNKNOWN completed"],
  },
  {
    name: "a suspended portal that is closed, and one that is bound anew",
    play: (s) =>
      s
        .client(...select, F.execute("", 1), F.close("P"), F.bind(), F.execute("", 1), F.bind(), F.execute(), F.sync())
        .server(B.parsed(), B.bound(), B.row(), B.suspended(), B.closed())
        .server(B.bound(), B.row(), B.suspended(), B.bound(), B.complete("SELECT 9"), B.ready()),
    entries: ["SELECT completed", "SELECT completed", "SELECT completed"],
  },
  {
    name: "an empty statement that is not: an error skipped what would have made it so",
    play: (s) =>
      s
        .client(F.parse("DELETE FROM t", "x"), F.sync())
        .server(B.parsed(), B.ready())
        .client(F.parse("nonsense"), F.close("S", "x"), F.parse("", "x"), F.sync())
        .client(F.bind("x"), F.execute(), F.sync())
        .server(B.error("42601"), B.ready(), B.bound(), B.complete("DELETE 5"), B.ready()),
    entries: ["UNKNOWN failed 42601", "DELETE completed"],
  },
  {
    name: "an empty statement that is one",
    play: (s) =>
      s.client(F.parse(" -- "), F.bind(), F.execute(), F.sync()).server(B.parsed(), B.bound(), B.empty(), B.ready()),
    entries: [],
  },
  {
    name: "names after an error in a pipeline mean what they meant",
    play: (s) =>
      s
        .client(F.parse("SELECT 1", "x"), F.sync())
        .server(B.parsed(), B.ready())
        .client(F.parse("nonsense"), F.close("S", "x"), F.parse("INSERT INTO t VALUES (1)", "x"), F.sync())
        .client(F.bind("x"), F.execute(), F.sync())
        .server(B.error("42601"), B.ready(), B.bound(), B.row(), B.complete("SELECT 1"), B.ready())
        .client(F.bind("x"), F.execute(), F.sync())
        .server(B.bound(), B.complete("SELECT 1"), B.ready()),
    entries: ["UNKNOWN failed 42601", "SELECT completed", "SELECT completed"],
  },
  {
    name: "a failed Parse of the unnamed statement leaves none",
    play: (s) =>
      s
        .client(F.parse("SELECT 1"), F.sync(), F.parse("nonsense"), F.sync(), F.bind(), F.sync())
        .server(B.parsed(), B.ready(), B.error("42601"), B.ready(), B.error("26000"), B.ready()),
    entries: ["UNKNOWN failed 42601", "UNKNOWN failed 26000"],
  },
  {
    name: "a portal name that is taken keeps the portal it names",
    play: (s) =>
      s
        .client(F.query("BEGIN"), F.parse("SELECT 1", "a"), F.bind("a", "p"), F.sync())
        .server(B.complete("BEGIN"), B.ready("T"), B.parsed(), B.bound(), B.ready("T"))
        .client(F.parse("DELETE FROM t", "b"), F.bind("b", "p"), F.sync(), F.execute("p"), F.sync())
        .server(B.parsed(), B.error("42P03"), B.ready("E"), B.error("25P02"), B.ready("E")),
    entries: ["BEGIN completed", "DELETE failed 42P03", "SELECT failed 25P02"],
  },
  {
    name: "what stands behind an error up to Sync is skipped, sent before the error was seen or after",
    play: (s) =>
      s
        .client(F.parse("nonsense"), F.bind(), F.execute(), F.query("DELETE FROM t"), F.functionCall(1))
        .server(B.error("42601"))
        .client(F.bind(), F.execute(), F.query("DELETE FROM t"), F.functionCall(1), F.copyDone(), F.sync())
        .server(B.ready())
        .client(F.query("SELECT 1"))
        .server(B.complete("SELECT 1"), B.ready()),
    entries: ["UNKNOWN failed 42601", "SELECT completed"],
  },
  {
    name: "the server goes down idle, after the last answer, and in the middle",
    play: (s) => s.client(F.query("SELECT 1")).server(B.complete("SELECT 1"), B.error("57P01", "FATAL")),
    entries: ["SELECT completed"],
  },
  {
    name: "the server goes down in the middle of a text",
    play: (s) =>
      s.client(F.query("SELECT 1; SELECT 2; SELECT 3")).server(B.complete("SELECT 1"), B.error("57P01", "FATAL")),
    entries: ["SELECT completed", "SELECT failed 57P01"],
  },
  {
    name: "what was sent and not answered is unknown",
    play: (s) =>
      s
        .client(...select, F.execute(), F.sync(), F.query("DELETE FROM t; SELECT 1"), F.functionCall(3))
        .server(B.parsed(), B.bound()),
    entries: ["SELECT unknown", "DELETE unknown", "SELECT unknown", "FUNCTION CALL unknown"],
  },
  {
    name: "nothing behind a Terminate is read",
    play: (s) =>
      s.client(F.query("SELECT 1"), F.terminate(), F.query("DELETE FROM t")).server(B.complete("SELECT 1"), B.ready()),
    entries: ["SELECT completed"],
  },
];

for (const { name, play, entries } of SCRIPTS) {
  t.test(name, async (t) => {
    const stage = new Stage();
    play(stage);
    t.same(stage.end(), entries);
    t.equal(stage.spool.open.size, 0, "every intent ended");
    t.same(
      stage.spool.statements().map(({ n }) => n),
      entries.map((_, i) => i + 1),
    );
    t.equal(stage.spool.entries.filter(({ kind }) => kind === "session.end").length, 1);
  });
}

t.test("behind a COPY that failed the server may have come to the Sync before its data, and go on", async (t) => {
  const copy = [F.parse("COPY t FROM STDIN (FREEZE)"), F.bind(), F.execute(), F.sync()];
  const failed = [B.parsed(), B.bound(), B.copyIn(), B.error("55000")];
  const behind = new Stage();
  behind.client(...copy, F.copyData("1\n"), F.copyDone(), F.query("DELETE FROM t"));
  t.throws(() => behind.server(...failed), { code: "protocol_violation" });
  t.same(behind.end("protocol-error"), ["COPY failed 55000", "DELETE unknown"], "it is not taken for skipped");

  const after = new Stage();
  after.client(...copy, F.copyData("1\n")).server(...failed);
  const before = after.forwarded.length;
  after.client(F.copyDone(), F.query("DELETE FROM t"), ...select, F.execute());
  t.equal(after.forwarded.length, before, "nothing is sent that might be executed");
  after.client(F.sync(), F.query("SELECT 1"));
  t.equal(after.forwarded.length, before + 2);
  after.server(B.ready(), B.ready(), B.complete("SELECT 1"), B.ready());
  t.same(after.end(), ["COPY failed 55000", "SELECT completed"]);

  const ready = new Stage();
  ready.client(...copy, F.copyData("1\n")).server(...failed, B.ready());
  ready.client(F.query("DELETE FROM t")).server(B.complete("DELETE 1"), B.ready());
  t.same(ready.end(), ["COPY failed 55000", "DELETE completed"], "it has said that it goes on");
});

t.test("what was still held never happened, and what stood behind it neither", async (t) => {
  const stage = new Stage();
  stage.spool.instant = false;
  stage.client(F.query("SELECT 1"), F.query("DELETE FROM t"), F.query("SELECT 2"));
  t.same(
    stage.forwarded.map(({ wait }) => wait > 0),
    [false, true, false],
  );
  t.same(stage.end(), ["SELECT unknown"]);
  t.same(stage.spool.ends, ["DELETE dropped", "SELECT dropped", "SELECT unknown"], "a read behind it neither");
});

t.test("an intent is durable before its Bind is forwarded, and it is the Execute's", async (t) => {
  const stage = new Stage();
  stage.spool.instant = false;
  stage.client(F.parse("SELECT f(1)"), F.bind(), F.execute(), F.sync());
  const { position } = stage.spool;
  t.same(
    stage.forwarded.map(({ wait }) => wait),
    [0, position, position, 0],
  );
  t.equal(stage.spool.open.size, 1);
  stage.spool.sync();
  stage.server(B.parsed(), B.bound(), B.row(), B.complete("SELECT 1"), B.ready());
  stage.client(F.parse("SELECT g(1)"), F.bind(), F.execute(), F.sync());
  t.same(stage.end(), ["SELECT completed"], "what was held never happened");
  t.notOk("executed" in stage.spool.statements()[0]!);
});

t.test("what is bound and not executed is an entry, and says so", async (t) => {
  const given = (play: (stage: Stage) => unknown): string[] => {
    const stage = new Stage();
    play(stage);
    stage.end();
    t.equal(stage.spool.open.size, 0, "every intent ended");
    return stage.spool
      .statements()
      .map(({ operation, outcome, executed }) => `${operation} ${outcome}${executed === false ? " bound" : ""}`);
  };
  const prepared = (sql: string, name = ""): Buffer[] => [F.parse(sql, name), F.bind(name)];
  t.same(
    given((s) => s.client(...prepared("SELECT f(1)"), F.sync()).server(B.parsed(), B.bound(), B.ready())),
    ["SELECT completed bound"],
  );
  t.same(
    given((s) => s.client(...prepared("SET work_mem = 1"), F.sync()).server(B.parsed(), B.bound(), B.ready())),
    [],
    "nothing is planned",
  );
  t.same(
    given((s) => s.client(F.parse("SET work_mem = 1"), F.bind("", "", ["x"])).server(B.parsed(), B.bound())),
    ["SET completed bound"],
    "a domain may check what the parameter is",
  );
  t.same(
    given((s) =>
      s
        .client(...prepared("SELECT f(1)"), F.parse("SELEC"), F.execute(), F.sync())
        .server(B.parsed(), B.bound(), B.error("42601"), B.ready()),
    ),
    ["UNKNOWN failed", "SELECT completed bound"],
    "the Execute was skipped",
  );
  t.same(
    given((s) => s.client(...prepared("SELECT f(1)"), F.execute(), F.sync()).server(B.parsed(), B.error("22012"))),
    ["SELECT failed"],
  );
  t.same(
    given((s) => s.client(...prepared("SELECT f(1)"), F.execute(), F.sync()).server(B.parsed())),
    ["SELECT unknown"],
  );
  t.same(
    given((s) =>
      s
        .client(F.query("BEGIN"), ...prepared("SELECT f(1)"), F.sync(), F.execute(), F.sync())
        .server(B.complete("BEGIN"), B.ready("T"), B.parsed(), B.bound(), B.ready("T"))
        .server(B.complete("SELECT 1"), B.ready("T")),
    ),
    ["BEGIN completed", "SELECT completed"],
    "an Execute behind a Sync tells of both",
  );
  t.same(
    given((s) =>
      s
        .client(F.parse("SELECT 1", "x"), F.sync())
        .server(B.parsed(), B.ready())
        .client(F.parse("SELEC"), F.close("S", "x"), F.parse("DELETE FROM t", "x"), F.sync())
        .client(F.bind("x"), F.sync(), F.bind("x"), F.execute(), F.sync())
        .server(B.error("42601"), B.ready(), B.bound(), B.ready(), B.bound(), B.complete("SELECT 1"), B.ready()),
    ),
    ["UNKNOWN failed", "SELECT completed bound", "SELECT completed"],
    "it is what the server has under the name",
  );
});

t.test("a read is forwarded at once, and its answer waits", async (t) => {
  const stage = new Stage();
  stage.spool.instant = false;
  stage.client(F.query("SELECT 1"));
  t.equal(stage.wait, 0);
  t.equal(stage.session.gate, stage.spool.position);
  stage.server(B.complete("SELECT 1"), B.ready()).client(F.query("INSERT INTO t VALUES (1)"));
  t.equal(stage.wait, [...stage.spool.open][0]!.position);
});

t.test("an Execute is a proven read only if its names are certain", async (t) => {
  const waits = (stage: Stage, ...messages: Buffer[]): number => {
    stage.client(...messages);
    return stage.wait;
  };
  const stage = new Stage();
  stage.spool.instant = false;
  t.equal(waits(stage, F.parse("SELECT 1", "x"), F.bind("x"), F.execute()), 0, "all in one segment");
  stage.client(F.sync());
  t.equal(waits(stage, F.parse("SELECT 2"), F.bind(), F.execute()), 0, "a segment of its own behind it");
  stage.client(F.sync());
  t.ok(waits(stage, F.bind("x"), F.execute()) > 0, "a name given in a segment that is not answered yet");
  stage.client(F.sync());
  const answer = [B.bound(), B.complete("SELECT 1"), B.ready()];
  stage.server(B.parsed(), ...answer, B.parsed(), ...answer, ...answer);
  t.equal(waits(stage, F.bind("x"), F.execute()), 0, "a name that the server confirmed");
  stage.client(F.sync()).server(...answer);
  stage.client(F.query("SET standard_conforming_strings = off"));
  t.ok(waits(stage, F.parse("SELECT 1"), F.bind(), F.execute()) > 0, "a text that other settings may be read by");
});

t.test("no intent is written twice for a statement whose name is known", async (t) => {
  const stage = new Stage();
  stage.client(F.query("DEALLOCATE ALL"), F.parse("SELECT 1", "x"), F.sync());
  stage.server(B.complete("DEALLOCATE ALL"), B.ready(), B.parsed(), B.ready());
  stage.client(F.query("PREPARE y AS SELECT 2")).server(B.complete("PREPARE"), B.ready());
  for (const name of ["x", "y"]) {
    stage.client(F.bind(name), F.execute(), F.sync()).server(B.bound(), B.complete("SELECT 1"), B.ready());
  }
  t.same(stage.spool.ends, ["DEALLOCATE ALL completed", "PREPARE completed", "SELECT completed", "UNKNOWN completed"]);
});

t.test("texts are read by the session's own settings", async (t) => {
  const stage = new Stage();
  stage.server(B.status("standard_conforming_strings", "off"));
  stage
    .client(F.query("SELECT '\\''; DELETE FROM t; --'"))
    .server(B.complete("SELECT 1"), B.complete("DELETE 1"), B.ready());
  t.same(stage.end(), ["UNKNOWN completed", "UNKNOWN completed"]);
});

t.test("a full spool turns a statement away before it is forwarded", async (t) => {
  const stage = new Stage();
  stage.spool.full = true;
  const before = stage.forwarded.length;
  t.throws(() => stage.client(F.query("SELECT 1")), { code: "spool_full" });
  t.equal(stage.forwarded.length, before);
  t.same(stage.end("spool-full"), []);
});

t.test("a spool that is full when a name turns out to mean something else: it is recorded all the same", async (t) => {
  const stage = new Stage();
  stage.client(F.parse("SELECT 1", "x"), F.sync()).server(B.parsed(), B.ready());
  stage.client(F.parse("nonsense"), F.close("S", "x"), F.parse("DELETE FROM t", "x"), F.sync());
  stage.client(F.bind("x"), F.execute(), F.sync());
  stage.spool.full = true;
  stage.server(B.error("42601"), B.ready(), B.bound(), B.row(), B.complete("SELECT 1"), B.ready());
  t.same(stage.end(), ["UNKNOWN failed 42601", "SELECT completed"]);
  t.equal(stage.spool.open.size, 0);
});

t.test("a statement over the limit is denied, and says how it came", async (t) => {
  for (const [message, protocol] of [
    [F.query(`SELECT '${"x".repeat(2000)}'`), "simple"],
    [F.parse(`SELECT '${"x".repeat(2000)}'`), "extended"],
  ] as const) {
    const stage = new Stage({ statementBytes: 1024 });
    const before = stage.forwarded.length;
    let error: unknown;
    try {
      // Refused at its first five bytes.
      stage.client(message.subarray(0, 5));
    } catch (thrown) {
      error = thrown;
    }
    t.ok(error instanceof ProxyError);
    t.ok(stage.session.refuse(error as ProxyError) > 0);
    t.equal(stage.forwarded.length, before);
    t.same(stage.end("protocol-error"), ["UNKNOWN denied 54000"]);
    t.match(stage.spool.statements()[0], { protocol, incomplete: "too-large" });
    t.notOk("sql" in stage.spool.statements()[0]!);
  }
});

t.test("a server out of step is not followed", async (t) => {
  const wrong: readonly (readonly [string, Buffer, Buffer[]])[] = [
    ["row to nothing", B.row(), []],
    ["complete to nothing", B.complete("SELECT 1"), []],
    ["ready to nothing", B.ready(), []],
    ["ready to a Parse", B.ready(), [F.parse("SELECT 1")]],
    ["bound to a Parse", B.bound(), [F.parse("SELECT 1")]],
    ["complete to a function call", B.complete("SELECT 1"), [F.functionCall(1)]],
    ["result to a Query", B.functionResult("1"), [F.query("SELECT 1")]],
    ["suspended to a Query", B.suspended(), [F.query("SELECT 1")]],
    ["row to a Bind", B.row(), [F.bind()]],
    ["copy to a Sync", B.copyIn(), [F.sync()]],
    ["a status that is none", B.ready('"'), [F.query("")]],
    ["a tag without its end", Buffer.from("C\0\0\0\u0008SELE"), [F.query("SELECT 1")]],
    ["both directions at once", Buffer.from("W\0\0\0\u0007\0\0\0"), [F.query("SELECT 1")]],
    ["a message that is none", Buffer.from("!\0\0\0\u0004"), []],
  ];
  for (const [name, answer, messages] of wrong) {
    const stage = new Stage();
    stage.client(...messages);
    t.throws(() => stage.server(answer), { code: "protocol_violation" }, name);
    stage.end("protocol-error");
    t.equal(stage.spool.open.size, 0, name);
  }
});

t.test("a second answer to what has ended is not taken", async (t) => {
  const stage = new Stage();
  stage.client(F.functionCall(1)).server(B.functionResult("1"));
  t.throws(() => stage.server(B.functionResult("1")), { code: "protocol_violation" });
  const failed = new Stage();
  failed.client(F.query("SELECT 1; SELECT 2")).server(B.error("22012"));
  t.throws(() => failed.server(B.row()), { code: "protocol_violation" });
  t.throws(() => failed.server(B.complete("SELECT 1")), { code: "protocol_violation" });
  t.same(failed.end(), ["SELECT failed 22012"]);
});

t.test("the bytes of a COPY are its own, whatever the client sent before it was asked for it", (t) => {
  const text = F.query("COPY t FROM STDIN; COPY u FROM STDIN");
  const data = (size: number): Buffer => F.copyData("x".repeat(size - 5));
  const answers = [B.copyIn(), B.complete("COPY 1"), B.copyIn(), B.complete("COPY 1"), B.ready()] as const;
  const plays: Record<string, (stage: Stage) => void> = {
    "all ahead": (s) => s.client(text, data(10), data(20), F.copyDone(), data(300), F.copyDone()).server(...answers),
    "each when asked": (s) =>
      s
        .client(text)
        .server(B.copyIn())
        .client(data(30), F.copyDone())
        .server(B.complete("COPY 1"), B.copyIn())
        .client(data(300), F.copyDone())
        .server(B.complete("COPY 1"), B.ready()),
    "the first when asked, the second ahead": (s) =>
      s
        .client(text)
        .server(B.copyIn())
        .client(data(30), F.copyDone(), data(300), F.copyDone())
        .server(...answers.slice(1)),
    "some of each ahead": (s) =>
      s
        .client(text, data(10))
        .server(B.copyIn())
        .client(data(20), F.copyDone(), data(100))
        .server(B.complete("COPY 1"), B.copyIn())
        .client(data(200), F.copyDone())
        .server(B.complete("COPY 1"), B.ready()),
  };
  for (const [name, play] of Object.entries(plays)) {
    const stage = new Stage();
    play(stage);
    t.same(stage.end(), ["COPY completed", "COPY completed"], name);
    const bytes = stage.spool.statements().map((entry) => (entry as unknown as { bytes_in: number }).bytes_in);
    t.equal(bytes[1], 300, name);
    t.equal(bytes[0], text.length + 30, name);
  }
  const empty = new Stage();
  empty.client(text, F.copyDone(), data(300), F.copyDone()).server(...answers);
  empty.end();
  t.match(empty.spool.statements(), [{ bytes_in: text.length }, { bytes_in: 300 }], "nothing for the first");
  const extended = new Stage();
  const asked = [F.parse("COPY t FROM STDIN"), F.bind(), F.execute()];
  extended.client(...asked, data(50), F.copyDone(), F.sync());
  extended.server(B.parsed(), B.bound(), B.copyIn(), B.complete("COPY 1"), B.ready());
  extended.end();
  const [entry] = extended.spool.statements() as unknown as { bytes_in?: number }[];
  t.ok(entry!.bytes_in! >= 50 + asked[2]!.length, `${entry!.bytes_in}`);
  t.end();
});

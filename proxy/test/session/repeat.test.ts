// What may be sent to another server when the first one is lost: reads that have no effect if they are done twice.
import t from "tap";
import { B, F, Stage } from "./stage.ts";

const READ = F.query("SELECT a FROM t WHERE b = 1");
const EXTENDED = [F.parse("SELECT a FROM t WHERE b = $1"), F.bind(), F.execute(), F.sync()];

t.test("what is repeatable, and what is not", async (t) => {
  const cases: readonly (readonly [string, boolean, (stage: Stage) => Stage])[] = [
    ["a read", true, (s) => s.client(READ)],
    ["several in one text", true, (s) => s.client(F.query("SELECT 1; SELECT 2"))],
    ["in the extended protocol", true, (s) => s.client(...EXTENDED)],
    ["with the Sync still to come", true, (s) => s.client(...EXTENDED.slice(0, 3))],
    [
      "behind one that was answered",
      true,
      (s) => s.client(READ).server(B.complete("SELECT 0"), B.ready()).client(READ),
    ],
    ["nothing", false, (s) => s],
    ["a write", false, (s) => s.client(F.query("INSERT INTO t VALUES (1)"))],
    ["a read and a write", false, (s) => s.client(READ, F.query("UPDATE t SET a = 1"))],
    ["a write in a text of reads", false, (s) => s.client(F.query("SELECT 1; DELETE FROM t"))],
    ["a row lock", false, (s) => s.client(F.query("SELECT a FROM t FOR UPDATE"))],
    ["a function with effects", false, (s) => s.client(F.query("SELECT nextval('s')"))],
    ["a function that nobody knows", false, (s) => s.client(F.query("SELECT mine(1)"))],
    ["BEGIN", false, (s) => s.client(F.query("BEGIN"))],
    ["SET", false, (s) => s.client(F.query("SET search_path TO a"))],
    ["text that is not PostgreSQL's", false, (s) => s.client(F.query("SELEC 1"))],
    ["COPY", false, (s) => s.client(F.query("COPY t TO STDOUT"))],
    ["a function call", false, (s) => s.client(F.functionCall(177, "1"))],
    ["an extended write", false, (s) => s.client(F.parse("DELETE FROM t"), F.bind(), F.execute(), F.sync())],
    ["a name that is not known", false, (s) => s.client(F.bind("elsewhere"), F.execute(), F.sync())],
    [
      "a read in a transaction",
      false,
      (s) => s.client(F.query("BEGIN")).server(B.complete("BEGIN"), B.ready("T")).client(READ),
    ],
    ["a read behind an unanswered SET", false, (s) => s.client(F.query("SET search_path TO a"), READ)],
    ["a read that has returned a row", false, (s) => s.client(READ).server(B.rowDescription(), B.row())],
    [
      "the second of two, the first answered",
      false,
      (s) => s.client(F.query("SELECT 1; SELECT 2")).server(B.complete("SELECT 1")),
    ],
    [
      "a portal that goes on",
      false,
      (s) =>
        s
          .client(F.parse("SELECT a FROM t"), F.bind(), F.execute("", 1))
          .server(B.parsed(), B.bound(), B.row(), B.suspended())
          .client(F.execute()),
    ],
  ];
  for (const [name, expected, play] of cases) t.equal(play(new Stage()).session.tracker.repeatable, expected, name);
  const denied = new Stage({ rules: "version: 1\nrules:\n  - {name: no, action: deny}\n" });
  t.equal(denied.client(READ).session.tracker.repeatable, false, "what is denied");
});

t.test("each entry says how often it was sent, when it was more than once", async (t) => {
  const stage = new Stage();
  stage.client(...EXTENDED, READ);
  stage.session.tracker.repeated();
  stage.session.tracker.repeated();
  stage.server(B.parsed(), B.bound(), B.complete("SELECT 0"), B.ready(), B.complete("SELECT 0"), B.ready());
  stage.client(READ).server(B.complete("SELECT 0"), B.ready());
  stage.end();
  const attempts = stage.spool.entries.filter(({ kind }) => kind === "statement").map(({ attempts }) => attempts);
  t.same(attempts, [3, 3, undefined]);
});

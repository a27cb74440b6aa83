// Denials as messages: what goes to the server in their place, what the client is sent, however the stream is cut; and
// what is judged while settings are changing.
import t from "tap";
import { B, F, Stage } from "./stage.ts";

const RULES = `version: 1
rules:
  - {name: cards, action: deny, what: {reads: ["*.cards"]}}
  - {name: few, action: allow, what: {class: read, reads: ["*.many"]}, limits: {rows: 2}}
  - {name: rest, action: allow, what: {class: [read, session, write, function]}}
`;

const SYNTAX = B.error("42601");

/** Kinds of the server's messages that the client is sent. */
function sent(stage: Stage): string {
  const bytes = Buffer.concat(stage.splice!.take().map((piece) => piece.bytes));
  let types = "";
  for (let at = 0; at < bytes.length; at += 1 + bytes.readUInt32BE(at + 1)) types += String.fromCharCode(bytes[at]!);
  return types;
}

const forwarded = (stage: Stage): string => stage.forwarded.map(({ bytes }) => bytes.toString("latin1")).join("");

t.test("not a byte of what is denied goes to the server", async (t) => {
  const stage = new Stage({ rules: RULES });
  const denied = "SELECT secret FROM cards";
  stage.client(F.query(denied), F.parse(denied, "a"), F.parse(denied), F.functionCall(1, "secret"));
  t.notMatch(forwarded(stage), /secret.*FROM/s);
  stage.server(SYNTAX, B.ready());
  stage.server(SYNTAX);
  stage.client(F.sync());
  stage.server(B.ready());
  t.same(stage.end(), ["SELECT denied 42501", "SELECT denied 42501"]);
});

t.test(
  "a FunctionCall of PostgreSQL's own functions is of class admin, but for large objects; so is one not read whole",
  async (t) => {
    const rules = "version: 1\nrules:\n  - {name: r, action: allow, what: {class: [read, function]}}\n";
    const passes = (call: Buffer, disclosureBytes = 1024): boolean => {
      const stage = new Stage({ rules, disclosureBytes });
      stage.client(call);
      const passed = stage.forwarded.some(({ bytes }) => bytes.includes("secret"));
      stage.server(passed ? B.functionResult("") : B.error("42883"), B.ready());
      const [told] = stage.end();
      t.equal(told, passed ? "FUNCTION CALL completed" : "FUNCTION CALL denied 42501");
      t.equal(stage.spool.statements()[0]?.class, call.readUInt32BE(5) < 16_384 && !passed ? "admin" : "function");
      return passed;
    };
    // pg_read_file, set_config, pg_terminate_backend, lo_import
    for (const oid of [3826, 2078, 2096, 764, 16_383]) t.notOk(passes(F.functionCall(oid, "secret")), String(oid));
    for (const oid of [715, 952, 954, 955, 3172, 16_384, 2_000_000_000]) t.ok(passes(F.functionCall(oid, "secret")));
    const large = (oid: number): Buffer => F.functionCall(oid, `secret${"x".repeat(2000)}`);
    t.notOk(passes(large(3826)));
    const stage = new Stage({ rules, disclosureBytes: 1024 });
    stage.client(large(955));
    t.notOk(forwarded(stage).includes("secret"), "which it is is seen too late");
    stage.server(B.error("42883"), B.ready());
    t.same(stage.end(), ["FUNCTION CALL denied 42501"]);
    const named = new Stage({ rules: rules.replace("function]", "function, admin], functions: [a.*]") });
    named.client(F.functionCall(952, "secret"), F.functionCall(3826, "secret"));
    t.notOk(forwarded(named).includes("secret"), "no list covers a number");
    named.server(B.error("42883"), B.ready(), B.error("42883"), B.ready());
    named.end();
  },
);

t.test("a denied FunctionCall that comes in pieces, while the server fails what stands before it", async (t) => {
  const stage = new Stage({ rules: RULES.replace(", function]", "]"), disclosureBytes: 1024 });
  const call = F.functionCall(1, "x".repeat(400_000));
  stage.client(F.parse("SELECT 1/0"), F.bind(), F.execute(), call.subarray(0, 300_000));
  stage.server(B.parsed(), B.error("22012"));
  const before = stage.forwarded.length;
  stage.client(call.subarray(300_000));
  t.equal(stage.forwarded.length, before);
  t.notOk(forwarded(stage).includes("xxx"));
  stage.client(F.sync(), call);
  stage.server(B.ready());
  t.notOk(forwarded(stage).includes("xxx"));
  t.ok(forwarded(stage).endsWith("F\0\0\0\u000e\0\0\0\0\0\0\0\0\0\0"), "function 0 in its place");
  stage.server(B.error("42883"), B.ready());
  t.same(stage.end(), ["SELECT failed 22012", "FUNCTION CALL denied 42501"]);
});

t.test("the client is sent the same however the server's bytes are cut", async (t) => {
  const answers = Buffer.concat([
    ...[B.parsed(), B.bound(), B.row("1"), B.complete("SELECT 1")],
    ...[SYNTAX, B.ready(), SYNTAX, B.ready(), B.rowDescription(), B.row("2"), B.complete("SELECT 1"), B.ready()],
  ]);
  const run = (pieces: Buffer[]): string => {
    const stage = new Stage({ rules: RULES });
    stage.splice!.take();
    stage.client(F.parse("SELECT 1"), F.bind(), F.execute(), F.parse("TABLE cards"), F.bind(), F.execute(), F.sync());
    stage.client(F.query("TABLE cards"), F.query("SELECT 2"));
    const got: Buffer[] = [];
    for (const piece of pieces) {
      stage.server(piece);
      for (const { bytes } of stage.splice!.take()) got.push(Buffer.from(bytes));
    }
    const told = stage.end().join();
    t.equal(told, "SELECT completed,SELECT denied 42501,SELECT denied 42501,SELECT completed");
    return Buffer.concat(got).toString("latin1");
  };
  const whole = run([answers]);
  t.match(whole, /C42501.*Rvitrine.*C42501.*Rvitrine/s);
  t.notMatch(whole, /42601/);
  for (let at = 1; at < answers.length; at++) {
    const cut = run([answers.subarray(0, at), answers.subarray(at)]);
    if (cut !== whole) t.equal(cut, whole, `cut at ${at}`);
  }
  t.equal(run([...answers].map((byte) => Buffer.from([byte]))), whole);
});

t.test("rows beyond the limit are kept back, and what follows up to ReadyForQuery", async (t) => {
  const stage = new Stage({ rules: RULES });
  let cancelled = 0;
  stage.session.onExceeded = () => {
    cancelled += 1;
  };
  stage.splice!.take();
  stage.client(F.query("TABLE many"));
  stage.server(B.rowDescription(), B.row(), B.row(), B.row(), B.row(), B.error("57014"), B.ready());
  t.equal(sent(stage), "TDDEZ");
  stage.client(F.parse("TABLE many"), F.bind(), F.execute(), F.parse("SELECT 1"), F.bind(), F.execute(), F.sync());
  stage.server(B.parsed(), B.bound(), B.row(), B.row(), B.row(), B.complete("SELECT 3"));
  stage.server(B.parsed(), B.bound(), B.status("TimeZone", "UTC"), B.row(), B.complete("SELECT 1"), B.ready());
  t.equal(sent(stage), "12DDESZ", "it had ended before the cancel came");
  stage.client(F.parse("TABLE many"), F.bind(), F.execute("", 3), F.sync());
  stage.server(B.parsed(), B.bound(), B.row(), B.row(), B.row(), B.suspended(), B.ready());
  t.equal(sent(stage), "12DDEZ");
  t.equal(cancelled, 3);
  t.same(stage.end(), ["SELECT denied 42501", "SELECT denied 42501", "SELECT completed", "SELECT denied 42501"]);
});

t.test(
  "bytes beyond the limit, of rows, of COPY and of a FunctionCall; counted as the entry counts them",
  async (t) => {
    const stage = new Stage({
      rules: `version: 1
rules:
  - {name: small, action: allow, what: {class: [read, copy, function]}, limits: {bytes: 60}}
`,
    });
    let cancelled = 0;
    stage.session.onExceeded = () => {
      cancelled += 1;
    };
    stage.splice!.take();
    const wide = "x".repeat(9);
    const row = B.row(wide);
    const head = B.rowDescription();
    t.equal(head.length + 2 * row.length, 47);
    stage.client(F.query("TABLE many"));
    stage.server(head, row, row, B.row("xx"), B.complete("SELECT 3"), B.ready());
    t.equal(sent(stage), "TDDDCZ", "60 bytes are not too many");
    stage.client(F.query("TABLE many"));
    stage.server(head, row, row, B.row("xxx"), B.row(""), B.error("57014"), B.ready());
    t.equal(sent(stage), "TDDEZ", "61 are, and what would fit behind it is kept back as well");
    t.equal(cancelled, 1);
    stage.client(F.parse("TABLE many"), F.bind(), F.execute("", 1), F.execute("", 9), F.sync());
    stage.server(B.parsed(), B.bound(), B.row("x".repeat(40)), B.suspended());
    stage.server(B.row("x".repeat(10)), B.error("57014"), B.ready());
    t.equal(sent(stage), "12DsEZ", "one execution, over all its pieces");
    stage.client(F.query("COPY many TO STDOUT"));
    stage.server(B.copyOut(), B.copyData("x".repeat(50)), B.copyData("x".repeat(50)), B.error("57014"), B.ready());
    t.equal(sent(stage), "HdEZ");
    stage.client(F.functionCall(20_000), F.functionCall(20_000));
    stage.server(B.functionResult("x".repeat(51)), B.ready(), B.functionResult("x".repeat(52)), B.ready());
    t.equal(sent(stage), "VZEZ");
    t.equal(cancelled, 3, "a function that has returned is not cancelled");
    t.same(stage.end(), [
      "SELECT completed",
      ...Array(2).fill("SELECT denied 42501"),
      "COPY denied 42501",
      "FUNCTION CALL completed",
      "FUNCTION CALL denied 42501",
    ]);
    t.same(
      stage.spool.statements().map(({ bytes_out }) => bytes_out),
      [60, 47, 51, 55, 60, 0],
    );
  },
);

t.test("a server that goes away says so itself, and the denial stays one", async (t) => {
  const stage = new Stage({ rules: RULES });
  stage.splice!.take();
  stage.client(F.query("TABLE cards"), F.parse("TABLE cards"), F.sync());
  stage.server(B.error("57P01", "FATAL"));
  const bytes = Buffer.concat(stage.splice!.take().map((piece) => piece.bytes)).toString("latin1");
  t.match(bytes, /FATAL.*57P01/s);
  t.same(stage.end("server-closed"), ["SELECT denied 42501", "SELECT denied 42501"]);
});

t.test("while settings may be changing, only plain text is read", async (t) => {
  const tricky = "SELECT 'a\\', (SELECT 'b')";
  const last = (stage: Stage): string => stage.forwarded.at(-1)!.bytes.toString("latin1").slice(5);
  for (const set of ["SET standard_conforming_strings = off", "SET NAMES 'SJIS'", "RESET ALL", "SELECT f()"]) {
    const stage = new Stage({ rules: RULES });
    stage.client(F.query(set), F.query(tricky));
    t.equal(last(stage), "vitrine.denied\0", set);
    stage.client(F.query("SELECT 'a'"));
    t.equal(last(stage), "SELECT 'a'\0");
    stage.server(B.complete("SET"), B.ready(), SYNTAX, B.ready(), B.complete("SELECT 1"), B.ready());
    stage.client(F.query(tricky));
    t.equal(last(stage), `${tricky}\0`, "known again");
    stage.client(F.parse(set), F.bind(), F.execute(), F.flush());
    stage.server(B.complete("SELECT 1"), B.ready(), B.parsed(), B.bound(), B.complete("SET"));
    stage.client(F.parse(tricky));
    t.equal(last(stage), "\0vitrine.denied\0\0\0", "answered, but not reported yet");
    stage.end();
  }
});

t.test("a Sync that the server swallows in COPY does not leave settings unknown for good", async (t) => {
  const stage = new Stage({ rules: RULES.replace("function]", "function, copy]") });
  stage.client(F.parse("COPY t FROM STDIN"), F.bind(), F.execute(), F.sync());
  stage.server(B.parsed(), B.bound(), B.copyIn());
  stage.client(F.copyDone(), F.sync());
  stage.server(B.complete("COPY 0"), B.ready());
  stage.client(F.query("SET client_encoding = 'UTF8'"));
  stage.server(B.complete("SET"), B.ready());
  stage.client(F.query("SELECT 'é'"));
  t.match(stage.forwarded.at(-1)!.bytes.toString(), /SELECT 'é'/);
  stage.server(B.complete("SELECT 1"), B.ready());
  t.same(stage.end(), ["COPY completed", "SET completed", "SELECT completed"]);
});

import { readFileSync } from "node:fs";
import { Analyzer } from "@vitrine/proxy";
import t from "tap";
import { compareBackends, compareCounters, compareStatements, type Terms } from "../../src/reconcile/compare.ts";
import type { Backend, Counted, Snapshot } from "../../src/reconcile/database.ts";
import { FINDING_VERDICTS } from "../../src/reconcile/findings.ts";
import { LogBook } from "../../src/reconcile/log-book.ts";
import type { ServerEvent } from "../../src/reconcile/server-log.ts";
import { ServerLogCheck } from "../../src/reconcile/server-log-check.ts";

const analyzer = await Analyzer.load();
const at = Date.parse("2026-11-22T12:00:00Z");
const iso = (ms: number): string => new Date(ms).toISOString();
const fingerprint = (sql: string): string => analyzer.analyze(Buffer.from(sql), "utf8")[0]!.fingerprint!;

/** A log with one session of ann's on process 42, and what is given of it. */
function book(...entries: [string, Record<string, unknown>][]): LogBook {
  const made = new LogBook([], undefined);
  const common = { source: "p", epoch: 1, session: "1.1", database: "shop", actor: { login: "ann" } };
  const all: [string, Record<string, unknown>][] = [
    ["source.start", { time: iso(at - 1000) }],
    ["session.start", { time: iso(at), server: { pid: 42 } }],
    ...entries,
  ];
  for (const [kind, members] of all) made.add(kind, JSON.stringify({ time: iso(at + 1000), ...common, ...members }));
  return made;
}

const ran = (sql: string, members: object = {}): [string, Record<string, unknown>] => [
  "statement",
  { operation: "SELECT", outcome: "completed", fingerprint: fingerprint(sql), ...members },
];

const terms = (more: Partial<Terms> = {}): Terms => ({
  except: new Set(),
  pools: new Set(),
  skewMs: 1000,
  read: (sql) => analyzer.analyze(Buffer.from(sql), "utf8")[0],
  ...more,
});

const backend = (members: Partial<Backend> = {}): Backend => ({
  pid: 42,
  user: "ann",
  database: "shop",
  application: "psql",
  address: "192.0.2.1",
  start: at - 50,
  replicates: false,
  ...members,
});

const counted = (sql: string, calls: number, members: Partial<Counted> = {}): Counted => ({
  user: "ann",
  database: "shop",
  sql,
  calls,
  since: at - 500,
  ...members,
});

const snapshot = (members: Partial<Snapshot>): Snapshot => ({
  now: at + 5000,
  version: "18.1",
  pid: 7,
  database: "shop",
  backends: [],
  statements: [],
  whyNot: undefined,
  track: "top",
  trackUtility: "on",
  ruled: [],
  asked: [],
  evicted: 0,
  databases: [],
  ...members,
});

t.test("a backend is the session's only with its process, its time, its role and its database", async (t) => {
  const codes = (backends: Backend[], more: Partial<Terms> = {}): string[] =>
    compareBackends(snapshot({ backends }), book(), terms(more)).map(({ code }) => code);
  t.same(codes([backend()]), []);
  for (const other of [
    { pid: 43 },
    { user: "bob" },
    { database: "hr" },
    { start: at - 10 ** 6 },
    { start: at + 10 ** 6 },
  ])
    t.same(codes([backend(other)]), ["backend_unlogged"], JSON.stringify(other));
  t.same(codes([backend({ pid: 43, user: "bob" })], { except: new Set(["bob"]) }), []);
  t.same(codes([backend({ pid: 43, user: "bob" })], { pools: new Set(["bob"]) }), []);
  t.same(codes([backend({ pid: 7 })]), [], "ourselves");
  t.same(codes([backend({ start: null })]), ["backends_hidden"]);
  const pooled = book(["session.start", { time: iso(at), session: "1.9", server: {} }]);
  const told = (one: Backend, of: LogBook): string =>
    compareBackends(snapshot({ backends: [one] }), of, terms())[0]!.message;
  t.match(
    told(backend({ pid: 43 }), pooled),
    /in the log; if it is a connection of the proxy's own pool, say --pool ann$/,
  );
  t.match(told(backend({ pid: 43, database: "hr" }), pooled), /in the log$/);
  t.match(told(backend({ pid: 43 }), book()), /in the log$/);
  const replica = backend({ replicates: true, database: null });
  t.same(codes([replica]), ["backend_unlogged"], "no session of the log replicates");
  t.same(codes([replica], { pools: new Set(["ann"]) }), ["backend_unlogged"]);
  t.same(codes([replica], { except: new Set(["ann"]) }), []);
});

t.test("calls are counted by what they say without their constants", async (t) => {
  const sql = "UPDATE orders SET a = $1 WHERE id = $2";
  const logged = book(ran("UPDATE orders SET a = 1 WHERE id = 7"), ran("UPDATE orders SET a = 2 WHERE id = 8"));
  const found = (statements: Counted[], from = logged, more: Partial<Terms> = {}): unknown[] =>
    compareStatements(snapshot({ statements }), from, terms(more)).map(({ code, count }) => [code, count]);
  t.same(found([counted(sql, 2)]), []);
  t.same(found([counted(sql, 1), counted("update orders set a=$1 where id=$2", 1)]), [], "two texts of one form");
  t.same(found([counted(sql, 3)]), [["statement_unlogged", 1]]);
  t.same(found([counted(sql, 3)], logged, { except: new Set(["ann"]) }), []);
  t.same(found([counted(sql, 1, { database: "hr" })]), [["statement_unlogged", 1]], "in another database");
  t.same(found([counted("SET work_mem = $1", 9), counted("FETCH $1 IN c", 9)]), [], "of the session alone");
  t.same(found([counted("<insufficient privilege>", 4)]), [["statements_unclear", 4]]);
  t.same(found([counted(sql, 3, { since: at - 10_000 })]), [["statements_early", 1]]);
  t.same(found([counted(sql, 3, { since: null })]), [["statements_early", 1]]);
  t.same(found([counted(sql, 2, { since: at - 10_000 })]), [], "early, and no more than the log has");
  const failed = book(ran(sql, { outcome: "failed" }), ran(sql, { outcome: "denied" }));
  t.same(found([counted(sql, 1)], failed), [["statement_unlogged", 1]], "the server does not count what failed");
  const bound = book(ran(sql, { executed: false }));
  t.same(found([counted(sql, 1)], bound), [["statement_unlogged", 1]], "nor what was only bound");
});

t.test("what is executed by PREPARE and EXECUTE is counted under the text of the PREPARE", async (t) => {
  const sql = "PREPARE q AS DELETE FROM orders WHERE id = $1";
  const prepared = ran("PREPARE q AS DELETE FROM orders WHERE id = 1");
  const executed = ran("EXECUTE q", { operation: "EXECUTE" });
  const codes = (calls: number, ...entries: Parameters<typeof book>): string[] =>
    compareStatements(snapshot({ statements: [counted(sql, calls)] }), book(...entries), terms()).map(
      ({ code }) => code,
    );
  t.same(codes(1), ["statement_unlogged"]);
  t.same(codes(1, prepared), ["statement_unlogged"], "the server counts no PREPARE");
  t.same(codes(1, prepared, executed), ["statements_unclear"]);
  t.same(codes(2, prepared, executed), ["statement_unlogged"]);
  const beside = snapshot({ statements: [counted(sql, 1), counted("TRUNCATE orders", 1)] });
  t.same(
    compareStatements(beside, book(prepared, executed), terms()).map(({ code, sql }) => [code, sql?.slice(0, 8)]),
    [
      ["statements_unclear", "PREPARE "],
      ["statement_unlogged", "TRUNCATE"],
    ],
    "the EXECUTE is what explains the one, and not the other",
  );
  const two = snapshot({ statements: [counted("PREPARE TRANSACTION $1", 3)] });
  t.same(compareStatements(two, book(prepared), terms()), []);
});

t.test("what the log cannot tell takes the edge off, and no more than it is", async (t) => {
  const sql = "SELECT a FROM orders";
  const unclear: [string, Record<string, unknown>][][] = [
    [ran("EXECUTE q", { operation: "EXECUTE" })],
    [["statement", { operation: "UNKNOWN", outcome: "completed" }]],
    [ran(sql, { outcome: "unknown" })],
    [ran(sql, { outcome: "denied", rows: 5 })],
    [ran("SELECT b FROM orders", { attempts: 2 })],
  ];
  for (const entries of unclear) {
    const codes = (calls: number): string[] =>
      compareStatements(snapshot({ statements: [counted(sql, calls)] }), book(...entries), terms()).map(
        ({ code }) => code,
      );
    t.same(codes(1), ["statements_unclear"]);
    t.same(codes(2), ["statement_unlogged"]);
  }
  const none = snapshot({ statements: undefined, whyNot: "relation does not exist" });
  t.match(compareStatements(none, book(), terms()), [{ code: "statements_missing", message: /does not exist/ }]);
  t.match(compareStatements(snapshot({ evicted: 2 }), book(), terms()), [{ code: "statements_unclear", count: 2 }]);
});

t.test("each action of a rule counts as a call", async (t) => {
  const codes = (name: string, ruled: Snapshot["ruled"], database = "shop"): string[] => {
    const statements = [counted(`INSERT INTO ${name} VALUES ($1)`, 2, { database })];
    const logged = book(ran(`INSERT INTO ${name} VALUES (1)`, { database }));
    return compareStatements(snapshot({ statements, ruled }), logged, terms()).map(({ code }) => code);
  };
  t.same(codes("orders", [{ schema: "public", name: "orders" }]), ["statements_unclear"]);
  t.same(codes("public.orders", [{ schema: "public", name: "orders" }]), ["statements_unclear"]);
  t.same(codes("hr.orders", [{ schema: "public", name: "orders" }]), ["statement_unlogged"]);
  t.same(codes("orders", [{ schema: "public", name: "other" }]), ["statement_unlogged"]);
  t.same(codes("orders", [{ schema: "public", name: "orders" }], "hr"), ["statement_unlogged"], "not our database");
});

t.test("what failed outside a transaction may have failed at its commit, and was counted then", async (t) => {
  const sql = "INSERT INTO orders VALUES ($1)";
  const codes = (calls: number, members: object): string[] =>
    compareStatements(
      snapshot({ statements: [counted(sql, calls)] }),
      book(ran(sql, { outcome: "failed", ...members })),
      terms(),
    ).map(({ code }) => code);
  t.same(codes(1, { tx: "I", sqlstate: "23505" }), ["statements_unclear"]);
  t.same(codes(2, { tx: "I", sqlstate: "23505" }), ["statement_unlogged"]);
  t.same(codes(1, { tx: "T", sqlstate: "23505" }), ["statement_unlogged"], "its COMMIT would have failed");
  t.same(codes(1, { tx: "I", sqlstate: "42501" }), ["statement_unlogged"], "not even begun");
});

t.test("what was counted in a database that is gone must be in the log of some database", async (t) => {
  const sql = "SELECT a FROM orders";
  const codes = (calls: number): string[] =>
    compareStatements(
      snapshot({ statements: [counted(sql, calls, { database: null })] }),
      book(ran(sql, { database: "old" }), ran(sql)),
      terms(),
    ).map(({ code }) => code);
  t.same(codes(2), []);
  t.same(codes(3), ["statement_unlogged"]);
});

t.test("what pg_stat_statements is told not to count", async (t) => {
  const codes = (members: Partial<Snapshot>): string[] =>
    compareStatements(snapshot(members), book(), terms()).map(({ code }) => code);
  t.same(codes({ track: "all" }), []);
  t.same(codes({ track: "none" }), ["statements_missing"]);
  t.same(codes({ trackUtility: "off" }), ["statements_missing"]);
});

t.test("passwords in texts are not shown", async (t) => {
  const cases: [string, string][] = [
    ["ALTER ROLE ann PASSWORD 'se''cret' VALID UNTIL 'x'", "ALTER ROLE ann PASSWORD … VALID UNTIL 'x'"],
    ["CREATE ROLE ann LOGIN ENCRYPTED PASSWORD E'secret'", "CREATE ROLE ann LOGIN ENCRYPTED PASSWORD …"],
    ["CREATE USER ann PASSWORD $x$secret$x$", "CREATE USER ann PASSWORD …"],
    ["SELECT dblink_connect('host=h password=secret')", "SELECT dblink_connect('host=h password=…')"],
  ];
  for (const [sql, text] of cases) {
    const found = compareStatements(snapshot({ statements: [counted(sql, 1)] }), book(), terms());
    t.same(
      found.map((one) => one.sql),
      [text],
    );
  }
});

t.test("sessions that the server has counted", async (t) => {
  const found = (sessions: number, since: number | null = at - 500, more: Partial<Terms> = {}): unknown[] => {
    const databases = [{ database: "shop", transactions: 9, sessions, since }];
    return compareCounters(snapshot({ databases }), book(), terms(more)).map(({ count }) => count);
  };
  t.same(found(2), [], "the session of the log, and ours");
  t.same(found(4), [2]);
  t.same(found(4, null), []);
  t.same(found(4, at - 10_000), []);
  t.same(found(4, at - 500, { except: new Set(["backup"]) }), []);
  t.same(found(4, at - 500, { pools: new Set(["app"]) }), [], "a pool's connections are other ones");
});

t.test("lines of the server's log", async (t) => {
  const ended = book(["session.end", { time: iso(at + 60_000) }]);
  const found = (
    kind: "connection" | "statement",
    time: number,
    pid = 42,
    user: string | undefined = "ann",
  ): string[] => {
    const check = new ServerLogCheck(ended, terms(), { pid: 7, now: at + 100_000 });
    check.add({ kind, time, pid, user, database: user === undefined ? undefined : "shop", text: "statement: x" });
    return check.findings().map(({ code }) => code);
  };
  t.same(found("connection", at - 20), []);
  t.same(found("connection", at + 30_000), ["connection_unlogged"], "later than the login");
  t.same(found("connection", at, 43), ["connection_unlogged"]);
  t.same(found("connection", at, 42, "bob"), ["connection_unlogged"]);
  t.same(found("connection", at, 7), [], "ourselves");
  t.same(found("connection", at - 5000, 43), [], "before the log begins");
  t.same(found("statement", at + 30_000), []);
  t.same(found("statement", at + 30_000, 42, undefined), []);
  t.same(found("statement", at + 90_000), ["statement_unlogged"], "behind the session's end");
  const check = new ServerLogCheck(ended, terms(), { pid: 7, now: at + 100_000 });
  for (let i = 0; i < 3; i++)
    check.add({ kind: "statement", time: at, pid: 99, user: undefined, database: undefined, text: "statement: x" });
  t.same([check.findings().length, check.checked], [1, 3], "one finding for a process");
});

/** What comes of lines of the server's log, read when its time was `now`. */
function checked(lines: Partial<ServerEvent>[], from: LogBook, more: Partial<Terms> = {}, now = at + 5000): unknown[] {
  const check = new ServerLogCheck(from, terms(more), { pid: 7, now });
  const common = { kind: "connection", time: at, pid: 43, user: "ann", database: "shop", text: "x" } as const;
  for (const line of lines) check.add({ ...common, ...line });
  return check.findings().map(({ code, user }) => [code, user]);
}

t.test("in a plain log the line of the connection says whose the statements are", async (t) => {
  const statement = { kind: "statement", user: undefined, database: undefined } as const;
  t.same(checked([{}, statement], book(), { except: new Set(["ann"]) }), []);
  t.same(checked([statement], book(), { except: new Set(["ann"]) }), [["statement_unlogged", undefined]]);
  t.same(checked([{ time: at - 5000 }, statement], book()), [["statement_unlogged", "ann"]]);
  t.same(checked([{}, { user: "bob" }, statement], book(), { except: new Set(["ann"]) }), [
    ["connection_unlogged", "bob"],
  ]);
});

t.test("who is let in and then refused left that in the log", async (t) => {
  const refused = (members: object): [string, Record<string, unknown>] => [
    "access.refused",
    { by: "server", sqlstate: "3D000", time: iso(at + 20), database: "nodb", ...members },
  ];
  const line = { database: "nodb" };
  t.same(checked([line], book(refused({}))), []);
  t.same(checked([line, { ...line, pid: 44 }], book(refused({}))), [["connection_unlogged", "ann"]], "each once");
  t.same(checked([line], book(refused({ database: "other" }))), [["connection_unlogged", "ann"]]);
  t.same(checked([line], book(refused({ sqlstate: "28P01" }))), [["connection_unlogged", "ann"]], "not let in");
  t.same(checked([line], book(refused({ time: iso(at + 10 ** 6) }))), [["connection_unlogged", "ann"]]);
});

t.test("lines newer than the counters are left out, and others may still come into the log", async (t) => {
  t.same(checked([{ time: at + 5001 }], book()), []);
  const growing = book();
  const check = new ServerLogCheck(growing, terms(), { pid: 7, now: at + 5000 });
  check.add({ kind: "connection", time: at + 10, pid: 43, user: "ann", database: "shop", text: "x" });
  t.equal(check.findings().length, 1);
  const entry = {
    source: "p",
    epoch: 1,
    session: "1.2",
    database: "shop",
    actor: { login: "ann" },
    server: { pid: 43 },
  };
  growing.add("session.start", JSON.stringify({ ...entry, time: iso(at + 30) }));
  t.equal(check.findings().length, 0);
});

t.test("only the sources that are named count, and an epoch ends the sessions of the one before", async (t) => {
  const named = new LogBook(["q"], undefined);
  const entry = { source: "p", epoch: 1, session: "1.1", database: "shop", actor: { login: "ann" }, time: iso(at) };
  named.add("session.start", JSON.stringify({ ...entry, server: { pid: 42 } }));
  t.same(named.onPid(42), []);
  const ended = book(["source.start", { epoch: 2, time: iso(at + 9000) }]);
  t.same(
    ended.onPid(42).map(({ end }) => end),
    [at + 9000],
  );
});

t.test("the manual has every finding with its verdict", async (t) => {
  const manual = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");
  const rows = [...manual.matchAll(/^\| `([a-z_]+)` \| (FAIL|NOT PROVEN) \|/gm)].map(([, code, verdict]) => [
    code,
    verdict,
  ]);
  t.same(rows, Object.entries(FINDING_VERDICTS));
});

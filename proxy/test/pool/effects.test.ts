// What pins a session, what it has set, and what undoes either: from texts alone.
import t from "tap";
import { query } from "../../src/pool/chore.ts";
import { effectsOf, PLAIN } from "../../src/pool/effects.ts";
import { change, SessionSettings } from "../../src/pool/session-settings.ts";
import { SessionState } from "../../src/pool/session-state.ts";
import { analyzer } from "./help.ts";

const effects = (sql: string): ReturnType<typeof effectsOf> =>
  effectsOf(analyzer.analyze(Buffer.from(sql), "utf8")[0]!);

t.test("pins", async (t) => {
  const cases: Readonly<Record<string, readonly string[]>> = {
    "SELECT 1": [],
    "SELECT now(), pg_backend_pid() FROM t WHERE a = any($1)": [],
    "INSERT INTO t VALUES (nextval('s')) RETURNING a": [],
    "SELECT pg_advisory_xact_lock(1)": [],
    "SELECT pg_advisory_unlock(1)": [],
    "SELECT set_config('a.b', $1, true)": [],
    "DECLARE c CURSOR FOR SELECT 1": [],
    "FETCH c": [],
    "CREATE TABLE t (a int)": [],
    "NOTIFY n": [],
    "SELECT lo_open(1, 2)": [],
    "COPY t FROM STDIN": [],
    "SELECT set_config('a.b', $1, false)": ["settings"],
    "SELECT set_config('a.b', 'c', 'true')": ["settings"],
    "UPDATE pg_settings SET setting = '1'": ["settings"],
    "UPDATE mine.pg_settings SET setting = '1'": [],
    "DECLARE c CURSOR FOR SELECT set_config('a.b', 'c', false)": ["settings"],
    "EXECUTE p(set_config('a.b', 'c', false))": ["settings"],
    "CREATE TEMP TABLE t AS SELECT set_config('a.b', 'c', true)": ["temporary", "settings"],
    "SET seed = 0.5": ["settings"],
    "SELECT setseed(0.5)": ["settings"],
    "SELECT pg_advisory_lock(1)": ["advisory-lock"],
    "SELECT pg_catalog.pg_try_advisory_lock_shared(1)": ["advisory-lock"],
    "WITH a AS (SELECT pg_advisory_lock(1)) SELECT 1": ["advisory-lock"],
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1": ["cursor"],
    "LISTEN n": ["listen"],
    "LOAD 'auto_explain'": ["load"],
    "PREPARE p AS SELECT 1": ["prepare"],
    "PREPARE p AS SELECT pg_advisory_lock(1)": ["prepare", "advisory-lock"],
    "CREATE TEMP TABLE t (a int)": ["temporary"],
    "CREATE TEMP TABLE t AS SELECT 1": ["temporary"],
    "CREATE TEMP VIEW v AS SELECT 1": ["temporary"],
    "CREATE TEMP SEQUENCE s": ["temporary"],
    "SELECT 1 INTO TEMP t": ["temporary"],
    "CREATE TABLE pg_temp.t (a int)": ["temporary"],
    "CREATE TYPE pg_temp.e AS ENUM ('a')": ["temporary"],
    "CREATE TEMP TABLE t (a int) ON COMMIT DELETE ROWS": ["temporary"],
    "CREATE TEMP TABLE t (a int) ON COMMIT PRESERVE ROWS": ["temporary"],
    "CREATE TEMP TABLE t (a int) ON COMMIT DROP": [],
    "CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 1": [],
    "CREATE TEMP TABLE t ON COMMIT DROP AS SELECT pg_advisory_lock(1)": ["advisory-lock"],
    "ALTER SEQUENCE t_a_seq OWNED BY NONE": ["temporary"],
    "ALTER SEQUENCE t_a_seq OWNED BY t.a": [],
    "SELECT mine(1)": ["unknown"],
    "SELECT public.now()": ["unknown"],
    "SELECT a <@#> b FROM t": ["unknown"],
    "SELECT query_to_xml('SELECT 1', true, true, '')": ["unknown"],
    "SELECT pg_replication_origin_session_setup('x')": ["unknown"],
    "DO $$ BEGIN END $$": ["unknown"],
    "CALL p()": ["unknown"],
    "CREATE EXTENSION hstore": ["unknown"],
    // They reach more than they name, or are of somebody's type: a session keeps nothing of that.
    "SELECT 'on'::status": [],
    "SELECT nextval($1), lastval()": [],
    "TRUNCATE a CASCADE": [],
    "DROP TABLE a CASCADE": [],
    VACUUM: [],
    "REFRESH MATERIALIZED VIEW m": [],
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'": [],
  };
  for (const [sql, pins] of Object.entries(cases)) t.same(effects(sql).pins, pins, sql);
  t.equal(effects("SELECT 2"), PLAIN);
  t.equal(effects("SELECT pg_advisory_unlock_all()").effect?.kind, "unlock-all");
  for (const sql of [
    "SELECT pg_advisory_unlock_all() WHERE false",
    "SELECT pg_advisory_unlock_all() LIMIT 0",
    "SELECT pg_advisory_unlock_all() FROM t",
    "SELECT pg_advisory_unlock_all() FILTER (WHERE false)",
    "SELECT pg_advisory_unlock_all(), 1",
    "SELECT mine.pg_advisory_unlock_all()",
    "WITH a AS (SELECT pg_advisory_unlock_all()) SELECT 1",
  ])
    t.not(effects(sql).effect?.kind, "unlock-all", sql);
  t.ok(effects("not sql").unread, "judged when the server has taken it");
});

function run(state: SessionState, ...script: readonly (string | { fails: string } | { ready: string })[]): string {
  for (const line of script) {
    if (typeof line === "object" && "ready" in line) state.ready(line.ready);
    else {
      const sql = typeof line === "string" ? line : line.fails;
      state.sent(effects(sql));
      if (typeof line === "string") state.completed(effects(sql), sql, sql.split(" ")[0]!);
      else state.failed();
    }
  }
  return state.actual;
}

t.test("settings follow transactions, savepoints and failures", async (t) => {
  const ready = { ready: "I" };
  const block = { ready: "T" };
  const cases: [readonly Parameters<typeof run>[1][], string][] = [
    [["SET a.b = 1", ready], "SET a.b = 1;"],
    [["SET a.b = 1", "SET c.d = 2", "SET a.b = 3", ready], "SET c.d = 2;SET a.b = 3;"],
    [["SET LOCAL a.b = 1", ready], ""],
    [["SET a.b = 1", "RESET a.b", ready], ""],
    [["SET a.b = 1", "SET ROLE x", "RESET ALL", ready], "SET ROLE x;"],
    [["SET ROLE x", "SET SESSION AUTHORIZATION y", ready], "SET SESSION AUTHORIZATION y;"],
    [["SET a.b = 1", { fails: "SELECT 1/0" }, ready], ""],
    [["SET a.b = 1", ready, "BEGIN", block, "SET a.b = 2", block, "ROLLBACK", ready], "SET a.b = 1;"],
    [["BEGIN", "SET a.b = 2", "COMMIT", ready], "SET a.b = 2;"],
    [["BEGIN", block, "SET a.b = 2", { fails: "SELECT 1/0" }, { ready: "E" }, "ROLLBACK", ready], ""],
    [
      [
        "BEGIN",
        block,
        "SET a.b = 1",
        "SAVEPOINT s",
        "SET a.b = 2",
        { fails: "SELECT 1/0" },
        { ready: "E" },
        "ROLLBACK TO s",
        block,
        "COMMIT",
        ready,
      ],
      "SET a.b = 1;",
    ],
    [["BEGIN", "SET a.b = 1", "SAVEPOINT s", "SET a.b = 2", "RELEASE s", "COMMIT", ready], "SET a.b = 2;"],
    [["BEGIN", block, "SET a.b = 1", { fails: "COMMIT" }, ready], ""],
    [
      ["SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "RESET default_transaction_read_only", ready],
      'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY;RESET "default_transaction_read_only";',
    ],
    [["SET a.b = 1", "DISCARD ALL", ready], ""],
    [["SET a.b = 1 -- one", "SET c.d = 2", ready], "SET a.b = 1 -- one\n;SET c.d = 2;"],
    [
      ["SET DateStyle = ISO", "SET DateStyle = DMY", "SET DateStyle = ISO", ready],
      "SET DateStyle = DMY;SET DateStyle = ISO;",
    ],
    [["SET DateStyle = ISO", "SET DateStyle = DMY", "RESET DateStyle", ready], ""],
    [["BEGIN", "SET transaction_read_only = on", "COMMIT", ready], ""],
    [["SET sort_mem = '1MB'", "RESET work_mem", ready], ""],
  ];
  for (const [script, wanted] of cases)
    t.equal(run(new SessionState(undefined, true), ...script), wanted, JSON.stringify(script));
  const named = new SessionState("app", true);
  t.equal(run(named, "RESET ALL", ready), "");
  t.equal(named.carry(), "SET application_name = E'app';", "as it began");
  const odd = new SessionState(undefined, true);
  run(odd, "SET a.b = E'\\x41'", ready);
  t.ok(odd.pinned, "how a backslash is read may change");
});

t.test("what gives a connection back", async (t) => {
  const ready = { ready: "I" };
  const undone: [string, ...string[]][] = [
    ["LISTEN n", "UNLISTEN *"],
    ["PREPARE p AS SELECT 1", "DEALLOCATE p"],
    ["PREPARE p AS SELECT 1", "DEALLOCATE ALL"],
    ["DECLARE c CURSOR WITH HOLD FOR SELECT 1", "CLOSE c"],
    ["DECLARE c CURSOR WITH HOLD FOR SELECT 1", "CLOSE ALL"],
    ["SELECT pg_advisory_lock(1)", "SELECT pg_advisory_unlock_all()"],
    ["CREATE TEMP TABLE t (a int)", "DISCARD TEMP"],
    ["SELECT mine()", "DISCARD ALL"],
  ];
  for (const [pins, ...undoes] of undone) {
    const state = new SessionState(undefined, true);
    run(state, pins, ready);
    t.ok(state.pinned, pins);
    run(state, ...undoes, ready);
    t.notOk(state.pinned, `${pins}; ${undoes.join("; ")}`);
    t.equal(state.everPinned.size, 1, "but it was");
  }
  const kept: [string, string, boolean][] = [
    ["LISTEN n", "UNLISTEN m", true],
    ["PREPARE p AS SELECT 1", "DEALLOCATE q", true],
    ["SELECT pg_advisory_lock(1)", "SELECT pg_advisory_unlock(1)", true],
    ["LOAD 'x'", "DISCARD ALL", true],
    ["PREPARE p AS SELECT pg_advisory_lock(1)", "DEALLOCATE p", true],
    ["SELECT setseed(0.5)", "DISCARD ALL", true],
  ];
  for (const [pins, other, pinned] of kept) {
    const state = new SessionState(undefined, true);
    run(state, pins, other, ready);
    t.equal(state.pinned, pinned, `${pins}; ${other}`);
  }
  const trusting = new SessionState(undefined, false);
  run(trusting, "SELECT mine()", ready);
  t.notOk(trusting.pinned, "pool.pin_unknown: false");
});

t.test("a connection is changed by what was set on it and what is wanted", async (t) => {
  t.equal(change("", ""), "");
  t.equal(change("", "SET a.b = 1;"), "SET a.b = 1;");
  t.equal(change("SET a.b = 1;", "SET c.d = 1;"), "RESET SESSION AUTHORIZATION;RESET ROLE;RESET ALL;SET c.d = 1;");
  t.equal(SessionSettings.initial("it's \\ \u00e9").text, "SET application_name = E'it''s \\\\ \\xc3\\xa9';");
  const state = new SessionState(undefined, true);
  run(state, "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", { ready: "I" });
  // In latin1 the second part would be a quote and a semicolon.
  run(state, 'RESET x."\u0622\u063b"', { ready: "I" });
  t.same([...state.everPinned], ["settings"], "a name that cannot be said again is kept where it was said");
  t.throws(() => query("SELECT '\u0622'"), /not latin1/);
});

t.end();

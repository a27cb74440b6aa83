import t from "tap";
import { EFFECTFUL_FUNCTIONS, EFFECTLESS_FUNCTIONS } from "../../src/statements/builtins.ts";
import { Analyzer, type Statement } from "../../src/statements/index.ts";
import { BYPASSES } from "./corpus/bypasses.ts";
import { COMMANDS } from "./corpus/commands.ts";
import { DEFINITIONS } from "./corpus/definitions.ts";
import { QUERIES } from "./corpus/queries.ts";
import { WRITES } from "./corpus/writes.ts";
import { Client } from "./oracle/client.ts";
import { OTHER_TAGS, SCRIPT } from "./oracle/script.ts";
import { startServer } from "./oracle/server.ts";

const analyzer = await Analyzer.load();
const only = (sql: string): Statement | undefined => analyzer.analyze(Buffer.from(sql), "utf8")[0];

interface Plan {
  readonly [key: string]: unknown;
  readonly Plans?: readonly Plan[];
}

/** Relations in a plan: read where it scans, written where it modifies. */
function planned(plan: Plan, found: Set<string>): Set<string> {
  const name = plan["Relation Name"];
  if (name !== undefined) {
    const schema = plan.Schema === "public" ? "" : `${plan.Schema}.`;
    found.add(`${plan["Node Type"] === "ModifyTable" ? "+" : ""}${schema}${name}`);
  }
  for (const child of plan.Plans ?? []) planned(child, found);
  return found;
}

const said = (statement: Statement | undefined): Set<string> =>
  new Set(
    statement?.relations.map(
      ({ schema, name, access }) =>
        (access === "write" ? "+" : "") + (schema === undefined || schema === "public" ? "" : `${schema}.`) + name,
    ),
  );

const server = await startServer();

t.test("held against PostgreSQL itself", { skip: typeof server === "string" ? server : false }, async (t) => {
  if (typeof server === "string") return;
  t.teardown(() => server.stop());
  const client = await Client.connect(server.socket, "postgres");
  t.teardown(() => client.end());

  await t.test("operations are the server's command tags", async (t) => {
    const wrong: unknown[] = [];
    for (const sql of SCRIPT) {
      const { tags, error } = await client.query(sql);
      if (error !== undefined) wrong.push({ sql, error });
      const operation = only(sql)?.operation ?? "";
      const expected = OTHER_TAGS.get(operation) ?? operation;
      // Counts follow INSERT, SELECT, FETCH and the like.
      if (tags[0]?.replace(/( \d+)+$/, "") !== expected) wrong.push({ sql, tags, operation });
    }
    t.same(wrong, [], `${SCRIPT.length} statements`);
  });

  const all = [...QUERIES, ...WRITES, ...DEFINITIONS, ...COMMANDS, ...BYPASSES];

  await t.test("what the grammar takes is what the server's scanner and grammar take", async (t) => {
    const wrong: unknown[] = [];
    for (const [sql, , , , rest] of all) {
      const { error } = await client.parse(sql);
      // 42601 also comes from analysis; the grammar's own says where it stopped.
      const rejected = error?.code === "42601" && /(at or near|at end of input)/.test(error.message);
      if (rejected !== (rest === "syntax")) wrong.push({ sql, rest, error });
    }
    t.same(wrong, [], `${all.length} statements`);
  });

  await t.test("relations are those of the plan", async (t) => {
    const columns = "id int, a int, b int, c int, d int, x int, y int, z int";
    for (const name of ["a", "b", "c", "e", "t", "u", "secret", "allowed"])
      await client.query(`CREATE TABLE ${name} (${columns})`);
    await client.query(
      `CREATE SCHEMA s; CREATE TABLE s.t (${columns}); CREATE TABLE s.u (${columns}); CREATE TABLE s (${columns}); SET enable_seqscan = on; CREATE SEQUENCE q`,
    );
    const wrong: unknown[] = [];
    let compared = 0;
    let equal = 0;
    for (const [sql] of [...QUERIES, ...WRITES, ...BYPASSES]) {
      const statement = only(sql);
      if (
        analyzer.analyze(Buffer.from(sql), "utf8").length !== 1 ||
        !/^(SELECT|INSERT|UPDATE|DELETE|MERGE)$/.test(statement?.operation ?? "")
      )
        continue;
      const { rows, error } = await client.query(`EXPLAIN (VERBOSE, FORMAT JSON) ${sql}`);
      if (error !== undefined) continue;
      compared++;
      const [{ Plan: plan }] = JSON.parse(rows[0]?.[0] ?? "[{}]") as [{ Plan: Plan }];
      const server = planned(plan, new Set());
      const ours = said(statement);
      // The plan scans what it modifies, and what a view is made of.
      const views = /information_schema|pg_stat_/.test(sql);
      const missed = [...server].filter((name) => !views && !ours.has(name) && !ours.has(`+${name}`));
      if (missed.length > 0) wrong.push({ sql, missed });
      const more = [...ours].filter((name) => !server.has(name));
      if (more.length === 0) equal++;
      // Nothing is written that the plan does not write, but by locks and by SELECT INTO, which have no ModifyTable.
      const written = more.filter((name) => name.startsWith("+"));
      if (written.length > 0 && !/ FOR | INTO n | INTO TEMP | INTO s\.n |\b(next|set)val\(/.test(sql))
        wrong.push({ sql, written });
    }
    t.same(wrong, []);
    t.ok(compared >= 150, `${compared} plans compared`);
    t.ok(equal >= 0.8 * compared, `${equal} have the very same relations`);
  });

  await t.test("a proven read runs where nothing may be written", async (t) => {
    const wrong: unknown[] = [];
    let ran = 0;
    // A recursive query of the corpus has no end.
    await client.query("SET statement_timeout = 2000");
    for (const [sql, , , , rest] of all) {
      if (rest !== "proven" || !only(sql)?.provenRead) continue;
      await client.query("BEGIN READ ONLY");
      const { error } = await client.query(sql);
      await client.query("ROLLBACK");
      if (error === undefined) ran++;
      if (error?.code === "25006") wrong.push({ sql, error });
    }
    t.same(wrong, []);
    t.ok(ran >= 100, `${ran} of them ran to their end`);
    for (const sql of ["DELETE FROM none", "SELECT nextval('none')", "SELECT * FROM none FOR UPDATE"]) {
      t.notOk(only(sql)?.provenRead, sql);
    }
  });

  await t.test("functions taken to be without effect are this server's, and say so", async (t) => {
    const { rows } = await client.query(
      "SELECT proname, bool_or(provolatile = 'v'), bool_or(prokind = 'p') FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace GROUP BY 1",
    );
    const volatile = new Map(rows.map(([name, v, p]) => [name, [v, p]]));
    const missing = [...EFFECTLESS_FUNCTIONS].filter((name) => !volatile.has(name));
    t.same(missing, [], "all are there");
    const changing = [...EFFECTLESS_FUNCTIONS].filter((name) => volatile.get(name)?.includes("t"));
    t.ok(changing.length < 80, `${changing.length} are volatile, and reviewed one by one`);
    t.same(
      changing.filter((name) =>
        /^(pg_read|pg_ls|pg_terminate|pg_cancel|lo_(?!get)|set|nextval|query_to|pg_.*lock$|pg_.*slot)/.test(name),
      ),
      [],
    );
    t.same(
      [...EFFECTLESS_FUNCTIONS].filter((name) => EFFECTFUL_FUNCTIONS.has(name)),
      [],
    );
    const unlisted = rows.filter(([name, v, p]) => (v === "t" || p === "t") && !changing.includes(name ?? ""));
    t.ok(unlisted.length > 100, "the rest is not");
  });
});

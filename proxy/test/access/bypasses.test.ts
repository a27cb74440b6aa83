// The ways around rules about SQL that are known, numbered as in docs/traps.md: each text that would get past a
// read-only rule, or at a table that nobody is to read, is denied; beside each stand those that only look like it.
import t, { type Test } from "tap";
import type { RuleSet } from "../../src/access/index.ts";
import { Analyzer } from "../../src/statements/index.ts";
import { B, F, Stage } from "../session/stage.ts";
import { type Asked, ask, rules, told } from "./help.ts";

/** People read shop and the catalogs, and nobody reads cards. */
const READ_ONLY = rules(`version: 1
rules:
  - {name: cards, action: deny, what: {reads: ["*.cards"]}}
  - {name: read, action: allow, what: {class: [read, session], reads: [shop.*, public.*, pg_catalog.*]}}
`);

/** An application that may change data, but neither read cards nor do what is not about rows. */
const NO_CARDS = rules(`version: 1
rules:
  - {name: cards, action: deny, what: {reads: [shop.cards, "shop.cards_*", pg_catalog.pg_stat*, pg_toast.*]}}
  - {name: rest, action: allow, what: {class: [read, session, copy, write]}}
`);

/** A Query is executed whole or not at all: one denied statement denies it. */
async function denied(t: Test, set: RuleSet, texts: readonly string[], asked?: Asked): Promise<void> {
  for (const sql of texts) t.match(await told(set, sql, asked), /!/, `denied: ${sql}`);
}

async function allowed(t: Test, set: RuleSet, texts: readonly string[], asked?: Asked): Promise<void> {
  for (const sql of texts) t.notMatch(await told(set, sql, asked), /!/, `allowed: ${sql}`);
}

t.test("trap 40: what may be sent to a server twice", async (t) => {
  const analyzer = await Analyzer.load();
  const proven = (sql: string): boolean =>
    analyzer.analyze(Buffer.from(sql), "utf8").every(({ provenRead }) => provenRead);
  for (const sql of [
    "SELECT * FROM shop.orders o WHERE o.id = 1",
    "TABLE shop.orders",
    "VALUES (1)",
    "WITH a AS (SELECT now()) SELECT * FROM a",
    "SELECT count(*), max(o.total) FROM shop.orders o",
  ])
    t.ok(proven(sql), sql);
  for (const sql of [
    "SELECT * FROM shop.orders FOR SHARE",
    "SELECT nextval('shop.s')",
    "SELECT ('shop.s'::regclass).nextval",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_notify('a', 'b')",
    "SELECT shop.f()",
    "SELECT ('x'::text).f",
    "SELECT (o.a).f FROM shop.orders o",
    "SELECT 'x'::shop.positive",
    "SELECT lo_create(1)",
    "WITH d AS (DELETE FROM shop.orders RETURNING *) SELECT * FROM d",
    "SELECT 1; INSERT INTO shop.orders VALUES (1)",
    "INSERT INTO shop.orders VALUES (1)",
    "COPY shop.orders TO STDOUT",
    "PREPARE TRANSACTION 'x'",
    "COMMIT PREPARED 'x'",
    "BEGIN",
    "COMMIT",
    "DECLARE c CURSOR FOR SELECT 1",
    "FETCH c",
    "EXPLAIN ANALYZE SELECT 1; NOTIFY a",
  ])
    t.notOk(proven(sql), sql);
});

t.test("trap 41: a denial names the rule, leaves the server's state its own, and the session goes on", async (t) => {
  for (const status of ["I", "T", "E"]) {
    const stage = new Stage({ rules: "version: 1\nrules:\n  - {name: r, action: allow, what: {class: read}}\n" });
    stage.splice!.take();
    stage.client(F.query("DROP TABLE u"));
    t.notMatch(stage.forwarded.at(-1)!.bytes.toString("latin1"), /DROP/);
    stage.server(B.error("42601"), B.ready(status));
    const sent = Buffer.concat(stage.splice!.take().map(({ bytes }) => Buffer.from(bytes))).toString("latin1");
    t.match(sent, /SERROR\0VERROR\0C42501\0M.*D.*class ddl.*H/s);
    t.ok(sent.endsWith(`Z\0\0\0\x05${status}`), "as the server reports it");
    stage.client(F.query("SELECT 1"));
    t.match(stage.forwarded.at(-1)!.bytes.toString("latin1"), /SELECT 1/);
    stage.server(B.complete("SELECT 1"), B.ready());
    t.same(stage.end(), ["DROP TABLE denied 42501", "SELECT completed"]);
  }
});

t.test("trap 42: several statements in one text, and statements inside of statements", async (t) => {
  const changes = [
    "SELECT 1; DROP TABLE u",
    "SELECT 1;;DROP TABLE u;",
    "WITH d AS (DELETE FROM shop.orders RETURNING *) SELECT * FROM d",
    "WITH a AS (WITH d AS (DELETE FROM shop.orders RETURNING *) SELECT * FROM d) SELECT 1",
    "WITH d AS (INSERT INTO shop.orders VALUES (1) RETURNING *) TABLE d",
    "SELECT * INTO x FROM shop.orders",
    "CREATE TABLE x AS SELECT * FROM shop.orders",
    "CREATE MATERIALIZED VIEW x AS SELECT 1",
    "MERGE INTO shop.orders o USING shop.carts c ON o.id = c.id WHEN MATCHED THEN DELETE",
    "INSERT INTO shop.orders SELECT * FROM shop.carts",
    "EXPLAIN ANALYZE DELETE FROM shop.orders",
    "EXPLAIN (ANALYZE) INSERT INTO shop.orders VALUES (1)",
    "EXPLAIN (ANALYZE off, ANALYZE on) DELETE FROM shop.orders",
    "EXPLAIN (ANALYZE 1) UPDATE shop.orders SET a = 1",
    "EXPLAIN ANALYZE EXECUTE p",
    "EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1",
    "COPY (DELETE FROM shop.orders RETURNING *) TO STDOUT",
    "DECLARE c CURSOR FOR WITH d AS (DELETE FROM shop.orders RETURNING *) SELECT * FROM d",
    "PREPARE x AS DELETE FROM shop.orders",
    "PREPARE x AS DELETE FROM shop.orders; EXECUTE x",
    "CREATE RULE r AS ON SELECT TO shop.orders DO INSTEAD SELECT 1",
    "CREATE VIEW v AS SELECT 1",
    "SELECT * FROM shop.orders FOR UPDATE",
    "SELECT * FROM (SELECT * FROM shop.orders FOR KEY SHARE) x",
    "LOCK TABLE shop.orders",
    "TRUNCATE shop.orders",
    "REFRESH MATERIALIZED VIEW shop.v",
  ];
  await denied(t, READ_ONLY, changes);
  const cards = [
    "WITH c AS (SELECT * FROM shop.cards) SELECT 1",
    "CREATE TABLE x AS SELECT * FROM shop.cards",
    "INSERT INTO shop.orders SELECT * FROM shop.cards",
    "INSERT INTO shop.orders VALUES (1) ON CONFLICT (id) DO UPDATE SET a = (SELECT number FROM shop.cards)",
    "MERGE INTO shop.orders o USING shop.cards c ON true WHEN MATCHED THEN DELETE",
    "DELETE FROM shop.orders USING shop.cards",
    "UPDATE shop.orders SET a = c.number FROM shop.cards c",
    "UPDATE shop.cards SET a = 1 RETURNING number",
    "EXPLAIN ANALYZE SELECT * FROM shop.cards",
    "COPY (SELECT * FROM shop.cards) TO STDOUT",
    "COPY shop.cards TO STDOUT",
    "DECLARE c CURSOR FOR SELECT * FROM shop.cards",
    "PREPARE x AS SELECT * FROM shop.cards",
    "CREATE RULE r AS ON SELECT TO shop.orders DO INSTEAD SELECT * FROM shop.cards",
    "CREATE VIEW v AS SELECT * FROM shop.cards",
    "SELECT 1 UNION SELECT number FROM shop.cards",
    "SELECT (SELECT number FROM shop.cards LIMIT 1)",
    "SELECT ARRAY(SELECT number FROM shop.cards)",
    "SELECT * FROM shop.orders ORDER BY (SELECT 1 FROM shop.cards)",
    "SELECT * FROM shop.orders LIMIT (SELECT count(*) FROM shop.cards)",
    "SELECT count(*) OVER (ORDER BY (SELECT 1 FROM shop.cards)) FROM shop.orders",
    "SELECT 1 WHERE EXISTS (SELECT FROM shop.cards)",
    "SELECT * FROM shop.orders, LATERAL (SELECT * FROM shop.cards) x",
    "SELECT * FROM XMLTABLE('/a' PASSING (SELECT x FROM shop.cards) COLUMNS a text)",
    "SELECT * FROM JSON_TABLE((SELECT x FROM shop.cards), '$' COLUMNS (a int))",
    "VALUES ((SELECT number FROM shop.cards))",
    "SELECT * FROM (WITH cards AS (SELECT 1) SELECT 1) x, shop.cards",
    "WITH cards AS (SELECT 1) SELECT * FROM shop.cards",
    "DO 'begin perform * from shop.cards; end'",
  ];
  await denied(t, NO_CARDS, cards);
  await denied(t, READ_ONLY, cards);
  await allowed(t, READ_ONLY, [
    "SELECT 1; SELECT 2",
    "WITH cards AS (SELECT 1) SELECT * FROM cards",
    "EXPLAIN (ANALYZE on, ANALYZE off) SELECT * FROM shop.orders",
    "DECLARE c CURSOR FOR SELECT * FROM shop.orders",
  ]);
});

t.test("trap 43: bodies that cannot be read", async (t) => {
  const opaque = [
    "DO 'begin delete from shop.cards; end'",
    "DO $$ begin execute 'del' || 'ete from u'; end $$",
    "DO LANGUAGE plpython3u 'x'",
    "CALL p()",
    "CALL pg_catalog.p()",
    "EXECUTE p",
    "SELECT f()",
    "SELECT shop.f()",
    "SELECT pg_catalog.no_function_of_postgresql()",
    "SELECT * FROM f()",
    "SELECT * FROM ROWS FROM (lower('A'), f())",
    "SELECT CASE WHEN f() THEN 1 END",
    "SELECT f(1) OVER () FROM shop.orders",
    "SELECT 1 OPERATOR(shop.+) 2",
    "SELECT 1 <~~> 2",
    "SELECT 1 OPERATOR(shop.=) ANY (SELECT 1)",
    "SELECT 1 ORDER BY 1 USING OPERATOR(shop.<)",
    "SELECT * FROM shop.orders TABLESAMPLE shop.m(1)",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 1'; SELECT f()",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; END",
    "CREATE PROCEDURE p() LANGUAGE sql AS 'select 1'",
    "CREATE TRIGGER t BEFORE INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION f()",
    "CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION f()",
    "CREATE OPERATOR + (FUNCTION = f, LEFTARG = int)",
    "CREATE POLICY p ON shop.orders USING (f())",
    "CREATE AGGREGATE a(int) (sfunc = f, stype = int)",
    "CREATE CAST (int AS text) WITH FUNCTION f(int)",
    "CREATE DOMAIN d AS int CHECK (f(VALUE))",
    "CREATE RULE r AS ON INSERT TO shop.orders DO ALSO SELECT f()",
  ];
  await denied(t, READ_ONLY, opaque);
  await denied(t, NO_CARDS, opaque);
  await allowed(t, READ_ONLY, [
    "SELECT lower('A')",
    "SELECT pg_catalog.lower('A')",
    "SELECT 1 OPERATOR(pg_catalog.+) 2",
  ]);
});

t.test("trap 43: a function called in the notation of a column", async (t) => {
  const calls = [
    "SELECT ('/etc/passwd'::text).pg_read_file",
    "SELECT (CAST('/' AS pg_catalog.text)).pg_ls_dir",
    "SELECT x.pg_ls_dir FROM CAST('/' AS text) x",
    "SELECT o.pg_terminate_backend FROM shop.orders o",
    "SELECT shop.orders.query_to_xml FROM shop.orders",
    "SELECT (1).pg_cancel_backend",
    "SELECT ($1).anything",
    "SELECT ('a' || 'b').anything",
    "SELECT (ARRAY[1]).anything",
    "SELECT x.dblink FROM CAST('delete from u' AS text) x",
    "SELECT * FROM shop.orders o WHERE (o.a).lo_unlink > 0",
  ];
  await denied(t, READ_ONLY, calls);
  await denied(t, READ_ONLY, ["SELECT ('shop.s'::regclass).nextval"]);
  const objects = rules(
    "version: 1\nrules:\n  - {name: no, action: deny, what: {functions: [pg_catalog.lo_get]}}\n  - {name: r, action: allow}\n",
  );
  await denied(t, objects, ["SELECT (1::oid).lo_get", "SELECT x.lo_get FROM CAST(1 AS oid) x"]);
  await allowed(t, READ_ONLY, [
    "SELECT o.name, o.count, o.upper FROM shop.orders o",
    "SELECT (o.address).street FROM shop.orders o",
    "SELECT ('x'::shop.address).street",
    "SELECT (ARRAY[1, 2])[1]",
  ]);
});

t.test("trap 43: what an EXECUTE is given is computed by the server as well", async (t) => {
  const values = [
    "pg_read_file('/etc/passwd')",
    "1, query_to_xml('select * from shop.cards', true, true, '')",
    "shop.f()",
    "1 OPERATOR(shop.+) 1",
    "('/etc/passwd'::text).pg_read_file",
    "CASE WHEN set_config('search_path', 'hr', false) = '' THEN 1 END",
    "(SELECT number FROM shop.cards)",
  ];
  for (const value of values) {
    await denied(t, READ_ONLY, [`PREPARE x AS SELECT $1, $2; EXECUTE x(${value})`, `EXPLAIN EXECUTE x(${value})`]);
    const stage = new Stage({
      rules: "version: 1\nrules:\n  - {name: r, action: allow, what: {class: [read, session], reads: [shop.orders]}}\n",
    });
    const execute = `EXECUTE x(${value})`;
    stage.client(F.query("PREPARE x AS SELECT $1, $2"));
    stage.server(B.complete("PREPARE"), B.ready());
    stage.client(F.query(execute), F.parse(execute, "e"), F.sync(), F.query("EXECUTE x(1, now())"));
    const seen = stage.forwarded.map(({ bytes }) => bytes.toString("latin1")).join("");
    t.notOk(seen.includes(execute), execute);
    t.ok(seen.includes("EXECUTE x(1, now())"), "what would be a read by itself stays one");
    stage.server(B.error("42601"), B.ready(), B.error("42601"), B.ready(), B.complete("SELECT 1"), B.ready());
    stage.end();
  }
  // The types of somebody's are as in any statement; a rule about functions sees those that are called here.
  await allowed(t, READ_ONLY, [
    "PREPARE x AS SELECT $1; EXECUTE x('a'::shop.status)",
    "PREPARE x AS TABLE shop.orders; EXECUTE x",
  ]);
  const objects = rules(
    "version: 1\nrules:\n  - {name: no, action: deny, what: {functions: [pg_catalog.lo_get]}}\n  - {name: r, action: allow}\n",
  );
  await denied(t, objects, ["PREPARE x AS SELECT $1; EXECUTE x(lo_get(1))"]);
  await allowed(t, objects, ["PREPARE x AS SELECT $1; EXECUTE x(lower('A'))"]);
});

t.test("trap 44: what reaches beyond the database's data", async (t) => {
  const reach = [
    "COPY shop.orders TO PROGRAM 'id'",
    "COPY shop.orders FROM PROGRAM 'id'",
    "COPY (SELECT 1) TO PROGRAM 'id'",
    "COPY shop.orders TO '/tmp/x'",
    "COPY shop.orders FROM '/etc/passwd'",
    ...["pg_read_file", "pg_read_binary_file", "pg_ls_dir", "pg_stat_file", "lo_import", "pg_file_read"].map(
      (name) => `SELECT ${name}('/etc/passwd')`,
    ),
    "SELECT * FROM pg_ls_logdir()",
    "SELECT lo_export(1, '/tmp/x')",
    "SELECT pg_file_write('a', 'b', false)",
    "SELECT pg_file_unlink('a')",
    "SELECT dblink('host=a', 'select 1')",
    "SELECT * FROM public.dblink('host=a', 'select 1') AS t(a int)",
    "SELECT dblink_connect('host=a')",
    "SELECT dblink_exec('delete from u')",
    "SELECT postgres_fdw_disconnect_all()",
    "IMPORT FOREIGN SCHEMA x FROM SERVER s INTO shop",
    "CREATE FOREIGN TABLE t (a int) SERVER s",
    "CREATE USER MAPPING FOR CURRENT_USER SERVER s",
    "CREATE EXTENSION dblink",
    "CREATE LANGUAGE plpython3u",
    "CREATE SUBSCRIPTION s CONNECTION 'host=a' PUBLICATION p",
    "CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw",
    "CREATE PUBLICATION p FOR ALL TABLES",
    "ALTER SYSTEM SET shared_preload_libraries = 'x'",
    "LOAD 'x'",
    "SELECT pg_terminate_backend(1)",
    "SELECT pg_cancel_backend(1)",
    "SELECT pg_reload_conf()",
    "SELECT set_config('role', 'postgres', false)",
    "SELECT pg_catalog.set_config('search_path', 'hr', false)",
    "UPDATE pg_settings SET setting = 'postgres' WHERE name = 'role'",
    "WITH s AS (UPDATE pg_catalog.pg_settings SET setting = 'hr' RETURNING 1) SELECT * FROM s",
    "SET ROLE postgres",
    "SET role TO postgres",
    'SET LOCAL "ROLE" = postgres',
    "RESET ROLE",
    "SET SESSION AUTHORIZATION postgres",
    "SET session_authorization = postgres",
    "RESET SESSION AUTHORIZATION",
    "ALTER ROLE ann SUPERUSER",
    "GRANT pg_read_all_data TO ann",
    "SELECT pg_logical_slot_get_changes('s', NULL, NULL)",
    "SELECT pg_logical_slot_peek_binary_changes('s', NULL, NULL)",
    "SELECT pg_create_logical_replication_slot('s', 'pgoutput')",
    "SELECT pg_replication_slot_advance('s', '0/1')",
    "SELECT query_to_xml('delete from u', true, true, '')",
    "SELECT table_to_xml('shop.cards', true, true, '')",
    "SELECT schema_to_xml('shop', true, true, '')",
    "SELECT database_to_xml(true, true, '')",
    "SELECT cursor_to_xml('c', 1, true, true, '')",
    "SELECT * FROM XMLTABLE('/a' PASSING query_to_xml('select 1', true, true, '') COLUMNS a text)",
    "SELECT * FROM ts_stat('SELECT number::tsvector FROM shop.cards')",
    "SELECT ts_rewrite('a'::tsquery, 'SELECT t, s FROM shop.cards')",
    "SELECT * FROM crosstab('select 1, 2, 3') AS t(a int)",
    "SELECT * FROM crosstab2('select 1, 2, 3')",
    "SELECT connectby('shop.cards', 'a', 'b', 'c', 0)",
    "SELECT xpath_table('a', 'b', 'shop.cards', '/x', 'true')",
  ];
  await denied(t, READ_ONLY, reach);
  await denied(t, NO_CARDS, reach);
  await denied(t, READ_ONLY, ["SELECT pg_logical_emit_message(true, 'a', 'b')", "SELECT lo_from_bytea(0, 'x')"]);
  await allowed(t, READ_ONLY, [
    "SELECT * FROM XMLTABLE('/a' PASSING ('<a/>'::xml) COLUMNS a text)",
    "SET work_mem = '1MB'",
  ]);
});

t.test("trap 45: names that lead elsewhere", async (t) => {
  const cards = [
    ...["cards", "CARDS", '"cards"', "shop.Cards", 'SHOP."cards"', 'U&"sh\\006fp".U&"c\\0061rds"'].map(
      (name) => `SELECT * FROM ${name}`,
    ),
    "SELECT * FROM U&\"sh!006fp\" UESCAPE '!' . cards",
    "SELECT * FROM db.shop.cards",
    "TABLE shop.cards",
    "TABLE ONLY shop.cards",
    "SELECT * FROM ONLY (shop.cards)",
    "SELECT * FROM shop.cards *",
    "SELECT orders.* FROM shop.cards orders",
    "SELECT row_to_json(c) FROM shop.cards c",
    "CREATE TABLE x (LIKE shop.cards)",
  ];
  await denied(t, READ_ONLY, cards, { path: "shop, public" });
  await denied(t, NO_CARDS, cards, { path: "shop, public" });
  // A partition or a child has a name of its own, and so has what PostgreSQL keeps long values in.
  await denied(t, NO_CARDS, ["SELECT * FROM shop.cards_2026", "SELECT * FROM pg_toast.pg_toast_16384"]);
  await denied(t, READ_ONLY, [
    "SELECT * FROM pg_toast.pg_toast_16384",
    "SELECT pg_temp.f()",
    'SELECT * FROM "shop.orders"."x"',
    "SELECT * FROM hr.pay",
  ]);
  // In whichever schema it is: a path that is not known here, and one that names what is not permitted.
  await denied(t, READ_ONLY, ["SELECT * FROM pay"], { path: "hr" });
  await denied(t, READ_ONLY, ["SELECT * FROM pay"], { path: "shop, hr" });
  await denied(t, READ_ONLY, [
    "SET search_path = hr; SELECT * FROM pay",
    "SET LOCAL search_path TO hr; SELECT * FROM pay",
    "SET SCHEMA 'hr'; SELECT * FROM pay",
    "RESET search_path; SELECT * FROM pay",
    "SET search_path TO DEFAULT; SELECT * FROM pay",
    "DISCARD ALL; SELECT * FROM pay",
  ]);
  await denied(t, NO_CARDS, ["SET search_path = shop; SELECT * FROM cards"], { path: "public" });
  // Whatever may change the path, in whichever disguise: what stands behind it may be in any schema.
  const all = rules(`version: 1
rules:
  - {name: cards, action: deny, what: {reads: [shop.cards]}}
  - {name: rest, action: allow, what: {class: any}}
`);
  const moves = [
    "UPDATE pg_settings SET setting = 'shop' WHERE name = 'search_path'",
    "WITH s AS (UPDATE pg_catalog.pg_settings SET setting = 'shop' RETURNING 1) SELECT * FROM s",
    "EXPLAIN ANALYZE UPDATE pg_settings SET setting = 'shop'",
    "SELECT set_config('search_path', 'shop', false)",
    "DECLARE c CURSOR FOR SELECT pg_catalog.set_config('search_path', 'shop', false)",
    "COPY (SELECT set_config('search_path', 'shop', false)) TO STDOUT",
    "CREATE TABLE x AS SELECT set_config('search_path', 'shop', false)",
    "CREATE TABLE x AS SELECT shop.f()",
    "CREATE TEMP TABLE x AS SELECT 1 OPERATOR(shop.+) 2",
    "CREATE EXTENSION x",
    "INSERT INTO public.t SELECT shop.f()",
    "SELECT shop.f()",
    "CALL shop.p()",
    "DO 'x'",
    "EXECUTE p",
    "FETCH c",
    "SET ROLE bob",
    "RESET ALL",
  ];
  for (const move of moves) {
    t.match(await told(all, `${move}; SELECT * FROM cards`, { path: "public" }), /rest !cards$/, move);
  }
  t.equal(await told(all, "INSERT INTO public.t VALUES (1); SELECT * FROM cards", { path: "public" }), "rest rest");
  await allowed(t, READ_ONLY, ['SELECT * FROM "Cards"', 'SELECT * FROM shop."shop.cards"', "SELECT 'shop.cards'"]);
  await allowed(t, READ_ONLY, ["SELECT * FROM pay"], { path: "shop, public" });
});

t.test("trap 45: a schema before pg_catalog has functions under PostgreSQL's names", async (t) => {
  await denied(t, READ_ONLY, ["SELECT lower('A')", "SELECT count(*) FROM shop.orders"], { path: "evil, pg_catalog" });
  await allowed(t, READ_ONLY, ["SELECT pg_catalog.lower('A')", "SELECT * FROM shop.orders"], {
    path: "evil, pg_catalog",
  });
  for (const path of ["pg_catalog, evil", "evil", '"$user", pg_catalog']) {
    await allowed(t, READ_ONLY, ["SELECT lower('A')"], { path });
  }
  await denied(t, READ_ONLY, [
    "SET search_path = evil, pg_catalog",
    'SET LOCAL search_path TO "evil", "pg_catalog"; SELECT lower(\'A\')',
  ]);
  await allowed(t, READ_ONLY, ["SET search_path = pg_catalog, evil", "SET search_path = evil"]);
  const covered = rules(
    "version: 1\nrules:\n  - {name: r, action: allow, what: {class: [read, function], functions: [pg_catalog.*, shop.*]}}\n",
  );
  await allowed(t, covered, ["SELECT lower('A')"], { path: "shop, pg_catalog" });
  await denied(t, covered, ["SELECT lower('A')"], { path: "hr, pg_catalog" });
});

t.test("trap 45: a schema before pg_catalog has operators and types under PostgreSQL's names", async (t) => {
  const bare = [
    "SELECT 1 + 1",
    "SELECT - o.total FROM shop.orders o",
    "SELECT * FROM shop.orders WHERE id = 1",
    "SELECT * FROM shop.orders WHERE id IN (1, 2)",
    "SELECT * FROM shop.orders WHERE id IN (SELECT id FROM shop.carts)",
    "SELECT * FROM shop.orders WHERE id = ANY (SELECT id FROM shop.carts)",
    "SELECT * FROM shop.orders WHERE id BETWEEN 1 AND 2",
    "SELECT * FROM shop.orders WHERE name LIKE 'a%'",
    "SELECT * FROM shop.orders WHERE id IS DISTINCT FROM 1",
    "SELECT * FROM shop.orders JOIN shop.carts USING (id)",
    "SELECT * FROM shop.orders NATURAL JOIN shop.carts",
    "SELECT * FROM shop.orders ORDER BY id USING <",
    "SELECT CASE id WHEN 1 THEN 2 END FROM shop.orders",
    "SELECT NULLIF(id, 1) FROM shop.orders",
    "SELECT id::text FROM shop.orders",
    "SELECT '1'::oid",
    "PREPARE x AS SELECT 1 + $1",
    "PREPARE x AS SELECT $1; EXECUTE x(1 + 1)",
  ];
  await denied(t, READ_ONLY, bare, { path: "evil, pg_catalog" });
  await allowed(t, READ_ONLY, bare, { path: "pg_catalog, evil" });
  await allowed(
    t,
    READ_ONLY,
    [
      "SELECT 1 OPERATOR(pg_catalog.+) 1",
      "SELECT id::pg_catalog.text, id::int FROM shop.orders",
      "SELECT * FROM shop.orders ORDER BY id",
      "SELECT CASE WHEN o.paid THEN 1 END FROM shop.orders o LEFT JOIN shop.carts c ON o.paid",
    ],
    { path: "evil, pg_catalog" },
  );
  const covered = rules(
    'version: 1\nrules:\n  - {name: r, action: allow, what: {class: [read, function], functions: ["*.*"]}}\n',
  );
  await denied(t, covered, ["SELECT 1 + 1"], { path: "evil, pg_catalog" });
});

t.test("trap 45: relations that no name says are any", async (t) => {
  const what = "what: {class: any, reads: [shop.*], writes: [shop.*]}";
  const own = rules(`version: 1\nrules:\n  - {name: own, action: allow, ${what}}\n`);
  const deny = (list: string): RuleSet =>
    rules(
      `version: 1\nrules:\n  - {name: hr, action: deny, what: {${list}: [hr.*]}}\n  - {name: rest, action: allow, what: {class: any}}\n`,
    );
  const all = rules(
    'version: 1\nrules:\n  - {name: all, action: allow, what: {class: any, reads: ["*.*"], writes: ["*.*"]}}\n',
  );
  const written = [
    "TRUNCATE shop.orders CASCADE",
    "DROP TABLE shop.orders CASCADE",
    "ALTER TABLE shop.orders DROP COLUMN a CASCADE",
    "SELECT nextval(('hr.' || 's')::regclass) FROM shop.orders",
    "SELECT setval($1, 1) FROM shop.orders",
    "INSERT INTO shop.orders VALUES (nextval(pg_get_serial_sequence('hr.pay', 'id')))",
    "SELECT ('hr.s'::regclass).nextval FROM shop.orders",
    "PREPARE x AS SELECT $1 FROM shop.orders; EXECUTE x(nextval($1))",
    "PREPARE x AS SELECT nextval($1) FROM shop.orders; EXECUTE x(now())",
  ];
  const read = [
    "CREATE PUBLICATION p FOR TABLE shop.orders, TABLES IN SCHEMA hr",
    "ALTER PUBLICATION p SET TABLE shop.orders",
  ];
  await denied(t, own, [...written, ...read]);
  await denied(t, deny("writes"), [
    ...written,
    "GRANT SELECT ON ALL TABLES IN SCHEMA hr TO ann",
    "DROP SCHEMA hr CASCADE",
  ]);
  await denied(t, deny("writes"), ["DROP OWNED BY bob", "REASSIGN OWNED BY bob TO ann", "VACUUM", "REINDEX SCHEMA hr"]);
  await allowed(t, deny("reads"), written);
  await denied(t, deny("reads"), [...read, "CREATE PUBLICATION p FOR ALL TABLES"]);
  await allowed(t, deny("writes"), read);
  await allowed(t, all, [...written, ...read]);
  await allowed(t, own, [
    "TRUNCATE shop.orders",
    "DROP TABLE shop.orders",
    "SELECT nextval('shop.s')",
    "EXPLAIN SELECT nextval($1) FROM shop.orders",
    "SELECT currval($1), lastval() FROM shop.orders",
    "CREATE PUBLICATION p FOR TABLE shop.orders",
    "SELECT 'x'::shop.status FROM shop.orders",
  ]);
});

t.test("trap 45: a path is read as the server reads it", async (t) => {
  const user = rules(`version: 1
user_schemas: true
rules:
  - {name: read, action: allow, what: {class: read, reads: ["*.orders"]}}
`);
  for (const path of [
    '"$user", pg_catalog',
    "$user, PG_CATALOG",
    'hr, pg_catalog, "$user"',
    'hr, pg_catalog, "',
    `${"x".repeat(64)}, pg_catalog`,
  ])
    await denied(t, user, ["SELECT lower('A')", "SELECT 1 + 1"], { path });
  for (const path of ['"$user", public', 'pg_catalog, "$user"', "public"])
    await allowed(t, user, ["SELECT lower('A')", "SELECT 1 + 1"], { path });
  // Only ASCII is folded, only ASCII's white space is none, and a name too long is cut to one that is not told.
  for (const path of ["SHÖP", "\u00a0shöp", "\ufeffshöp", "shöp\u2003", `${"ö".repeat(31)}x`]) {
    const set = rules(
      `version: 1\nrules:\n  - {name: read, action: allow, what: {class: read, reads: ["shöp.*", "${"ö".repeat(31)}x*.*"]}}\n`,
    );
    await allowed(t, set, ["SELECT * FROM orders"], { path: "shöp" });
    await (path.startsWith("ö") ? allowed : denied)(t, set, ["SELECT * FROM orders"], { path });
    await denied(t, set, ["SELECT * FROM orders"], { path: `${"ö".repeat(31)}xy` });
  }
  // A server before 18 does not tell the path that a client has begun with.
  const begun: [Record<string, string>, boolean][] = [
    [{}, true],
    [{ search_path: "hr" }, true],
    [{ search_path: "hr, pg_catalog" }, false],
    [{ Search_Path: '"$user","pg_catalog"' }, false],
    [{ options: "-c search_path=hr,PG_CATALOG" }, false],
    [{ options: "--search-path=hr,pg_catalog" }, false],
    [{ options: "-csearch\\_path=hr,\\ pg\\_catalog" }, false],
    [{ options: "-c work_mem=1MB" }, true],
  ];
  for (const [parameters, passes] of begun) {
    const stage = new Stage({
      parameters,
      rules: "version: 1\nrules:\n  - {name: r, action: allow, what: {class: read}}\n",
    });
    stage.client(F.query("SELECT lower('A')"));
    t.equal(
      stage.forwarded.some(({ bytes }) => bytes.includes("lower")),
      passes,
      JSON.stringify(parameters),
    );
    stage.server(passes ? B.complete("SELECT 1") : B.error("42601"), B.ready());
    stage.server(B.status("search_path", "public"));
    stage.client(F.query("SELECT upper('A')"));
    t.ok(
      stage.forwarded.some(({ bytes }) => bytes.includes("upper")),
      "one that does is believed",
    );
    stage.server(B.complete("SELECT 1"), B.ready());
    stage.end();
  }
});

t.test("trap 46: text that is not what it looks like", async (t) => {
  const cards = [
    "SELECT /* a /* nested */ */ * FROM shop.cards",
    "SELECT '/*' FROM shop.cards --*/",
    "SELECT 1 -- \n, number FROM shop.cards",
    "SELECT 1 --\r, number FROM shop.cards",
    "SELECT $a$ $$ $a$, number FROM shop.cards",
    "SELECT E'\\\\' FROM shop.cards --'",
    "SELECT E'\\'', number FROM shop.cards --'",
    "SELECT U&'\\0041' FROM shop.cards",
    "SELECT 'a'\n'b' FROM shop.cards",
    "SELECT\t*\fFROM\vshop.cards",
    "sElEcT*fRoM sHoP.cArDs",
    "SELECT*FROM/**/shop/**/./**/cards",
  ];
  await denied(t, READ_ONLY, cards);
  await denied(t, NO_CARDS, cards);
  await denied(t, READ_ONLY, [
    "SELECT '/*'; DROP TABLE u; --*/",
    // A Cyrillic с: another table, and none that is permitted.
    "SELECT * FROM ѕhop.сards",
    "SELECT * FROM shop\u00a0.cards",
    "SELECT 1\u0000; DROP TABLE u",
  ]);
  await allowed(t, READ_ONLY, ["SELECT $$ FROM shop.cards $$", "SELECT 1 -- FROM shop.cards", "SELECT /* DROP */ 1"]);
});

t.test("trap 46: strings and characters that the server reads in another way", async (t) => {
  const text = `version: 1
rules:
  - {name: cards, action: deny, what: {reads: ["*.cards"]}}
  - {name: rest, action: allow}
`;
  const got = (sql: Buffer | string, ...settings: [string, string][]): string => {
    const stage = new Stage({ rules: text });
    stage.server(...settings.map(([name, value]) => B.status(name, value)));
    const query = F.query("");
    const body = Buffer.concat([Buffer.from(sql as string), Buffer.from([0])]);
    const message = Buffer.concat([query.subarray(0, 1), Buffer.alloc(4), body]);
    message.writeUInt32BE(4 + body.length, 1);
    stage.client(message);
    const passed = stage.forwarded.at(-1)!.bytes.subarray(5).equals(body);
    stage.end();
    return passed ? "passed" : "denied";
  };
  // With standard_conforming_strings off, the string ends at the backslash's quote, and the rest is read as SQL.
  const backslash = "SELECT 'a\\'', (SELECT number FROM shop.cards) --'";
  t.equal(got(backslash), "passed", "to this server it is a string");
  t.equal(got(backslash, ["standard_conforming_strings", "off"]), "denied");
  t.equal(got("SELECT 'a'", ["standard_conforming_strings", "off"]), "passed");
  // In SJIS, BIG5 and GBK the second byte of a character may be 0x5C or 0x27's neighbours: only ASCII is read.
  const wide = Buffer.concat([Buffer.from("SELECT '"), Buffer.from([0x83, 0x5c]), Buffer.from("'")]);
  for (const encoding of ["SJIS", "BIG5", "GBK", "GB18030", "UHC", "LATIN1"]) {
    t.equal(got(wide, ["client_encoding", encoding]), "denied", encoding);
    t.equal(got("SELECT 'a'", ["client_encoding", encoding]), "passed", encoding);
  }
  t.equal(got(wide), "denied", "and what is not UTF-8 where UTF-8 is spoken");
  // A database in LATIN1 takes CARTÉ for carté, and cuts names by its own bytes.
  const names = [
    "SELECT * FROM CARTÉ",
    'SELECT * FROM "CARTÉ"',
    "SELECT nextval('CARTÉ')",
    'WITH É AS (SELECT 1) SELECT * FROM "É"',
    `SELECT * FROM ${"é".repeat(40)}`,
    "SELECT É()",
    "SELECT E'\\'', 1 FROM É --'",
    "SELECT $a$'$a$, 1 FROM É --'",
    "SELECT U&'\\\\' FROM É --'",
    "SELECT 1 /* /* */ ' */ FROM É --'",
  ];
  const beyond = ["SELECT 'É', 1 -- É", "/* É /* É */ É */ SELECT $1, 'a''É' FROM t"];
  for (const encoding of ["LATIN1", "WIN1252", "EUC_JP", "SQL_ASCII"]) {
    for (const sql of names) t.equal(got(sql, ["server_encoding", encoding]), "denied", sql);
    for (const sql of beyond) t.equal(got(sql, ["server_encoding", encoding]), "passed", sql);
    t.equal(
      got(beyond[0]!, ["server_encoding", encoding], ["client_encoding", encoding]),
      encoding === "SQL_ASCII" ? "passed" : "denied",
    );
  }
  for (const sql of [...names, ...beyond]) t.equal(got(sql, ["server_encoding", "UTF8"]), "passed", sql);
  // A change that is on its way: what comes behind it is read by the new setting.
  for (const change of ["SET standard_conforming_strings = off", "SET NAMES 'GBK'", "RESET ALL", "DISCARD ALL"]) {
    const stage = new Stage({ rules: text });
    stage.client(F.query(change), F.query(backslash));
    t.notMatch(stage.forwarded.at(-1)!.bytes.toString("latin1"), /cards/, change);
    stage.end();
  }
});

t.test("trap 47: texts that the grammar cannot read are denied, and soon", async (t) => {
  const started = performance.now();
  await denied(t, READ_ONLY, [
    `SELECT ${Array(5000).fill("1").join("+")}, number FROM shop.cards`,
    `SELECT ${"(".repeat(20_000)}1${")".repeat(20_000)}`,
    `SELECT ${"(SELECT ".repeat(3000)}1${")".repeat(3000)}`,
    `SELECT ${"ARRAY[".repeat(5000)}1${"]".repeat(5000)}`,
    `SELECT '${"x".repeat(17 * 1024 * 1024)}' FROM shop.cards`,
    "SELEC 1",
    "SELECT 1 FROM FROM",
    "SELECT * FROM shop.orders WHERE (",
    "SHOW; DROP",
  ]);
  t.ok(performance.now() - started < 10_000);
  const [only] = await ask(READ_ONLY, "SELEC 1");
  t.equal(only?.class, "unknown");
});

t.test("trap 48: what was judged at Parse is judged again at Execute", async (t) => {
  const text = `version: 1
rules:
  - {name: read, action: allow, what: {class: [read, session], reads: [shop.*]}}
  - {name: role, action: allow, what: {class: role}}
`;
  const run = (between: (stage: Stage) => void): string[] => {
    const stage = new Stage({ rules: text });
    stage.server(B.status("search_path", "shop"));
    stage.client(F.parse("SELECT * FROM orders", "p"), F.sync());
    stage.server(B.parsed(), B.ready());
    between(stage);
    const before = stage.forwarded.length;
    stage.client(F.bind("p"), F.execute());
    const sent = stage.forwarded.slice(before).map(({ bytes }) => String.fromCharCode(bytes[0]!));
    stage.end();
    return sent;
  };
  t.same(run(() => undefined).join(""), "BE");
  t.notOk(run((stage) => stage.client(F.query("SET search_path = hr"))).includes("E"), "not answered yet");
  t.notOk(run((stage) => stage.client(F.query("SET ROLE bob"))).includes("E"), "nor who it is");
  t.notOk(
    run((stage) => {
      stage.client(F.query("SET search_path = hr"));
      stage.server(B.complete("SET"), B.status("search_path", "hr"), B.ready());
    }).includes("E"),
  );
});

t.test("trap 48: what was bound under another search_path is judged by that one too", async (t) => {
  const text = `version: 1
rules:
  - {name: read, action: allow, what: {class: [read, session], reads: [shop.*]}}
`;
  const path = (stage: Stage, value: string): void => {
    stage.client(F.query(`SET search_path = ${value}`));
    stage.server(B.complete("SET"), B.status("search_path", value), B.ready("T"));
  };
  const begun = (): Stage => {
    const stage = new Stage({ rules: text });
    stage.server(B.status("search_path", "shop"));
    stage.client(F.query("BEGIN"), F.parse("SELECT * FROM orders", "p"), F.sync());
    stage.server(B.complete("BEGIN"), B.ready("T"), B.parsed(), B.ready("T"));
    return stage;
  };
  const bind = (stage: Stage): void => {
    stage.client(F.bind("p", "c"), F.sync());
    stage.server(B.bound(), B.ready("T"));
  };
  const passes = (stage: Stage, message: Buffer): boolean => {
    stage.client(message);
    const passed = stage.forwarded.at(-1)!.bytes.equals(message);
    stage.end();
    return passed;
  };
  for (const message of [F.execute("c"), F.query("FETCH ALL FROM c"), F.query("MOVE c"), F.parse("FETCH c")]) {
    const same = begun();
    bind(same);
    t.ok(passes(same, message), "the path is the same all along");
    const there = begun();
    path(there, "hr");
    bind(there);
    path(there, "shop");
    t.notOk(passes(there, message), "hr.orders was bound, and shop is the path again");
    const ahead = begun();
    ahead.client(F.query("SET search_path = hr"), F.bind("p", "c"), F.sync());
    ahead.server(B.complete("SET"), B.status("search_path", "hr"), B.ready("T"), B.bound(), B.ready("T"));
    path(ahead, "shop");
    t.notOk(passes(ahead, message), "bound behind a SET that was not answered");
    const unseen = begun();
    bind(unseen);
    path(unseen, "hr");
    t.notOk(passes(unseen, message), "what a utility statement names is looked for now");
  }
});

t.test("trap 48: a name that is prepared anew in the same breath is not judged as what it was", async (t) => {
  const text = `version: 1
rules:
  - {name: read, action: allow, what: {class: [read, session], reads: [shop.*]}}
`;
  const anew = [
    [F.query("DEALLOCATE p"), F.query("PREPARE p AS SELECT * FROM orders")],
    [F.query("DEALLOCATE p; PREPARE p AS SELECT * FROM orders")],
    [F.query("DEALLOCATE ALL"), F.query("PREPARE p AS SELECT * FROM orders")],
    [F.query("DISCARD ALL"), F.query("PREPARE p AS SELECT * FROM orders")],
    [
      F.parse("DEALLOCATE p"),
      F.bind(),
      F.execute(),
      F.parse("PREPARE p AS SELECT * FROM orders"),
      F.bind(),
      F.execute(),
    ],
    [F.close("S", "p"), F.parse("SELECT * FROM orders", "p")],
  ];
  const stage = (): Stage => {
    const one = new Stage({ rules: text });
    one.server(B.status("search_path", "shop"));
    one.client(F.query("PREPARE p AS SELECT 1"));
    one.server(B.complete("PREPARE"), B.ready());
    return one;
  };
  const passes = (one: Stage): boolean => {
    const message = F.query("EXECUTE p");
    one.client(message);
    const passed = one.forwarded.at(-1)!.bytes.equals(message);
    one.end();
    return passed;
  };
  t.ok(passes(stage()), "SELECT 1");
  for (const messages of anew) {
    const one = stage();
    // Under another path it would read another table; as what it was, it would read none.
    one.client(...messages, F.query("SET search_path = hr"));
    t.notOk(passes(one), messages.map((message) => message.toString("latin1", 5)).join());
  }
  const answered = stage();
  answered.client(F.query("DEALLOCATE p"), F.query("PREPARE p AS SELECT 2"));
  answered.server(B.complete("DEALLOCATE"), B.ready(), B.complete("PREPARE"), B.ready());
  t.ok(passes(answered), "once it is answered it is known again");
});

t.test("trap 48: a FETCH from what the protocol has bound is judged as what was bound", async (t) => {
  const stage = new Stage({
    rules: `version: 1
rules:
  - {name: cards, action: deny, what: {reads: ["*.cards"]}, when: {from: 2026-11-23T06:00:00Z}}
  - {name: few, action: allow, what: {class: read, reads: [public.cards]}, limits: {rows: 1}}
  - {name: rest, action: allow, what: {class: [read, session]}}
`,
  });
  let now = Date.parse("2026-11-23T05:59:59Z");
  t.intercept(Date, "now", { value: () => now });
  const cards = F.query("FETCH ALL FROM c");
  stage.client(F.query("BEGIN"), F.parse("SELECT * FROM public.cards", "p"), F.bind("p", "c"), F.sync(), cards);
  stage.server(B.complete("BEGIN"), B.ready("T"), B.parsed(), B.bound(), B.ready("T"));
  stage.splice!.take();
  stage.server(B.rowDescription(), B.row(), B.row(), B.error("57014"), B.ready("E"));
  stage.client(F.query("ROLLBACK"), F.query("BEGIN"), F.parse("SELECT * FROM public.cards"), F.bind("", "c"), F.sync());
  stage.server(B.complete("ROLLBACK"), B.ready("I"), B.complete("BEGIN"), B.ready("T"), B.parsed(), B.bound());
  stage.server(B.ready("T"));
  now += 1000;
  stage.client(cards, F.query("FETCH ALL FROM other"));
  stage.server(B.error("42601"), B.ready("E"), B.error("25P02"), B.ready("E"));
  stage.end();
  t.same(
    stage.spool.statements().map(({ operation, outcome, rule, rows }) => `${operation} ${outcome} ${rule} ${rows}`),
    [
      "BEGIN completed undefined 0",
      "FETCH denied few 1",
      "ROLLBACK completed undefined 0",
      "SELECT completed few 0",
      "BEGIN completed undefined 0",
      "FETCH denied cards 0",
      "FETCH failed few 0",
      "SELECT completed few 0",
    ],
  );
});

t.test("trap 48: a rule that ends denies the sessions that are there", async (t) => {
  const until = Date.parse("2026-11-23T06:00:00Z");
  let now = until - 1;
  const clock = t.intercept(Date, "now", { value: () => now });
  const stage = new Stage({
    rules:
      "version: 1\nrules:\n  - {name: r, action: allow, when: {until: 2026-11-23T06:00:00Z}, what: {class: read}}\n",
  });
  stage.client(F.parse("SELECT 1", "p"), F.bind("p"), F.execute(), F.sync());
  stage.server(B.parsed(), B.bound(), B.complete("SELECT 1"), B.ready());
  now = until;
  stage.client(F.bind("p"), F.execute(), F.sync(), F.query("SELECT 2"));
  t.notMatch(stage.forwarded.map(({ bytes }) => bytes.toString("latin1")).join(""), /SELECT 2/);
  stage.server(B.bound(), B.error("42601"), B.ready(), B.error("42601"), B.ready());
  t.same(stage.end(), ["SELECT completed", "SELECT denied 42501", "SELECT denied 42501"]);
  clock.restore();
});

t.test("trap 49: what stands in Bind is recorded sealed, not decided by", async (t) => {
  const stage = new Stage({ rules: "version: 1\nrules:\n  - {name: r, action: allow, what: {class: read}}\n" });
  stage.client(F.parse("SELECT * FROM o WHERE id = $1", "p"), F.bind("p", "", ["4111"]), F.execute(), F.sync());
  stage.server(B.parsed(), B.bound(), B.complete("SELECT 0"), B.ready());
  stage.client(F.bind("p", "", ["4222"]), F.execute(), F.sync());
  stage.server(B.bound(), B.complete("SELECT 0"), B.ready());
  stage.end();
  const entries = stage.spool.statements();
  t.equal(entries.length, 2);
  for (const entry of entries) {
    t.match(entry, { params: { sealed: String }, params_count: 1, sql: { sealed: String } });
    t.notMatch(JSON.stringify(entry), /4111|4222/);
  }
});

t.test("trap 50: what tells without returning rows is named in the record", async (t) => {
  const cases: [string, string, string, string[]][] = [
    ["EXPLAIN SELECT * FROM shop.cards", "EXPLAIN", "read", ["cards"]],
    ["NOTIFY a, 'x'", "NOTIFY", "write", []],
    ["SELECT pg_notify('a', 'x')", "SELECT", "write", ["pg_notify"]],
    ["LISTEN a", "LISTEN", "session", []],
    ["SELECT pg_advisory_lock(4111)", "SELECT", "session", ["pg_advisory_lock"]],
    ["SELECT pg_try_advisory_xact_lock(4111)", "SELECT", "session", ["pg_try_advisory_xact_lock"]],
    ["SELECT lo_get(1)", "SELECT", "read", ["lo_get"]],
    ["SELECT lo_put(1, 1, 'x')", "SELECT", "write", ["lo_put"]],
    ["SELECT (1::oid).lo_get", "SELECT", "read", ["lo_get"]],
    ["SELECT count(*) FROM shop.cards WHERE number LIKE '4%'", "SELECT", "read", ["cards", "count"]],
    ["SELECT 1 / (SELECT count(*) FROM shop.cards)", "SELECT", "read", ["cards", "count"]],
    ["SELECT most_common_vals FROM pg_stats", "SELECT", "read", ["pg_stats"]],
  ];
  const analyzer = await Analyzer.load();
  for (const [sql, operation, kind, names] of cases) {
    const [one] = analyzer.analyze(Buffer.from(sql), "utf8");
    t.same([one?.operation, one?.class], [operation, kind], sql);
    t.same([...(one?.relations ?? []).map(({ name }) => name), ...(one?.functions ?? [])], names, sql);
  }
  // What tells of the table that nobody reads is denied where the rules name it.
  await denied(t, NO_CARDS, ["EXPLAIN SELECT * FROM shop.cards", "SELECT most_common_vals FROM pg_stats"]);
});

/** The database that generated statements run against: one relation of each kind, all with the same columns. */

const COLUMNS = "id int PRIMARY KEY, x int, y int, note text, j jsonb, arr int[]";
const PLAIN = COLUMNS.replace(" PRIMARY KEY", "");
const ROWS = "SELECT n, n, n, 'n' || n, '{\"a\": 1}', ARRAY[n] FROM generate_series(1, 3) n";

/** Run one by one by a superuser; each succeeds on PostgreSQL 15 and later. */
export const WORLD: readonly string[] = [
  'CREATE SCHEMA s; CREATE SCHEMA "Mixed"; CREATE SCHEMA empty_schema',
  "CREATE ROLE bob; CREATE ROLE eve; CREATE ROLE g",
  ...["a", "b", "c", "d", "s.t", '"Mixed"."Odd Name"', '"we""ird.one"', '"select"', "ünï", "s.a"].map(
    (name) => `CREATE TABLE ${name} (${COLUMNS}); INSERT INTO ${name} ${ROWS}`,
  ),
  "CREATE TABLE view_base AS TABLE a; CREATE VIEW v AS SELECT * FROM view_base",
  "CREATE TABLE s.other_base AS TABLE a; CREATE VIEW s.vw AS SELECT * FROM s.other_base WHERE x > 0",
  "CREATE TABLE mv_base AS TABLE a; CREATE MATERIALIZED VIEW mv AS SELECT * FROM mv_base; CREATE UNIQUE INDEX ON mv (id)",
  `CREATE TABLE p (${PLAIN}) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20); CREATE TABLE s.p_rest PARTITION OF p DEFAULT; INSERT INTO p ${ROWS}`,
  `CREATE TABLE parent (${PLAIN}); CREATE TABLE child (extra int) INHERITS (parent); INSERT INTO child ${ROWS}`,
  "CREATE TABLE master (id int PRIMARY KEY); INSERT INTO master VALUES (1), (2), (3)",
  "CREATE TABLE detail (id int PRIMARY KEY, master int REFERENCES master, x int, y int, note text, j jsonb, arr int[])",
  "CREATE TABLE follows (m int REFERENCES master ON DELETE CASCADE); INSERT INTO follows VALUES (3)",
  "CREATE TABLE counted (id int GENERATED ALWAYS AS IDENTITY, old serial, x int DEFAULT 1, twice int GENERATED ALWAYS AS (x * 2) STORED)",
  "CREATE SEQUENCE q; CREATE SEQUENCE s.q; CREATE SEQUENCE \"Mixed\".\"Odd Q\"; SELECT nextval('q'), nextval('s.q')",
  "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw; CREATE FOREIGN TABLE ft (id int, x int) SERVER files OPTIONS (filename '/dev/null')",
  "CREATE TYPE status AS ENUM ('on', 'off'); CREATE TYPE comp AS (p int, q text)",
  "CREATE TABLE trail (what text)",
  "CREATE FUNCTION leaves_trail() RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.trail VALUES (''f''); RETURN 1; END'",
  "CREATE FUNCTION leaves_trail(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.trail VALUES (''f''); RETURN $1; END'",
  "CREATE FUNCTION s.leaves_trail(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.trail VALUES (''f''); RETURN $1; END'",
  "CREATE FUNCTION pure(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END'",
  "CREATE FUNCTION checks(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.trail VALUES (''c''); RETURN true; END'",
  "CREATE FUNCTION as_comp(int) RETURNS comp LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.trail VALUES (''c''); RETURN ROW($1, ''r''::text); END'",
  "CREATE FUNCTION plus(int, int) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.trail VALUES (''o''); RETURN 1; END'",
  "CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
  "CREATE FUNCTION sum_step(int, int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'",
  "CREATE AGGREGATE total (int) (SFUNC = sum_step, STYPE = int)",
  "CREATE PROCEDURE pr() LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.trail VALUES (''p''); END'",
  "CREATE FUNCTION alike(int, int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.trail VALUES (''o''); RETURN true; END'",
  "CREATE OPERATOR <?> (LEFTARG = int, RIGHTARG = int, FUNCTION = alike)",
  "CREATE OPERATOR <+> (LEFTARG = int, RIGHTARG = int, FUNCTION = plus)",
  "CREATE DOMAIN checked AS int CHECK (checks(VALUE)); CREATE DOMAIN small AS int CHECK (VALUE < 100)",
  "CREATE CAST (int AS comp) WITH FUNCTION as_comp(int)",
  "CREATE INDEX a_x ON a (x); CREATE INDEX s_t_x ON s.t (x); CLUSTER a USING a_x",
  "CREATE STATISTICS stat ON x, y FROM c",
  "CREATE PUBLICATION pub FOR TABLE c",
  "CREATE TEXT SEARCH DICTIONARY tsd (TEMPLATE = simple); CREATE TEXT SEARCH CONFIGURATION tsc (PARSER = default)",
  "CREATE COLLATION co FROM \"C\"; CREATE CONVERSION cv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8",
  "CREATE OPERATOR FAMILY fam USING btree",
  "SELECT lo_create(4711), lo_put(4711, 0, 'bytes')",
];

/** In the session that runs the statements. */
export const SESSION: readonly string[] = [
  `CREATE TEMP TABLE tmp (${COLUMNS}); INSERT INTO tmp ${ROWS}`,
  "SET statement_timeout = '2s'",
  "SET client_min_messages = warning",
  "SET track_functions = 'all'",
  "SET enable_seqscan = on",
];

/** What is in each statement's place: a relation as it may be written, and the catalog's name of it. */
export interface Named {
  readonly sql: string;
  readonly writable: boolean;
}

/** Relations with all columns, in all the ways to write one. */
export const RELATIONS: readonly Named[] = [
  ["a", true],
  ["s.t", true],
  ['"Mixed"."Odd Name"', true],
  ["v", true],
  ["s.vw", true],
  ["mv", false],
  ["p", true],
  ["p1", true],
  ["parent", true],
  ["ONLY parent", true],
  ["child", true],
  ["tmp", true],
  ["pg_temp.tmp", true],
  ['"we""ird.one"', true],
  ['U&"\\0061"', true],
  ["A", true],
  ['"select"', true],
  ["postgres.public.a", true],
  ["ünï", true],
].map(([sql, writable]) => ({ sql, writable }) as Named);

/** What a text does not tell: each with a statement that does more than is said of it, for proxy/README.md to list. */
import { behind, type Run } from "./run.ts";

const SLY = "LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.trail VALUES (''sly''); RETURN 1; END'";
const COMPOSITE = "CREATE TABLE composed (k comp); INSERT INTO composed VALUES (ROW(1, 'a'))";

const one = (before: readonly string[], sql: string, path?: readonly string[]): Run => behind(before, [sql], path)[0]!;

/** By the name that stands in the manual. */
export const UNSEEN: ReadonlyMap<string, Run> = new Map([
  ["views", one(["CREATE VIEW sly AS SELECT leaves_trail()"], "SELECT * FROM sly")],
  ["rules", one(["CREATE RULE sly AS ON INSERT TO d DO ALSO DELETE FROM c"], "INSERT INTO d (id) VALUES (700)")],
  [
    "triggers",
    one(
      [
        "CREATE FUNCTION sly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM c; RETURN NEW; END'",
        "CREATE TRIGGER sly BEFORE INSERT ON d FOR EACH ROW EXECUTE FUNCTION sly()",
      ],
      "INSERT INTO d (id) VALUES (701)",
    ),
  ],
  [
    "deferred triggers",
    one(
      [
        "CREATE FUNCTION sly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM c; RETURN NEW; END'",
        "CREATE CONSTRAINT TRIGGER sly AFTER INSERT ON d DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION sly()",
        "INSERT INTO d (id) VALUES (702)",
      ],
      "SET CONSTRAINTS ALL IMMEDIATE",
    ),
  ],
  ["foreign keys", one([], "DELETE FROM master WHERE id = 3")],
  ["defaults", one(["CREATE TABLE sly (x int DEFAULT leaves_trail())"], "INSERT INTO sly DEFAULT VALUES")],
  [
    "generated columns",
    one(["CREATE TABLE sly (x int, y int GENERATED ALWAYS AS (pure(x)) STORED)"], "INSERT INTO sly (x) VALUES (1)"),
  ],
  ["constraints", one(["CREATE TABLE sly (x int CHECK (checks(x)))"], "INSERT INTO sly VALUES (1)")],
  ["types of columns", one(["CREATE TABLE sly (x checked)"], "INSERT INTO sly VALUES (1)")],
  ["indexes", one(["CREATE TABLE sly (x int); CREATE INDEX ON sly (pure(x))"], "INSERT INTO sly VALUES (1)")],
  [
    "row security",
    one(
      [
        "CREATE TABLE sly AS SELECT 1 AS x; ALTER TABLE sly ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY sly ON sly USING (leaves_trail(x) > 0)",
        "GRANT ALL ON sly, trail TO bob; SET LOCAL ROLE bob",
      ],
      "SELECT * FROM sly",
    ),
  ],
  ["functions in the notation of columns", one([`CREATE FUNCTION sly(a) RETURNS int ${SLY}`], "SELECT a.sly FROM a")],
  ["functions of PostgreSQL's names", one([`CREATE FUNCTION public.lower(int) RETURNS int ${SLY}`], "SELECT lower(1)")],
  [
    "the search_path",
    one(
      [`CREATE FUNCTION s.abs(int) RETURNS int ${SLY}`, "SET LOCAL search_path = s, pg_catalog, public"],
      "SELECT abs(1)",
      ["s", "public"],
    ),
  ],
  [
    "operators of PostgreSQL's names",
    one(
      [
        COMPOSITE,
        `CREATE FUNCTION sly(comp, comp) RETURNS int ${SLY}`,
        "CREATE OPERATOR + (LEFTARG = comp, RIGHTARG = comp, FUNCTION = sly)",
      ],
      "SELECT k + k FROM composed",
    ),
  ],
  [
    "types of PostgreSQL's names",
    one(["CREATE DOMAIN pg_temp.text AS varchar CHECK (checks(length(VALUE)))"], "SELECT 'x'::text"),
  ],
  [
    "implicit casts",
    one(
      [
        COMPOSITE,
        `CREATE FUNCTION sly(comp) RETURNS int ${SLY}`,
        "CREATE CAST (comp AS int) WITH FUNCTION sly(comp) AS IMPLICIT",
      ],
      "SELECT abs(k) FROM composed",
    ),
  ],
]);

/** What writes rows: every form of it, on every kind of relation, in every place where it may stand. */
import { alone, type Run } from "./run.ts";
import { RELATIONS } from "./schema.ts";

/** `@` stands for the relation. */
const FORMS: readonly string[] = [
  "INSERT INTO @ (id) VALUES (8)",
  "INSERT INTO @ DEFAULT VALUES",
  "INSERT INTO @ (id, x) SELECT id + 4, x FROM b RETURNING *",
  "INSERT INTO @ AS r (id) VALUES (9) RETURNING r.id, (SELECT max(x) FROM c)",
  "UPDATE @ SET x = x + 1",
  "UPDATE @ AS r SET x = b.x FROM b WHERE b.id = r.id RETURNING r.*",
  "UPDATE @ SET (x, y) = (1, DEFAULT), note = 'a' WHERE id = 1",
  "DELETE FROM @ WHERE id = 1",
  "DELETE FROM @ AS r USING b, c WHERE r.id = b.id AND c.id = b.x RETURNING *",
  "MERGE INTO @ AS r USING b ON r.id = b.id WHEN MATCHED THEN UPDATE SET x = b.x WHEN NOT MATCHED THEN INSERT (id) VALUES (b.id)",
  "MERGE INTO @ AS r USING (SELECT * FROM b WHERE x IN (SELECT x FROM c)) AS u ON r.id = u.id WHEN MATCHED THEN DELETE",
];

/** `#` stands for the statement. */
const PLACES: readonly string[] = [
  "#",
  "EXPLAIN #",
  "EXPLAIN (ANALYZE true, TIMING off) #",
  "EXPLAIN (ANALYZE, ANALYZE off, VERBOSE) #",
  "PREPARE prep AS #",
  "CREATE FUNCTION made() RETURNS void LANGUAGE sql BEGIN ATOMIC #; SELECT 1 FROM d; END",
  "CREATE RULE made AS ON UPDATE TO d DO ALSO (#; SELECT 1)",
];

/** With what it returns as a source. */
const RETURNING_PLACES: readonly string[] = [
  "WITH w AS (#) SELECT * FROM w",
  "WITH w AS (#), q AS (SELECT * FROM w) INSERT INTO d (id) SELECT id + 300 FROM q",
  "WITH w AS (#) SELECT 1",
  "COPY (#) TO STDOUT",
  "COPY (WITH w AS (#) SELECT * FROM w, c AS c2) TO STDOUT",
  "EXPLAIN ANALYZE WITH w AS (#) SELECT count(*) FROM w",
];

/** On a whole relation. */
const WHOLE: readonly string[] = [
  "TRUNCATE @",
  "TRUNCATE TABLE @, d RESTART IDENTITY",
  "LOCK TABLE @",
  "LOCK @ IN ACCESS SHARE MODE NOWAIT",
  "COPY @ FROM STDIN",
  "COPY @ (id, x) FROM STDIN WITH (FORMAT csv)",
  "COPY @ FROM STDIN WHERE x > 1",
  "COPY @ TO STDOUT",
  "COPY @ (x) TO STDOUT WITH (FORMAT binary)",
  "SELECT * FROM @ FOR UPDATE",
  "SELECT * FROM @ AS r FOR NO KEY UPDATE OF r SKIP LOCKED",
  "SELECT * FROM b, @ AS r FOR SHARE OF r",
  "SELECT * FROM b JOIN (SELECT * FROM @) AS r USING (id) FOR KEY SHARE OF r",
  "SELECT * FROM (SELECT * FROM @ FOR UPDATE) AS r",
  "SELECT * FROM b WHERE id IN (SELECT id FROM @ FOR SHARE NOWAIT)",
  "WITH q AS (SELECT * FROM @ FOR UPDATE) SELECT * FROM q",
  "WITH q AS (SELECT * FROM @) SELECT * FROM q, b FOR UPDATE",
  "INSERT INTO d (id) SELECT id + 100 FROM @ FOR UPDATE",
  "DECLARE cur CURSOR FOR SELECT * FROM @ FOR UPDATE",
  "EXPLAIN SELECT * FROM @ FOR UPDATE",
  "EXPLAIN ANALYZE SELECT * FROM @ FOR UPDATE",
  "PREPARE prep AS SELECT * FROM @ FOR UPDATE",
];

const writable = RELATIONS.filter((relation) => relation.writable).map(({ sql }) => sql);

function* all(): Generator<string> {
  for (const relation of writable) {
    for (const form of FORMS) {
      const statement = form.replace("@", () => relation);
      for (const place of PLACES) yield place.replace("#", () => statement);
      if (!statement.includes("RETURNING")) continue;
      for (const place of RETURNING_PLACES) yield place.replace("#", () => statement);
    }
  }
  for (const { sql } of RELATIONS) for (const form of WHOLE) yield form.replace("@", () => sql);
}

export const WRITES: readonly Run[] = alone([...all()]);

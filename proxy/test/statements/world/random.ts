/**
 * Statements at random over few names, of which each is a table's and may be a CTE's: what a name stands for is told by
 * its place alone.
 */

const NAMES = ["cards", "orders", "c", "d"];
const WRITTEN = [...NAMES, ...NAMES, "s.cards", '"Cards"', "public.cards", "CARDS", '"cards"', 'U&"c\\0061rds"'];

/** One by one; each table has the columns a and b. */
export const TABLES: readonly string[] = [
  "CREATE SCHEMA s",
  ...[...NAMES, "s.cards", '"Cards"'].map((name) => `CREATE TABLE ${name} (a int PRIMARY KEY, b int)`),
];

/** @returns what gives the next statement; one in six or so is none that PostgreSQL accepts */
export function statementsFrom(seed: number): () => string {
  let state = seed;
  const int = (below: number): number => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
  const pick = (list: readonly string[]): string => list[int(list.length)]!;
  const one = (list: readonly (() => string)[]): string => list[int(list.length)]!();
  const maybe = (text: () => string): string => (int(4) === 0 ? text() : "");
  let aliases = 0;

  const table = (): string => `${int(10) === 0 ? "ONLY " : ""}${pick(WRITTEN)}`;

  function from(d: number): string {
    const x = `x${aliases++}`;
    if (d <= 0) return `${table()} AS ${x}`;
    return one([
      () => `${table()} AS ${x}`,
      () => `${table()} AS ${x}`,
      () => `(${query(d - 1)}) AS ${x} (a, b)`,
      () => `LATERAL (${query(d - 1)}) AS ${x} (a, b)`,
      () => `(${from(d - 1)} CROSS JOIN ${from(d - 1)})`,
      () => `${from(d - 1)} LEFT JOIN ${from(d - 1)} ON ${condition(d - 1)}`,
      () => `(${from(d - 1)} JOIN ${from(d - 1)} ON true) AS ${x}`,
      () => `generate_series(1, ${scalar(d - 1)}) AS ${x}`,
      () => `ROWS FROM (generate_series(1, ${scalar(d - 1)}), unnest(ARRAY(${column(d - 1)}))) AS ${x} (a, b)`,
      () => `public.${pick(NAMES)} AS ${x} TABLESAMPLE bernoulli (${scalar(d - 1)})`,
      () => `JSON_TABLE(jsonb '1', '$' PASSING ${scalar(d - 1)} AS p COLUMNS (a int PATH '$')) AS ${x}`,
      () =>
        `XMLTABLE('/a' PASSING xmlelement(name a, ${scalar(d - 1)}) COLUMNS a int DEFAULT ${scalar(d - 1)}) AS ${x}`,
      () => `(VALUES (${scalar(d - 1)}, 2)) AS ${x} (a, b)`,
      () => `(TABLE ${table()}) AS ${x}`,
    ]);
  }

  function scalar(d: number): string {
    if (d <= 0) return one([() => "1", () => "NULL::int", () => `(SELECT max(a) FROM ${table()})`]);
    return one([
      () => `(SELECT max(q.a) FROM (${query(d - 1)}) AS q (a, b))`,
      () => `(SELECT max(q.a) FROM (${query(d - 1)}) AS q (a, b))`,
      () => `CASE WHEN ${condition(d - 1)} THEN 1 ELSE ${scalar(d - 1)} END`,
      () => `CASE ${scalar(d - 1)} WHEN ${scalar(d - 1)} THEN 1 END`,
      () => `COALESCE(${scalar(d - 1)}, ${scalar(d - 1)})`,
      () => `(ARRAY[1, abs(${scalar(d - 1)})])[${scalar(d - 1)}]`,
      () => `(SELECT sum(q.a) FILTER (WHERE ${condition(d - 1)}) FROM (${query(d - 1)}) AS q (a, b))::int`,
      () => `JSON_VALUE(jsonb '1', '$' PASSING ${scalar(d - 1)} AS z RETURNING int)`,
      () => `(SELECT count(*) OVER (ORDER BY q.a) FROM (${query(d - 1)}) AS q (a, b) LIMIT 1)::int`,
    ]);
  }

  const condition = (d: number): string =>
    one([
      () => `EXISTS (${query(d - 1)})`,
      () => `(1, 2) IN (${query(d - 1)})`,
      () => `${scalar(d - 1)} = ANY (${column(d - 1)})`,
      () => `${scalar(d - 1)} BETWEEN 1 AND ${scalar(d - 1)}`,
      () => `(${scalar(d - 1)} IS NULL OR NOT ${scalar(d - 1)} < 1)`,
    ]);

  const column = (d: number): string => `SELECT q.a FROM (${query(d)}) AS q (a, b)`;

  /** @param top data may be changed in it */
  function ctes(d: number, top: boolean): string {
    const names = new Set(Array.from({ length: 1 + int(3) }, () => pick([...NAMES, "e"])));
    const list = [...names].map((name) => {
      const body = top && int(4) === 0 ? modify(d - 1, true) : query(d - 1);
      return `${name} (a, b) AS ${pick(["", "MATERIALIZED ", "NOT MATERIALIZED "])}(${body})`;
    });
    return `WITH ${int(4) === 0 ? "RECURSIVE " : ""}${list.join(", ")} `;
  }

  const select = (d: number): string =>
    `SELECT ${scalar(d - 1)} AS a, ${scalar(d - 1)} AS b FROM ${from(d)}${maybe(() => `, ${from(d - 1)}`)}` +
    `${maybe(() => ` WHERE ${condition(d - 1)}`)}${maybe(() => ` ORDER BY ${scalar(d - 1)}`)}` +
    `${maybe(() => ` LIMIT ${scalar(d - 1)}`)}`;

  function query(d: number, top = false): string {
    if (d <= 0) return one([() => "SELECT 1 AS a, 2 AS b", () => `TABLE ${table()}`, () => "VALUES (1, 2)"]);
    const lock = (): string => pick(["", "FOR UPDATE", "FOR SHARE OF q", "FOR NO KEY UPDATE OF r", "FOR KEY SHARE"]);
    return one([
      () => select(d),
      () => select(d),
      () => ctes(d, top) + one([() => select(d - 1), () => `TABLE ${table()}`, () => `(${query(d - 1)})`]),
      () => ctes(d, top) + one([() => select(d - 1), () => `SELECT z.a, z.b FROM ${pick(NAMES)} AS z`]),
      () => `(${query(d - 1)}) ${pick(["UNION", "INTERSECT", "EXCEPT ALL"])} (${query(d - 1)})`,
      () => `VALUES (${scalar(d - 1)}, ${scalar(d - 1)}), (1, 2)`,
      () => `SELECT q.a, 1 AS b FROM (${query(d - 1)}) AS q (a, b) GROUP BY ROLLUP (q.a) HAVING ${condition(d - 1)}`,
      () =>
        `SELECT q.a, q.b FROM ${pick(NAMES)} AS q, (${query(d - 1)}) AS r (a, b) WHERE ${condition(d - 1)} ${lock()}`,
    ]);
  }

  function modify(d: number, cte: boolean): string {
    const returning = cte ? ` RETURNING t.a, ${scalar(d - 1)}` : maybe(() => ` RETURNING ${scalar(d - 1)}`);
    const target = `${pick(NAMES)} AS t`;
    const then = (): string => pick(["DELETE", "DO NOTHING", `UPDATE SET b = ${scalar(d - 1)}`]);
    const changed = one([
      () => `INSERT INTO ${target} (a, b) ${query(d - 1)}`,
      () =>
        `INSERT INTO ${target} VALUES (${scalar(d - 1)}, 1) ON CONFLICT (a) DO UPDATE SET b = ${scalar(d - 1)} WHERE ${condition(d - 1)}`,
      () => `UPDATE ${target} SET b = ${scalar(d - 1)} FROM ${from(d - 1)} WHERE ${condition(d - 1)}`,
      () => `UPDATE ${target} SET (a, b) = (${select(d - 1)})`,
      () => `DELETE FROM ${target} USING ${from(d - 1)} WHERE ${condition(d - 1)}`,
      () =>
        `MERGE INTO ${target} USING (${query(d - 1)}) AS u (a, b) ON t.a = u.a AND ${condition(d - 1)}` +
        ` WHEN MATCHED AND ${condition(d - 1)} THEN ${then()} WHEN NOT MATCHED THEN INSERT VALUES (${scalar(d - 1)}, 1)` +
        `${maybe(() => ` WHEN NOT MATCHED BY SOURCE AND ${condition(d - 1)} THEN DELETE`)}`,
    ]);
    return changed + returning;
  }

  return () => {
    aliases = 0;
    const d = 1 + int(4);
    return one([() => query(d, true), () => modify(d, false), () => ctes(d, true) + modify(d - 1, false)]);
  };
}

// What several workers show, as one.
import t from "tap";
import { TABLES } from "../../src/console/index.ts";
import { together } from "../../src/operations/index.ts";

const shares = (...rows: readonly Record<string, string | number | null>[][]) =>
  rows.map((of, i) => ({ worker: i + 1, rows: of }));

t.test("rows that mean the same are one, its numbers added up", async (t) => {
  const pool = (database: string, cl_active: number, maxwait: number, maxwait_us: number, paused: number) => ({
    database,
    user: "ann",
    cl_active,
    maxwait,
    maxwait_us,
    pool_mode: "transaction",
    paused,
  });
  const rows = together("pools", shares([pool("a", 1, 2, 5, 0)], [pool("b", 1, 0, 0, 0), pool("a", 3, 1, 900_000, 1)]));
  t.match(rows, [
    { database: "a", user: "ann", cl_active: 4, maxwait: 2, maxwait_us: 5, pool_mode: "transaction", paused: 1 },
    { database: "b", cl_active: 1 },
  ]);
  t.same(Object.keys(rows[0]!), Object.keys(TABLES.pools));
  const stats = (total_query_count: number, avg_query_count: number, avg_query_time: number) => ({
    database: "a",
    total_query_count,
    avg_query_count,
    avg_query_time,
  });
  t.match(together("stats", shares([stats(10, 3, 100)], [stats(5, 1, 500)])), [
    { database: "a", total_query_count: 15, avg_query_count: 4, avg_query_time: 200 },
  ]);
  t.match(together("stats", shares([stats(1, 0, 0)], [stats(1, 0, 0)])), [{ avg_query_time: 0 }]);
  const total = (name: string, count: number) => ({ name, count });
  t.same(together("pool_totals", shares([total("opened", 1)], [total("opened", 2), total("pinned: listen", 1)])), [
    total("opened", 3),
    total("pinned: listen", 1),
  ]);
});

t.test("others stay each for itself, and say whose they are", async (t) => {
  const client = (id: string) => ({ type: "C", id, worker: 1 });
  t.same(together("clients", shares([client("1.1")], [client("1.1"), client("1.2")])), [
    client("1.1"),
    { ...client("1.1"), worker: 2 },
    { ...client("1.2"), worker: 2 },
  ]);
  t.same(together("version", shares([{ version: "Vitrine 1" }], [{ version: "Vitrine 1" }])).length, 1);
  t.same(together("version", []), []);
  const state = (active: string, paused: string) => [
    { key: "active", value: active },
    { key: "paused", value: paused },
  ];
  t.same(together("state", shares(state("yes", "no"), state("no", "yes"))), state("no", "yes"));
  t.same(together("state", shares(state("yes", "no"), state("yes", "no"))), state("yes", "no"));
});

t.end();

import t from "tap";
import { Pauses } from "../../src/client/pauses.ts";
import { Statistics } from "../../src/metrics/statistics.ts";

t.test("one database, or all of them", async (t) => {
  const pauses = new Pauses();
  t.equal(pauses.holds("shop"), false);
  pauses.pause("shop");
  t.same([pauses.holds("shop"), pauses.holds("bank"), pauses.all, pauses.any], [true, false, false, true]);
  const entered: string[] = [];
  const enter = async (database: string): Promise<void> => {
    await pauses.untilResumed(database);
    entered.push(database);
  };
  const all = [enter("bank"), enter("shop")];
  await all[0];
  t.same(entered, ["bank"]);
  pauses.pause();
  t.equal(pauses.resume("bank"), false);
  t.equal(pauses.resume("shop"), true);
  await new Promise((resolve) => setImmediate(resolve));
  t.same(entered, ["bank"], "all are paused still");
  t.equal(pauses.resume(), true);
  await all[1];
  t.same(entered, ["bank", "shop"]);
  t.equal(pauses.resume(), false);
});

t.test("sums by database, averages since the last full minute, and no more names than a few", async (t) => {
  let now = 0;
  const statistics = new Statistics(() => now);
  t.teardown(() => statistics.close());
  statistics.session("shop");
  for (let i = 0; i < 60; i += 1) statistics.statement("shop", i % 2 === 0, 3, 10, 100);
  now += 30_000;
  t.match(statistics.rows(), [
    {
      database: "shop",
      sessions: 1,
      statements: 60,
      failed: 30,
      bytesIn: 600,
      bytesOut: 6000,
      ms: 180,
      average: { statements: 2, bytesIn: 20, bytesOut: 200, ms: 3 },
    },
  ]);
  now += 30_000;
  statistics.turn();
  now += 10_000;
  t.match(statistics.rows()[0], { statements: 60, average: { statements: 0, ms: 0 } });
  for (let i = 0; i < 3000; i += 1) statistics.session(`database ${i}`);
  const rows = statistics.rows();
  t.equal(rows.length, 1001);
  t.equal(
    rows.reduce((sum, { sessions }) => sum + sessions, 0),
    3001,
  );
});

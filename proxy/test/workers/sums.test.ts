// What is counted by workers together, when one of them ends or does not answer.
import { Counter, Gauge, Registry } from "prom-client";
import t from "tap";
import { Histogram } from "../../src/metrics/histogram.ts";
import { type Figures, Sums } from "../../src/workers/sums.ts";

/** What a worker answers that has had so many sessions, all of which are still open. */
async function figures(sessions: number, by = "server"): Promise<Figures> {
  const registry = new Registry();
  const registers = [registry];
  new Counter({ name: "sessions", help: "s", registers }).inc(sessions);
  new Counter({ name: "refusals", help: "r", labelNames: ["by"], registers }).inc({ by }, sessions);
  new Gauge({ name: "open", help: "o", registers }).set(sessions);
  new Gauge({ name: "state", help: "s", aggregator: "max", registers }).set(sessions);
  const seconds = new Histogram(registry, "seconds", "s", [1, 10], "outcome");
  for (let i = 0; i < sessions; i++) seconds.observe(5, by);
  return registry.getMetricsAsJSON();
}

/** What Prometheus reads, by name and labels. */
async function read(sums: Sums, answers: Record<number, Figures | undefined>): Promise<object> {
  const byWorker = Object.entries(answers).map(([worker, figures]) => [Number(worker), figures] as const);
  const text = await sums.of(new Map(byWorker)).metrics();
  return Object.fromEntries(
    [...text.matchAll(/^([^#\s]\S*) (\S+)$/gm)].map(([, name, value]) => [name, Number(value)]),
  );
}

t.test("one that does not answer counts as it did before", async (t) => {
  const sums = new Sums();
  t.match(await read(sums, { 1: await figures(2), 2: undefined }), { sessions: 2, open: 2, state: 2 });
  t.match(await read(sums, { 1: await figures(3), 2: await figures(4) }), { sessions: 7, open: 7, state: 4 });
  t.match(await read(sums, { 1: undefined, 2: await figures(5) }), { sessions: 8, open: 8, state: 5 });
  t.match(await read(sums, { 1: await figures(6), 2: undefined }), { sessions: 11, open: 11, state: 6 });
});

t.test("what was counted by one that left is counted for ever, and once; what it had open is not", async (t) => {
  const sums = new Sums();
  await read(sums, { 1: await figures(2), 2: await figures(5, "proxy") });
  const left = {
    sessions: 7,
    'refusals{by="server"}': 2,
    'refusals{by="proxy"}': 5,
    'seconds_bucket{le="1",outcome="proxy"}': 0,
    'seconds_bucket{le="10",outcome="proxy"}': 5,
    'seconds_sum{outcome="proxy"}': 25,
    'seconds_count{outcome="proxy"}': 5,
  };
  for (let i = 0; i < 3; i++) t.match(await read(sums, { 1: await figures(2) }), { ...left, open: 2, state: 2 });
  const next = await read(sums, { 1: await figures(2), 3: await figures(1, "proxy") });
  t.match(next, { sessions: 8, 'refusals{by="proxy"}': 6, 'seconds_sum{outcome="proxy"}': 30, open: 3 });
  const alone = await read(sums, {});
  t.match(alone, { sessions: 8, 'refusals{by="server"}': 2, 'refusals{by="proxy"}': 6 });
  t.notOk("open" in alone || "state" in alone, "nothing is open where nobody is");
});

t.test("however many leave, there are no more names", async (t) => {
  const sums = new Sums();
  let names = 0;
  for (let worker = 0; worker < 50; worker++) {
    const all = await read(sums, { [worker]: await figures(1) });
    if (worker === 0) names = Object.keys(all).length;
    t.match(all, { sessions: worker + 1, 'seconds_count{outcome="server"}': worker + 1, open: 1 });
    t.equal(Object.keys(all).length, names);
  }
});

import { Histogram as Known, Registry } from "prom-client";
import t from "tap";
import { Histogram } from "../../src/metrics/histogram.ts";

const BOUNDS = [0.001, 0.01, 0.1, 1];

t.test("is read as prom-client's own is", async (t) => {
  for (const label of [undefined, "outcome"]) {
    const ours = new Registry();
    const theirs = new Registry();
    const mine = new Histogram(ours, "x_seconds", "Some", BOUNDS, label);
    const known = new Known({
      name: "x_seconds",
      help: "Some",
      buckets: [...BOUNDS],
      labelNames: label === undefined ? [] : [label],
      registers: [theirs],
    });
    for (const [i, amount] of [0, 0.001, 0.0010001, 0.05, 0.05, 1, 1.5, 300].entries()) {
      const value = i % 2 === 0 ? "even" : "odd";
      if (label === undefined) {
        mine.observe(amount);
        known.observe(amount);
      } else {
        mine.observe(amount, value);
        known.observe({ [label]: value }, amount);
      }
    }
    const sorted = async (registry: Registry): Promise<string[]> =>
      (await registry.metrics()).trim().split("\n").sort();
    t.same(await sorted(ours), await sorted(theirs));
  }
});

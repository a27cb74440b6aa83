import { Registry } from "prom-client";
import t from "tap";
import { Tally } from "../../src/metrics/tally.ts";

t.test("is read as a counter, as often as somebody asks", async (t) => {
  const registry = new Registry();
  const tally = new Tally(registry, "x_bytes_total", "Some");
  const read = async (): Promise<string> => (await registry.metrics()).trim();
  t.equal(await read(), "# HELP x_bytes_total Some\n# TYPE x_bytes_total counter\nx_bytes_total 0");
  tally.inc(5);
  tally.inc(7);
  t.match(await read(), /^x_bytes_total 12$/m);
  t.match(await read(), /^x_bytes_total 12$/m);
  const [json] = await registry.getMetricsAsJSON();
  t.match(json, { type: "counter", aggregator: "sum", values: [{ value: 12 }] });
});

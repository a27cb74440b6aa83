import type { Registry } from "prom-client";

/** Upper bounds in seconds, from a tenth of a millisecond to a minute and more. */
export const SECONDS: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300,
];

/**
 * A histogram for what happens with every statement: to count is an addition, where prom-client's own builds a name of
 * the labels each time. It is read by a Registry as any other.
 */
export class Histogram {
  readonly name: string;
  readonly #help: string;
  readonly #bounds: readonly number[];
  readonly #label: string | undefined;
  readonly #series = new Map<string, Series>();

  /**
   * @param bounds ascending; what is above the last is counted as well
   * @param label the name of the one label that it has, if any
   */
  constructor(registry: Registry, name: string, help: string, bounds: readonly number[], label?: string) {
    this.name = name;
    this.#help = help;
    this.#bounds = bounds;
    this.#label = label;
    // What a Registry asks of a metric is its name and get().
    registry.registerMetric(this as unknown as Parameters<Registry["registerMetric"]>[0]);
  }

  /** @param value of the label; from a closed list, for each is a series of its own */
  observe(amount: number, value = ""): void {
    let series = this.#series.get(value);
    if (series === undefined) {
      series = { counts: new Array<number>(this.#bounds.length + 1).fill(0), sum: 0 };
      this.#series.set(value, series);
    }
    const bounds = this.#bounds;
    let at = 0;
    while (at < bounds.length && amount > bounds[at]!) at += 1;
    series.counts[at]! += 1;
    series.sum += amount;
  }

  /** As prom-client's metrics answer. */
  async get(): Promise<object> {
    const values: object[] = [];
    for (const [value, { counts, sum }] of this.#series) {
      const labels = this.#label === undefined ? {} : { [this.#label]: value };
      let total = 0;
      for (const [i, count] of counts.entries()) {
        total += count;
        values.push({
          metricName: `${this.name}_bucket`,
          labels: { le: this.#bounds[i] ?? "+Inf", ...labels },
          value: total,
        });
      }
      values.push({ metricName: `${this.name}_sum`, labels, value: sum });
      values.push({ metricName: `${this.name}_count`, labels, value: total });
    }
    return { name: this.name, help: this.#help, type: "histogram", values, aggregator: "sum" };
  }

  reset(): void {
    this.#series.clear();
  }
}

interface Series {
  readonly counts: number[];
  sum: number;
}

/** What several workers count, as one process would count it that never ends. */
import { AggregatorRegistry, type Registry } from "prom-client";

/** As much of one of prom-client's metrics as is looked at here. */
interface Metric {
  readonly type: string;
}

/** Of one worker: prom-client's metrics as JSON. */
export type Figures = readonly unknown[];

/**
 * Adds up what the workers count. To Prometheus a counter that falls is one that began again, and it takes the whole of
 * it for an increase: so no sum falls because a worker ended, or was too slow to answer.
 */
export class Sums {
  /** As each worker answered last. */
  readonly #last = new Map<number, Figures>();
  /** What those had counted that have left, one metric of each name. */
  #left: Figures = [];

  /**
   * @param answers of all workers that serve, undefined of one that did not answer this time; whoever is missing has left,
   * and its number does not come again
   */
  of(answers: ReadonlyMap<number, Figures | undefined>): Registry {
    for (const [worker, figures] of answers) if (figures !== undefined) this.#last.set(worker, figures);
    for (const [worker, figures] of this.#last) {
      if (answers.has(worker)) continue;
      this.#last.delete(worker);
      // A gauge says how something is, and with a worker that left nothing is.
      const counted = (figures as readonly Metric[]).filter(({ type }) => type === "counter" || type === "histogram");
      this.#left = sum([this.#left, counted]).getMetricsAsArray();
    }
    return sum([...this.#last.values(), this.#left]);
  }
}

function sum(all: readonly Figures[]): Registry {
  return AggregatorRegistry.aggregate(all as object[]);
}

import { Counter, type Registry } from "prom-client";

/**
 * A counter for what happens with every read of a socket: to count is an addition, where prom-client's own makes a key of
 * its labels each time, also of none. It is read by a Registry as any other.
 */
export class Tally {
  #total = 0;

  constructor(registry: Registry, name: string, help: string) {
    const total = (): number => this.#total;
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(total());
      },
    });
  }

  inc(amount: number): void {
    this.#total += amount;
  }
}

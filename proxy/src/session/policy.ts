import type { Statement } from "../statements/index.ts";

export const DURABILITIES = ["before-execute", "before-result", "relaxed"] as const;
export type Durability = (typeof DURABILITIES)[number];

/** What must be durable when (spec/session.md, "Intents"). */
export class Policy {
  readonly #reads: Durability;
  readonly #others: Durability;

  constructor(reads: Durability, others: Durability) {
    this.#reads = reads;
    this.#others = others;
  }

  durabilityOf(statement: Statement | undefined): Durability {
    if (statement === undefined) return this.#others;
    // BEGIN has no effect of its own that anyone could see.
    const harmless =
      statement.provenRead || statement.operation === "BEGIN" || statement.operation === "START TRANSACTION";
    return harmless ? this.#reads : this.#others;
  }
}

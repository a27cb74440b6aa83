/** What `vitrine log fsck` can find: the table of README.md, "Checking a store". A test holds the two together. */
export const findingCodes = [
  "unreadable",
  "bundle",
  "entry",
  "hash",
  "tile",
  "head",
  "guard",
  "checkpoint",
  "position",
  "accepted",
  "disclosure",
  "source",
  "erasure",
] as const;

export type FindingCode = (typeof findingCodes)[number];

export interface Finding {
  readonly code: FindingCode;
  readonly message: string;
  /** The first entry that is affected, where it applies. */
  readonly index?: number;
}

/** Of one code, this many are listed. */
const LISTED = 50;

/** Gathers findings; of each code the first ones, and the number of the others. */
export class Findings {
  readonly listed: Finding[] = [];
  readonly #counts = new Map<FindingCode, number>();

  add(code: FindingCode, message: string, index?: number): void {
    const count = (this.#counts.get(code) ?? 0) + 1;
    this.#counts.set(code, count);
    if (count <= LISTED) this.listed.push(index === undefined ? { code, message } : { code, message, index });
  }

  /** How many there are of each code beyond those that are listed. */
  get omitted(): Readonly<Record<string, number>> {
    const more = [...this.#counts].filter(([, count]) => count > LISTED);
    return Object.fromEntries(more.map(([code, count]) => [code, count - LISTED]));
  }

  get total(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }
}

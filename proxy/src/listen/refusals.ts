/** Why clients were not accepted: too few descriptors, too many that have not logged in, too many at all, the system. */
export type Cause = "files" | "logins" | "sockets" | `system:${string}`;

/** At most so often it is said of one cause. */
const EVERY_MS = 60_000;
/** Causes that are remembered: the system has few. */
const MAX_CAUSES = 32;

/** Clients that could not be accepted, said once in a while: there may be thousands a second. */
export class Refusals {
  readonly #say: (cause: Cause, count: number) => void;
  readonly #now: () => number;
  readonly #seen = new Map<Cause, { saidAt: number; unsaid: number }>();

  /**
   * @param say told of a cause, and how many there were since it was told of it last
   * @param now a monotonic clock in milliseconds
   */
  constructor(say: (cause: Cause, count: number) => void, now: () => number = () => performance.now()) {
    this.#say = say;
    this.#now = now;
  }

  add(cause: Cause): void {
    const now = this.#now();
    const seen = this.#seen.get(cause) ?? { saidAt: Number.NEGATIVE_INFINITY, unsaid: 0 };
    seen.unsaid += 1;
    if (this.#seen.size < MAX_CAUSES) this.#seen.set(cause, seen);
    if (now - seen.saidAt < EVERY_MS) return;
    this.#say(cause, seen.unsaid);
    seen.saidAt = now;
    seen.unsaid = 0;
  }
}

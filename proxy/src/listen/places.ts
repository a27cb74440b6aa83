import { ProxyError } from "../errors.ts";

/** Asked for at a time, beyond what is needed at once. */
const AHEAD = 8;
/** A login that takes longer may find its place taken: who never logs in must not keep others out. */
const LOGIN_MS = 2_000;

/** What a worker counts its clients by. */
export interface Counts {
  /** Clients that are logged in. */
  readonly sessions: number;
}

/** Where places come from. */
export interface Office {
  /** @returns how many more there are, 0 for none */
  ask(wanted: number): Promise<number>;
  /** Takes places without having asked for them, before anybody is asked. */
  give(places: number): void;
}

/**
 * How many clients may be logged in at this worker: its part of `limits.clients`, which holds for all of them together.
 * It asks for more when it needs them, and gives back what nobody uses when others do.
 */
export class Places {
  readonly #counts: () => Counts;
  readonly #office: Office;
  readonly #now: () => number;
  #held = 0;
  /** More is held, by all together, than there is. */
  #tight = false;
  #asking: Promise<number> | undefined;
  /** When each login began that is under way, oldest first. One that fails counts until it is late. */
  #logins: number[] = [];

  /** @param now a monotonic clock, in milliseconds */
  constructor(counts: () => Counts, office: Office, now: () => number = () => performance.now()) {
    this.#counts = counts;
    this.#office = office;
    this.#now = now;
  }

  /** A client is logged in. @throws ProxyError `too_many_connections` when its place was taken in the meantime */
  take(): void {
    if (this.#counts().sessions >= this.#held) throw full();
    this.#logins.shift();
  }

  /** A client wants to log in. @throws ProxyError `too_many_connections` when there is no place for it anywhere */
  async prepare(): Promise<void> {
    if (this.#tight) this.#office.give(this.#takeSpare());
    while (this.#spare < 1) {
      this.#asking ??= this.#more();
      if ((await this.#asking) === 0 && this.#spare < 1) throw full();
    }
    this.#logins.push(this.#now());
  }

  /**
   * @param tight whether more is held, by all together, than there is
   * @returns how many nobody uses: they are gone
   */
  async giveBack(tight: boolean): Promise<number> {
    // What was granted just before may have come in the same read: first those who wait for it have theirs.
    await new Promise(setImmediate);
    this.#tight = tight;
    return this.#takeSpare();
  }

  #takeSpare(): number {
    const spare = Math.max(0, this.#spare);
    this.#held -= spare;
    return spare;
  }

  /** Places that neither a session nor a login has. */
  get #spare(): number {
    const since = this.#now() - LOGIN_MS;
    while (this.#logins.length > 0 && this.#logins[0]! < since) this.#logins.shift();
    return this.#held - this.#counts().sessions - this.#logins.length;
  }

  async #more(): Promise<number> {
    try {
      const more = await this.#office.ask(1 - Math.min(0, this.#spare) + AHEAD);
      this.#held += more;
      if (more > 0) this.#tight = false;
      return more;
    } finally {
      this.#asking = undefined;
    }
  }
}

function full(): ProxyError {
  return new ProxyError("too_many_connections", "the proxy's limit of clients, all workers together, is reached");
}

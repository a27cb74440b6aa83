/** A client that counts in a row of its own, and knows of each increment whether it was told that it happened. */
import { setTimeout as sleep } from "node:timers/promises";
import { errorField, type Message, type RawClient, send } from "./raw-client.ts";
import type { Entry } from "./stack.ts";

const KINDS = ["autocommit", "transaction", "extended", "read"] as const;
type Kind = (typeof KINDS)[number];

/** ReadyForQuery that each ends with. */
const ENDS: Readonly<Record<Kind, number>> = { autocommit: 1, transaction: 3, extended: 1, read: 1 };
const MOST_AT_ONCE = 8;
/** How many of the requests are nothing but reads. */
const READS_ONLY = 0.25;

export class CountingClient {
  readonly name: string;
  readonly id: number;
  /** Increments that it was told of. */
  acknowledged = 0;
  /** Increments asked for of which it was not told whether they happened. */
  unanswered = 0;
  reads = 0;
  operations = 0;
  /** How often it had to connect again. */
  losses = 0;
  readonly violations: string[] = [];
  /** SQLSTATEs of the errors that it was told, each with how often. */
  readonly errors: Map<string, number> = new Map();
  readonly #login: (name: string) => Promise<RawClient>;
  readonly #random: () => number;
  /** The value that must be there at least, and how many increments more may have happened or may still. */
  #least = 0;
  #pending = 0;
  #client: RawClient | undefined;

  constructor(id: number, login: (name: string) => Promise<RawClient>, random: () => number) {
    this.id = id;
    this.name = `counter-${id}`;
    this.#login = login;
    this.#random = random;
  }

  /** Counts until it is told to end. */
  async run(goesOn: () => boolean): Promise<void> {
    while (goesOn()) {
      this.#client ??= await this.#connected();
      if (this.#client === undefined) await sleep(20);
      else await this.#batch(this.#client);
    }
    await this.#client?.end();
  }

  /** What the row must hold once nothing runs any more. */
  get bounds(): readonly [number, number] {
    return [this.#least, this.#least + this.#pending];
  }

  async #connected(): Promise<RawClient | undefined> {
    let client: RawClient | undefined;
    try {
      client = await this.#login(this.name);
    } catch {
      return undefined;
    }
    return client.closed ? undefined : client;
  }

  async #batch(client: RawClient): Promise<void> {
    const count = 1 + Math.floor(this.#random() * MOST_AT_ONCE);
    const reads = this.#random() < READS_ONLY;
    const kinds = Array.from({ length: count }, () =>
      reads ? "read" : KINDS[Math.floor(this.#random() * KINDS.length)]!,
    );
    this.operations += count;
    client.write(...kinds.flatMap((kind) => this.#messages(kind)));
    const wanted = kinds.reduce((sum, kind) => sum + ENDS[kind], 0);
    const messages = await client.ready(wanted);
    for (const message of messages.filter(({ type }) => type === "E")) {
      const code = errorField(message, "C") ?? "none";
      this.errors.set(code, (this.errors.get(code) ?? 0) + 1);
    }
    let at = 0;
    for (const kind of kinds) {
      const own: Message[] = [];
      let ends = 0;
      for (; ends < ENDS[kind] && at < messages.length; at += 1) {
        own.push(messages[at]!);
        if (messages[at]!.type === "Z") ends += 1;
      }
      this.#answered(kind, own);
    }
    // The database is away: asking on and on would only count refusals.
    if (!client.closed && messages.some(({ type }) => type === "E")) await sleep(20);
    if (!client.closed) return;
    this.losses += 1;
    this.#client = undefined;
  }

  #messages(kind: Kind): Buffer[] {
    const update = `UPDATE counters SET n = n + 1 WHERE id = ${this.id} RETURNING n`;
    switch (kind) {
      case "autocommit":
        return [send.query(update)];
      case "transaction":
        return [send.query("BEGIN"), send.query(update), send.query("COMMIT")];
      case "extended":
        return [
          send.parse("UPDATE counters SET n = n + 1 WHERE id = $1 RETURNING n"),
          send.bind([String(this.id)]),
          send.execute(),
          send.sync(),
        ];
      case "read":
        return [send.query(`SELECT n FROM counters WHERE id = ${this.id}`)];
    }
  }

  #answered(kind: Kind, messages: readonly Message[]): void {
    const row = messages.find(({ type }) => type === "D");
    const value = row === undefined ? undefined : Number(row.bytes.toString("latin1", 11));
    const done = messages.some(
      ({ type, bytes }) =>
        type === "C" &&
        bytes
          .toString("latin1", 5)
          .startsWith(kind === "transaction" ? "COMMIT" : kind === "read" ? "SELECT" : "UPDATE"),
    );
    // Of the extended protocol, only ReadyForQuery tells that its transaction has ended.
    const ended = kind !== "extended" || messages.at(-1)?.type === "Z";
    const error = messages.find(({ type }) => type === "E");
    const severity = error === undefined ? undefined : errorField(error, "V");
    if (kind === "read") {
      if (value !== undefined) {
        this.#seen(value);
        if (done) this.reads += 1;
      }
      return;
    }
    if (value !== undefined) this.#seen(value - 1);
    if (done && ended && value !== undefined) {
      this.acknowledged += 1;
      this.#least = value;
    } else if (severity !== "ERROR") {
      // An ERROR says that it did not happen; a connection that ends says nothing.
      this.unanswered += 1;
      this.#pending += 1;
    }
  }

  /** This many increments have happened by now. */
  #seen(value: number): void {
    if (!(value >= this.#least && value <= this.#least + this.#pending)) {
      const [least, most] = this.bounds;
      this.violations.push(`${this.name} saw ${value} where ${least} to ${most} was possible`);
    }
    this.#pending -= value - this.#least;
    this.#least = value;
  }
}

/** What the log tells of one client's increments. */
export interface Told {
  certain: number;
  possible: number;
  /**
   * Whether a transaction is open where the next statement without an outcome was to run, by session. An entry's own
   * `tx` is what the server reported last, and of a pipeline without answers that is from before all of it.
   */
  readonly open: Map<unknown, boolean>;
}

/** Takes note of what an entry says of a client's increments. */
export function tell(told: Map<string, Told>, entry: Entry): void {
  if (entry.kind !== "statement") return;
  const name = (entry.client as { application?: string }).application;
  const one = name === undefined ? undefined : told.get(name);
  if (one === undefined) return;
  const { operation, outcome, session, tx } = entry;
  if (operation === "COMMIT" && entry.sql === undefined) {
    // Of the increment before it in the extended protocol, which was answered.
    if (outcome !== "completed") one.certain -= 1;
    if (outcome === "unknown") one.possible += 1;
    return;
  }
  if (outcome === "unknown") {
    const open = one.open.get(session) ?? tx === "T";
    if (operation === "BEGIN") one.open.set(session, true);
    else if (operation === "COMMIT") one.open.set(session, false);
    // Inside of a transaction its COMMIT decides.
    if (operation === (open ? "COMMIT" : "UPDATE")) one.possible += 1;
    return;
  }
  // One without a BEGIN, which was refused, ends nothing.
  const commits = operation === "COMMIT" && entry.tag !== "ROLLBACK" && tx === "T";
  if (outcome === "completed" && (commits || (operation === "UPDATE" && tx !== "T"))) one.certain += 1;
}

import type { Entry } from "../entries/entry.ts";
import { parseSessionId } from "../entries/members.ts";
import type { FindingCode } from "../errors.ts";
import { Intervals } from "./intervals.ts";

type Report = (code: FindingCode, message: string) => void;

/** The totals of a session's statements so far, and the number of the last one. */
type Totals = { n: number; statements: number; failed: number; rows: number; bytes_in: number; bytes_out: number };

const totalNames = ["statements", "failed", "rows", "bytes_in", "bytes_out"] as const;

export type SessionsJson = { open: [string, Totals][]; used: [number, number][]; known: boolean };

/** The sessions of one source in one epoch: steps N1 to N4. */
export class Sessions {
  readonly #open: Map<string, Totals>;
  /** The numbers of all sessions that this epoch has had. */
  readonly #used: Intervals;
  /** False when entries of this epoch are missing or unreadable: what is concluded from all of them would be noise. */
  #known: boolean;

  constructor(json: SessionsJson = { open: [], used: [], known: true }) {
    this.#open = new Map(json.open);
    this.#used = Intervals.from(json.used);
    this.#known = json.known;
  }

  get open(): number {
    return this.#open.size;
  }

  /** From here on nothing is reported in this epoch: some of its entries were not seen. */
  giveUp(): void {
    this.#known = false;
    this.#open.clear();
  }

  add(entry: Entry, report: Report): void {
    if (!this.#known) return;
    if (entry.kind === "session.start") this.#start(entry, report);
    else if (entry.kind === "statement") this.#statement(entry, report);
    else if (entry.kind === "session.end") this.#end(entry, report);
    else if (entry.kind === "source.stop") this.#stop(report);
  }

  #start(entry: Entry, report: Report): void {
    const id = entry.session as string;
    const { epoch, n } = parseSessionId(id)!;
    // N1
    if (epoch !== entry.epoch) {
      report("session_break", `session ${id} starts in epoch ${entry.epoch}`);
      return;
    }
    if (this.#used.has(n)) {
      report("session_break", `session ${id} starts a second time`);
      return;
    }
    this.#used.add(n);
    this.#open.set(id, newTotals(0));
  }

  #statement(entry: Entry, report: Report): void {
    const id = entry.session as string;
    const n = entry.n as number;
    const { epoch, n: number } = parseSessionId(id)!;
    if (entry.recovered !== undefined) {
      // N2: it is outside the count and the totals of every session.
      const of = (entry.recovered as { epoch: number }).epoch;
      if (of >= entry.epoch || of !== epoch) {
        report("session_break", `a statement of session ${id} in epoch ${entry.epoch} is recovered from epoch ${of}`);
      }
      return;
    }
    let session = this.#open.get(id);
    if (session === undefined) {
      // N1
      const used = epoch === entry.epoch && this.#used.has(number);
      report("session_break", `a statement of session ${id}, which ${used ? "has ended" : "has not started"}`);
      if (used || epoch !== entry.epoch) return;
      // Taken up from here, so that one missing session.start is one finding.
      session = newTotals(n - 1);
      this.#used.add(number);
      this.#open.set(id, session);
    }
    // N2
    if (n !== session.n + 1) {
      report("session_break", `statement ${n} of session ${id} follows statement ${session.n}`);
    }
    session.n = n;
    session.statements++;
    if (entry.outcome !== "completed") session.failed++;
    session.rows += (entry.rows as number | undefined) ?? 0;
    session.bytes_in += (entry.bytes_in as number | undefined) ?? 0;
    session.bytes_out += (entry.bytes_out as number | undefined) ?? 0;
  }

  #end(entry: Entry, report: Report): void {
    const id = entry.session as string;
    const session = this.#open.get(id);
    // N1
    if (session === undefined) {
      report("session_break", `session ${id} ends, and is not open`);
      return;
    }
    this.#open.delete(id);
    // N3
    const wrong = totalNames.filter((name) => session[name] !== entry[name]);
    if (wrong.length > 0) {
      const list = wrong.map((name) => `${name} ${entry[name]} instead of ${session[name]}`).join(", ");
      report("session_totals", `the end of session ${id} states ${list}`);
    }
  }

  #stop(report: Report): void {
    // N4
    if (this.#open.size > 0) {
      const [first] = this.#open.keys();
      report("session_break", `the source stops with ${this.#open.size} sessions open, among them ${first}`);
    }
  }

  toJSON(): SessionsJson {
    return { open: [...this.#open], used: this.#used.toJSON(), known: this.#known };
  }
}

function newTotals(n: number): Totals {
  return { n, statements: 0, failed: 0, rows: 0, bytes_in: 0, bytes_out: 0 };
}

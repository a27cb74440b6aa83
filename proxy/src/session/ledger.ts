import { type Decision, denialText } from "../access/index.ts";
import type { Recorder } from "../audit/index.ts";
import { SQLSTATE } from "../errors.ts";
import type { Shown } from "../receipts/index.ts";
import type { Analyzer, Encoding } from "../statements/index.ts";
import { rowsOf } from "../wire/backend.ts";
import { showText } from "../wire/frontend.ts";
import type { Members } from "./actor.ts";
import {
  type Execution,
  intentMembers,
  type Outcome,
  outcomeMembers,
  type Parameters,
  type Result,
  type Subject,
  TOO_LARGE,
} from "./execution.ts";
import type { Gate } from "./gate.ts";
import type { Policy } from "./policy.ts";
import type { Member, Values } from "./values.ts";

/** What a session knows, for those who work for it. */
export interface Surroundings {
  readonly recorder: Recorder;
  readonly analyzer: Analyzer;
  readonly values: Values;
  readonly policy: Policy;
  /** RFC 3339 timestamp of now. */
  readonly clock: () => string;
  /** The members that say who and from where, and the disclosures that belong to them. */
  actor(): Members;
  /** The member that says whom the client claims to work for, behind a comma; empty without such. */
  claimed(sql: Buffer | undefined): string;
  /** Whether text in this session is UTF-8 (client_encoding UTF8 or SQL_ASCII). */
  utf8(): boolean;
  /** In which encoding its texts are read. */
  encoding(): Encoding;
  /** The session's standard_conforming_strings. */
  standardStrings(): boolean;
  /** Asks the access rules, where there are any. */
  readonly gate: Gate | undefined;
  /** Cancels the execution unless it ends by itself in a moment. */
  cancel(execution: Execution): void;
  /** The client is about to ask the proxy itself for the first time: its answers are to take the place of the server's. */
  shows(): void;
  /** What SHOW of it returns; undefined: NULL. @param last the session's entry written last */
  show(what: Shown, last: Written | undefined): string | undefined;
  /** An outcome is known, so many milliseconds after the statement came. */
  finished(outcome: Outcome, ms: number, execution: Execution): void;
  /** The access rules denied a statement: this one, or none that matched. */
  denied(rule: string | undefined): void;
}

/** A `statement` entry of the session's. */
export interface Written {
  readonly seq: number;
  /** Its leaf hash, as a latin1 string. */
  readonly leaf: string;
  /** Of the entry in the spool. */
  readonly position: number;
}

export interface Totals {
  statements: number;
  failed: number;
  rows: number;
  bytesIn: number;
  bytesOut: number;
}

/** Writes what a session executes: intents before, outcomes after, each exactly once. */
export class Ledger {
  readonly totals: Totals = { statements: 0, failed: 0, rows: 0, bytesIn: 0, bytesOut: 0 };
  /** The server's last reported transaction status. */
  tx = "I";
  readonly #around: Surroundings;
  #gate = 0;
  #last: Written | undefined;
  /** How the statement that is turned away for its size was sent. */
  #oversized: "simple" | "extended" = "simple";

  constructor(around: Surroundings) {
    this.#around = around;
  }

  /** Spool position that must be durable before any more of the server's bytes may reach the client. */
  get gate(): number {
    return this.#gate;
  }

  /** No more of the server's bytes may reach the client before this is durable. */
  hold(position: number): void {
    this.#gate = Math.max(this.#gate, position);
  }

  begin(subject: Subject, parameters: Parameters | undefined): Execution {
    return {
      subject,
      parameters,
      intent: undefined,
      decided: "",
      quota: undefined,
      ended: false,
      start: this.#around.clock(),
      startedAt: performance.now(),
      rows: 0,
      bytesIn: 0,
      bytesOut: 0,
      attempts: 1,
    };
  }

  /**
   * Registers the intent.
   * @param certain whether this is what the server will execute; if not, it is not proven to be a read
   * @returns the position to wait for before forwarding, 0 for none
   */
  intend(execution: Execution, certain: boolean): number {
    const { recorder, policy } = this.#around;
    const durability = policy.durabilityOf(certain ? execution.subject.statement : undefined);
    const { members, disclosures } = this.#intentText(execution);
    this.#oversized = execution.subject.protocol === "simple" ? "simple" : "extended";
    execution.intent = recorder.intend("statement", members, disclosures, durability === "relaxed");
    if (durability === "before-execute") return execution.intent.position;
    if (durability === "before-result") this.hold(execution.intent.position);
    return 0;
  }

  #intentText(execution: Execution): Members {
    const { subject, parameters } = execution;
    const actor = this.#around.actor();
    const sql = subject.sql === undefined ? undefined : this.#sealedSql(subject, subject.sql);
    const claimed = this.#around.claimed(subject.commented);
    const members = intentMembers(claimed === "" ? actor.members : `${actor.members}${claimed}`, execution, sql);
    return { members, disclosures: joined(actor.disclosures, sql?.disclosure, parameters?.member.disclosure) };
  }

  #sealedSql(subject: Subject, sql: Buffer): Member {
    return this.#around.values.bytesMember("sql", sql, sql.length, () => this.#sqlText(subject));
  }

  /** What a disclosure says of its text: the same for all its executions, while the client's encoding is. */
  #sqlText(subject: Subject): string {
    const utf8 = this.#around.utf8();
    if (subject.shown?.utf8 !== utf8) subject.shown = { utf8, json: JSON.stringify(showText(subject.sql!, utf8)) };
    return subject.shown.json;
  }

  /** @returns the entry's spool position */
  finish(execution: Execution, result: Result): number {
    if (execution.ended) throw new Error("an execution was ended twice");
    execution.ended = true;
    const { recorder } = this.#around;
    const { totals } = this;
    totals.statements += 1;
    if (result.outcome !== "completed") totals.failed += 1;
    const rows = execution.rows > 0 || result.tag === undefined ? execution.rows : (rowsOf(result.tag) ?? 0);
    totals.rows += rows;
    totals.bytesIn += execution.bytesIn;
    totals.bytesOut += execution.bytesOut;
    const now = performance.now();
    this.#around.finished(result.outcome, now - execution.startedAt, execution);
    const outcome = outcomeMembers(totals.statements, this.tx, execution, result, rows, now);
    const errorDisclosure = result.error?.disclosure;
    if (execution.intent !== undefined) {
      return this.#wrote(
        recorder.complete(execution.intent, outcome, errorDisclosure === undefined ? NONE : [errorDisclosure]),
      );
    }
    const { members, disclosures } = this.#intentText(execution);
    return this.#wrote(recorder.record("statement", `${members},${outcome}`, joined(disclosures, errorDisclosure)));
  }

  /** @param position 0 when nothing was written: the recorder is stopped */
  #wrote(position: number): number {
    if (position > 0) {
      const { seq, leaf } = this.#around.recorder.written;
      this.#last = { seq, leaf, position };
    }
    return position;
  }

  /** What SHOW returns. A receipt must not be seen before the entry is durable. @returns undefined: NULL */
  show(what: Shown): string | undefined {
    if (what === "vitrine.receipt" && this.#last !== undefined) this.hold(this.#last.position);
    return this.#around.show(what, this.#last);
  }

  /** What was intended did not happen. Does nothing when its end is known. */
  drop(execution: Execution): void {
    if (execution.ended) return;
    execution.ended = true;
    if (execution.intent !== undefined) this.#around.recorder.drop(execution.intent);
  }

  /** The access rules do not permit it. The client must not be told before the entry is durable. */
  deny(execution: Execution, denial: Decision): void {
    execution.decided = denial.members;
    this.#around.denied(denial.rule?.name);
    const text = Object.values(denialText(denial)).join("\n");
    const error = this.#around.values.member("error", text, Buffer.byteLength(text));
    this.hold(this.finish(execution, { outcome: "denied", sqlstate: SQLSTATE.access_denied, error }));
  }

  /** The statement that is about to be turned away for its size came as this. */
  oversized(protocol: "simple" | "extended"): void {
    this.#oversized = protocol;
  }

  /** A statement over the limit was turned away. @returns the entry's spool position */
  tooLarge(sqlstate: string, message: string): number {
    const execution = this.begin(TOO_LARGE[this.#oversized], undefined);
    const error = this.#around.values.member("error", message, Buffer.byteLength(message));
    return this.finish(execution, { outcome: "denied", sqlstate, error });
  }
}

const NONE: readonly Uint8Array[] = [];

/** A list that is made in its size: one that grows takes room for many more. */
function joined(some: readonly Uint8Array[], one: Uint8Array | undefined, two?: Uint8Array): readonly Uint8Array[] {
  if (one === undefined) return two === undefined ? some : [...some, two];
  return two === undefined ? [...some, one] : [...some, one, two];
}

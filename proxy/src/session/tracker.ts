import type { Recorder } from "../audit/index.ts";
import { ProxyError } from "../errors.ts";
import type { Analyzer } from "../statements/index.ts";
import type { ServerError } from "../wire/backend.ts";
import { rowsOf } from "../wire/backend.ts";
import type { BackendName } from "../wire/messages.ts";
import {
  COMMIT_AT_SYNC,
  type Execution,
  intentMembers,
  outcomeMembers,
  type Parameters,
  type Portal,
  type Prepared,
  type Result,
  type Subject,
  TOO_LARGE,
} from "./execution.ts";
import { Names } from "./names.ts";
import type { Policy } from "./policy.ts";
import { type Pending, Queue } from "./queue.ts";
import { type Member, showText, type Values } from "./values.ts";

/** What a tracker needs from the session it works for. */
export interface Surroundings {
  readonly recorder: Recorder;
  readonly analyzer: Analyzer;
  readonly values: Values;
  readonly policy: Policy;
  /** RFC 3339 timestamp of now. */
  readonly clock: () => string;
  /** The members that say who and from where, and the disclosures that belong to them. */
  who(): { readonly members: string; readonly disclosures: readonly Uint8Array[] };
  /** Whether text in this session is UTF-8 (client_encoding UTF8 or SQL_ASCII). */
  utf8(): boolean;
}

export interface Totals {
  statements: number;
  failed: number;
  rows: number;
  bytesIn: number;
  bytesOut: number;
}

/**
 * Knows what each backend message answers, and so when an execution began and how it ended.
 *
 * Frontend methods are called in the order in which messages are sent, backend methods in the order of the answers.
 * Each frontend method returns the spool position that must be durable before its message may be forwarded, 0 for none.
 */
export class Tracker {
  readonly totals: Totals = { statements: 0, failed: 0, rows: 0, bytesIn: 0, bytesOut: 0 };
  /** Spool position that must be durable before any more of the server's bytes may reach the client. */
  gate = 0;
  readonly #around: Surroundings;
  readonly #queue = new Queue();
  /** What the client believes, in the order of sending; and what the server confirmed, in the order of answers. */
  readonly #sent = new Names();
  readonly #confirmed = new Names();
  /** An error put `#sent` ahead of what the server did. */
  #diverged = false;
  /** The server skips everything up to the next Sync, which was not sent yet. */
  #skipping = false;
  /** The server is in COPY FROM STDIN and swallows Flush and Sync. */
  #copyIn = false;
  #tx = "I";

  constructor(around: Surroundings) {
    this.#around = around;
  }

  /** The server's last reported transaction status. */
  get tx(): string {
    return this.#tx;
  }

  /** Whether nothing is unanswered. */
  get idle(): boolean {
    return this.#queue.empty;
  }

  // --- frontend messages -------------------------------------------------------------------------------------------

  query(text: Buffer, size: number): number {
    if (this.#skipping) return 0;
    const statements = this.#around.analyzer.analyze(text, this.#encoding());
    const executions: Execution[] = [];
    for (const statement of statements) {
      const sql = text.subarray(statement.start, statement.end);
      executions.push(this.#execution({ protocol: "simple", statement, sql, functionOid: undefined }, undefined));
    }
    if (executions[0] !== undefined) executions[0].bytesIn = size;
    let wait = 0;
    try {
      for (const execution of executions) wait = Math.max(wait, this.#intend(execution));
    } catch (error) {
      // The spool takes no more: none of them is forwarded, so none of them happens.
      for (const execution of executions) this.#drop(execution);
      throw error;
    }
    this.#sent.dropUnnamed();
    this.#queue.push({ kind: "query", text, executions, next: 0, failed: false, wait });
    return wait;
  }

  parse(name: string, text: Buffer): number {
    if (this.#skipping) return 0;
    // Kept as long as the statement lives; a view would keep the whole chunk it came in.
    const own = Buffer.from(text);
    const statements = this.#around.analyzer.analyze(own, this.#encoding());
    const only = statements.length === 1 ? statements[0] : undefined;
    const sql = only === undefined ? own : own.subarray(only.start, only.end);
    const subject: Subject = { protocol: "extended", statement: only, sql, functionOid: undefined };
    const prepared: Prepared = { subject, empty: statements.length === 0 };
    // The server refuses to replace a named statement (42P05), so such a Parse changes nothing.
    if (name === "" || !this.#sent.prepared.has(name)) this.#sent.prepared.set(name, prepared);
    this.#queue.push({ kind: "parse", name, prepared });
    return 0;
  }

  bind(portalName: string, statement: string, parameters: Parameters | undefined, size: number): number {
    if (this.#skipping) return 0;
    const portal: Portal = {
      prepared: this.#sent.prepared.get(statement),
      parameters,
      bytes: size,
      suspended: undefined,
    };
    this.#sent.portals.set(portalName, portal);
    this.#queue.push({ kind: "bind", name: portalName, statement, portal });
    return 0;
  }

  describe(what: "statement" | "portal", name: string): number {
    if (!this.#skipping) this.#queue.push({ kind: "describe", what, name });
    return 0;
  }

  close(what: "statement" | "portal", name: string): number {
    if (this.#skipping) return 0;
    if (what === "statement") this.#sent.prepared.delete(name);
    else this.#sent.portals.delete(name);
    this.#queue.push({ kind: "close", what, name });
    return 0;
  }

  execute(name: string, size: number): number {
    if (this.#skipping) return 0;
    const portal = this.#sent.portals.get(name);
    if (portal?.prepared?.empty === true) {
      this.#queue.push({ kind: "execute", name, execution: undefined, resolved: false, wait: 0 });
      return 0;
    }
    const carriedOn = portal?.suspended;
    const execution = carriedOn ?? this.#executionOf(portal);
    execution.bytesIn += size;
    const wait = carriedOn === undefined ? this.#intend(execution) : 0;
    this.#queue.push({ kind: "execute", name, execution, resolved: false, wait });
    return wait;
  }

  functionCall(oid: number, parameters: Parameters | undefined, size: number): number {
    if (this.#skipping) return 0;
    const subject: Subject = { protocol: "function", statement: undefined, sql: undefined, functionOid: oid };
    const execution = this.#execution(subject, parameters);
    execution.bytesIn = size;
    const wait = this.#intend(execution);
    this.#queue.push({ kind: "function", execution, answered: false, wait });
    return wait;
  }

  sync(): number {
    // PostgreSQL, COPY operations: the backend ignores Flush and Sync while it reads copy data.
    if (this.#copyIn) return 0;
    this.#skipping = false;
    this.#queue.push({ kind: "sync" });
    return 0;
  }

  copyData(size: number): void {
    const current = this.#copyIn ? this.#current() : undefined;
    if (current !== undefined) current.bytesIn += size;
  }

  /** CopyDone or CopyFail. */
  copyEnd(): void {
    if (this.#copyIn) this.#copyIn = false;
    else if (!this.#queue.empty) this.#queue.push({ kind: "copy-end" });
  }

  // --- backend messages --------------------------------------------------------------------------------------------

  dataRow(size: number): void {
    const execution = this.#current();
    if (execution === undefined) throw outOfStep("dataRow", this.#queue.head);
    execution.rows += 1;
    execution.bytesOut += size;
  }

  copyOutData(size: number): void {
    const execution = this.#current();
    if (execution === undefined) throw outOfStep("copyData", this.#queue.head);
    execution.bytesOut += size;
  }

  /** An answer other than data: completes, or moves on, what the head of the queue asked for. */
  answer(name: BackendName, size: number, tag: string | undefined): void {
    const head = this.#queue.head;
    switch (name) {
      case "parseComplete":
        if (head?.kind !== "parse") break;
        this.#confirmed.prepared.set(head.name, head.prepared);
        this.#queue.shift();
        return;
      case "bindComplete":
        if (head?.kind !== "bind") break;
        this.#bound(head.name, head.statement, head.portal);
        this.#queue.shift();
        return;
      case "closeComplete":
        if (head?.kind !== "close") break;
        if (head.what === "statement") this.#confirmed.prepared.delete(head.name);
        else this.#completeSuspended(this.#confirmed.closePortal(head.name));
        this.#queue.shift();
        return;
      case "rowDescription":
        if (head?.kind === "describe") {
          this.#queue.shift();
          return;
        }
        if (head?.kind !== "query") break;
        this.#current()!.bytesOut += size;
        return;
      case "noData":
        if (head?.kind !== "describe") break;
        this.#queue.shift();
        return;
      case "commandComplete":
        this.#completed(tag);
        return;
      case "emptyQueryResponse":
        if (head?.kind === "query") return;
        if (head?.kind !== "execute") break;
        if (head.execution !== undefined) this.#drop(head.execution);
        this.#queue.shift();
        return;
      case "portalSuspended": {
        if (head?.kind !== "execute") break;
        const execution = this.#current();
        const portal = this.#confirmed.portals.get(head.name);
        if (portal !== undefined) portal.suspended = execution;
        this.#queue.shift();
        return;
      }
      case "copyInResponse":
        if (this.#current() === undefined) break;
        this.#copyIn = !this.#queue.swallowSyncs();
        return;
      case "functionCallResponse":
        if (head?.kind !== "function") break;
        head.execution.bytesOut += size;
        this.#finish(head.execution, { outcome: "completed" });
        head.answered = true;
        return;
      default:
    }
    throw outOfStep(name, head);
  }

  error(error: ServerError): void {
    const head = this.#queue.head;
    const extended = this.#failHead(head, error);
    this.#copyIn = false;
    if (!extended) return;
    // PostgreSQL, Extended Query: after an error the backend reads and discards messages until a Sync.
    this.#diverged = true;
    this.#queue.shift();
    for (;;) {
      const next = this.#queue.head;
      if (next === undefined) {
        this.#skipping = true;
        return;
      }
      if (next.kind === "sync") return;
      this.#dropPending(next);
      this.#queue.shift();
    }
  }

  readyForQuery(status: string): void {
    const head = this.#queue.head;
    if (head?.kind !== "query" && head?.kind !== "sync" && head?.kind !== "function") {
      throw outOfStep("readyForQuery", head);
    }
    if (head.kind === "query") {
      if (!head.failed) for (const rest of head.executions.slice(head.next)) this.#finish(rest, { outcome: "unknown" });
      this.#completeSuspended(this.#confirmed.dropUnnamed());
    }
    this.#queue.shift();
    this.#tx = status;
    if (status === "I") {
      for (const portal of this.#confirmed.portals.values()) this.#completeSuspended(portal.suspended);
      this.#confirmed.portals.clear();
    }
    if (this.#queue.empty) {
      if (this.#diverged) {
        this.#sent.copyFrom(this.#confirmed);
        this.#diverged = false;
      } else if (status === "I" && this.#sent.portals.size > 0) {
        this.#sent.portals.clear();
      }
    }
  }

  /** A statement over the limit was turned away. @returns the entry's spool position */
  tooLarge(sqlstate: string, message: string): number {
    const execution = this.#execution(TOO_LARGE, undefined);
    const error = this.#around.values.member("error", message, Buffer.byteLength(message));
    return this.#finish(execution, { outcome: "denied", sqlstate, error });
  }

  /** Either side is gone: what was forwarded and not answered is unknown; what was still held never happened. */
  end(): void {
    let held = false;
    for (let head = this.#queue.head; head !== undefined; head = this.#queue.head) {
      const wait = "wait" in head ? head.wait : 0;
      if (wait > 0 && !this.#around.recorder.isDurable(wait)) held = true;
      if (held) this.#dropPending(head);
      else this.#lose(head);
      this.#queue.shift();
    }
    for (const portal of this.#confirmed.portals.values()) this.#completeSuspended(portal.suspended);
    this.#confirmed.portals.clear();
  }

  // --- inside ------------------------------------------------------------------------------------------------------

  #encoding(): "utf8" | "other" {
    return this.#around.utf8() ? "utf8" : "other";
  }

  #execution(subject: Subject, parameters: Parameters | undefined): Execution {
    return {
      subject,
      parameters,
      intent: undefined,
      start: this.#around.clock(),
      startedAt: performance.now(),
      rows: 0,
      bytesIn: 0,
      bytesOut: 0,
    };
  }

  #executionOf(portal: Portal | undefined): Execution {
    const execution = this.#execution(portal?.prepared?.subject ?? NOT_SEEN, portal?.parameters);
    if (portal !== undefined) {
      execution.bytesIn = portal.bytes;
      portal.bytes = 0;
    }
    return execution;
  }

  /** Registers the intent. @returns the position to wait for before forwarding, 0 for none */
  #intend(execution: Execution): number {
    const { recorder, policy } = this.#around;
    const durability = policy.durabilityOf(execution.subject.statement);
    const { members, disclosures } = this.#intentText(execution);
    execution.intent = recorder.intend("statement", members, disclosures, durability === "relaxed");
    if (durability === "before-execute") return execution.intent.position;
    if (durability === "before-result") this.gate = Math.max(this.gate, execution.intent.position);
    return 0;
  }

  #intentText(execution: Execution): { readonly members: string; readonly disclosures: Uint8Array[] } {
    const { subject, parameters } = execution;
    const who = this.#around.who();
    const disclosures = [...who.disclosures];
    let sql: Member | undefined;
    if (subject.sql !== undefined) {
      sql = this.#around.values.bytesMember("sql", subject.sql, subject.sql.length, (raw) =>
        showText(raw, this.#around.utf8()),
      );
      if (sql.disclosure !== undefined) disclosures.push(sql.disclosure);
    }
    if (parameters?.member.disclosure !== undefined) disclosures.push(parameters.member.disclosure);
    return { members: intentMembers(who.members, execution, sql), disclosures };
  }

  /** The execution that the head of the queue is at; undefined when the head executes nothing. */
  #current(): Execution | undefined {
    const head = this.#queue.head;
    if (head === undefined) return undefined;
    switch (head.kind) {
      case "query":
        return this.#currentOfQuery(head);
      case "execute":
        if (!head.resolved) this.#resolve(head);
        return head.execution;
      case "function":
        return head.execution;
      default:
        return undefined;
    }
  }

  #currentOfQuery(head: Pending & { kind: "query" }): Execution {
    const known = head.executions[head.next];
    if (known !== undefined) return known;
    // The server sees more statements in the text than our grammar: each is recorded, under the whole text.
    const subject: Subject = { protocol: "simple", statement: undefined, sql: head.text, functionOid: undefined };
    const extra = this.#execution(subject, undefined);
    head.executions.push(extra);
    return extra;
  }

  /**
   * The first answer to an Execute is here, so the portal is known for certain now. When the client was ahead of an
   * error, it may not be the one the intent was written for; and it may be one that was suspended.
   */
  #resolve(head: Pending & { kind: "execute" }): void {
    head.resolved = true;
    const portal = this.#confirmed.portals.get(head.name);
    const assumed = head.execution;
    if (portal === undefined || assumed === undefined) return;
    if (portal.suspended !== undefined) {
      if (assumed !== portal.suspended) {
        portal.suspended.bytesIn += assumed.bytesIn;
        this.#drop(assumed);
        head.execution = portal.suspended;
      }
      return;
    }
    if (portal.prepared?.subject === assumed.subject) return;
    const actual = this.#executionOf(portal);
    actual.bytesIn += assumed.bytesIn;
    this.#drop(assumed);
    this.#intend(actual);
    head.execution = actual;
  }

  #bound(name: string, statement: string, sent: Portal): void {
    const prepared = this.#confirmed.prepared.get(statement);
    this.#completeSuspended(this.#confirmed.closePortal(name));
    // The same object as the client's view, unless the client was wrong about the statement.
    this.#confirmed.portals.set(name, sent.prepared === prepared ? sent : { ...sent, prepared });
  }

  #completed(tag: string | undefined): void {
    const head = this.#queue.head;
    const execution = this.#current();
    if (head === undefined || execution === undefined) throw outOfStep("commandComplete", head);
    this.#finish(execution, { outcome: "completed", tag });
    this.#copyIn = false;
    this.#applyEffect(execution.subject);
    if (head.kind === "query") {
      head.next += 1;
      return;
    }
    if (head.kind === "execute") {
      const portal = this.#confirmed.portals.get(head.name);
      if (portal !== undefined) portal.suspended = undefined;
      this.#queue.shift();
    }
  }

  /** Statements can be prepared and forgotten by SQL too; then what Parse had put under the name is not what runs. */
  #applyEffect(subject: Subject): void {
    const effect = subject.statement?.effect;
    if (effect === undefined) return;
    if (effect.kind === "deallocate" || (effect.kind === "discard" && effect.what === "all")) {
      for (const names of [this.#confirmed, this.#sent]) {
        if (effect.kind === "deallocate" && effect.name !== undefined) names.prepared.delete(effect.name);
        else names.prepared.clear();
      }
    } else if (effect.kind === "prepare") {
      this.#confirmed.prepared.delete(effect.name);
      this.#sent.prepared.delete(effect.name);
    }
  }

  /** @returns whether the server now skips up to Sync */
  #failHead(head: Pending | undefined, error: ServerError): boolean {
    const { values } = this.#around;
    const text = [error.message, error.detail, error.hint].filter((line) => line !== undefined).join("\n");
    const result = (): Result => ({
      outcome: error.sqlstate === "57014" ? "cancelled" : "failed",
      sqlstate: error.sqlstate,
      error: values.member("error", text, Buffer.byteLength(text)),
    });
    switch (head?.kind) {
      case undefined:
      case "copy-end":
        // Nothing is unanswered: the server's own word, such as 57P01 before it closes.
        return false;
      case "query": {
        // All were answered, and only then the server went down.
        const answered = head.executions.length > 0 && head.next >= head.executions.length;
        if (answered && error.severity !== "ERROR") return false;
        this.#finish(this.#currentOfQuery(head), result());
        for (const rest of head.executions.slice(head.next + 1)) this.#drop(rest);
        head.failed = true;
        return false;
      }
      case "function":
        this.#finish(head.execution, result());
        head.answered = true;
        return false;
      case "sync":
        this.#finish(this.#execution(COMMIT_AT_SYNC, undefined), result());
        return false;
      case "execute": {
        const execution = this.#current() ?? this.#execution(NOT_SEEN, undefined);
        this.#finish(execution, result());
        const portal = this.#confirmed.portals.get(head.name);
        if (portal !== undefined) portal.suspended = undefined;
        return true;
      }
      case "parse":
        this.#finish(this.#execution(head.prepared.subject, undefined), result());
        return true;
      case "bind": {
        const subject = this.#confirmed.prepared.get(head.statement)?.subject ?? NOT_SEEN;
        this.#finish(this.#execution(subject, head.portal.parameters), result());
        return true;
      }
      case "describe":
      case "close": {
        const { prepared, portals } = this.#confirmed;
        const named = head.what === "statement" ? prepared.get(head.name) : portals.get(head.name)?.prepared;
        this.#finish(this.#execution(named?.subject ?? NOT_SEEN, undefined), result());
        return true;
      }
    }
  }

  /** @returns the entry's spool position */
  #finish(execution: Execution, result: Result): number {
    const { recorder } = this.#around;
    const { totals } = this;
    totals.statements += 1;
    if (result.outcome !== "completed") totals.failed += 1;
    const rows = execution.rows > 0 || result.tag === undefined ? execution.rows : (rowsOf(result.tag) ?? 0);
    totals.rows += rows;
    totals.bytesIn += execution.bytesIn;
    totals.bytesOut += execution.bytesOut;
    const outcome = outcomeMembers(totals.statements, this.#tx, execution, result, rows, performance.now());
    const errorDisclosure = result.error?.disclosure;
    if (execution.intent !== undefined) {
      recorder.complete(execution.intent, outcome, errorDisclosure === undefined ? [] : [errorDisclosure]);
      return 0;
    }
    const { members, disclosures } = this.#intentText(execution);
    if (errorDisclosure !== undefined) disclosures.push(errorDisclosure);
    return recorder.record("statement", `${members},${outcome}`, disclosures);
  }

  #completeSuspended(execution: Execution | undefined): void {
    if (execution !== undefined) this.#finish(execution, { outcome: "completed" });
  }

  #drop(execution: Execution): void {
    if (execution.intent !== undefined) this.#around.recorder.drop(execution.intent);
  }

  #lose(pending: Pending): void {
    for (const execution of unanswered(pending)) {
      this.#finish(execution, { outcome: "unknown" });
      const portal = pending.kind === "execute" ? this.#confirmed.portals.get(pending.name) : undefined;
      if (portal?.suspended === execution) portal.suspended = undefined;
    }
  }

  #dropPending(pending: Pending): void {
    for (const execution of unanswered(pending)) {
      // A suspended execution did happen; only its continuation is skipped.
      const portal = pending.kind === "execute" ? this.#confirmed.portals.get(pending.name) : undefined;
      if (portal === undefined || portal.suspended !== execution) this.#drop(execution);
    }
  }
}

const NOT_SEEN: Subject = { protocol: "extended", statement: undefined, sql: undefined, functionOid: undefined };

function unanswered(pending: Pending): readonly Execution[] {
  switch (pending.kind) {
    case "query":
      return pending.failed ? [] : pending.executions.slice(pending.next);
    case "function":
      return pending.answered ? [] : [pending.execution];
    case "execute":
      return pending.execution === undefined ? [] : [pending.execution];
    default:
      return [];
  }
}

/** Either the server breaks the protocol or we misread it: going on would record the wrong thing. */
function outOfStep(name: BackendName, head: Pending | undefined): ProxyError {
  return new ProxyError(
    "protocol_violation",
    `the server sent ${name} where ${head?.kind ?? "nothing"} was to be answered`,
  );
}

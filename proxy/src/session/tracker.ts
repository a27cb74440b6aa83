import type { Decision } from "../access/index.ts";
import { ProxyError } from "../errors.ts";
import {
  BIND_COMPLETE,
  COMPLETE,
  closePortal,
  EMPTY_QUERY,
  emptyParse,
  PLACEHOLDER,
  row,
  rowDescription,
  type Shown,
  shownBy,
} from "../receipts/index.ts";
import type { Statement } from "../statements/index.ts";
import type { ServerError } from "../wire/backend.ts";
import type { BackendName } from "../wire/messages.ts";
import { REJECTED_CALL, REJECTED_EXECUTE, REJECTED_QUERY, rejectedParse } from "../wire/write.ts";
import {
  COMMIT_AT_SYNC,
  COMMIT_OF_QUERY,
  type Execution,
  type Parameters,
  type Portal,
  type Prepared,
  type Result,
  type Subject,
} from "./execution.ts";
import { quotaOf } from "./gate.ts";
import { Ledger, type Surroundings } from "./ledger.ts";
import { Names } from "./names.ts";
import { type Pending, Queue } from "./queue.ts";
import { countRepeated, isRepeatable } from "./repeat.ts";

/**
 * Knows what each backend message answers, and so when an execution began and how it ended.
 *
 * Frontend methods are called in the order in which messages are sent, backend methods in the order of the answers.
 * Each frontend method returns the spool position that must be durable before its message may be forwarded, 0 for none.
 */
export class Tracker {
  /** What is written of it. */
  readonly ledger: Ledger;
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
  /** Grows with each Sync. The server skips what stands behind an error in its segment, and nothing beyond. */
  #segment = 0;
  #fatal = false;
  /** An execution was answered whose implicit transaction ends later: as what, if the server is lost until then. */
  #uncommitted: Subject | undefined;
  #instead: Buffer | undefined;
  #refusal: Decision | undefined;
  /** The proxy itself was asked to show something. */
  #shows = false;
  #shown: Buffer | undefined;

  constructor(around: Surroundings) {
    this.#around = around;
    this.ledger = new Ledger(around);
  }

  /** The server's last reported transaction status. */
  get tx(): string {
    return this.ledger.tx;
  }

  /** Whether nothing is unanswered. */
  get idle(): boolean {
    return this.#queue.empty;
  }

  /** How many messages that execute something are unanswered. */
  get executing(): number {
    return this.#queue.executing;
  }

  /**
   * Whether all that is unanswered may be sent to another server, because doing it twice has no effect. The one who asks
   * knows that no byte of an answer was passed on.
   */
  get repeatable(): boolean {
    return this.tx === "I" && !this.#skipping && !this.#copyIn && isRepeatable(this.#queue.unanswered);
  }

  /** All that is unanswered was sent once more. */
  repeated(): void {
    countRepeated(this.#queue.unanswered);
  }

  /** What the oldest message without an answer is. */
  get asked(): Pending["kind"] | undefined {
    return this.#queue.head?.kind;
  }

  /** Whether the server has said its last word. */
  get fatal(): boolean {
    return this.#fatal;
  }

  /** What must be sent to the server in place of the frontend message told last, which is denied. Asked for once. */
  takeInstead(): Buffer | undefined {
    const instead = this.#instead;
    this.#instead = undefined;
    return instead;
  }

  /** The denial that the client must be sent in place of the backend message told last. Asked for once. */
  takeRefusal(): Decision | undefined {
    const refusal = this.#refusal;
    this.#refusal = undefined;
    return refusal;
  }

  /** What the client must be sent in place of the backend message told last: the proxy's own answer. Asked for once. */
  takeShown(): Buffer | undefined {
    const shown = this.#shown;
    this.#shown = undefined;
    return shown;
  }

  /** Whether the proxy itself answers what the client has prepared under this name. */
  isShown(statement: string): boolean {
    return this.#shows && this.#sent.prepared.get(statement)?.shown !== undefined;
  }

  // --- frontend messages -------------------------------------------------------------------------------------------

  query(text: Buffer, size: number): number {
    if (this.#skipping) return 0;
    const { settled } = this.#queue;
    const statements = this.#analyze(text);
    const { gate } = this.#around;
    const shown = shownBy(statements);
    if (shown !== undefined) return this.#queryShown(shown, text);
    const judged = gate?.query(gate.reading(text, statements));
    gate?.asked();
    const executions: Execution[] = [];
    for (const [i, statement] of statements.entries()) {
      if (judged !== undefined && judged.denied >= 0 && i !== judged.denied) continue;
      const sql = text.subarray(statement.start, statement.end);
      const last = i + 1 === statements.length;
      const commented = text.subarray(statements[i - 1]?.end ?? 0, last ? text.length : statement.end);
      const subject: Subject = { protocol: "simple", statement, sql, commented, functionOid: undefined };
      const execution = this.ledger.begin(subject, undefined);
      executions.push(execution);
      if (judged !== undefined) permit(execution, judged.decisions[i]!);
    }
    const denial = judged?.decisions[judged.denied];
    if (denial !== undefined) {
      executions[0]!.bytesIn = size;
      this.#instead = REJECTED_QUERY;
      this.#sent.dropUnnamed();
      this.#queue.push({
        kind: "query",
        text,
        executions,
        next: 0,
        failed: false,
        wait: 0,
        unsettles: true,
        denial,
      });
      return 0;
    }
    if (executions[0] !== undefined) executions[0].bytesIn = size;
    let wait = 0;
    try {
      for (const execution of executions) wait = Math.max(wait, this.ledger.intend(execution, settled));
    } catch (error) {
      // The spool takes no more: none of them is forwarded, so none of them happens.
      for (const execution of executions) this.ledger.drop(execution);
      throw error;
    }
    this.#sent.dropUnnamed();
    const unsettles = !settled || statements.some(mayUnsettle);
    this.#queue.push({ kind: "query", text, executions, next: 0, failed: false, wait, unsettles });
    return wait;
  }

  parse(name: string, text: Buffer): number {
    if (this.#skipping) return 0;
    // Kept as long as the statement lives; a view would keep the whole chunk it came in.
    const own = Buffer.from(text);
    const statements = this.#analyze(own);
    const only = statements.length === 1 ? statements[0] : undefined;
    const sql = only === undefined ? own : own.subarray(only.start, only.end);
    const subject: Subject = { protocol: "extended", statement: only, sql, commented: own, functionOid: undefined };
    const { gate } = this.#around;
    const judged = gate?.reading(own, statements) ?? statements;
    const shown = shownBy(statements);
    const prepared: Prepared = { subject, segment: this.#segment, settled: this.#queue.settled, judged, shown };
    if (shown !== undefined) {
      this.#show();
      this.#instead = emptyParse(name);
    }
    const decided = shown === undefined ? gate?.parse(judged) : undefined;
    if (decided?.allowed === false) {
      this.#instead = rejectedParse(name);
      if (name === "") this.#sent.prepared.delete("");
      this.#queue.push({ kind: "parse", name, prepared, denial: decided });
      return 0;
    }
    // The server refuses to replace a named statement (42P05), so such a Parse changes nothing.
    if (name === "" || !this.#sent.prepared.has(name)) this.#sent.prepared.set(name, prepared);
    this.#queue.push({ kind: "parse", name, prepared });
    return 0;
  }

  /** @param format of the first column of the result; matters only to what the proxy itself answers */
  bind(
    portalName: string,
    statement: string,
    parameters: Parameters | undefined,
    size: number,
    format: number = 0,
  ): number {
    if (this.#skipping) return 0;
    const prepared = this.#sent.prepared.get(statement);
    // With parameters it is the server that says that there are none.
    if (prepared?.shown !== undefined && parameters === undefined)
      return this.#bindShown(portalName, statement, prepared, prepared.shown, format);
    const portal: Portal = {
      statement,
      prepared,
      segment: this.#segment,
      parameters,
      bytes: size,
      suspended: undefined,
    };
    // Likewise (42P03).
    if (portalName === "" || !this.#sent.portals.has(portalName)) this.#sent.portals.set(portalName, portal);
    this.#queue.push({ kind: "bind", name: portalName, statement, portal });
    return 0;
  }

  describe(what: "statement" | "portal", name: string): number {
    if (this.#skipping) return 0;
    const shown = what === "portal" ? this.#sent.portals.get(name)?.shown : undefined;
    if (shown !== undefined) return this.#stand(PLACEHOLDER, () => rowDescription(shown.what, shown.format));
    this.#queue.push({ kind: "describe", what, name });
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
    const shown = portal?.shown;
    if (shown !== undefined) {
      return this.#stand(PLACEHOLDER, () => {
        if (shown.done) return COMPLETE;
        shown.done = true;
        return row(this.ledger.show(shown.what));
      });
    }
    const suspended = portal?.suspended;
    const carriedOn = suspended !== undefined;
    const decided = this.#decideExecute(name, portal, carriedOn);
    if (decided?.allowed === false) return this.#denyExecute(name, portal, size, decided);
    const execution = suspended ?? this.#executionOf(portal);
    if (decided !== undefined && !carriedOn) permit(execution, decided);
    if (!carriedOn) execution.bytesIn += size;
    const certain = this.#isCertain(name, portal);
    // Of empty text too, which executes nothing: what the client believes to be empty may not be.
    const wait = carriedOn ? 0 : this.ledger.intend(execution, certain);
    const unsettles = !certain || mayUnsettle(execution.subject.statement);
    this.#queue.push({ kind: "execute", name, execution, carriedOn, resolved: false, size, wait, unsettles });
    return wait;
  }

  /** Whether a FunctionCall may be executed: asked before any of it is passed on; then told. */
  decideCall(): Decision | undefined {
    return this.#skipping ? undefined : this.#around.gate?.functionCall();
  }

  functionCall(oid: number, parameters: Parameters | undefined, size: number, decided?: Decision): number {
    if (this.#skipping) return 0;
    this.#around.gate?.asked();
    const subject: Subject = { protocol: "function", statement: undefined, sql: undefined, functionOid: oid };
    const execution = this.ledger.begin(subject, parameters);
    execution.bytesIn = size;
    const pending = { kind: "function", execution, answered: false, failed: false, unsettles: true } as const;
    if (decided?.allowed === false) {
      this.#instead = REJECTED_CALL;
      this.#queue.push({ ...pending, wait: 0, denial: decided });
      return 0;
    }
    if (decided !== undefined) permit(execution, decided);
    const wait = this.ledger.intend(execution, true);
    this.#queue.push({ ...pending, wait });
    return wait;
  }

  sync(): number {
    // PostgreSQL, COPY operations: the backend ignores Flush and Sync while it reads copy data.
    if (this.#copyIn) return 0;
    this.#skipping = false;
    this.#segment += 1;
    this.#around.gate?.asked();
    this.#queue.push({ kind: "sync", failed: false });
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

  // --- what the proxy itself answers -------------------------------------------------------------------------------

  /**
   * The server is sent something that succeeds and does nothing, and its answer is replaced. So the proxy's own answer
   * comes in its turn, and is skipped behind an error as any other. No rule is asked, and nothing is recorded: nothing
   * was executed.
   */
  #stand(message: Buffer, answer: () => Buffer): number {
    this.#instead = message;
    this.#queue.push({ kind: "shown", answer });
    return 0;
  }

  #queryShown(shown: Shown, text: Buffer): number {
    this.#show();
    this.#around.gate?.asked();
    this.#instead = EMPTY_QUERY;
    this.#sent.dropUnnamed();
    this.#queue.push({
      kind: "query",
      text,
      executions: [],
      next: 0,
      failed: false,
      wait: 0,
      unsettles: false,
      shown,
    });
    return 0;
  }

  /** The server refuses a Bind of empty text in a failed transaction, so a Close of the same portal stands for it. */
  #bindShown(name: string, statement: string, prepared: Prepared, what: Shown, format: number): number {
    const portal: Portal = {
      statement,
      prepared,
      segment: this.#segment,
      parameters: undefined,
      bytes: 0,
      suspended: undefined,
      shown: { what, format, done: false },
    };
    this.#sent.portals.set(name, portal);
    return this.#stand(closePortal(name), () => {
      this.#bound(name, statement, portal);
      return BIND_COMPLETE;
    });
  }

  #show(): void {
    if (this.#shows) return;
    this.#shows = true;
    this.#around.shows();
  }

  /**
   * All that the Execute may turn out to execute must be allowed: what the client believes to have under the name, and
   * what the server has confirmed, which it still has if something in between fails.
   */
  #decideExecute(name: string, portal: Portal | undefined, carriedOn: boolean): Decision | undefined {
    const { gate } = this.#around;
    if (gate === undefined) return undefined;
    const candidates = [portal?.prepared?.judged];
    if (!carriedOn && !this.#isCertain(name, portal)) {
      const confirmed = this.#confirmed.portals.get(name);
      if (confirmed?.prepared !== undefined) candidates.push(confirmed.prepared.judged);
      const prepared = portal === undefined ? undefined : this.#confirmed.prepared.get(portal.statement);
      if (prepared !== undefined) candidates.push(prepared.judged);
    }
    return gate.execute(candidates, portal?.statement, !carriedOn);
  }

  /** An execution of its own, also where it would carry on another: that one happened, and this one does not. */
  #denyExecute(name: string, portal: Portal | undefined, size: number, denial: Decision): number {
    const execution = this.ledger.begin(subjectOf(portal), portal?.parameters);
    execution.bytesIn = size;
    this.#instead = REJECTED_EXECUTE;
    this.#queue.push({
      kind: "execute",
      name,
      execution,
      carriedOn: false,
      resolved: true,
      size,
      wait: 0,
      unsettles: true,
      denial,
    });
    return 0;
  }

  // --- backend messages --------------------------------------------------------------------------------------------

  /** Whether the row, or the piece of COPY, that comes now is one more than its statement may return. */
  isBeyond(kind: "row" | "copy"): boolean {
    const execution = this.#current();
    const quota = execution?.quota;
    if (execution === undefined || quota === undefined) return false;
    if ((kind === "row" ? execution.rows : quota.copied) < quota.rows) {
      if (kind === "copy") quota.copied += 1;
      return false;
    }
    if (!quota.exceeded) {
      quota.exceeded = true;
      this.#around.cancel(execution);
    }
    return true;
  }

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
        this.#around.gate?.deallocated(head.name);
        this.#queue.shift();
        return;
      case "bindComplete":
        if (head?.kind !== "bind") break;
        this.#bound(head.name, head.statement, head.portal);
        this.#queue.shift();
        return;
      case "closeComplete":
        if (head?.kind === "shown") {
          this.#shown = head.answer();
          this.#queue.shift();
          return;
        }
        if (head?.kind !== "close") break;
        if (head.what === "statement") this.#confirmed.prepared.delete(head.name);
        else this.#endPortal(this.#confirmed.closePortal(head.name));
        this.#queue.shift();
        return;
      case "rowDescription":
        if (head?.kind === "describe") {
          this.#queue.shift();
          return;
        }
        if (head?.kind !== "query" || head.failed) break;
        this.#currentOfQuery(head).bytesOut += size;
        return;
      case "noData": {
        if (head?.kind !== "describe") break;
        const shown = head.what === "statement" ? this.#confirmed.prepared.get(head.name)?.shown : undefined;
        if (shown !== undefined) this.#shown = rowDescription(shown, 0);
        this.#queue.shift();
        return;
      }
      case "commandComplete":
        this.#completed(tag);
        return;
      case "emptyQueryResponse":
        if (head?.kind === "query") {
          const { shown } = head;
          if (shown !== undefined)
            this.#shown = Buffer.concat([rowDescription(shown, 0), row(this.ledger.show(shown))]);
          return;
        }
        // What was suspended has begun, so it was not empty.
        if (head?.kind !== "execute" || this.#confirmed.portals.get(head.name)?.suspended !== undefined) break;
        this.#resolve(head);
        this.ledger.drop(head.execution);
        this.#queue.shift();
        return;
      case "portalSuspended": {
        if (head?.kind !== "execute") break;
        this.#resolve(head);
        const { execution } = head;
        this.#portalOf(head).suspended = execution.quota?.exceeded ? undefined : execution;
        if (execution.quota?.exceeded) this.#refuse(execution, execution.quota.beyond);
        this.#queue.shift();
        return;
      }
      case "copyInResponse":
        if (this.#current() === undefined) break;
        this.#copyIn = !this.#queue.swallowSyncs();
        return;
      case "functionCallResponse":
        if (head?.kind !== "function" || head.answered) break;
        head.execution.bytesOut += size;
        this.ledger.finish(head.execution, { outcome: "completed" });
        head.answered = true;
        this.#leavesOpen(head.execution);
        return;
      default:
    }
    throw outOfStep(name, head);
  }

  error(error: ServerError): void {
    this.#uncommitted = undefined;
    if (error.severity === "FATAL" || error.severity === "PANIC") this.#fatal = true;
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
      if (!head.failed)
        for (const rest of head.executions.slice(head.next)) this.ledger.finish(rest, { outcome: "unknown" });
      this.#endPortal(this.#confirmed.dropUnnamed());
    } else if (head.kind === "function" && !head.answered) {
      this.ledger.finish(head.execution, { outcome: "unknown" });
    }
    this.#uncommitted = undefined;
    this.#queue.shift();
    this.#around.gate?.ready(this.#queue.empty);
    this.ledger.tx = status;
    if (status === "I") {
      this.#endPortals();
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

  /** What is held for the spool will not be forwarded any more: from there on nothing happened. */
  unsent(): void {
    for (const pending of this.#queue.cut((wait) => !this.#around.recorder.isDurable(wait))) this.#dropPending(pending);
  }

  /** Either side is gone: what was forwarded and not answered is unknown; what was still held never happened. */
  end(): void {
    this.unsent();
    const uncommitted = this.#uncommitted;
    this.#uncommitted = undefined;
    if (uncommitted !== undefined)
      this.ledger.finish(this.ledger.begin(uncommitted, undefined), { outcome: "unknown" });
    // Up to the next message of another kind, what the server confirmed tells which portal an Execute meant.
    let known = true;
    for (let head = this.#queue.head; head !== undefined; head = this.#queue.head) {
      known &&= head.kind === "execute";
      if (known && head.kind === "execute") this.#resolve(head);
      const denial = "denial" in head ? head.denial : undefined;
      if (denial !== undefined && head.kind === "parse") this.#denied(head, denial);
      for (const execution of unanswered(head)) {
        if (execution.ended) continue;
        if (denial === undefined) this.ledger.finish(execution, { outcome: "unknown" });
        else this.ledger.deny(execution, denial);
      }
      this.#queue.shift();
    }
    this.#endPortals();
  }

  // --- inside ------------------------------------------------------------------------------------------------------

  #analyze(text: Buffer): readonly Statement[] {
    const { analyzer, utf8, standardStrings } = this.#around;
    return analyzer.analyze(text, utf8() ? "utf8" : "other", standardStrings());
  }

  /**
   * Whether the server, when it comes to this Execute, has under these names what the client believes. It may not when
   * they were given in an earlier segment that is still unanswered: an error there skips what gave them, and not this.
   */
  #isCertain(name: string, portal: Portal | undefined): boolean {
    const prepared = portal?.prepared;
    if (portal === undefined || prepared === undefined) return false;
    if (!prepared.settled) return false;
    if (this.#confirmed.portals.get(name) === portal) return true;
    if (portal.segment !== this.#segment) return false;
    return prepared.segment === this.#segment || this.#confirmed.prepared.get(portal.statement) === prepared;
  }

  /** Outside of a transaction block the server answers before it commits; only ReadyForQuery says that it did. */
  #leavesOpen({ subject }: Execution): void {
    const { statement, protocol } = subject;
    if (this.ledger.tx !== "I" || statement?.provenRead === true || statement?.class === "session") return;
    this.#uncommitted = protocol === "simple" ? COMMIT_OF_QUERY : COMMIT_AT_SYNC;
  }

  #executionOf(portal: Portal | undefined): Execution {
    const execution = this.ledger.begin(subjectOf(portal), portal?.parameters);
    if (portal !== undefined) {
      execution.bytesIn = portal.bytes;
      portal.bytes = 0;
    }
    return execution;
  }

  /** The execution that the head of the queue is at; undefined when the head executes nothing. */
  #current(): Execution | undefined {
    const head = this.#queue.head;
    if (head === undefined) return undefined;
    switch (head.kind) {
      case "query":
        return head.failed ? undefined : this.#currentOfQuery(head);
      case "execute":
        this.#resolve(head);
        return head.execution;
      case "function":
        return head.answered ? undefined : head.execution;
      default:
        return undefined;
    }
  }

  #currentOfQuery(head: Pending & { kind: "query" }): Execution {
    const known = head.executions[head.next];
    if (known !== undefined) return known;
    // The server sees more statements in the text than our grammar: each is recorded, under the whole text.
    const subject: Subject = { protocol: "simple", statement: undefined, sql: head.text, functionOid: undefined };
    const extra = this.ledger.begin(subject, undefined);
    head.executions.push(extra);
    return extra;
  }

  /**
   * The first answer to an Execute is here, so the portal is known for certain now. When the client was ahead of an
   * error, it may not be the one the intent was written for; and it may be one that was suspended.
   */
  #resolve(head: Pending & { kind: "execute" }): void {
    if (head.resolved) return;
    head.resolved = true;
    const portal = this.#confirmed.portals.get(head.name);
    const { execution: assumed, carriedOn } = head;
    const suspended = portal?.suspended;
    if (suspended !== undefined) {
      suspended.bytesIn += carriedOn ? head.size : assumed.bytesIn;
      if (!carriedOn) this.ledger.drop(assumed);
      head.execution = suspended;
      return;
    }
    if (!carriedOn && (portal === undefined || subjectOf(portal) === assumed.subject)) return;
    const actual =
      portal === undefined
        ? this.ledger.begin(assumed.subject, assumed.parameters)
        : this.ledger.begin(subjectOf(portal), portal.parameters);
    actual.bytesIn = carriedOn ? head.size : assumed.bytesIn;
    actual.decided = assumed.decided;
    actual.quota = assumed.quota;
    head.execution = actual;
    try {
      const wait = this.ledger.intend(actual, true);
      // It is under way already: its answer at least must wait.
      this.ledger.hold(wait);
    } catch (error) {
      // The spool takes no more intents. Its entry is written when it ends, which is always possible.
      if (!(error instanceof ProxyError)) throw error;
    }
    if (!carriedOn) this.ledger.drop(assumed);
  }

  /** The portal that an Execute was answered for; one that was opened by SQL (DECLARE CURSOR) was not seen before. */
  #portalOf(head: Pending & { kind: "execute" }): Portal {
    const known = this.#confirmed.portals.get(head.name);
    if (known !== undefined) return known;
    const segment = this.#segment;
    const portal = {
      statement: "",
      prepared: undefined,
      segment,
      parameters: undefined,
      bytes: 0,
      suspended: undefined,
    };
    this.#confirmed.portals.set(head.name, portal);
    if (!this.#sent.portals.has(head.name)) this.#sent.portals.set(head.name, portal);
    return portal;
  }

  #bound(name: string, statement: string, sent: Portal): void {
    const prepared = this.#confirmed.prepared.get(statement);
    this.#endPortal(this.#confirmed.closePortal(name));
    // The same object as the client's view, unless the client was wrong about the statement.
    this.#confirmed.portals.set(name, sent.prepared === prepared ? sent : { ...sent, prepared });
  }

  #completed(tag: string | undefined): void {
    const head = this.#queue.head;
    const execution = this.#current();
    if (head === undefined || execution === undefined || head.kind === "function") {
      throw outOfStep("commandComplete", head);
    }
    if (execution.quota?.exceeded) this.#refuse(execution, execution.quota.beyond);
    else this.ledger.finish(execution, { outcome: "completed", tag });
    this.#copyIn = false;
    this.#applyEffect(execution.subject);
    if (head.kind === "query") {
      head.next += 1;
      // Behind the last statement it has committed before it says so.
      if (head.next < head.executions.length) this.#leavesOpen(execution);
      else this.#uncommitted = undefined;
      return;
    }
    if (head.kind === "execute") {
      this.#leavesOpen(execution);
      const portal = this.#confirmed.portals.get(head.name);
      if (portal !== undefined) portal.suspended = undefined;
      this.#queue.shift();
    }
  }

  /** Statements can be prepared and forgotten by SQL too; then what Parse had put under the name is not what runs. */
  #applyEffect(subject: Subject): void {
    const effect = subject.statement?.effect;
    switch (effect?.kind) {
      case "prepare":
        this.#forget(effect.name);
        this.#around.gate?.prepared(effect.name, effect.inner);
        return;
      case "deallocate":
        this.#around.gate?.deallocated(effect.name);
        if (effect.name !== undefined) this.#forget(effect.name);
        else for (const name of [...this.#confirmed.prepared.keys()]) this.#forget(name);
        return;
      case "discard":
        if (effect.what !== "all") return;
        this.#around.gate?.deallocated();
        for (const name of [...this.#confirmed.prepared.keys()]) this.#forget(name);
        return;
      default:
    }
  }

  /** What was parsed under the name since, behind it in the pipeline, stays. */
  #forget(name: string): void {
    const known = this.#confirmed.prepared.get(name);
    this.#confirmed.prepared.delete(name);
    if (known !== undefined && this.#sent.prepared.get(name) === known) this.#sent.prepared.delete(name);
  }

  /** @returns whether the server now skips up to Sync */
  #failHead(head: Pending | undefined, error: ServerError): boolean {
    const { values } = this.#around;
    const denial = head !== undefined && "denial" in head ? head.denial : undefined;
    if (head !== undefined && denial !== undefined) {
      // Before it closes, the server's own word comes first.
      if (error.severity === "ERROR") this.#refusal = denial;
      return this.#denied(head, denial);
    }
    const beyond = this.#exceeded(head);
    if (beyond !== undefined && error.severity === "ERROR") this.#refusal = beyond;
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
        // All were answered, and only then the server went down; or it has more to say about what failed.
        const answered = head.executions.length > 0 && head.next >= head.executions.length;
        if (head.failed || (answered && error.severity !== "ERROR")) return false;
        if (beyond === undefined) this.ledger.finish(this.#currentOfQuery(head), result());
        else this.ledger.deny(this.#currentOfQuery(head), beyond);
        for (const rest of head.executions.slice(head.next + 1)) this.ledger.drop(rest);
        head.failed = true;
        return false;
      }
      case "function":
        if (!head.answered) this.ledger.finish(head.execution, result());
        // The call was answered, and the end of its implicit transaction failed.
        else if (!head.failed) this.ledger.finish(this.ledger.begin(COMMIT_AT_SYNC, undefined), result());
        head.answered = true;
        head.failed = true;
        return false;
      case "shown":
        return true;
      case "sync":
        if (!head.failed) this.ledger.finish(this.ledger.begin(COMMIT_AT_SYNC, undefined), result());
        head.failed = true;
        return false;
      case "execute": {
        this.#resolve(head);
        if (beyond === undefined) this.ledger.finish(head.execution, result());
        else this.ledger.deny(head.execution, beyond);
        const portal = this.#confirmed.portals.get(head.name);
        if (portal !== undefined) portal.suspended = undefined;
        return true;
      }
      case "parse":
        // The server forgets the unnamed statement before it looks at the next one.
        if (head.name === "") this.#confirmed.prepared.delete("");
        this.ledger.finish(this.ledger.begin(head.prepared.subject, undefined), result());
        return true;
      case "bind": {
        const subject = this.#confirmed.prepared.get(head.statement)?.subject ?? NOT_SEEN;
        this.ledger.finish(this.ledger.begin(subject, head.portal.parameters), result());
        return true;
      }
      case "describe":
      case "close": {
        const { prepared, portals } = this.#confirmed;
        const named = head.what === "statement" ? prepared.get(head.name) : portals.get(head.name)?.prepared;
        this.ledger.finish(this.ledger.begin(named?.subject ?? NOT_SEEN, undefined), result());
        return true;
      }
    }
  }

  /** The server rejected what stood for it. @returns whether the server now skips up to Sync */
  #denied(head: Pending, denial: Decision): boolean {
    switch (head.kind) {
      case "query":
        if (!head.failed) this.ledger.deny(head.executions[0]!, denial);
        head.failed = true;
        return false;
      case "function":
        if (!head.failed) this.ledger.deny(head.execution, denial);
        head.answered = true;
        head.failed = true;
        return false;
      case "parse":
        if (head.name === "") this.#confirmed.prepared.delete("");
        this.ledger.deny(this.ledger.begin(head.prepared.subject, undefined), denial);
        return true;
      case "execute":
        this.ledger.deny(head.execution, denial);
        return true;
      default:
        throw new Error(`a ${head.kind} was denied`);
    }
  }

  /** The head of the queue returned more than it may: what the client is told. */
  #exceeded(head: Pending | undefined): Decision | undefined {
    if (head?.kind !== "query" && head?.kind !== "execute") return undefined;
    if (head.kind === "query" && (head.failed || head.next >= head.executions.length)) return undefined;
    const quota = this.#current()?.quota;
    return quota?.exceeded ? quota.beyond : undefined;
  }

  /** It ended before it was cancelled; the client is told all the same. */
  #refuse(execution: Execution, denial: Decision): void {
    this.#refusal = denial;
    this.ledger.deny(execution, denial);
  }

  /** What was suspended in it ends with it. */
  #endPortal(portal: Portal | undefined): void {
    const execution = portal?.suspended;
    if (portal === undefined || execution === undefined) return;
    portal.suspended = undefined;
    if (!execution.ended) this.ledger.finish(execution, { outcome: "completed" });
  }

  #endPortals(): void {
    for (const portal of this.#confirmed.portals.values()) this.#endPortal(portal);
    this.#confirmed.portals.clear();
  }

  #dropPending(pending: Pending): void {
    const suspended = pending.kind === "execute" ? this.#confirmed.portals.get(pending.name)?.suspended : undefined;
    for (const execution of unanswered(pending)) {
      // What was suspended did happen; only its continuation does not.
      if (execution !== suspended) this.ledger.drop(execution);
    }
  }
}

function permit(execution: Execution, decided: Decision): void {
  execution.decided = decided.members;
  execution.quota = quotaOf(decided);
}

const NOT_SEEN: Subject = { protocol: "extended", statement: undefined, sql: undefined, functionOid: undefined };

function subjectOf(portal: Portal | undefined): Subject {
  return portal?.prepared?.subject ?? NOT_SEEN;
}

function unanswered(pending: Pending): readonly Execution[] {
  switch (pending.kind) {
    case "query":
      return pending.failed ? [] : pending.executions.slice(pending.next);
    case "function":
      return pending.answered ? [] : [pending.execution];
    case "execute":
      return [pending.execution];
    default:
      return [];
  }
}

/** Whether it may change how later texts are to be read, or what a prepared name stands for. */
function mayUnsettle(statement: Statement | undefined): boolean {
  if (statement === undefined) return true;
  const { provenRead, effect, class: kind } = statement;
  if (effect !== undefined) {
    return effect.kind !== "transaction" || !["begin", "savepoint", "release"].includes(effect.verb);
  }
  return !provenRead && kind !== "read" && kind !== "write" && kind !== "copy";
}

/** Either the server breaks the protocol or we misread it: going on would record the wrong thing. */
function outOfStep(name: BackendName, head: Pending | undefined): ProxyError {
  return new ProxyError(
    "protocol_violation",
    `the server sent ${name} where ${head?.kind ?? "nothing"} was to be answered`,
  );
}

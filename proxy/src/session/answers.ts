import type { Decision } from "../access/index.ts";
import { ProxyError } from "../errors.ts";
import { row, rowDescription } from "../receipts/index.ts";
import type { ServerError } from "../wire/backend.ts";
import type { BackendName } from "../wire/messages.ts";
import type { Exchange } from "./exchange.ts";
import { COMMIT_AT_SYNC, COMMIT_OF_QUERY, type Execution, type Portal, type Subject } from "./execution.ts";
import { Failures } from "./failures.ts";
import { type Pending, unanswered } from "./queue.ts";

/** The server's messages: what each answers, and so how executions end. Told in the order in which they come. */
export class Answers {
  readonly #exchange: Exchange;
  readonly #failures: Failures;
  /** An error put what the client believes ahead of what the server did. */
  #diverged = false;
  #fatal = false;
  /** An execution was answered whose implicit transaction ends later: as what, if the server is lost until then. */
  #uncommitted: Subject | undefined;
  /** As of the last answer; of ReadyForQuery, or of what begins or ends one. */
  #inBlock = false;
  #shown: Buffer | undefined;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
    this.#failures = new Failures(exchange);
  }

  /** Whether the server has said its last word. */
  get fatal(): boolean {
    return this.#fatal;
  }

  /** The denial that the client must be sent in place of the message told last. Asked for once. */
  takeRefusal(): Decision | undefined {
    return this.#failures.takeRefusal();
  }

  /** What the client must be sent in place of the message told last: the proxy's own answer. Asked for once. */
  takeShown(): Buffer | undefined {
    const shown = this.#shown;
    if (shown !== undefined) this.#shown = undefined;
    return shown;
  }

  /** Whether what comes now is more than its statement may return. @param size of its message, header included */
  isBeyond(kind: "row" | "copy" | "result", size: number): boolean {
    return this.#failures.isBeyond(kind, size);
  }

  dataRow(size: number): void {
    const execution = this.#exchange.current();
    if (execution === undefined) throw outOfStep("dataRow", this.#exchange.queue.head);
    execution.rows += 1;
    execution.bytesOut += size;
  }

  copyOutData(size: number): void {
    const execution = this.#exchange.current();
    if (execution === undefined) throw outOfStep("copyData", this.#exchange.queue.head);
    execution.bytesOut += size;
  }

  /** An answer other than data: completes, or moves on, what the head of the queue asked for. */
  answer(name: BackendName, size: number, tag: string | undefined): void {
    const { queue, confirmed, ledger, around } = this.#exchange;
    const { head } = queue;
    // A Sync that was not swallowed is answered before anything else is.
    this.#exchange.swallowed = 0;
    switch (name) {
      case "parseComplete":
        if (head?.kind !== "parse") break;
        confirmed.prepared.set(head.name, head.prepared);
        around.gate?.deallocated(head.name);
        queue.shift();
        return;
      case "bindComplete":
        if (head?.kind !== "bind") break;
        this.#exchange.bound(head.name, head.statement, head.portal);
        queue.shift();
        return;
      case "closeComplete":
        if (head?.kind === "shown") {
          this.#shown = head.answer();
          queue.shift();
          return;
        }
        if (head?.kind !== "close") break;
        if (head.what === "statement") confirmed.prepared.delete(head.name);
        else this.#exchange.endPortal(confirmed.closePortal(head.name));
        queue.shift();
        return;
      case "rowDescription":
        if (head?.kind === "describe") {
          queue.shift();
          return;
        }
        if (head?.kind !== "query" || head.failed) break;
        this.#exchange.currentOfQuery(head).bytesOut += size;
        return;
      case "noData": {
        if (head?.kind !== "describe") break;
        const shown = head.what === "statement" ? confirmed.prepared.get(head.name)?.shown : undefined;
        if (shown !== undefined) this.#shown = rowDescription(shown, 0);
        queue.shift();
        return;
      }
      case "commandComplete":
        this.#completed(tag);
        return;
      case "emptyQueryResponse":
        if (head?.kind === "query") {
          const { shown } = head;
          head.begun = true;
          if (shown !== undefined) this.#shown = Buffer.concat([rowDescription(shown, 0), row(ledger.show(shown))]);
          return;
        }
        // What was suspended has begun, so it was not empty.
        if (head?.kind !== "execute" || confirmed.portals.get(head.name)?.suspended !== undefined) break;
        this.#exchange.resolve(head);
        ledger.drop(head.execution);
        queue.shift();
        return;
      case "portalSuspended":
        if (head?.kind !== "execute") break;
        this.#suspended(head);
        return;
      case "copyInResponse":
        if (this.#exchange.current() === undefined) break;
        this.#entersCopy();
        return;
      case "functionCallResponse":
        if (head?.kind !== "function" || head.answered) break;
        this.#returned(head.execution, size);
        head.answered = true;
        this.#leavesOpen(head.execution);
        return;
      default:
    }
    throw outOfStep(name, head);
  }

  error(error: ServerError): void {
    const exchange = this.#exchange;
    this.#uncommitted = undefined;
    if (error.severity === "FATAL" || error.severity === "PANIC") this.#fatal = true;
    this.#leavesCopy(error);
    const extended = this.#failures.fail(exchange.queue.head, error);
    if (!extended) return;
    // PostgreSQL, Extended Query: after an error the backend reads and discards messages until a Sync.
    this.#diverged = true;
    exchange.queue.shift();
    for (;;) {
      const next = exchange.queue.head;
      if (next === undefined) {
        exchange.skipping = true;
        return;
      }
      if (next.kind === "sync") return;
      if (exchange.swallowed > 0 && unanswered(next).length > 0) throw inDoubt();
      exchange.drop(next);
      exchange.queue.shift();
    }
  }

  readyForQuery(status: string): void {
    const { queue, ledger, sent, confirmed, around } = this.#exchange;
    const { head } = queue;
    if (this.#exchange.swallowed > 0 && !isDue(head)) {
      this.#readyAfterAll(status);
      return;
    }
    if (head?.kind !== "query" && head?.kind !== "sync" && head?.kind !== "function") {
      throw outOfStep("readyForQuery", head);
    }
    if (head.kind === "query") {
      if (!head.failed)
        for (const rest of head.executions.slice(head.next)) ledger.finish(rest, { outcome: "unknown" });
      this.#exchange.endPortal(confirmed.dropUnnamed());
    } else if (head.kind === "function" && !head.answered) {
      ledger.finish(head.execution, { outcome: "unknown" });
    }
    this.#uncommitted = undefined;
    this.#inBlock = status !== "I";
    queue.shift();
    around.gate?.ready(queue.empty);
    ledger.tx = status;
    if (status === "I") this.#exchange.endPortals();
    if (!queue.empty) return;
    if (this.#diverged) {
      sent.copyFrom(confirmed);
      this.#diverged = false;
    } else if (status === "I") sent.portals.clear();
  }

  /** The server is gone, or nobody listens to it any more: what was forwarded and not answered is unknown. */
  end(): void {
    const { queue, ledger } = this.#exchange;
    const uncommitted = this.#uncommitted;
    this.#uncommitted = undefined;
    if (uncommitted !== undefined) ledger.finish(ledger.begin(uncommitted, undefined), { outcome: "unknown" });
    // Up to the next message of another kind, what the server confirmed tells which portal an Execute meant.
    let known = true;
    for (let { head } = queue; head !== undefined; head = queue.head) {
      known &&= head.kind === "execute";
      if (known && head.kind === "execute") this.#exchange.resolve(head);
      const denial = "denial" in head ? head.denial : undefined;
      if (denial !== undefined && head.kind === "parse") this.#failures.denied(head, denial);
      for (const execution of unanswered(head)) {
        if (execution.ended) continue;
        if (denial === undefined) ledger.finish(execution, { outcome: "unknown" });
        else ledger.deny(execution, denial);
      }
      queue.shift();
    }
    this.#exchange.endPortals();
  }

  // --- inside ------------------------------------------------------------------------------------------------------

  #entersCopy(): void {
    const exchange = this.#exchange;
    const execution = exchange.current();
    if (execution !== undefined) execution.bytesIn += exchange.queue.entersCopy();
    const { syncs, ended } = exchange.queue.swallowSyncs();
    exchange.copyIn = !ended;
    exchange.copying = true;
    exchange.swallowed = syncs;
  }

  /** By an error, if it is in COPY. */
  #leavesCopy({ sqlstate }: ServerError): void {
    const exchange = this.#exchange;
    // It came to what is no copy data, and ends (08P01); or, where no data was sent, it had not begun to read.
    const { head } = exchange.queue;
    const copied = head !== undefined && "copied" in head;
    const known = !exchange.copying || sqlstate === "08P01" || !copied;
    if (exchange.copying && known && sqlstate !== "08P01") exchange.queue.giveBackSyncs(exchange.swallowed);
    if (known) exchange.swallowed = 0;
    exchange.copying = false;
    exchange.copyIn = false;
  }

  /** It answers a Sync that it seemed to have swallowed, and with that goes on. */
  #readyAfterAll(status: string): void {
    const exchange = this.#exchange;
    exchange.swallowed -= 1;
    exchange.skipping = false;
    this.#uncommitted = undefined;
    this.#inBlock = status !== "I";
    if (exchange.queue.empty) exchange.around.gate?.ready(true);
    exchange.ledger.tx = status;
    if (status === "I") exchange.endPortals();
  }

  #completed(tag: string | undefined): void {
    const { queue, ledger, confirmed } = this.#exchange;
    const { head } = queue;
    const execution = this.#exchange.current();
    if (head === undefined || execution === undefined || head.kind === "function") {
      throw outOfStep("commandComplete", head);
    }
    const beyond = execution.quota?.beyond;
    if (beyond !== undefined) this.#failures.refuse(execution, beyond);
    else ledger.finish(execution, { outcome: "completed", tag });
    this.#exchange.copyIn = false;
    this.#exchange.copying = false;
    this.#applyEffect(execution.subject);
    if (head.kind === "query") {
      head.begun = true;
      head.next += 1;
      // Behind the last statement it has committed before it says so.
      if (head.next < head.executions.length) this.#leavesOpen(execution);
      else this.#uncommitted = undefined;
      return;
    }
    if (head.kind === "execute") {
      this.#leavesOpen(execution);
      const portal = confirmed.portals.get(head.name);
      if (portal !== undefined) portal.suspended = undefined;
      queue.shift();
    }
  }

  /** A FunctionCall has its result. @param size of the message that brought it */
  #returned(execution: Execution, size: number): void {
    const beyond = execution.quota?.beyond;
    if (beyond !== undefined) {
      this.#failures.refuse(execution, beyond);
      return;
    }
    execution.bytesOut += size;
    this.#exchange.ledger.finish(execution, { outcome: "completed" });
  }

  #suspended(head: Pending & { kind: "execute" }): void {
    this.#exchange.resolve(head);
    const { execution } = head;
    const beyond = execution.quota?.beyond;
    const portal = this.#portalOf(head);
    portal.suspended = beyond === undefined ? execution : undefined;
    if (beyond !== undefined) {
      portal.spent = execution.quota!;
      this.#failures.refuse(execution, beyond);
    }
    this.#exchange.queue.shift();
  }

  /** The portal that an Execute was answered for; one that was opened by SQL (DECLARE CURSOR) was not seen before. */
  #portalOf(head: Pending & { kind: "execute" }): Portal {
    const { confirmed, sent, segment } = this.#exchange;
    const known = confirmed.portals.get(head.name);
    if (known !== undefined) return known;
    const nothing = { prepared: undefined, parameters: undefined, suspended: undefined };
    const portal: Portal = { statement: "", segment, bytes: 0, ...nothing };
    confirmed.portals.set(head.name, portal);
    if (!sent.portals.has(head.name)) sent.portals.set(head.name, portal);
    return portal;
  }

  /** Outside of a transaction block the server answers before it commits; only ReadyForQuery says that it did. */
  #leavesOpen({ subject }: Execution): void {
    const { statement, protocol } = subject;
    if (statement?.effect?.kind === "transaction") {
      const { verb, chain } = statement.effect;
      if (verb === "begin") this.#inBlock = true;
      else if (ENDS_BLOCK.has(verb)) this.#inBlock = chain;
      else return;
      // BEGIN makes what stands before it in its implicit transaction the block's; the others end both.
      this.#uncommitted = undefined;
      return;
    }
    if (this.#inBlock || statement?.provenRead === true || statement?.class === "session") return;
    this.#uncommitted = protocol === "simple" ? COMMIT_OF_QUERY : COMMIT_AT_SYNC;
  }

  /** Statements can be prepared and forgotten by SQL too; then what Parse had put under the name is not what runs. */
  #applyEffect({ statement }: Subject): void {
    const effect = statement?.effect;
    if (effect === undefined) return;
    const { around, confirmed } = this.#exchange;
    switch (effect.kind) {
      case "prepare":
        this.#forget(effect.name);
        around.gate?.prepared(effect.name, effect.inner);
        return;
      case "deallocate":
        around.gate?.deallocated(effect.name);
        if (effect.name !== undefined) this.#forget(effect.name);
        else for (const name of confirmed.prepared.names()) this.#forget(name);
        return;
      case "discard":
        if (effect.what !== "all") return;
        around.gate?.deallocated();
        for (const name of confirmed.prepared.names()) this.#forget(name);
        return;
      default:
    }
  }

  /** What was parsed under the name since, behind it in the pipeline, stays. */
  #forget(name: string): void {
    const { confirmed, sent } = this.#exchange;
    const known = confirmed.prepared.get(name);
    confirmed.prepared.delete(name);
    if (known !== undefined && sent.prepared.get(name) === known) sent.prepared.delete(name);
  }
}

/** Verbs of transaction statements behind which the block they stand in is over, unless they chain. */
const ENDS_BLOCK: ReadonlySet<string> = new Set(["commit", "rollback", "prepare"]);

/** Whether ReadyForQuery can be its answer now. */
function isDue(head: Pending | undefined): boolean {
  if (head?.kind === "query") return head.begun === true || head.failed;
  return head?.kind === "sync" || (head?.kind === "function" && (head.answered || head.failed));
}

/** Whether the server skips it, or executes it, depends on what it had read when a COPY failed. */
function inDoubt(): ProxyError {
  return new ProxyError("protocol_violation", "behind a COPY that failed stands what may have been executed");
}

/** Either the server breaks the protocol or we misread it: going on would record the wrong thing. */
function outOfStep(name: BackendName, head: Pending | undefined): ProxyError {
  return new ProxyError(
    "protocol_violation",
    `the server sent ${name} where ${head?.kind ?? "nothing"} was to be answered`,
  );
}

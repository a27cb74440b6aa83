import type { Decision } from "../access/index.ts";
import type { ServerError } from "../wire/backend.ts";
import type { Exchange } from "./exchange.ts";
import { COMMIT_AT_SYNC, type Execution, NOT_SEEN, type Result } from "./execution.ts";
import { exceeded } from "./gate.ts";
import type { Pending } from "./queue.ts";

/** What an ErrorResponse, a denial or a limit makes of the message that it answers. */
export class Failures {
  readonly #exchange: Exchange;
  #refusal: Decision | undefined;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  /** The denial that the client must be sent in place of the backend message told last. Asked for once. */
  takeRefusal(): Decision | undefined {
    const refusal = this.#refusal;
    if (refusal !== undefined) this.#refusal = undefined;
    return refusal;
  }

  /**
   * Whether what comes now is more than its statement may return.
   * @param kind a row, a piece of COPY, or the result of a FunctionCall, which is there before it could be cancelled
   * @param size of its message, header included
   */
  isBeyond(kind: "row" | "copy" | "result", size: number): boolean {
    const execution = this.#exchange.current();
    const quota = execution?.quota;
    if (execution === undefined || quota === undefined) return false;
    if (quota.beyond !== undefined) return true;
    const returned = { row: execution.rows, copy: quota.copied, result: 0 }[kind];
    const limit = returned >= quota.rows ? "rows" : execution.bytesOut + size > quota.bytes ? "bytes" : undefined;
    if (limit === undefined) {
      if (kind === "copy") quota.copied += 1;
      return false;
    }
    quota.beyond = exceeded(quota, limit);
    if (kind !== "result") this.#exchange.around.cancel(execution);
    return true;
  }

  /** It ended before it was cancelled for what it returned; the client is told all the same. */
  refuse(execution: Execution, denial: Decision): void {
    this.#refusal = denial;
    this.#exchange.ledger.deny(execution, denial);
  }

  /** @returns whether the server now skips up to Sync */
  fail(head: Pending | undefined, error: ServerError): boolean {
    const denial = head !== undefined && "denial" in head ? head.denial : undefined;
    if (head !== undefined && denial !== undefined) {
      // Before it closes, the server's own word comes first.
      if (error.severity === "ERROR") this.#refusal = denial;
      return this.denied(head, denial);
    }
    if (head?.kind === "execute" && isNoPortal(error)) this.#exchange.lost(head);
    const beyond = this.#exceeded(head);
    if (beyond !== undefined && error.severity === "ERROR") this.#refusal = beyond;
    return this.#failed(head, error, beyond);
  }

  /** The server rejected what stood for it. @returns whether the server now skips up to Sync */
  denied(head: Pending, denial: Decision): boolean {
    const { confirmed, ledger } = this.#exchange;
    switch (head.kind) {
      case "query":
        if (!head.failed) ledger.deny(head.executions[0]!, denial);
        head.failed = true;
        return false;
      case "function":
        if (!head.failed) ledger.deny(head.execution, denial);
        head.answered = true;
        head.failed = true;
        return false;
      case "parse":
        if (head.name === "") confirmed.prepared.delete("");
        ledger.deny(ledger.begin(head.prepared.subject, undefined), denial);
        return true;
      case "execute":
        this.#exchange.executed(confirmed.portals.get(head.name), false);
        ledger.deny(head.execution, denial);
        return true;
      default:
        throw new Error(`a ${head.kind} was denied`);
    }
  }

  #failed(head: Pending | undefined, error: ServerError, beyond: Decision | undefined): boolean {
    const { confirmed, ledger } = this.#exchange;
    const result = (): Result => this.#resultOf(error);
    switch (head?.kind) {
      case undefined:
      case "copy-end":
        // Nothing is unanswered: the server's own word, such as 57P01 before it closes.
        return false;
      case "query": {
        // All were answered, and only then the server went down; or it has more to say about what failed.
        const answered = head.executions.length > 0 && head.next >= head.executions.length;
        if (head.failed || (answered && error.severity !== "ERROR")) return false;
        this.#end(this.#exchange.currentOfQuery(head), error, beyond);
        for (const rest of head.executions.slice(head.next + 1)) ledger.drop(rest);
        head.failed = true;
        return false;
      }
      case "function":
        if (!head.answered) ledger.finish(head.execution, result());
        // The call was answered, and the end of its implicit transaction failed.
        else if (!head.failed) ledger.finish(ledger.begin(COMMIT_AT_SYNC, undefined), result());
        head.answered = true;
        head.failed = true;
        return false;
      case "shown":
        return true;
      case "sync":
        if (!head.failed) ledger.finish(ledger.begin(COMMIT_AT_SYNC, undefined), result());
        head.failed = true;
        return false;
      case "execute": {
        this.#exchange.resolve(head);
        this.#end(head.execution, error, beyond);
        const portal = confirmed.portals.get(head.name);
        if (portal !== undefined) portal.suspended = undefined;
        return true;
      }
      case "parse":
        // The server forgets the unnamed statement before it looks at the next one.
        if (head.name === "") confirmed.prepared.delete("");
        ledger.finish(ledger.begin(head.prepared.subject, undefined), result());
        return true;
      case "bind": {
        const subject = confirmed.prepared.get(head.statement)?.subject ?? NOT_SEEN;
        const announced = head.announced?.execution;
        if (announced?.subject === subject) ledger.finish(announced, result());
        else {
          if (announced !== undefined) ledger.drop(announced);
          ledger.finish(ledger.begin(subject, head.portal.parameters), result());
        }
        return true;
      }
      case "describe":
      case "close": {
        const { prepared, portals } = confirmed;
        const named = head.what === "statement" ? prepared.get(head.name) : portals.get(head.name)?.prepared;
        ledger.finish(ledger.begin(named?.subject ?? NOT_SEEN, undefined), result());
        return true;
      }
    }
  }

  #end(execution: Execution, error: ServerError, beyond: Decision | undefined): void {
    if (beyond === undefined) this.#exchange.ledger.finish(execution, this.#resultOf(error));
    else this.#exchange.ledger.deny(execution, beyond);
  }

  #resultOf({ sqlstate, message, detail, hint }: ServerError): Result {
    const text = [message, detail, hint].filter((line) => line !== undefined).join("\n");
    return {
      outcome: sqlstate === "57014" ? "cancelled" : "failed",
      sqlstate,
      error: this.#exchange.around.values.member("error", text, Buffer.byteLength(text)),
    };
  }

  /** The head of the queue returned more than it may: what the client is told. */
  #exceeded(head: Pending | undefined): Decision | undefined {
    if (head?.kind !== "query" && head?.kind !== "execute") return undefined;
    if (head.kind === "query" && (head.failed || head.next >= head.executions.length)) return undefined;
    return this.#exchange.current()?.quota?.beyond;
  }
}

/** An Execute named a portal that is not there (not: what it executes named a cursor). */
function isNoPortal({ sqlstate, routine }: ServerError): boolean {
  return sqlstate === "34000" && routine === "exec_execute_message";
}

import { parseError, parseReady, type ServerError } from "../wire/backend.ts";
import { BACKEND, FRONTEND } from "../wire/messages.ts";
import { frame } from "../wire/write.ts";
import type { Holder, PooledServer } from "./server.ts";

export interface ChoreResult {
  /** It came to its end, without an error, outside of a transaction. */
  readonly done: boolean;
  readonly error: ServerError | undefined;
}

/** Of an ErrorResponse. */
const KEEP = 8192;

/** @param text of bytes, latin1: what is cut off a greater character could be anything, a quote say */
export function query(text: string): Buffer {
  if (/[^\0-\xff]/.test(text)) throw new Error("a query of the pool's own that is not latin1");
  return frame(FRONTEND.query, Buffer.from(`${text}\0`, "latin1"));
}

/**
 * Something of the pool's own that a server connection does between two holders: nobody sees it.
 * @param queries Query messages; each ends with a ReadyForQuery
 * @param timeoutMs after which it counts as failed
 * @param then called once, when the server has no holder any more
 */
export function chore(
  server: PooledServer,
  queries: readonly Buffer[],
  timeoutMs: number,
  then: (result: ChoreResult) => void,
): void {
  let missing = queries.length;
  let error: ServerError | undefined;
  let status = "";
  const finish = (done: boolean): void => {
    clearTimeout(timer);
    if (server.holder === holder) server.holder = undefined;
    then({ done, error });
  };
  const timer = setTimeout(() => finish(false), timeoutMs);
  const holder: Holder = {
    begin: (type, size) =>
      type === BACKEND.errorResponse || type === BACKEND.readyForQuery ? Math.min(size, KEEP) : 0,
    pass: () => undefined,
    end: (type, _size, head) => {
      if (type === BACKEND.errorResponse) error ??= parseError(head);
      if (type !== BACKEND.readyForQuery) return;
      status = parseReady(head);
      missing -= 1;
      if (missing === 0) finish(error === undefined && status === "I");
    },
    flush: () => undefined,
    drained: () => undefined,
    closed: () => {
      if (missing > 0) finish(false);
    },
  };
  if (server.closed) {
    finish(false);
    return;
  }
  server.holder = holder;
  // A simple Query makes the server forget its unnamed statement, whosever it was.
  if (server.shelf !== undefined) server.shelf.unnamed = undefined;
  server.flow(true);
  server.send(queries);
}

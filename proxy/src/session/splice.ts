import { denialText } from "../access/index.ts";
import type { FrameSink } from "../wire/framer.ts";
import { BACKEND } from "../wire/messages.ts";
import { errorResponse } from "../wire/write.ts";
import type { BackendSide } from "./backend-side.ts";
import type { Session } from "./session.ts";

/** A piece of what the client is sent. */
export interface Piece {
  readonly bytes: Buffer;
  /** A message ends with it. */
  readonly whole: boolean;
}

/** They may come at any time, and are passed on whatever stands around them. */
const ASYNCHRONOUS: ReadonlySet<number> = new Set([
  BACKEND.noticeResponse,
  BACKEND.notificationResponse,
  BACKEND.parameterStatus,
  BACKEND.readyForQuery,
]);

/** Besides those that are read whole anyway. Each is as short as a header, but for its length. */
const REPLACED: ReadonlySet<number> = new Set([
  BACKEND.portalSuspended,
  BACKEND.emptyQueryResponse,
  BACKEND.closeComplete,
  BACKEND.noData,
]);

/** What statements return. */
const RETURNED: ReadonlyMap<number, "row" | "copy" | "result"> = new Map([
  [BACKEND.dataRow, "row"],
  [BACKEND.copyData, "copy"],
  [BACKEND.functionCallResponse, "result"],
]);

/**
 * Stands before the backend side of a session with access rules, or of one that has asked the proxy itself: puts the proxy's own ErrorResponse in the place of the
 * server's where a statement was denied, its own answers where it was asked itself, and keeps back the rows beyond what a statement may return. A message is passed
 * on as soon as its header is complete, and an ErrorResponse when all of it is.
 */
export class Splice implements FrameSink {
  readonly #inner: BackendSide;
  readonly #session: Session;
  #pieces: Piece[] = [];
  /** Of the message that is passing by: bytes still to come. */
  #left = 0;
  #whole = false;
  #keptBack = false;
  /** The client was told of an error that the server knows nothing of: it expects nothing more up to ReadyForQuery. */
  #muted = false;

  constructor(inner: BackendSide, session: Session) {
    this.#inner = inner;
    this.#session = session;
  }

  begin(type: number, size: number): number {
    const keep = this.#inner.begin(type, size);
    this.#left = size;
    // What may have to be replaced is not passed on before it was read.
    this.#whole = keep >= size || REPLACED.has(type);
    const { phase, tracker } = this.#session;
    const { answers } = tracker;
    const kind = RETURNED.get(type);
    const beyond = phase === "ready" && kind !== undefined && answers.isBeyond(kind, size);
    this.#keptBack = beyond || (this.#muted && !ASYNCHRONOUS.has(type));
    return this.#whole ? size : keep;
  }

  pass(piece: Buffer): void {
    this.#left -= piece.length;
    if (!this.#keptBack) this.#pieces.push({ bytes: piece, whole: this.#left === 0 });
  }

  end(type: number, size: number, head: Buffer): void {
    // Rows that are not passed on are not counted as returned.
    const data = type === BACKEND.dataRow || type === BACKEND.copyData;
    if (!(data && this.#keptBack && !this.#muted)) this.#inner.end(type, size, head);
    if (type === BACKEND.readyForQuery) this.#muted = false;
    const { answers } = this.#session.tracker;
    const shown = answers.takeShown();
    const refusal = answers.takeRefusal();
    if (refusal === undefined) {
      if (this.#whole && !this.#keptBack) this.#pieces.push({ bytes: shown ?? head, whole: true });
      return;
    }
    if (this.#muted) return;
    const { message, detail, hint } = denialText(refusal);
    this.#pieces.push({ bytes: errorResponse("ERROR", "access_denied", message, hint, detail), whole: true });
    this.#muted = type !== BACKEND.errorResponse;
  }

  /** What came of the bytes since it was last asked. */
  take(): Piece[] {
    const pieces = this.#pieces;
    this.#pieces = [];
    return pieces;
  }
}

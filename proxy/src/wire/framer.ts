import { ProxyError } from "../errors.ts";
import { showType } from "./messages.ts";

/** Bytes before the body: type (1) and length (4); the length counts itself but not the type. */
export const HEADER_BYTES = 5;

/** A message that comes in crumbs is put together now and then: each piece takes some hundred bytes of its own. */
const CRUMBS = 256;
const CRUMB_BYTES = 4096;

const NOTHING: Buffer = Buffer.alloc(0);

/** What a framer tells its owner, in the order of the stream. */
export interface FrameSink {
  /**
   * A message begins. `size` is all of it, header included.
   * @returns how many of its first bytes `end` shall be given: `size` for the whole message, 0 for none
   * @throws ProxyError to refuse the type or the size before anything is buffered
   */
  begin(type: number, size: number): number;
  /**
   * A piece of a message that `begin` did not ask for whole: straight from the chunk, not copied. Left out by who does not
   * look at pieces: a view for each row of a result takes longer than all the rest that is done with it.
   */
  pass?(piece: Buffer): void;
  /** The message is complete. `head` is what `begin` asked for: a view of the chunk, or a copy if it was split. */
  end(type: number, size: number, head: Buffer): void;
}

/**
 * Cuts a byte stream into messages without copying those that are only relayed. Chunks may be split and glued
 * anywhere, also inside a header.
 */
export class Framer {
  readonly #sink: FrameSink;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerHas = 0;
  #type = 0;
  #size = 0;
  #keep = 0;
  #missing = 0;
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #crumbs = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Whether the stream stands between two messages. */
  get atBoundary(): boolean {
    return this.#missing === 0 && this.#headerHas === 0;
  }

  /** @throws ProxyError `protocol_violation` for an impossible length, and whatever the sink throws */
  feed(chunk: Buffer): void {
    const sink = this.#sink;
    let at = 0;
    while (at < chunk.length) {
      if (this.#missing > 0) {
        at += this.#take(chunk, at);
        continue;
      }
      if (this.#headerHas > 0 || chunk.length - at < HEADER_BYTES) {
        at += this.#takeHeader(chunk, at);
        continue;
      }
      const type = chunk[at]!;
      const size = sizeOf(type, chunk.readUInt32BE(at + 1));
      const keep = sink.begin(type, size);
      if (chunk.length - at < size) {
        this.#start(type, size, keep);
        continue;
      }
      if (keep < size) sink.pass?.(chunk.subarray(at, at + size));
      sink.end(type, size, keep === 0 ? NOTHING : chunk.subarray(at, at + keep));
      at += size;
    }
  }

  /**
   * Feeds no more than the message under way.
   * @returns how many bytes of the chunk belong to it
   * @throws ProxyError as {@link feed}
   */
  finish(chunk: Buffer): number {
    let at = 0;
    while (at < chunk.length && !this.atBoundary)
      at += this.#missing > 0 ? this.#take(chunk, at) : this.#takeHeader(chunk, at);
    return at;
  }

  #start(type: number, size: number, keep: number): void {
    this.#type = type;
    this.#size = size;
    this.#keep = keep;
    this.#missing = size;
    this.#kept = [];
    this.#keptBytes = 0;
    this.#crumbs = 0;
  }

  #takeHeader(chunk: Buffer, at: number): number {
    const n = chunk.copy(this.#header, this.#headerHas, at, at + HEADER_BYTES - this.#headerHas);
    this.#headerHas += n;
    if (this.#headerHas === HEADER_BYTES) {
      const header = Buffer.from(this.#header);
      this.#headerHas = 0;
      const type = header[0]!;
      const size = sizeOf(type, header.readUInt32BE(1));
      this.#start(type, size, this.#sink.begin(type, size));
      this.#take(header, 0);
    }
    return n;
  }

  #take(chunk: Buffer, at: number): number {
    const n = Math.min(this.#missing, chunk.length - at);
    const wanted = Math.min(n, this.#keep - this.#keptBytes);
    if (wanted > 0) {
      this.#keepPiece(chunk.subarray(at, at + wanted));
    }
    if (this.#keep < this.#size) this.#sink.pass?.(chunk.subarray(at, at + n));
    this.#missing -= n;
    if (this.#missing === 0) {
      const kept = this.#kept;
      const head = kept.length === 0 ? NOTHING : kept.length === 1 ? kept[0]! : Buffer.concat(kept, this.#keptBytes);
      this.#kept = [];
      this.#sink.end(this.#type, this.#size, head);
    }
    return n;
  }

  #keepPiece(piece: Buffer): void {
    this.#kept.push(piece);
    this.#keptBytes += piece.length;
    this.#crumbs = piece.length < CRUMB_BYTES ? this.#crumbs + 1 : 0;
    if (this.#crumbs < CRUMBS) return;
    this.#kept.push(Buffer.concat(this.#kept.splice(-CRUMBS)));
    this.#crumbs = 0;
  }
}

function sizeOf(type: number, length: number): number {
  // PostgreSQL's own bound for any message is 1 GiB - 1 (PQ_LARGE_MESSAGE_LIMIT, MaxAllocSize).
  if (length < 4 || length > 0x3fffffff) {
    throw new ProxyError("protocol_violation", `message ${showType(type)} has the impossible length ${length}`);
  }
  return length + 1;
}

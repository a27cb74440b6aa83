import type { Recorder } from "../audit/index.ts";

/** The sending half of a socket, or what stands for it. */
export interface Sink {
  write(bytes: Buffer): unknown;
  cork(): void;
  uncork(): void;
}

/** Bytes that go out as one write: `bytes`, or as many of its buffer's from there on as `length` says. */
interface Item {
  readonly bytes: Buffer;
  length: number;
  wait: number;
  whole: boolean;
}

/**
 * Bytes on their way to one side, in order, each held until its spool position is durable. What need not wait, and
 * stands behind nothing that waits, is written at once.
 */
export class HeldQueue {
  /** Bytes that wait for the spool. */
  heldBytes = 0;
  readonly #recorder: Pick<Recorder, "isDurable" | "whenDurable">;
  readonly #sink: Sink;
  readonly #onRelease: () => void;
  readonly #flush: () => void;
  #items: Item[] = [];
  #waiting = false;
  /** Whether what was written ends with a message. */
  #wrote = true;

  /** @param onRelease called after held bytes were written */
  constructor(recorder: Pick<Recorder, "isDurable" | "whenDurable">, sink: Sink, onRelease: () => void) {
    this.#recorder = recorder;
    this.#sink = sink;
    this.#onRelease = onRelease;
    this.#flush = () => {
      this.#waiting = false;
      this.flush();
      this.#onRelease();
    };
  }

  get empty(): boolean {
    return this.#items.length === 0;
  }

  /** Whether a message can be added: what was written and what is held ends with a whole one. */
  get atBoundary(): boolean {
    return this.#items.at(-1)?.whole ?? this.#wrote;
  }

  /**
   * Queues; call `flush` after the last piece of a chunk.
   * @param whole whether a message ends with these bytes
   */
  push(bytes: Buffer, wait: number, whole: boolean): void {
    this.heldBytes += bytes.length;
    const last = this.#items[this.#items.length - 1];
    // Pieces of one chunk that touch go out as one write, and wait as one.
    if (
      last !== undefined &&
      last.bytes.byteOffset + last.length === bytes.byteOffset &&
      last.bytes.buffer === bytes.buffer
    ) {
      last.length += bytes.length;
      if (wait > last.wait) last.wait = wait;
      last.whole = whole;
      return;
    }
    this.#items.push({ bytes, length: bytes.length, wait, whole });
  }

  /** The message whose last piece was pushed, and not flushed yet, ends there, and that piece has to wait for this. */
  complete(wait: number): void {
    const last = this.#items.at(-1);
    if (last === undefined) throw new Error("the last piece of a message is gone");
    last.wait = Math.max(last.wait, wait);
    last.whole = true;
  }

  /** Writes what may go. */
  flush(): void {
    if (this.#items.length === 0) return;
    let ready = 0;
    while (ready < this.#items.length && this.#mayGo(this.#items[ready]!.wait)) ready += 1;
    if (ready > 0) {
      const items = this.#items.splice(0, ready);
      this.#wrote = items[ready - 1]!.whole;
      if (ready > 1) this.#sink.cork();
      for (const { bytes, length } of items) {
        this.heldBytes -= length;
        this.#sink.write(length === bytes.length ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, length));
      }
      if (ready > 1) this.#sink.uncork();
    }
    const next = this.#items[0];
    if (next !== undefined && !this.#waiting) {
      this.#waiting = true;
      this.#recorder.whenDurable(next.wait, this.#flush);
    }
  }

  #mayGo(wait: number): boolean {
    return wait === 0 || this.#recorder.isDurable(wait);
  }

  /** Drops what is held: it was never passed on. */
  clear(): void {
    this.#items = [];
    this.heldBytes = 0;
  }
}

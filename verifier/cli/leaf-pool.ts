import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { type HashedEntries, hashEntries, type LeafHasher } from "../src/index.ts";
import type { LeafResult, LeafTask } from "./leaf-worker.ts";

/** Below this, starting a thread takes longer than it saves. */
const entriesBefore = 8192;

type Waiting = { resolve(hashed: HashedEntries): void; reject(error: unknown): void };

/**
 * Computes leaf hashes beside the main thread, once there are enough of them: they are a third of the work of an audit.
 * The code that does it is the core's own.
 */
export class LeafPool {
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #failure: unknown;
  #hashed = 0;
  #next = 0;
  #closed = false;

  readonly hash: LeafHasher = async (entries) => {
    if (this.#hashed < entriesBefore || availableParallelism() < 2) {
      this.#hashed += entries.length;
      return hashEntries(entries);
    }
    return this.#hashThere(entries);
  };

  #hashThere(entries: readonly Uint8Array[]): Promise<HashedEntries> {
    this.#worker ??= this.#start();
    const worker = this.#worker;
    const lengths = Uint32Array.from(entries, (entry) => entry.length);
    const bytes = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
    let at = 0;
    for (const entry of entries) {
      bytes.set(entry, at);
      at += entry.length;
    }
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure);
      const task: LeafTask = { id: this.#next++, bytes, lengths };
      this.#waiting.set(task.id, { resolve, reject });
      worker.postMessage(task, [bytes.buffer, lengths.buffer]);
    });
  }

  #start(): Worker {
    const worker = new Worker(new URL("./leaf-worker.js", import.meta.url));
    worker.on("message", ({ id, hashed }: LeafResult) => {
      this.#waiting.get(id)!.resolve(hashed);
      this.#waiting.delete(id);
    });
    worker.on("error", (error) => this.#fail(error));
    worker.on("exit", (code) => {
      if (!this.#closed) this.#fail(new Error(`the thread that hashes entries ended with ${code}`));
    });
    return worker;
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#worker?.terminate();
  }
}

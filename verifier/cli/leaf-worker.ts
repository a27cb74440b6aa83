import { parentPort } from "node:worker_threads";
import { type HashedEntries, hashEntries } from "../src/index.ts";

/** Entries one after the other in one array, and the length of each. */
export type LeafTask = { id: number; bytes: Uint8Array; lengths: Uint32Array };
export type LeafResult = { id: number; hashed: HashedEntries };

parentPort!.on("message", ({ id, bytes, lengths }: LeafTask) => {
  const entries: Uint8Array[] = [];
  let at = 0;
  for (const length of lengths) {
    entries.push(bytes.subarray(at, at + length));
    at += length;
  }
  const hashed = hashEntries(entries);
  const result: LeafResult = { id, hashed };
  parentPort!.postMessage(result, [hashed.leaves.buffer as ArrayBuffer]);
});

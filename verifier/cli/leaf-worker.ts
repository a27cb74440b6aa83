import { parentPort } from "node:worker_threads";
import { hashLength, leafHash } from "../src/index.ts";

/** Entries one after the other in one array, and the length of each. */
export type LeafTask = { id: number; bytes: Uint8Array; lengths: Uint32Array };
export type LeafResult = { id: number; leaves: Uint8Array };

parentPort!.on("message", ({ id, bytes, lengths }: LeafTask) => {
  const leaves = new Uint8Array(lengths.length * hashLength);
  let at = 0;
  lengths.forEach((length, i) => {
    leaves.set(leafHash(bytes.subarray(at, at + length)), i * hashLength);
    at += length;
  });
  const result: LeafResult = { id, leaves };
  parentPort!.postMessage(result, [leaves.buffer]);
});

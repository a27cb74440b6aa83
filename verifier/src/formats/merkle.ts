import { sha256 } from "@noble/hashes/sha2.js";
import { Message } from "./sha256.ts";

/** The tree of RFC 6962 section 2.1 over SHA-256 (spec/merkle.md). Hashes are 32 bytes, never aliased by a result. */

export const hashLength = 32;

/** Entries are at most this long (spec/entry.md). */
export const maxEntryLength = 65535;

const leafInput = new Message(1 + maxEntryLength);
const nodeInput = new Message(65);
nodeInput.bytes[0] = 1;
const chainInput = new Message(64);

/** @returns SHA-256(0x00 || entry). */
export function leafHash(entry: Uint8Array): Uint8Array {
  if (entry.length > maxEntryLength) {
    const input = new Uint8Array(1 + entry.length);
    input.set(entry, 1);
    return sha256(input);
  }
  leafInput.bytes.set(entry, 1);
  return leafInput.hash(1 + entry.length);
}

/** @returns SHA-256(0x01 || left || right). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  nodeInput.bytes.set(left, 1);
  nodeInput.bytes.set(right, 33);
  return nodeInput.hash(65);
}

/** @returns c(n + 1) = SHA-256(c(n) || leaf hash), the chain of spec/submission.md. */
export function chainHash(chain: Uint8Array, leaf: Uint8Array): Uint8Array {
  chainInput.bytes.set(chain, 0);
  chainInput.bytes.set(leaf, 32);
  return chainInput.hash(64);
}

/** @returns SHA-256 of nothing, the root of the empty tree. */
export function emptyRoot(): Uint8Array {
  return sha256(new Uint8Array(0));
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Sizes reach 2^53 − 1, so the bits are taken with BigInt: the language's own operators stop at 32. */
function bitLength(value: bigint): number {
  return value === 0n ? 0 : value.toString(2).length;
}

function onesIn(value: bigint): number {
  let ones = 0;
  for (let rest = value; rest > 0n; rest >>= 1n) if (rest % 2n === 1n) ones++;
  return ones;
}

function bitAt(value: bigint, position: number): boolean {
  return (value >> BigInt(position)) % 2n === 1n;
}

function isSize(value: number | bigint): boolean {
  return typeof value === "bigint" ? value >= 0n : Number.isSafeInteger(value) && value >= 0;
}

/**
 * Verifies an inclusion proof as spec/merkle.md says.
 * @param index position of the entry, from 0
 * @param size size of the tree
 * @param leaf the entry's leaf hash
 * @param proof siblings from the leaf up
 * @param root the tree's root
 */
export function verifyInclusion(
  index: number | bigint,
  size: number | bigint,
  leaf: Uint8Array,
  proof: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  if (!isSize(index) || !isSize(size) || index >= size) return false;
  const i = BigInt(index);
  const inner = bitLength(i ^ (BigInt(size) - 1n));
  const border = onesIn(i >> BigInt(inner));
  if (proof.length !== inner + border || proof.some((hash) => hash.length !== hashLength)) return false;
  let r = leaf;
  for (let k = 0; k < inner; k++) r = bitAt(i, k) ? nodeHash(proof[k]!, r) : nodeHash(r, proof[k]!);
  for (let k = inner; k < proof.length; k++) r = nodeHash(proof[k]!, r);
  return equalBytes(r, root);
}

/**
 * Verifies a consistency proof (RFC 9162 section 2.1.4.2, with the edge cases of spec/merkle.md).
 * @param first size of the earlier tree, with root `firstRoot`
 * @param second size of the later tree, with root `secondRoot`
 */
export function verifyConsistency(
  first: number | bigint,
  second: number | bigint,
  proof: readonly Uint8Array[],
  firstRoot: Uint8Array,
  secondRoot: Uint8Array,
): boolean {
  if (!isSize(first) || !isSize(second) || first > second) return false;
  const m = BigInt(first);
  const n = BigInt(second);
  if (m === n) return proof.length === 0 && equalBytes(firstRoot, secondRoot);
  if (m === 0n) return proof.length === 0;
  if (proof.length === 0 || proof.some((hash) => hash.length !== hashLength)) return false;
  // A power of two is itself a node of the later tree: its root is the first hash, and is left out of the proof.
  const path = onesIn(m) === 1 ? [firstRoot, ...proof] : proof;
  let fn = m - 1n;
  let sn = n - 1n;
  while (fn % 2n === 1n) {
    fn >>= 1n;
    sn >>= 1n;
  }
  let fr = path[0]!;
  let sr = path[0]!;
  for (let k = 1; k < path.length; k++) {
    const p = path[k]!;
    if (sn === 0n) return false;
    if (fn % 2n === 1n || fn === sn) {
      fr = nodeHash(p, fr);
      sr = nodeHash(p, sr);
      while (fn % 2n === 0n && fn !== 0n) {
        fn >>= 1n;
        sn >>= 1n;
      }
    } else {
      sr = nodeHash(sr, p);
    }
    fn >>= 1n;
    sn >>= 1n;
  }
  return sn === 0n && equalBytes(fr, firstRoot) && equalBytes(sr, secondRoot);
}

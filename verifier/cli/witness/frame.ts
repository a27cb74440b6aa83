import { hash } from "node:crypto";

/**
 * The records of the witness's state file (spec/witness.md, state). Each is bound to all before it, so that none can be
 * changed, removed or moved without showing:
 *
 * ```
 * head     <10 digits: bytes of the payload> <16 hex digits: SHA-256(check before || the 10 digits), cut> LF
 * payload
 * check    <64 hex digits: SHA-256(check before || head || payload)> LF
 * ```
 *
 * "Check before" stands for its 32 bytes, of which the first record has zeros.
 */
const headLength = 28;
const checkLength = 65;

/** What a record adds to its payload, in bytes. */
export const frameLength: number = headLength + checkLength;

/** The check before the first record. */
export const noCheck: Buffer = Buffer.alloc(32);

/** @returns the record, and the check that the next one is bound to. */
export function encodeRecord(before: Uint8Array, payload: Uint8Array): { record: Buffer; check: Buffer } {
  const record = Buffer.allocUnsafe(frameLength + payload.length);
  const head = headOf(before, payload.length);
  record.write(head, 0, "latin1");
  record.set(payload, headLength);
  const check = checkOf(before, record.subarray(0, headLength + payload.length));
  record.write(`${check.toString("hex")}\n`, headLength + payload.length, "latin1");
  return { record, check };
}

function headOf(before: Uint8Array, length: number): string {
  const digits = String(length).padStart(10, "0");
  const cut = hash("sha256", Buffer.concat([before, Buffer.from(digits, "latin1")]), "hex").slice(0, 16);
  return `${digits} ${cut}\n`;
}

function checkOf(before: Uint8Array, covered: Uint8Array): Buffer {
  return Buffer.from(hash("sha256", Buffer.concat([before, covered]), "hex"), "hex");
}

/** The records of a file, and what stands behind the last good one. */
export type Scan = {
  payloads: Buffer[];
  /** Bytes that the good records take. */
  end: number;
  /** The check of the last good record. */
  check: Buffer;
  /**
   * `none`: nothing. `torn`: the beginning of a record that was never written whole, so that nobody was told of it.
   * `damaged`: what a write that was cut off does not leave behind.
   */
  tail: "none" | "torn" | "damaged";
};

/** Reads the records of a whole file. The payloads are parts of `file`. */
export function scanRecords(file: Buffer): Scan {
  const payloads: Buffer[] = [];
  let check = noCheck;
  let end = 0;
  while (end < file.length) {
    const payload = payloadAt(file, end, check);
    if (typeof payload === "string") return { payloads, end, check, tail: payload };
    payloads.push(payload);
    check = checkOf(check, file.subarray(end, end + headLength + payload.length));
    end += frameLength + payload.length;
  }
  return { payloads, end, check, tail: "none" };
}

/**
 * A record is told of only when it is durable with all before it, and the file's length with it. So one that the file
 * ends in the middle of was told of to nobody; and neither was one whose end is nothing but zeros, which is what some
 * file systems leave where a write was cut off by a power failure. Anything else was whole once.
 */
function payloadAt(file: Buffer, at: number, before: Buffer): Buffer | "torn" | "damaged" {
  const rest = file.length - at;
  if (rest < headLength) return "torn";
  const digits = file.toString("latin1", at, at + 10);
  const length = /^[0-9]{10}$/.test(digits) ? Number(digits) : 0;
  if (file.toString("latin1", at, at + headLength) !== headOf(before, length)) {
    return zerosFrom(file, at + headLength - 1) ? "torn" : "damaged";
  }
  const end = at + frameLength + length;
  if (end > file.length) return "torn";
  const check = checkOf(before, file.subarray(at, end - checkLength));
  if (file.toString("latin1", end - checkLength, end) === `${check.toString("hex")}\n`) {
    return file.subarray(at + headLength, end - checkLength);
  }
  return zerosFrom(file, end - 1) ? "torn" : "damaged";
}

/** @returns whether there are only zeros from `at` on, the last byte of a head or record: it is a newline in a whole one. */
function zerosFrom(file: Buffer, at: number): boolean {
  for (let i = at; i < file.length; i++) if (file[i] !== 0) return false;
  return true;
}

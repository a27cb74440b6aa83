/**
 * A segment is one file of the spool: a head of 4,096 bytes, then batches (record.ts), then zeros or what an earlier
 * use of the file left.
 *
 *   head  16 bytes "vitrine-spool/1\n" | u32 length | u32 CRC-32 | JSON | zeros
 */
import { randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";
import { ProxyError } from "../errors.ts";
import { NONCE_BYTES } from "./record.ts";
import type { Place, SpoolHead } from "./state.ts";

export const SEGMENT_HEAD = 4096;
const MAGIC = Buffer.from("vitrine-spool/1\n");
const JSON_AT = MAGIC.length + 8;

export interface SegmentHead {
  /** 1, 2, 3, … without gaps. */
  readonly number: number;
  readonly nonce: Buffer;
  /** Where the segment before it ends, so that a lost end of an older segment is noticed; 0 for the first. */
  readonly previousEnd: number;
  readonly state: SpoolHead;
}

export function segmentName(number: number): string {
  return `segment-${String(number).padStart(16, "0")}`;
}

/** The number in a segment's name, undefined for any other file. */
export function segmentNumber(name: string): number | undefined {
  const match = /^segment-(\d{16})$/.exec(name);
  return match === null ? undefined : Number(match[1]);
}

export function newNonce(): Buffer {
  return randomBytes(NONCE_BYTES);
}

export function encodeSegmentHead(head: SegmentHead): Buffer {
  const { state: whole, ...rest } = head;
  const { vkey, ...state } = whole;
  const json = Buffer.from(JSON.stringify({ ...rest, source: vkey, nonce: head.nonce.toString("hex"), state }));
  if (JSON_AT + json.length > SEGMENT_HEAD) throw new Error(`a segment head of ${json.length} bytes`);
  const bytes = Buffer.alloc(SEGMENT_HEAD);
  MAGIC.copy(bytes);
  bytes.writeUInt32BE(json.length, MAGIC.length);
  bytes.writeUInt32BE(crc32(json), MAGIC.length + 4);
  json.copy(bytes, JSON_AT);
  return bytes;
}

/**
 * @param bytes the file's first 4,096 bytes, or fewer if it is shorter
 * @param source the name of the source
 * @throws ProxyError `spool_version` for another version or source, `spool_corrupt` for a damaged head
 */
export function decodeSegmentHead(bytes: Buffer, path: string, source: string): SegmentHead {
  const corrupt = (what: string): ProxyError =>
    new ProxyError("spool_corrupt", `${path}: ${what}; keep the spool as evidence and see the manual`);
  if (bytes.length < SEGMENT_HEAD) throw corrupt("the segment is shorter than its head");
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    if (bytes.toString("latin1", 0, 14) === MAGIC.toString("latin1", 0, 14))
      throw new ProxyError(
        "spool_version",
        `${path}: the segment is of another version than ${MAGIC.toString().trim()}`,
      );
    throw corrupt("the segment does not begin with its mark");
  }
  const end = JSON_AT + bytes.readUInt32BE(MAGIC.length);
  if (end > SEGMENT_HEAD || crc32(bytes.subarray(JSON_AT, end)) !== bytes.readUInt32BE(MAGIC.length + 4))
    throw corrupt("the segment's head does not match its checksum");
  const head = parseHead(bytes.toString("utf8", JSON_AT, end));
  if (head === undefined) throw corrupt("the segment's head lacks a member");
  const { vkey } = head.state;
  if (vkey.slice(0, vkey.indexOf("+")) !== source)
    throw new ProxyError("spool_version", `${path}: the spool belongs to the source ${vkey}, not to ${source}`);
  return head;
}

function parseHead(text: string): SegmentHead | undefined {
  // The checksum is good, so this is what a proxy wrote: only what another build might write differently is checked.
  const { number, source, nonce, previousEnd, state } = JSON.parse(text) as Record<string, unknown>;
  const { epoch, next, chain, clean, lost, sessions, statements, refused, acknowledged, nextId } = (state ??
    {}) as Record<string, unknown>;
  const place = (acknowledged ?? {}) as Place;
  const numbers = [number, previousEnd, epoch, next, sessions, statements, refused, nextId, place.epoch, place.next];
  if (!numbers.every(Number.isSafeInteger)) return undefined;
  if (typeof source !== "string" || typeof chain !== "string" || typeof nonce !== "string") return undefined;
  if (typeof clean !== "boolean" || typeof lost !== "boolean" || nonce.length !== NONCE_BYTES * 2) return undefined;
  return {
    number: number as number,
    nonce: Buffer.from(nonce, "hex"),
    previousEnd: previousEnd as number,
    state: { ...(state as Omit<SpoolHead, "vkey">), vkey: source },
  };
}

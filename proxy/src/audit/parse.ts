/** Reads back what record.ts writes. Whatever does not parse under a good checksum is a bug, so plain Errors. */
import {
  BATCH_HEAD,
  batchChecksum,
  ENTRY_HEAD,
  NONCE_BYTES,
  RECORD_HEAD,
  readU64,
  TYPE_ACKNOWLEDGED,
  TYPE_DROP,
  TYPE_ENTRY,
  TYPE_INTENT,
} from "./record.ts";

export interface IntentRecord {
  readonly type: typeof TYPE_INTENT;
  readonly id: number;
  readonly epoch: number;
  readonly kind: string;
  readonly members: string;
  /** Copies: they outlive the buffer. */
  readonly disclosures: readonly Uint8Array[];
}

export interface EntryRecord {
  readonly type: typeof TYPE_ENTRY;
  readonly epoch: number;
  readonly seq: number;
  /** The intent that this entry ends, 0 if none. */
  readonly intent: number;
  /** When it was written, µs since the Unix epoch. */
  readonly micros: number;
  readonly kindCode: number;
  /** `u16 length || entry || disclosures`, as submitted; a view into the buffer read. */
  readonly form: Buffer;
}

export type SpoolRecord =
  | IntentRecord
  | EntryRecord
  | { readonly type: typeof TYPE_DROP; readonly id: number }
  | { readonly type: typeof TYPE_ACKNOWLEDGED; readonly epoch: number; readonly next: number };

/** The length of the entry's bytes in a form; they begin at 2. */
export function formEntryLength(form: Buffer): number {
  return form.readUInt16BE(0);
}

/** The length of the batch that begins at `at`, head included; undefined if none can begin there. */
export function batchLength(bytes: Buffer, at: number, nonce: Buffer): number | undefined {
  if (at + BATCH_HEAD > bytes.length) return undefined;
  if (bytes.compare(nonce, 0, NONCE_BYTES, at, at + NONCE_BYTES) !== 0) return undefined;
  return BATCH_HEAD + bytes.readUInt32BE(at + NONCE_BYTES);
}

/** Whether these bytes, from the first to the last, are a batch with a good checksum. */
export function batchIsWhole(batch: Buffer): boolean {
  return batchChecksum(batch, batch.length) === batch.readUInt32BE(NONCE_BYTES + 4);
}

/** The records of a whole batch, in order. */
export function* records(batch: Buffer): Generator<SpoolRecord> {
  for (let at = BATCH_HEAD; at < batch.length; ) {
    const end = recordEnd(batch, at);
    yield record(batch[at]!, batch.subarray(at + RECORD_HEAD, end));
    at = end;
  }
}

/** The entries of a whole batch, in order. Read with every entry that is submitted, so no more is made than is asked for. */
export function entries(batch: Buffer): EntryRecord[] {
  const found: EntryRecord[] = [];
  for (let at = BATCH_HEAD; at < batch.length; ) {
    const end = recordEnd(batch, at);
    if (batch[at] === TYPE_ENTRY) found.push(entry(batch, at + RECORD_HEAD, end));
    at = end;
  }
  return found;
}

function recordEnd(batch: Buffer, at: number): number {
  const end = at + RECORD_HEAD + batch.readUInt32BE(at + 1);
  if (end > batch.length) throw new Error(`the record at byte ${at} of a batch reaches beyond it`);
  return end;
}

function entry(bytes: Buffer, at: number, end: number): EntryRecord {
  return {
    type: TYPE_ENTRY,
    epoch: readU64(bytes, at),
    seq: readU64(bytes, at + 8),
    intent: readU64(bytes, at + 16),
    micros: readU64(bytes, at + 24),
    kindCode: bytes[at + 32]!,
    form: bytes.subarray(at + ENTRY_HEAD, end),
  };
}

function record(type: number, body: Buffer): SpoolRecord {
  switch (type) {
    case TYPE_INTENT: {
      const kindEnd = 17 + body[16]!;
      const membersEnd = kindEnd + 4 + body.readUInt32BE(kindEnd);
      return {
        type,
        id: readU64(body, 0),
        epoch: readU64(body, 8),
        kind: body.toString("utf8", 17, kindEnd),
        members: body.toString("utf8", kindEnd + 4, membersEnd),
        disclosures: disclosures(body, membersEnd),
      };
    }
    case TYPE_ENTRY:
      return entry(body, 0, body.length);
    case TYPE_DROP:
      return { type, id: readU64(body, 0) };
    case TYPE_ACKNOWLEDGED:
      return { type, epoch: readU64(body, 0), next: readU64(body, 8) };
    default:
      throw new Error(`there is no record of type ${type}`);
  }
}

function disclosures(body: Buffer, start: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  let at = start + 2;
  for (let left = body.readUInt16BE(start); left > 0; left--) {
    const end = at + 4 + body.readUInt32BE(at);
    found.push(Uint8Array.prototype.slice.call(body, at + 4, end));
    at = end;
  }
  return found;
}

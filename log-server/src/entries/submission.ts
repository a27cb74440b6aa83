import { LogServerError } from "../errors.ts";
import { parseBase64, parseDecimal } from "../formats/encoding.ts";
import { HASH_BYTES } from "../formats/merkle.ts";
import { isKeyName, type Note, parseNote } from "../formats/note.ts";
import { disclosureBlockEnd } from "./disclosure.ts";

/** Entries in one submission, at most (spec/submission.md). */
const MAX_ENTRIES = 4096;
/** Bytes of a note, at most: the limit that a verifier has for a checkpoint. */
const MAX_NOTE_BYTES = 65_536;
const HEADER = "vitrine/submission/v1";

/** What the note of a submission says. */
interface Announcement {
  readonly origin: string;
  readonly source: string;
  readonly epoch: number;
  /** Sequence of the first entry. */
  readonly seq: number;
  readonly count: number;
  /** SHA-256 of the payload. */
  readonly digest: Buffer;
}

/** A submission whose note is well formed. Nothing that it says is checked yet. */
export interface FramedSubmission {
  readonly note: Note;
  readonly announced: Announcement;
  readonly payload: Buffer;
}

/** Where the entries stand in a payload, each list by entry. */
export interface PayloadLayout {
  /** Where an entry begins; its u16 length stands before. */
  readonly starts: readonly number[];
  /** Where it ends, and its disclosure block begins. */
  readonly ends: readonly number[];
  /** Where its disclosure block ends. */
  readonly blockEnds: readonly number[];
}

function bad(what: string): LogServerError {
  return new LogServerError("bad_submission", `${what} (spec/submission.md, "Submission")`);
}

function parseAnnouncement(text: string): Announcement {
  const [header, origin, source, ...rest] = text.split("\n");
  if (header !== HEADER) throw bad(`the note must begin with the line ${HEADER}`);
  // Seven lines, and what follows the final newline.
  if (rest.length !== 5 || rest[4] !== "") throw bad(`the note must have seven lines, and has ${rest.length + 2}`);
  if (origin === undefined || origin === "") throw bad("line 2 of the note must be the log's origin");
  if (source === undefined || !isKeyName(source)) throw bad("line 3 of the note must be the source's name");
  const epoch = parseDecimal(rest[0]!);
  if (epoch === undefined || epoch < 1) throw bad("line 4 of the note must be the epoch, a decimal from 1");
  const seq = parseDecimal(rest[1]!);
  if (seq === undefined) throw bad("line 5 of the note must be the sequence of the first entry, a decimal");
  const count = parseDecimal(rest[2]!);
  if (count === undefined || count < 1 || count > MAX_ENTRIES) {
    throw bad(`line 6 of the note must be the number of entries, 1 to ${MAX_ENTRIES}`);
  }
  if (!Number.isSafeInteger(seq + count)) throw bad("lines 5 and 6 of the note: sequences end at 2^53 − 1");
  const digest = parseBase64(rest[3]!);
  if (digest?.length !== HASH_BYTES) throw bad("line 7 of the note must be base64 of the payload's SHA-256");
  return { origin, source, epoch, seq, count, digest };
}

/**
 * Takes a submission apart: `u32 length || note || payload`. The payload is a view into `body`.
 * @throws LogServerError `bad_submission`
 */
export function parseSubmission(body: Buffer): FramedSubmission {
  if (body.length < 4) throw bad(`the body has ${body.length} bytes, and the note's length alone has 4`);
  const noteBytes = body.readUInt32BE(0);
  if (noteBytes < 1 || noteBytes > MAX_NOTE_BYTES) {
    throw bad(`the note's length is ${noteBytes}, and must be 1 to ${MAX_NOTE_BYTES}`);
  }
  if (4 + noteBytes > body.length) throw bad(`the body ends inside the note, whose length is ${noteBytes}`);
  const note = parseNote(body.subarray(4, 4 + noteBytes));
  if (note === undefined) throw bad("the note is not a signed note");
  return { note, announced: parseAnnouncement(note.text), payload: body.subarray(4 + noteBytes) };
}

/**
 * Finds the entries and disclosures of a payload.
 * @param count how many entries it must have, and nothing after them
 * @throws LogServerError `bad_submission`
 */
export function parsePayload(payload: Buffer, count: number): PayloadLayout {
  const starts: number[] = [];
  const ends: number[] = [];
  const blockEnds: number[] = [];
  let offset = 0;
  for (let i = 0; i < count; i += 1) {
    if (offset + 2 > payload.length) throw bad(`the payload ends before entry ${i} of ${count}`);
    const end = offset + 2 + payload.readUInt16BE(offset);
    if (end > payload.length) throw bad(`the payload ends inside entry ${i}`);
    const blockEnd = disclosureBlockEnd(payload, end);
    if (blockEnd === undefined) throw bad(`the payload ends inside the disclosures of entry ${i}`);
    starts.push(offset + 2);
    ends.push(end);
    blockEnds.push(blockEnd);
    offset = blockEnd;
  }
  if (offset !== payload.length) {
    throw bad(`the payload has ${payload.length - offset} bytes after its ${count} entries`);
  }
  return { starts, ends, blockEnds };
}

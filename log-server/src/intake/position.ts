import { type Expected, type HttpCode, LogServerError } from "../errors.ts";
import type { SourcePosition } from "../store/store.ts";
import type { CheckedSubmission } from "./check.ts";

function expectedAt({ epoch, next }: SourcePosition): Expected {
  return { epoch, seq: next };
}

function conflict(code: HttpCode, submission: CheckedSubmission, what: string, expected: Expected): LogServerError {
  const { source, epoch, seq } = submission;
  const message = `${source} submits epoch ${epoch} from sequence ${seq}: ${what}`;
  return new LogServerError(code, message, { expected });
}

function sequenceGap(submission: CheckedSubmission, position: SourcePosition): LogServerError {
  const { epoch, next } = position;
  const what = epoch === 0 ? "the log has nothing of it" : `the log has its epoch ${epoch} up to sequence ${next}`;
  return conflict("sequence_gap", submission, `${what}; submit from there`, expectedAt(position));
}

/** @returns the error for a repetition that differs from what was logged, from the sequence `seq` on. */
export function sequenceConflict(submission: CheckedSubmission, position: SourcePosition, seq: number): LogServerError {
  const other = submission.epoch < position.epoch ? "none, or another," : "another";
  const what = `${other} entry was logged as sequence ${seq}; do not retry, two histories of this source exist`;
  return conflict("sequence_conflict", submission, what, expectedAt(position));
}

/**
 * Holds a submission against the position of its source (the table of spec/submission.md).
 * @returns how many of its entries, from the first, the log must have already; the rest follows on directly
 * @throws LogServerError `sequence_gap`, `epoch_conflict`
 */
export function placeSubmission(submission: CheckedSubmission, position: SourcePosition): number {
  const { epoch, seq, count, previous } = submission;
  if (epoch === position.epoch && seq <= position.next) return Math.min(count, position.next - seq);
  if (epoch < position.epoch) return count;
  if (epoch !== position.epoch + 1 || seq !== 0) throw sequenceGap(submission, position);
  const chain = position.chain.toString("base64");
  const continues =
    position.epoch === 0
      ? previous === null
      : previous?.epoch === position.epoch && previous.next === position.next && previous.chain === chain;
  if (continues) return 0;
  const stated = previous == null ? "null" : `(${previous.epoch}, ${previous.next}, ${previous.chain})`;
  const held = position.epoch === 0 ? "null" : `(${position.epoch}, ${position.next}, ${chain})`;
  const what = `"previous" of its source.start is ${stated}, and the log has ${held}; do not retry`;
  throw conflict("epoch_conflict", submission, what, { epoch: position.epoch, seq: position.next, chain });
}

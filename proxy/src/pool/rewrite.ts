import { HEADER_BYTES } from "../wire/framer.ts";
import { BACKEND, FRONTEND } from "../wire/messages.ts";
import { frame } from "../wire/write.ts";

/** Messages that the pool makes or changes on their way. Names are latin1: any byte stands for itself. */

export const PARSE_COMPLETE: Buffer = frame(BACKEND.parseComplete, Buffer.alloc(0));
export const CLOSE_COMPLETE: Buffer = frame(BACKEND.closeComplete, Buffer.alloc(0));
export const FLUSH: Buffer = frame(FRONTEND.flush, Buffer.alloc(0));

/** @param body what stands behind the name */
export function parseMessage(name: string, body: Buffer): Buffer {
  const message = Buffer.allocUnsafe(HEADER_BYTES + name.length + 1 + body.length);
  message[0] = FRONTEND.parse;
  message.writeUInt32BE(message.length - 1, 1);
  const at = HEADER_BYTES + message.write(name, HEADER_BYTES, "latin1");
  message[at] = 0;
  body.copy(message, at + 1);
  return message;
}

export function closeStatement(name: string): Buffer {
  return frame(FRONTEND.close, Buffer.from(`S${name}\0`, "latin1"));
}

/** A Close of a portal that nobody has: it is no error, and touches no transaction. */
export const FENCE: Buffer = frame(FRONTEND.close, Buffer.from("Pvitrine fence\0", "latin1"));

export function describeStatement(name: string): Buffer {
  return frame(FRONTEND.describe, Buffer.from(`S${name}\0`, "latin1"));
}

/**
 * The head of a Bind message with another statement's name.
 * @param head the message's beginning, up to the names' end at least
 * @param size of the whole message
 * @param block where the names end
 */
export function bindHead(head: Buffer, size: number, portal: string, name: string, block: number): Buffer {
  const names = Buffer.from(`${portal}\0${name}\0`, "latin1");
  const changed = Buffer.allocUnsafe(HEADER_BYTES + names.length);
  changed[0] = head[0]!;
  changed.writeUInt32BE(size - 1 + HEADER_BYTES + names.length - block, 1);
  names.copy(changed, HEADER_BYTES);
  return changed;
}

/** An ErrorResponse with the name that the client knows. */
export function renamed(error: Buffer, from: string, to: string): Buffer {
  const text = error.toString("latin1", HEADER_BYTES);
  if (!text.includes(from)) return error;
  return frame(
    BACKEND.errorResponse,
    Buffer.from(
      text.replaceAll(from, () => to),
      "latin1",
    ),
  );
}

/** Whether an ErrorResponse says that a prepared statement's result is not any more what it was. */
export function isStalePlan(error: Buffer): boolean {
  // Texts may be localized; the routine is the one place that says so (plancache.c).
  return error.includes("\0C0A000\0") && error.includes("\0RRevalidateCachedQuery\0");
}

/** Whether it says that there is one of this name already. */
export function isDuplicate(error: Buffer): boolean {
  return error.includes("\0C42P05\0");
}

/** Whether it says that there is no such prepared statement. */
export function isMissingStatement(error: Buffer): boolean {
  return error.includes("\0C26000\0");
}

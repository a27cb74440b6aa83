import { type ClientErrorCode, type ProxyError, SQLSTATE, sqlstateOf } from "../errors.ts";
import { BACKEND, FRONTEND } from "./messages.ts";

/**
 * An ErrorResponse of the proxy's own. Fields as in "Error and Notice Message Fields": S and V severity, C SQLSTATE,
 * M message, D detail, H hint; R names the proxy, so that it is told apart from the server's.
 */
export function errorResponse(
  severity: "ERROR" | "FATAL",
  code: ClientErrorCode,
  message: string,
  hint?: string,
  detail?: string,
): Buffer {
  return response(severity, SQLSTATE[code], message, hint, detail);
}

/** The same for an error that ends the session. */
export function fatalResponse(error: ProxyError): Buffer {
  return response("FATAL", sqlstateOf(error), error.message);
}

function response(severity: string, sqlstate: string, message: string, hint?: string, detail?: string): Buffer {
  const fields = [
    `S${severity}`,
    `V${severity}`,
    `C${sqlstate}`,
    `M${message}`,
    ...(detail === undefined ? [] : [`D${detail}`]),
    ...(hint === undefined ? [] : [`H${hint}`]),
    "Rvitrine",
  ];
  const body = Buffer.from(`${fields.map((field) => field.replaceAll("\0", "")).join("\0")}\0\0`);
  return frame(BACKEND.errorResponse, body);
}

/** A NoticeResponse of the proxy's own: a WARNING, with the SQLSTATE of this code. */
export function noticeResponse(code: ClientErrorCode, message: string): Buffer {
  const fields = ["SWARNING", "VWARNING", `C${SQLSTATE[code]}`, `M${message}`, "Rvitrine"];
  return frame(
    BACKEND.noticeResponse,
    Buffer.from(`${fields.map((field) => field.replaceAll("\0", "")).join("\0")}\0\0`),
  );
}

export function frame(type: number, body: Buffer): Buffer {
  const message = Buffer.allocUnsafe(5 + body.length);
  message[0] = type;
  message.writeUInt32BE(4 + body.length, 1);
  body.copy(message, 5);
  return message;
}

export const TERMINATE: Buffer = frame(FRONTEND.terminate, Buffer.alloc(0));

/** SSLRequest: no type. */
export const SSL_REQUEST: Buffer = Buffer.from("0000000804d2162f", "hex");

/** CancelRequest: no type; the key as the server gave it. */
export function cancelRequest(pid: number, key: Buffer): Buffer {
  const packet = Buffer.allocUnsafe(12 + key.length);
  packet.writeUInt32BE(packet.length, 0);
  packet.writeUInt32BE(80877102, 4);
  packet.writeUInt32BE(pid, 8);
  key.copy(packet, 12);
  return packet;
}

/** Sent in place of what may not be executed: each is a message of its kind that the server rejects. */
const REJECTED_TEXT = "vitrine.denied";

/** A syntax error; also in a failed transaction, where it changes nothing. */
export const REJECTED_QUERY: Buffer = frame(FRONTEND.query, Buffer.from(`${REJECTED_TEXT}\0`));

/**
 * A syntax error. Like the Parse that it stands for, it makes the server forget the unnamed statement when it has no
 * name, and changes nothing else.
 */
export function rejectedParse(name: string): Buffer {
  return frame(FRONTEND.parse, Buffer.from(`${name}\0${REJECTED_TEXT}\0\0\0`));
}

/** In place of an Execute: an error that changes no statement and no portal. */
export const REJECTED_EXECUTE: Buffer = rejectedParse(REJECTED_TEXT);

/** There is no function 0. A FunctionCall, since a Query would make the server forget the unnamed statement. */
export const REJECTED_CALL: Buffer = frame(FRONTEND.functionCall, Buffer.alloc(4 + 2 + 2 + 2));

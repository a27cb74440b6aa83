import { type ClientErrorCode, SQLSTATE } from "../errors.ts";
import { BACKEND, FRONTEND } from "./messages.ts";

/**
 * An ErrorResponse of the proxy's own. Fields as in "Error and Notice Message Fields": S and V severity, C SQLSTATE,
 * M message, H hint; R names the proxy, so that it is told apart from the server's.
 */
export function errorResponse(
  severity: "ERROR" | "FATAL",
  code: ClientErrorCode,
  message: string,
  hint?: string,
): Buffer {
  const fields = [
    `S${severity}`,
    `V${severity}`,
    `C${SQLSTATE[code]}`,
    `M${message}`,
    ...(hint === undefined ? [] : [`H${hint}`]),
    "Rvitrine",
  ];
  const body = Buffer.from(`${fields.map((field) => field.replaceAll("\0", "")).join("\0")}\0\0`);
  return frame(BACKEND.errorResponse, body);
}

export function frame(type: number, body: Buffer): Buffer {
  const message = Buffer.allocUnsafe(5 + body.length);
  message[0] = type;
  message.writeUInt32BE(4 + body.length, 1);
  body.copy(message, 5);
  return message;
}

export const TERMINATE: Buffer = frame(FRONTEND.terminate, Buffer.alloc(0));

/** CancelRequest: no type; the key as the server gave it. */
export function cancelRequest(pid: number, key: Buffer): Buffer {
  const packet = Buffer.allocUnsafe(12 + key.length);
  packet.writeUInt32BE(packet.length, 0);
  packet.writeUInt32BE(80877102, 4);
  packet.writeUInt32BE(pid, 8);
  key.copy(packet, 12);
  return packet;
}

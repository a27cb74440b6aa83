import type { Statement } from "../statements/index.ts";
import { BACKEND, FRONTEND } from "../wire/messages.ts";
import { frame } from "../wire/write.ts";

/** Settings that no server has: the proxy itself answers SHOW of them. */
export const SHOWN = ["vitrine.session", "vitrine.receipt"] as const;
export type Shown = (typeof SHOWN)[number];

/** @returns what the proxy itself is asked to show, if that is all that the text asks */
export function shownBy(statements: readonly Statement[]): Shown | undefined {
  const effect = statements.length === 1 ? statements[0]!.effect : undefined;
  return effect?.kind === "show" ? SHOWN.find((name) => name === effect.name) : undefined;
}

/** The OID of the type text in PostgreSQL's pg_type. */
const TEXT = 25;
const VARIABLE_SIZE = -1;

/**
 * What a SHOW of it returns: one column of type text, named as the setting.
 * @param format 0 text, 1 binary, in which a text is the same bytes
 */
export function rowDescription(shown: Shown, format: number): Buffer {
  const body = Buffer.alloc(2 + shown.length + 1 + 18);
  body.writeInt16BE(1, 0);
  body.write(shown, 2, "latin1");
  // The column is of no table: its OID and attribute number stay 0.
  const at = 2 + shown.length + 1 + 6;
  body.writeInt32BE(TEXT, at);
  body.writeInt16BE(VARIABLE_SIZE, at + 4);
  body.writeInt32BE(-1, at + 6);
  body.writeInt16BE(format, at + 10);
  return frame(BACKEND.rowDescription, body);
}

/** DataRow and CommandComplete. @param value undefined: NULL */
export function row(value: string | undefined): Buffer {
  const text = Buffer.from(value ?? "");
  const head = Buffer.alloc(6);
  head.writeInt16BE(1, 0);
  head.writeInt32BE(value === undefined ? -1 : text.length, 2);
  return Buffer.concat([frame(BACKEND.dataRow, Buffer.concat([head, text])), COMPLETE]);
}

export const COMPLETE: Buffer = frame(BACKEND.commandComplete, Buffer.from("SHOW\0"));
export const BIND_COMPLETE: Buffer = frame(BACKEND.bindComplete, Buffer.alloc(0));

/**
 * What the server is sent meanwhile must succeed in a failed transaction as well, be skipped behind an error, and be
 * answered in its turn. Empty text does (it is not looked at for the transaction's state), and so does Close of a portal.
 */
export const EMPTY_QUERY: Buffer = frame(FRONTEND.query, Buffer.from("\0"));

/** @param name as the client sent it, a character a byte */
export function emptyParse(name: string): Buffer {
  return frame(FRONTEND.parse, Buffer.from(`${name}\0\0\0\0`, "latin1"));
}

/** @param name as the client sent it, a character a byte */
export function closePortal(name: string): Buffer {
  return frame(FRONTEND.close, Buffer.from(`P${name}\0`, "latin1"));
}

/** In place of what has no effect on the server: a portal that nobody opens. */
export const PLACEHOLDER: Buffer = closePortal("vitrine.show");

/** In which encoding a text is read, here and by the server. */
import { isAscii } from "node:buffer";
import { KIND, Kind, numberEnd, quotedEnd, spaceEnd, stringEnd, wordEnd } from "./lexical.ts";

/**
 * `strings`: the text is UTF-8, but the database is not, or may not be. The server folds letters of a single-byte encoding
 * (downcase_identifier in its scansup.c) and cuts names by their bytes in its own: what names beyond ASCII mean is not
 * known, but strings are what they are. `other`: of the text itself only ASCII is understood.
 */
export type Encoding = "utf8" | "strings" | "other";

/** @param client the session's client_encoding @param server its server_encoding */
export function encodingOf(client: string | undefined, server: string | undefined): Encoding {
  if (client !== "UTF8" && client !== "SQL_ASCII") return "other";
  return server === undefined || server === "UTF8" ? "utf8" : "strings";
}

/** Whether bytes above 127 stand in plain strings and comments alone; false also where that is not sure. */
export function highInStringsOnly(text: Uint8Array): boolean {
  let i = 0;
  while (i < text.length) {
    const from = i;
    switch (KIND[text[i]!]) {
      case Kind.space:
        i = spaceEnd(text, i);
        continue;
      case Kind.word:
        i = wordEnd(text, i);
        // E'', B'', X'', N''
        if (text[i] === 0x27) return false;
        break;
      case Kind.digit:
        i = numberEnd(text, i);
        break;
      case Kind.quote:
        i = stringEnd(text, i);
        if (i < 0) return false;
        continue;
      case Kind.doubleQuote:
        i = quotedEnd(text, i);
        if (i < 0) return false;
        break;
      case Kind.dollar:
        i = numberEnd(text, i + 1);
        // $$ and $tag$
        if (i === from + 1 || text[i] === 0x24) return false;
        break;
      case Kind.ampersand:
        // U&'' and U&""
        if (text[++i] === 0x27 || text[i] === 0x22) return false;
        break;
      case Kind.dash:
        i++;
        if (text[i] === 0x2d) while (i < text.length && text[i] !== 0x0a && text[i] !== 0x0d) i++;
        continue;
      case Kind.slash:
        i++;
        if (text[i] === 0x2a) i = commentEnd(text, i + 1);
        continue;
      default:
        i++;
    }
    if (!isAscii(text.subarray(from, i))) return false;
  }
  return true;
}

/** Behind the end of a comment, in which others may stand. */
function commentEnd(text: Uint8Array, from: number): number {
  let depth = 1;
  let i = from;
  while (i < text.length && depth > 0) {
    if (text[i] === 0x2f && text[i + 1] === 0x2a) depth++;
    else if (text[i] === 0x2a && text[i + 1] === 0x2f) depth--;
    else {
      i++;
      continue;
    }
    i += 2;
  }
  return i;
}

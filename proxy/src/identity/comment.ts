/** Beyond this a comment is not looked at. Bytes. */
const MAX_COMMENT_BYTES = 4096;
const SLASH = 0x2f;
const STAR = 0x2a;
const SEMICOLON = 0x3b;

const NONE: ReadonlyMap<string, string> = new Map();
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** One `key='value'` of sqlcommenter: percent-encoded, quotes inside behind a backslash. */
const PAIR = /\s*([^=,'\s]{1,128})\s*=\s*'((?:[^'\\]|\\.)*)'\s*(?:,|$)/suy;

/**
 * What a comment at the beginning of a text, or else at its end, says in the form of sqlcommenter. Nothing is believed of
 * it: a text may say what it likes. A comment that is too long, not UTF-8 or of another form says nothing.
 * @param sql one statement as it was sent, with what stands around it
 * @returns values by key, decoded; of a key that stands twice the first
 */
export function readComment(sql: Uint8Array): ReadonlyMap<string, string> {
  const bytes = leading(sql) ?? trailing(sql);
  if (bytes === undefined) return NONE;
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    // Not UTF-8: it names nobody.
    return NONE;
  }
  const pairs = new Map<string, string>();
  PAIR.lastIndex = 0;
  while (PAIR.lastIndex < text.length) {
    const found = PAIR.exec(text);
    // Words between comments of another kind are no pairs; half of a form is none.
    if (found === null) return NONE;
    const key = decoded(found[1]!);
    const value = decoded(found[2]!.replaceAll(/\\(.)/gsu, "$1"));
    if (key === undefined || value === undefined) return NONE;
    if (!pairs.has(key)) pairs.set(key, value);
  }
  return pairs;
}

function leading(sql: Uint8Array): Uint8Array | undefined {
  let at = 0;
  while (isSpace(sql[at]) || sql[at] === SEMICOLON) at++;
  if (sql[at] !== SLASH || sql[at + 1] !== STAR) return undefined;
  for (let end = at + 2; end + 1 < sql.length && end - at <= MAX_COMMENT_BYTES; end++) {
    // PostgreSQL nests comments; who writes pairs does not.
    if (sql[end] === SLASH && sql[end + 1] === STAR) return undefined;
    if (sql[end] === STAR && sql[end + 1] === SLASH) return sql.subarray(at + 2, end);
  }
  return undefined;
}

function trailing(sql: Uint8Array): Uint8Array | undefined {
  let end = sql.length;
  while (end > 0 && (isSpace(sql[end - 1]) || sql[end - 1] === SEMICOLON)) end--;
  if (end < 4 || sql[end - 1] !== SLASH || sql[end - 2] !== STAR) return undefined;
  for (let at = end - 4; at >= 0 && end - at <= MAX_COMMENT_BYTES; at--) {
    if (sql[at] === STAR && sql[at + 1] === SLASH) return undefined;
    if (sql[at] === SLASH && sql[at + 1] === STAR) return sql.subarray(at + 2, end - 2);
  }
  return undefined;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d);
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    // A percent sign that begins no character.
    return undefined;
  }
}

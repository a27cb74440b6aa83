/**
 * A statement without its constants: texts that differ only in numbers and strings share their analysis, so that
 * `… WHERE id = 17` is parsed once and not once for every id. It also makes a long INSERT short: rows of the same shape
 * are the same to whoever asks for relations and functions.
 *
 * This is not a second grammar. It knows the part of PostgreSQL's lexical rules in which a constant cannot be mistaken,
 * and gives up on everything else: comments, dollar quotes, E'', U&'', B'', X'' and N'' strings, several
 * statements, other commands than the five below. What it accepts is parsed by PostgreSQL's grammar, once for a shape.
 * Why a constant's value cannot change what is said of a statement: where these commands take a constant, the tree has
 * an A_Const, nobody here looks into one, and fingerprints leave them out. The exceptions (found by asking the grammar
 * about every place in gram.y that takes one) are PRECISE, the bounds of array types, and what stands in a call that is
 * for a sequence, which are left as they are.
 */
import {
  INTEGER,
  isKeyword,
  KIND,
  Kind,
  numberEnd,
  numberKind,
  quotedEnd,
  STRING,
  spaceEnd,
  stringEnd,
  wordEnd,
} from "./lexical.ts";
import { SEQUENCE_FUNCTIONS } from "./sequence-calls.ts";
import { type List, likeAnother, oneMore, type Rows } from "./shape-lists.ts";

export interface Shape {
  /** Constants are one byte each (lexical.ts). Valid until the next call. */
  readonly bytes: Buffer;
  /** How many tokens there are in it. */
  readonly tokens: number;
  /** Byte offsets of the one statement in the text. */
  readonly start: number;
  readonly end: number;
  /** It differs from the text. */
  readonly changed: boolean;
  /** There are bytes above 127 in the text. */
  readonly high: boolean;
}

/** What the last token was, where that matters to the next. */
const VALUES = 1;
const IN = 2;
const BRACKET = 3;

/** Their precision goes into the tree as a number, or (float) decides what type it is. */
const PRECISE = ["current_time", "current_timestamp", "float", "localtime", "localtimestamp"];
/** The strings in their calls are read (sequence-calls.ts): they stay. */
const NAMING: readonly string[] = [...SEQUENCE_FUNCTIONS.keys()];
const COMMANDS = ["select", "insert", "update", "delete", "with"];
/** A shape is never longer than its text; larger texts have a buffer of their own. Bytes. */
const SCRATCH = Buffer.allocUnsafeSlow(64 * 1024);

/** @returns undefined when the text is not one of those that can be told apart from their constants */
export function shapeOf(text: Uint8Array): Shape | undefined {
  const length = text.length;
  const start = spaceEnd(text, 0);
  const first = wordEnd(text, start);
  if (!COMMANDS.some((word) => isKeyword(text, start, first, word))) return undefined;

  const out = length <= SCRATCH.length ? SCRATCH : Buffer.allocUnsafeSlow(length);
  let o = 0;
  let i = 0;
  let end = start;
  let tokens = 0;
  let depth = 0;
  let changed = false;
  let high = false;
  let ended = false;
  let opens = 0;
  let rows: Rows | undefined;
  let list: List | undefined;
  /** Depth outside of a call in which constants say which relation it is for. */
  let naming = -1;

  while (i < length) {
    const kind = KIND[text[i]!]!;
    if (kind === Kind.space) {
      out[o++] = text[i++]!;
      continue;
    }
    if (ended) return undefined;
    tokens++;
    const from = i;
    const opening = opens;
    opens = 0;
    let constant = 0;
    switch (kind) {
      case Kind.word:
        i = wordEnd(text, i);
        // E'', B'', X'', N''
        if (text[i] === 0x27) return undefined;
        if (isKeyword(text, from, i, "values")) opens = VALUES;
        else if (isKeyword(text, from, i, "in")) opens = IN;
        else if (text[spaceEnd(text, i)] === 0x28 && PRECISE.some((word) => isKeyword(text, from, i, word)))
          return undefined;
        if (naming < 0 && NAMING.some((word) => isKeyword(text, from, i, word))) naming = depth;
        break;
      case Kind.digit:
        i = numberEnd(text, i);
        if (text[i] === 0x27) return undefined;
        // The bound of an array type is no A_Const, and looks like a subscript.
        constant = opening === BRACKET && text[spaceEnd(text, i)] === 0x5d ? 0 : numberKind(text, from, i);
        break;
      case Kind.quote:
        i = stringEnd(text, i);
        if (i < 0) return undefined;
        constant = STRING;
        break;
      case Kind.doubleQuote:
        i = quotedEnd(text, i);
        if (i < 0) return undefined;
        if (naming < 0 && NAMING.some((word) => isKeyword(text, from + 1, i - 1, word))) naming = depth;
        break;
      case Kind.dollar:
        // $1 is a parameter; $$ and $tag$ are not for here
        i = numberEnd(text, i + 1);
        if (i === from + 1 || numberKind(text, from + 1, i) !== INTEGER) return undefined;
        break;
      case Kind.dash:
      case Kind.slash:
        // -- and /*
        if (text[++i] === (kind === Kind.dash ? 0x2d : 0x2a)) return undefined;
        break;
      case Kind.ampersand:
        // U&'' and U&""
        i++;
        if (text[i] === 0x27 || text[i] === 0x22) return undefined;
        break;
      case Kind.dot:
        // .5, and a..b
        i++;
        if (text[i] === 0x2e || KIND[text[i]!] === Kind.digit) return undefined;
        break;
      case Kind.semicolon:
        i++;
        ended = true;
        break;
      case Kind.open:
        i++;
        depth++;
        break;
      case Kind.close:
        i++;
        depth--;
        if (depth <= naming) naming = -1;
        break;
      case Kind.bad:
        return undefined;
      default:
        if (text[i] === 0x5b) opens = BRACKET;
        i++;
    }

    if (rows?.start === -1) {
      // Between rows there is a comma.
      if (kind === Kind.comma && !rows.comma) rows.comma = true;
      else if (kind === Kind.open && rows.comma) rows.start = o;
      else rows = undefined;
    } else if (opening === VALUES && kind === Kind.open && rows === undefined) {
      rows = { depth, start: o, end: -1, tokens: 0, comma: false, kept: 0, previous: -1, seen: undefined };
    }

    // A comma or anything else at this depth: it was no call.
    if (naming === depth && kind !== Kind.word && kind !== Kind.doubleQuote) naming = -1;
    if (naming >= 0) {
      // What stays must not look like a placeholder.
      if (constant === STRING && hasPlaceholder(text, from, i)) return undefined;
      constant = 0;
    }
    if (constant !== 0) {
      out[o++] = constant;
      changed = true;
      if (constant === STRING && !high) high = hasHigh(text, from, i);
    } else {
      for (let j = from; j < i; j++) {
        const byte = text[j]!;
        if (byte > 127) high = true;
        out[o++] = byte;
      }
    }

    if (list !== undefined) {
      if (constant !== 0 && depth === list.depth) {
        if (oneMore(list, text, i, constant, o, tokens)) ({ end: o, tokens } = list);
        list.fresh = false;
      } else if (depth < list.depth) list = undefined;
      else if (kind === Kind.comma && depth === list.depth) list.fresh = true;
      else {
        list.fresh = false;
        list.run = 0;
      }
    } else if (opening === IN && kind === Kind.open) {
      list = { depth, fresh: true, kind: 0, run: 0, end: 0, tokens: 0 };
    }
    if (rows !== undefined && kind === Kind.close && depth === rows.depth - 1 && likeAnother(rows, out, o, tokens)) {
      ({ end: o, tokens } = rows);
    }
    if (!ended) end = i;
  }
  return { bytes: out.subarray(0, o), tokens, start, end, changed, high };
}

function hasHigh(text: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (text[i]! > 127) return true;
  return false;
}

function hasPlaceholder(text: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (text[i]! <= STRING) return true;
  return false;
}

/** A text that has the shape: what is parsed when the text itself would be long. */
export function sample(shape: Buffer): Buffer {
  const text = Buffer.allocUnsafe(3 * shape.length);
  let o = 0;
  for (const byte of shape) {
    const constant = CONSTANTS[byte];
    if (constant === undefined) text[o++] = byte;
    else o += text.write(constant, o, "latin1");
  }
  return text.subarray(0, o);
}

/** By placeholder. */
const CONSTANTS: readonly (string | undefined)[] = [undefined, "1", "1.5", "'x'"];

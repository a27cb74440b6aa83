/** What a text says about the statements in it, remembered by its exact bytes. */
import { isAscii, isUtf8 } from "node:buffer";
import { ByteCache } from "./cache.ts";
import { factsOf } from "./facts.ts";
import { Grammar, type Tree } from "./grammar.ts";
import { notUnderstood, type Statement, statement } from "./statement.ts";

export interface AnalyzerOptions {
  /** Bound on texts and results that are remembered, in bytes. */
  readonly cacheBytes?: number;
  /** Texts above this are not parsed, in bytes. */
  readonly maxBytes?: number;
}

const DEFAULT_CACHE_BYTES = 32 * 1024 * 1024;
const DEFAULT_MAX_BYTES = 16 * 1024 * 1024;
/** Longer texts are hardly ever sent twice, and would push the others out. */
const MAX_CACHED_TEXT = 64 * 1024;
/** What one remembered statement takes beside its text and its JSON, about. */
const STATEMENT_BYTES = 500;

const NONE: readonly Statement[] = [];

export class Analyzer {
  readonly #grammar: Grammar;
  readonly #cache: ByteCache<readonly Statement[]>;
  readonly #maxBytes: number;

  private constructor(grammar: Grammar, options: AnalyzerOptions) {
    this.#grammar = grammar;
    this.#cache = new ByteCache(options.cacheBytes ?? DEFAULT_CACHE_BYTES);
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
  }

  /** @throws when libpg-query's files cannot be read or compiled: a broken installation */
  static async load(options: AnalyzerOptions = {}): Promise<Analyzer> {
    return new Analyzer(await Grammar.load(), options);
  }

  /**
   * Never throws for what a client sends.
   * @param text without NUL
   * @param encoding `utf8` for the client encodings UTF8 and SQL_ASCII; in another one only ASCII is understood
   * @returns the statements in order, none for empty text; text that is not understood is one statement `UNKNOWN`
   */
  analyze(text: Uint8Array, encoding: "utf8" | "other"): readonly Statement[] {
    if (text.length > this.#maxBytes) return [notUnderstood(0, text.length, "too-large")];
    // One character a byte, so different bytes are different keys. Bytes above 127 mean what the encoding says.
    const cached = text.length <= MAX_CACHED_TEXT;
    const key = cached ? (encoding === "utf8" ? "u" : "o") + latin1(text) : "";
    if (cached) {
      const known = this.#cache.get(key);
      if (known !== undefined) return known;
    }
    const { statements, lasting } = this.#read(text, encoding);
    if (cached && lasting) {
      const size = statements.reduce((sum, { members }) => sum + 2 * members.length + STATEMENT_BYTES, key.length);
      this.#cache.set(key, statements, size);
    }
    return statements;
  }

  /** `lasting`: the answer depends on the text alone, and not on how much memory there was. */
  #read(text: Uint8Array, encoding: "utf8" | "other"): { statements: readonly Statement[]; lasting: boolean } {
    const whole = (why: "syntax" | "encoding" | "analysis"): { statements: readonly Statement[]; lasting: boolean } => ({
      statements: [notUnderstood(0, text.length, why)],
      lasting: why !== "analysis",
    });
    if (!(encoding === "utf8" ? isUtf8(text) : isAscii(text))) return whole("encoding");
    const parsed = this.#grammar.parse(text);
    if ("failed" in parsed) return whole(parsed.failed);
    const trees = parsed.tree.stmts ?? [];
    if (trees.length === 0) return { statements: NONE, lasting: true };
    let lasting = true;
    const statements = trees.map((tree): Statement => {
      const { start, end } = extent(text, tree);
      try {
        const facts = factsOf(tree.stmt);
        return statement(start, end, facts, this.#grammar.fingerprint(text.subarray(start, end)));
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        // Nested deeper than this process can walk.
        lasting = false;
        return notUnderstood(start, end, "analysis");
      }
    });
    return { statements, lasting };
  }
}

/** stmt_location and stmt_len count bytes; a length of 0 reaches to the end, and white space may lead. */
function extent(text: Uint8Array, tree: NonNullable<Tree["stmts"]>[number]): { start: number; end: number } {
  let start = tree.stmt_location ?? 0;
  let end = tree.stmt_len === undefined || tree.stmt_len === 0 ? text.length : start + tree.stmt_len;
  while (start < end && isSpace(text[start]!)) start += 1;
  while (end > start && isSpace(text[end - 1]!)) end -= 1;
  return { start, end };
}

/** White space of PostgreSQL's scanner. */
function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

function latin1(text: Uint8Array): string {
  return Buffer.from(text.buffer, text.byteOffset, text.byteLength).toString("latin1");
}

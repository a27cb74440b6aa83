/** What a text says about the statements in it, remembered by its exact bytes and by its shape. */
import { isAscii, isUtf8 } from "node:buffer";
import { ByteCache } from "./cache.ts";
import { type Encoding, highInStringsOnly } from "./encoding.ts";
import { factsOf } from "./facts.ts";
import { Grammar, type Tree } from "./grammar.ts";
import { manyTokens, spaceEnd } from "./lexical.ts";
import { type Shape, sample, shapeOf } from "./shape.ts";
import { type Incomplete, notUnderstood, type Statement, statement } from "./statement.ts";

export interface AnalyzerOptions {
  /** Bound on texts and results that are remembered, in bytes. */
  readonly cacheBytes?: number;
  /** Texts above this are not looked at, in bytes. */
  readonly maxBytes?: number;
  /** Texts of more tokens are not parsed; rows that repeat a shape do not count. */
  readonly maxTokens?: number;
}

const DEFAULT_CACHE_BYTES = 32 * 1024 * 1024;
const DEFAULT_MAX_BYTES = 16 * 1024 * 1024;
/** A token takes the grammar and the walk 2 to 3 µs, during which nothing else runs here. */
const DEFAULT_MAX_TOKENS = 250_000;
/** V8 hashes longer strings by their length alone: texts of one length would all meet in one place. */
const MAX_KEY = 16_000;
/** Nothing below this can have too many tokens. */
const SHORT = 64 * 1024;
/** What one remembered statement takes beside its key and its JSON, about. */
const STATEMENT_BYTES = 500;

const NONE: readonly Statement[] = [];

export class Analyzer {
  readonly #grammar: Grammar;
  readonly #texts: ByteCache<readonly Statement[]>;
  readonly #shapes: ByteCache<Statement>;
  readonly #maxBytes: number;
  readonly #maxTokens: number;

  private constructor(grammar: Grammar, options: AnalyzerOptions) {
    const cacheBytes = options.cacheBytes ?? DEFAULT_CACHE_BYTES;
    this.#grammar = grammar;
    this.#texts = new ByteCache(cacheBytes / 2);
    this.#shapes = new ByteCache(cacheBytes / 2);
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
    this.#maxTokens = options.maxTokens ?? DEFAULT_MAX_TOKENS;
  }

  /** @throws when libpg-query's files cannot be read or compiled: a broken installation */
  static async load(options: AnalyzerOptions = {}): Promise<Analyzer> {
    return new Analyzer(await Grammar.load(), options);
  }

  /** Bytes remembered now. */
  get cachedBytes(): number {
    return this.#texts.bytes + this.#shapes.bytes;
  }

  /**
   * Never throws for what a client sends.
   * @param text without the NUL that ends it on the wire
   * @param encoding as `encodingOf` says
   * @param standardStrings the session's standard_conforming_strings; when it is off, texts with a backslash in them
   * are not understood (this grammar would end their strings elsewhere than the server)
   * @returns the statements in order, none for empty text; text that is not understood is one statement `UNKNOWN`
   */
  analyze(text: Uint8Array, encoding: Encoding, standardStrings = true): readonly Statement[] {
    if (encoding === "strings" && !isAscii(text)) {
      const statements = highInStringsOnly(text) ? this.analyze(text, "utf8", standardStrings) : undefined;
      // A string may be a sequence's name.
      const named = statements?.some(({ relations }) =>
        relations.some(({ schema, name }) => /[^ -~]/.test(`${schema}${name}`)),
      );
      return statements === undefined || named === true ? [whole(text, "encoding")] : statements;
    }
    if (text.length > this.#maxBytes) return [whole(text, "too-large")];
    if (encoding === "other" && !isAscii(text)) return [whole(text, "encoding")];
    if (!standardStrings && text.includes(0x5c)) return [whole(text, "analysis")];
    if (text.length > MAX_KEY) return this.#long(text);

    const key = latin1(text);
    const known = this.#texts.get(key);
    if (known !== undefined) return known;
    const shape = shapeOf(text);
    if (shape?.changed && (!shape.high || isUtf8(text))) {
      const shapeKey = latin1(shape.bytes);
      const alike = this.#shapes.get(shapeKey);
      if (alike !== undefined) return [moved(alike, shape)];
      const { statements, lasting } = this.#read(text);
      const only = statements[0];
      if (lasting && statements.length === 1 && only !== undefined && only.fingerprint !== undefined) {
        this.#shapes.set(shapeKey, only, size(shapeKey, statements));
        return [moved(only, shape)];
      }
      return statements;
    }
    const { statements, lasting } = this.#read(text);
    if (lasting) this.#texts.set(key, statements, size(key, statements));
    return statements;
  }

  /** Only the shape of a long text is parsed, if it has one: a thousand rows of an INSERT are two. */
  #long(text: Uint8Array): readonly Statement[] {
    const shape = shapeOf(text);
    if (shape?.changed && (!shape.high || isUtf8(text))) {
      if (shape.tokens > this.#maxTokens) return [whole(text, "too-large")];
      const key = shape.bytes.length <= MAX_KEY ? latin1(shape.bytes) : undefined;
      const alike = key === undefined ? undefined : this.#shapes.get(key);
      if (alike !== undefined) return [moved(alike, shape)];
      const { statements, lasting } = this.#read(sample(shape.bytes));
      const only = statements[0];
      if (statements.length === 1 && only !== undefined && only.fingerprint !== undefined) {
        if (lasting && key !== undefined) this.#shapes.set(key, only, size(key, statements));
        return [moved(only, shape)];
      }
      // What is too deep in the sample is so in the text; the attempt has cost an instance of the grammar.
      if (!lasting) return [whole(text, "analysis")];
    }
    if (text.length > SHORT && manyTokens(text, this.#maxTokens)) return [whole(text, "too-large")];
    return this.#read(text).statements;
  }

  /** `lasting`: the answer depends on the text alone, and not on how much memory or stack there was. */
  #read(text: Uint8Array): { statements: readonly Statement[]; lasting: boolean } {
    if (!isUtf8(text)) return { statements: [whole(text, "encoding")], lasting: true };
    // The grammar takes a C string, and would not see what is behind a NUL. The server refuses such a message.
    if (text.includes(0)) return { statements: [whole(text, "syntax")], lasting: true };
    const parsed = this.#grammar.parse(text);
    if ("failed" in parsed) {
      return { statements: [whole(text, parsed.failed)], lasting: parsed.failed !== "analysis" };
    }
    const trees = parsed.tree.stmts ?? [];
    if (trees.length === 0) return { statements: NONE, lasting: true };
    let lasting = true;
    const statements = trees.map((tree): Statement => {
      const { start, end } = extent(text, tree);
      try {
        const facts = factsOf(tree.stmt);
        // One that cannot be had costs an instance of the grammar; the next statement's would be no better.
        const own = trees.length === 1 ? text : text.subarray(start, end);
        const fingerprint = lasting ? this.#grammar.fingerprint(own) : undefined;
        lasting &&= fingerprint !== undefined;
        return statement(start, end, facts, fingerprint);
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

/** One statement that nothing is known of; white space around it is not part of it. */
function whole(text: Uint8Array, why: Incomplete): Statement {
  const start = spaceEnd(text, 0);
  return notUnderstood(start, trimmed(text, start, text.length), why);
}

/** The same statement in another text. Written out: a spread takes ten times as long. */
function moved(known: Statement, { start, end }: Shape): Statement {
  return {
    start,
    end,
    operation: known.operation,
    class: known.class,
    relations: known.relations,
    functions: known.functions,
    complete: known.complete,
    ...(known.incomplete === undefined ? undefined : { incomplete: known.incomplete }),
    unseen: known.unseen,
    provenRead: known.provenRead,
    elsewhere: known.elsewhere,
    unfiltered: known.unfiltered,
    effectful: known.effectful,
    foreignOperator: known.foreignOperator,
    bare: known.bare,
    ...(known.effect === undefined ? undefined : { effect: known.effect }),
    ...(known.fingerprint === undefined ? undefined : { fingerprint: known.fingerprint }),
    facts: known.facts,
    members: known.members,
  };
}

/** stmt_location and stmt_len count bytes; a length of 0 reaches to the end of the text. */
function extent(text: Uint8Array, tree: NonNullable<Tree["stmts"]>[number]): { start: number; end: number } {
  const from = tree.stmt_location ?? 0;
  const to = tree.stmt_len === undefined || tree.stmt_len === 0 ? text.length : from + tree.stmt_len;
  const start = Math.min(spaceEnd(text, from), to);
  return { start, end: trimmed(text, start, to) };
}

/** The end without the white space before it. */
function trimmed(text: Uint8Array, from: number, to: number): number {
  let end = to;
  while (end > from && spaceEnd(text, end - 1) > end - 1) end--;
  return end;
}

function size(key: string, statements: readonly Statement[]): number {
  return statements.reduce((sum, { members }) => sum + members.length + STATEMENT_BYTES, key.length);
}

/** One character a byte, so different bytes are different strings. */
function latin1(text: Uint8Array): string {
  const bytes = Buffer.isBuffer(text) ? text : Buffer.from(text.buffer, text.byteOffset, text.byteLength);
  return bytes.toString("latin1");
}

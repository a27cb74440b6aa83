import { isKeyName } from "../formats/key.ts";
import type { Entry } from "./entry.ts";
import { membersOf } from "./entry-members.ts";
import { isList } from "./members.ts";
import { countPattern, literal, patternOf, plainCharacter, positivePattern, timestampPattern } from "./patterns.ts";

/**
 * Steps E1 and E2 by pattern. Most entries of a log are like one before: the same members in the same order, the same
 * booleans and enumerated values, and other texts, numbers and digests. Of an entry that passed both steps the shape is
 * kept: a regular expression in which the former stand literally, the latter by the patterns of their words. An entry
 * that it matches passes as well, for nothing that the steps look at is left open: the form is compact, each name
 * stands once, and whether a member must be there or absent depends on literal values only. What matches no shape is
 * parsed: nothing is refused here.
 */

/** Members that steps S and N look at, of the kinds that have a shape, besides the common ones. */
const followed: ReadonlySet<string> = new Set([
  "session",
  "n",
  "statements",
  "failed",
  "rows",
  "bytes_in",
  "bytes_out",
  "outcome",
]);

/** Step N2 looks into it, and it is rare. */
const neverShaped = "recovered";

/** The frequent kinds. Sources' own entries are read whole: they hold seals and keys. */
const shaped: ReadonlySet<string> = new Set(["session.start", "session.end", "access.refused", "statement"]);

/** Shapes kept. A proxy has a handful in use. */
const capacity = 64;
/** Making a shape takes as long as parsing many entries; it must be worth it, also where no entry is like another. */
const mostCredit = 256;
const matchesPerShape = 32;

const sourcesKnown = 4096;

type Shape = {
  pattern: RegExp;
  kind: string;
  /** The followed members that are literal. */
  fixed: Record<string, unknown>;
  /** Those that are not, in the order of their groups behind the first four. */
  open: readonly string[];
};

/** The shapes of the entries of one log, the one used last first. */
export class Shapes {
  readonly #list: Shape[] = [];
  readonly #sources = new Set<string>();
  #credit = mostCredit;
  #matches = 0;

  /**
   * @param text an entry, decoded from UTF-8
   * @returns the common members, and those that steps S and N look at, of an entry that passes E1 and E2; undefined when
   * it is like no entry before
   */
  match(text: string): Entry | undefined {
    for (let i = 0; i < this.#list.length; i++) {
      const shape = this.#list[i]!;
      const groups = shape.pattern.exec(text);
      if (groups === null) continue;
      if (!this.#isSource(groups[1]!)) return undefined;
      for (let k = i; k > 0; k--) this.#list[k] = this.#list[k - 1]!;
      this.#list[0] = shape;
      if (++this.#matches % matchesPerShape === 0 && this.#credit < mostCredit) this.#credit++;
      return outline(shape, groups);
    }
    return undefined;
  }

  /** That a source is a key name no pattern says; of those seen it is remembered. */
  #isSource(name: string): boolean {
    if (this.#sources.has(name)) return true;
    if (!isKeyName(name)) return false;
    if (this.#sources.size === sourcesKnown) this.#sources.clear();
    this.#sources.add(name);
    return true;
  }

  /**
   * @param entry passed E1 and E2
   * @param text of the entry
   */
  learn(entry: Entry, text: string): void {
    if (!shaped.has(entry.kind) || this.#credit === 0) return;
    this.#credit--;
    const shape = shapeOf(entry);
    // Some entries are beyond the patterns: with a date, an escape or a member that these leave to the parser.
    if (shape === undefined || !shape.pattern.test(text)) return;
    this.#list.unshift(shape);
    if (this.#list.length > capacity) this.#list.pop();
  }
}

function outline({ kind, fixed, open }: Shape, groups: RegExpExecArray): Entry {
  const entry: Entry = {
    v: 1,
    kind,
    source: groups[1]!,
    epoch: Number(groups[2]),
    seq: Number(groups[3]),
    time: groups[4]!,
    ...fixed,
  };
  for (let i = 0; i < open.length; i++) {
    const name = open[i]!;
    const text = groups[5 + i]!;
    entry[name] = name === "session" ? text : Number(text);
  }
  return entry;
}

/** @returns the pattern with what is inside the quotes, or all of it, as a group */
function group(pattern: string): string {
  return pattern.startsWith('"') ? `"(${pattern.slice(1, -1)})"` : `(${pattern})`;
}

/** @returns the shape of an entry that passed E1 and E2; undefined when it has members without a pattern */
function shapeOf(entry: Entry): Shape | undefined {
  const checks = new Map(membersOf(entry.kind)!.map(({ name, check }) => [name, check]));
  const fixed: Record<string, unknown> = {};
  const open: string[] = [];
  const parts = ['"v":1', `"kind":${literal(JSON.stringify(entry.kind))}`, `"source":"(${plainCharacter}*)"`];
  parts.push(`"epoch":(${positivePattern})`, `"seq":(${countPattern})`, `"time":${group(timestampPattern)}`);
  for (const [name, value] of Object.entries(entry).slice(parts.length)) {
    const check = checks.get(name);
    let pattern = check && patternOf(check);
    if (check === undefined || pattern === undefined || name === neverShaped) return undefined;
    const isLiteral = typeof value === "boolean" || isList(check);
    if (isLiteral) pattern = literal(JSON.stringify(value));
    if (followed.has(name)) {
      if (isLiteral) fixed[name] = value;
      else {
        open.push(name);
        pattern = group(pattern);
      }
    }
    parts.push(`${literal(JSON.stringify(name))}:${pattern}`);
  }
  return { pattern: new RegExp(`^\\{${parts.join(",")}\\}$`), kind: entry.kind, fixed, open };
}

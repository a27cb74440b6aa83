import type { EntryValue } from "./entry.ts";
import { type Form, isObject, isSealed, literal } from "./forms.ts";
import { decidingMembers, formsOf } from "./kinds.ts";

// Most entries are like one before: the same members in the same order, with other texts, numbers and digests. Of an
// entry that was parsed and found good, its shape is kept: a regular expression made of the patterns of its members'
// forms. An entry that it matches as a whole would be found good as well:
//
// - compact form: names stand literally, each once, no white space is between them, and a pattern matches compact JSON;
// - the form of each member, of each number and of each sealed value is what its pattern says, and no member stands
//   there that is not known;
// - whether a member must be there or absent depends on which are there, and on values that stand literally;
// - source, epoch and sequence are those expected, and stand literally too.
//
// What matches no shape is parsed: nothing is refused here.

/** The frequent kinds. Those of sources themselves are looked into, and are rare. */
const SHAPED: ReadonlySet<string> = new Set(["statement", "session.start", "session.end", "access.refused"]);
/** Members in front of those of the kind (spec/entry.md, "Members of every kind"). */
const COMMON_MEMBERS = 6;
/** Shapes kept. A proxy has a handful in use. */
const CAPACITY = 32;
/**
 * To make a shape costs as much as to parse a hundred entries or so. So many may be made at once; each further one has
 * to be earned by entries that match.
 */
const MOST_CREDIT = 128;
const MATCHES_FOR_ONE = 128;
const TIME = formsOf("session.end")!.get("start")!.pattern!;
const SEALED = '\\{"sealed":"([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])","bytes":(?:0|[1-9][0-9]{0,14})\\}';

/** What is sealed in an entry. */
export interface SealedValues {
  /** @returns the digest at a member's path such as `client.address`, in base64url; undefined when nothing is sealed there */
  digestAt(path: string): string | undefined;
}

interface Shape {
  /** How the entry begins, up to the member `source`. */
  readonly beginning: string;
  /** From the value of `time` to the end. Its groups are digests. */
  readonly pattern: RegExp;
  /** The paths of what is sealed, by group. */
  readonly paths: readonly string[];
}

class ShapedEntry implements SealedValues {
  readonly #paths: readonly string[];
  readonly #groups: RegExpExecArray;

  constructor(paths: readonly string[], groups: RegExpExecArray) {
    this.#paths = paths;
    this.#groups = groups;
  }

  digestAt(path: string): string | undefined {
    const group = this.#paths.indexOf(path);
    return group < 0 ? undefined : this.#groups[group + 1];
  }
}

/** @returns how each entry of a run of a source goes on behind its kind, up to the value of `seq`, in Latin-1 */
export function runOf(source: string, epoch: number): string {
  return Buffer.from(`"source":${JSON.stringify(source)},"epoch":${epoch},"seq":`).toString("latin1");
}

/** The shapes of entries, the one matched last first. */
export class EntryShapes {
  readonly #shapes: Shape[] = [];
  #credit = MOST_CREDIT;
  #matches = 0;

  /**
   * @param text begins with an entry, which is valid UTF-8, each byte as one character (Latin-1)
   * @param length of the entry
   * @param run of the source, from `runOf`, and the sequence that the entry must have in it
   * @returns undefined when it is like none before; else it has the form of spec/entry.md, and that place
   */
  match(text: string, length: number, run: string, seq: number): SealedValues | undefined {
    const expected = `${run}${seq},"time":`;
    const shapes = this.#shapes;
    for (let i = 0; i < shapes.length; i += 1) {
      const shape = shapes[i]!;
      const { beginning, pattern } = shape;
      if (!text.startsWith(beginning)) continue;
      // With another place it is refused; not here.
      if (!text.startsWith(expected, beginning.length)) return undefined;
      pattern.lastIndex = beginning.length + expected.length;
      const groups = pattern.exec(text);
      if (groups === null || pattern.lastIndex !== length) continue;
      if (i > 0) {
        shapes.copyWithin(1, 0, i);
        shapes[0] = shape;
      }
      this.#matches += 1;
      if (this.#matches % MATCHES_FOR_ONE === 0 && this.#credit < MOST_CREDIT) this.#credit += 1;
      return new ShapedEntry(shape.paths, groups);
    }
    return undefined;
  }

  /**
   * @param entry that was found good, and in its place, and that `match` has just not known
   * @param text, length, run as there
   */
  learn(entry: EntryValue, text: string, length: number, run: string): void {
    if (!SHAPED.has(entry.kind) || this.#credit === 0) return;
    this.#credit -= 1;
    const shape = shapeOf(entry);
    if (shape === undefined) return;
    this.#shapes.unshift(shape);
    // What is beyond the patterns (an escape such as \\u0001, a number of sixteen digits) has no shape that helps.
    if (this.match(text, length, run, entry.seq) === undefined) this.#shapes.shift();
    else if (this.#shapes.length > CAPACITY) this.#shapes.pop();
  }
}

/** @returns the shape of an entry that was found good; undefined when one of its members has no pattern */
function shapeOf(entry: EntryValue): Shape | undefined {
  const paths: string[] = [];
  const own = Object.entries(entry).slice(COMMON_MEMBERS);
  const forms = formsOf(entry.kind)!;
  const parts = own.map(([name, value]) =>
    decidingMembers.has(name)
      ? `${literal(JSON.stringify(name))}:${literal(JSON.stringify(value))}`
      : memberPattern(name, value, forms.get(name), paths, name),
  );
  if (parts.includes(undefined)) return undefined;
  const pattern = new RegExp([TIME, ...parts].join(",").concat("\\}"), "y");
  return { beginning: `{"v":1,"kind":${JSON.stringify(entry.kind)},`, pattern, paths };
}

/** @param paths what is sealed is added to it, in the order of the pattern's groups */
function memberPattern(
  name: string,
  value: unknown,
  form: Form | undefined,
  paths: string[],
  path: string,
): string | undefined {
  const pattern = form && valuePattern(value, form, paths, path);
  return pattern === undefined ? undefined : `${literal(JSON.stringify(name))}:${pattern}`;
}

function valuePattern(value: unknown, form: Form, paths: string[], path: string): string | undefined {
  if (form.clear !== undefined) {
    if (!isSealed(value)) return form.clear.pattern;
    paths.push(path);
    return SEALED;
  }
  const { members } = form;
  if (members === undefined || !isObject(value)) return form.pattern;
  const parts = Object.entries(value).map(([name, member]) =>
    memberPattern(name, member, members.get(name), paths, `${path}.${name}`),
  );
  return parts.includes(undefined) ? undefined : `\\{${parts.join(",")}\\}`;
}

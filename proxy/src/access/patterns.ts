/** Names as rules write them: `*` stands for any characters, once in each part. */

export interface Pattern {
  readonly text: string;
  readonly before: string;
  /** undefined: no `*`, so `before` is all of it. */
  readonly after: string | undefined;
}

/** A relation's or function's name, with its schema. */
export interface Name {
  readonly text: string;
  readonly schema: Pattern;
  readonly name: Pattern;
}

/** @returns undefined when it is empty, over 256 characters, or has more than one `*` */
export function parsePattern(text: string): Pattern | undefined {
  if (text === "" || text.length > 256) return undefined;
  const [before, after, more] = text.split("*");
  return more === undefined ? { text, before: before!, after } : undefined;
}

export function fits({ before, after }: Pattern, name: string): boolean {
  if (after === undefined) return name === before;
  return name.length >= before.length + after.length && name.startsWith(before) && name.endsWith(after);
}

/**
 * `schema.name`, each part a pattern; a part with a dot in it, or white space at an end, stands in double quotes. As in a
 * catalog: `orders` is what SQL calls orders or ORDERS, and `Orders` is what it calls "Orders".
 * @returns undefined when it is not in this form
 */
export function parseName(text: string): Name | undefined {
  const parts = splitName(text);
  if (parts?.length !== 2) return undefined;
  const [schema, name] = parts.map(parsePattern);
  return schema === undefined || name === undefined ? undefined : { text, schema, name };
}

/**
 * The parts of a dotted name, without their double quotes.
 * @returns undefined when the quotes do not fit
 */
export function splitName(text: string): string[] | undefined {
  const parts: string[] = [];
  const part = /(?:"((?:[^"]|"")*)"|([^".]*))(\.|$)/y;
  for (;;) {
    const match = part.exec(text);
    if (match === null) return undefined;
    const bare = match[2];
    if (bare !== undefined && bare !== bare.trim()) return undefined;
    parts.push(bare ?? match[1]!.replaceAll('""', '"'));
    if (match[3] === "") return parts;
    if (part.lastIndex === text.length) return undefined;
  }
}

import { printable, printableJson } from "./printable.ts";

/**
 * An entry and the values disclosed with it, written out for people: a member a line, paths joined by dots. No two
 * entries look alike: a text stands as it is only where every character of it is seen, and it can be taken for nothing
 * else; any other stands in quotes, as JSON has it.
 */

/** The names of entries are shorter; one that a log made up must not push all values to the side. */
const longestLabel = 40;

type Sealed = { sealed: string; bytes: number };

/**
 * @param entry verified
 * @param disclosed values by the path of their member
 * @param sealed the paths of all sealed values
 */
export function entryLines(
  entry: object,
  disclosed: ReadonlyMap<string, unknown>,
  sealed: ReadonlySet<string>,
): string[] {
  const lines: [string, string[]][] = [];
  collect(entry, "", disclosed, sealed, lines);
  const width = Math.min(longestLabel, Math.max(...lines.map(([path]) => path.length))) + 2;
  return lines.flatMap(([path, [first, ...more]]) => [
    `  ${path.padEnd(width - 1)} ${first}`,
    ...more.map((line) => `  ${"".padEnd(width)}${line}`),
  ]);
}

function collect(
  value: object,
  prefix: string,
  disclosed: ReadonlyMap<string, unknown>,
  sealed: ReadonlySet<string>,
  lines: [string, string[]][],
): void {
  for (const [name, member] of Object.entries(value)) {
    const path = `${prefix}${isPlainName(name) ? name : printableJson(name)}`;
    const label = printable(path);
    if (sealed.has(path)) {
      const { bytes } = member as Sealed;
      if (!disclosed.has(path)) lines.push([label, [`(sealed, ${bytes} bytes, not disclosed)`]]);
      else lines.push([label, ["(sealed, disclosed:)", ...valueLines(disclosed.get(path)).map((line) => `| ${line}`)]]);
    } else if (typeof member === "object" && member !== null && !Array.isArray(member)) {
      if (Object.keys(member).length === 0) lines.push([label, ["{}"]]);
      collect(member, `${path}.`, disclosed, sealed, lines);
    } else lines.push([label, memberLines(member)]);
  }
}

/** Text with line ends, such as a seal or a statement, stands on lines of its own. */
function memberLines(value: unknown): string[] {
  const lines = valueLines(value);
  return lines.length > 1 ? ["", ...lines.map((line) => `| ${line}`)] : lines;
}

function valueLines(value: unknown): string[] {
  if (typeof value !== "string") return [printableJson(value)];
  const lines = value.split("\n");
  if (lines.length > 1) return lines.map((line) => (isSeen(line) ? line : printableJson(line)));
  return [isSeen(value) && !looksLikeAnother(value) ? value : printableJson(value)];
}

/** A name with a dot would look like a path, and pass for the member that this leads to. */
function isPlainName(name: string): boolean {
  return isSeen(name) && !/[. ]/.test(name) && name !== "";
}

/** @returns whether the line shows all that is in it, and is not one in quotes */
function isSeen(line: string): boolean {
  return printable(line) === line && !line.startsWith('"') && !line.endsWith(" ");
}

/** @returns whether a text of one line would look like a value that is no text, like a remark of ours, or like none */
function looksLikeAnother(text: string): boolean {
  if (text.trim() !== text || text === "" || text.startsWith("(sealed, ")) return true;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false; // no JSON: a text and nothing else
  }
}

import { isMap, isScalar, LineCounter, parseDocument, type YAMLError, type YAMLMap } from "yaml";
import { bad, CONFIG_KEYS, convert, convertDefault } from "./keys.ts";

/**
 * Reads the text of a configuration file, key by key.
 * @param path of the file, for errors
 * @returns each key's value, by path
 * @throws ProxyError `bad_config`, with the line and column of what is wrong
 */
export function parseValues(text: string, path: string): ReadonlyMap<string, unknown> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  const problem = document.errors[0];
  if (problem !== undefined) throw bad(at(problem.pos[0]), sayProblem(problem));
  if (!isMap(document.contents)) throw bad(at(0), "the file must be a map of keys");
  const given = new Map<string, { value: unknown; where: string }>();
  flatten(document.contents, "", at, given);
  // First, because a key that is missing may be there under a name that is misspelled.
  for (const [name, { where }] of given)
    if (!CONFIG_KEYS.some(({ path }) => path === name)) throw bad(where, `there is no key "${name}"`);
  const values = new Map<string, unknown>();
  for (const key of CONFIG_KEYS) {
    const entry = given.get(key.path);
    if (entry === undefined && key.required) throw bad(path, `the key "${key.path}" is missing`);
    values.set(key.path, entry === undefined ? convertDefault(key) : convert(key, entry.value, entry.where));
  }
  return values;
}

function flatten(
  map: YAMLMap,
  prefix: string,
  at: (offset: number) => string,
  into: Map<string, { value: unknown; where: string }>,
): void {
  for (const { key, value } of map.items) {
    const where = at((isScalar(key) ? key.range?.[0] : undefined) ?? 0);
    if (!isScalar(key) || typeof key.value !== "string") throw bad(where, "a key must be a name");
    const name = `${prefix}${key.value}`;
    if (CONFIG_KEYS.some(({ path }) => path.startsWith(`${name}.`))) {
      // One whose keys are all commented out has no value.
      if (isMap(value)) flatten(value, `${name}.`, at, into);
      else if (!(value === null || (isScalar(value) && value.value === null))) {
        const keys = CONFIG_KEYS.flatMap(({ path }) =>
          path.startsWith(`${name}.`) ? path.slice(name.length + 1) : [],
        );
        throw bad(where, `"${name}" must be a map of the keys ${keys.join(", ")}`);
      }
    } else into.set(name, { value: (value as { toJSON?(): unknown } | null)?.toJSON?.() ?? null, where });
  }
}

/** In words for whoever wrote the file, where the parser's own are for whoever calls it. */
function sayProblem({ code, message }: YAMLError): string {
  if (code === "MULTIPLE_DOCS") return "a second document begins; the configuration is one";
  if (message.startsWith("Maximum call stack")) return "it is nested too deeply";
  return message.split("\n")[0] ?? "not YAML";
}

import { type Facts, strongest } from "../statements/index.ts";
import { splitName } from "./patterns.ts";

/** Which schemas a name without one may be in. */

/**
 * The session's search_path; undefined: not known now. `hiding`: not known, but that another schema may stand before
 * pg_catalog.
 */
export type SearchPath = readonly string[] | "hiding" | undefined;

/** Another schema is searched before pg_catalog: a name of PostgreSQL's own may be somebody's. */
function hides(path: SearchPath): boolean {
  return path === "hiding" || (path !== undefined && path.indexOf("pg_catalog") > 0);
}

/** NAMEDATALEN - 1: longer names are cut, to what is not looked into here. Bytes. */
const MAX_NAME = 63;

/**
 * As PostgreSQL reads it (SplitIdentifierString in its varlena.c): letters of ASCII alone are folded, and white space is
 * that of its scanner.
 * @param value as the server reports it, such as `"$user", public`
 */
export function parseSearchPath(value: string, userSchemas: boolean): SearchPath {
  const schemas: string[] = [];
  const item = /[ \t\n\v\f\r]*(?:"((?:[^"]|"")*)"|([^ \t\n\v\f\r",]+))[ \t\n\v\f\r]*(,|$)/y;
  if (/^[ \t\n\v\f\r]*$/.test(value)) return schemas;
  const unclear: SearchPath = /pg_catalog/i.test(value) ? "hiding" : undefined;
  let user = -1;
  for (;;) {
    const match = item.exec(value);
    if (match === null) return unclear;
    const schema = match[1]?.replaceAll('""', '"') ?? match[2]!.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
    if (Buffer.byteLength(schema) > MAX_NAME) return unclear;
    // current_user is not reported: which schema this is cannot be told.
    if (schema === "$user") user = schemas.length;
    // Temporary objects are the session's own, wherever they stand in the path.
    else if (schema !== "pg_temp" && !schemas.includes(schema)) schemas.push(schema);
    if (match[3] === "") break;
  }
  if (user < 0 || !userSchemas) return schemas;
  const catalog = schemas.indexOf("pg_catalog");
  return catalog > 0 || (catalog === 0 && user === 0) ? "hiding" : undefined;
}

/**
 * What a client says of its path when it begins, to a server that never reports it. A backslash in `options` is for the
 * character behind it, and a dash in a setting's name an underscore.
 */
export function pathAtStart(parameters: ReadonlyMap<string, string>): SearchPath {
  for (const [name, value] of parameters) {
    const said = `${name}=${value}`.replaceAll("\\", "");
    if (/^(?:options|search_path)=/i.test(said) && /search[-_]path.*pg_catalog/is.test(said)) return "hiding";
  }
  return undefined;
}

/**
 * @param system whether pg_catalog may have such a name
 * @returns the schemas that it may be in; undefined: any
 */
export function schemasOf(
  schema: string | undefined,
  system: boolean,
  path: SearchPath,
): readonly string[] | undefined {
  if (schema !== undefined) return [schema];
  if (path === undefined || path === "hiding") return undefined;
  // pg_catalog is searched first when the path does not name it.
  const schemas = system && !path.includes("pg_catalog") ? ["pg_catalog", ...path] : path;
  return schemas.length === 0 ? undefined : schemas;
}

/** A function as entries write it. @returns schema and name */
export function splitFunction(text: string): { readonly schema: string | undefined; readonly name: string } {
  const parts = splitName(text) ?? [text];
  return { schema: parts.at(-2), name: parts.at(-1)! };
}

/**
 * What a statement does under a path. Where another schema is searched before pg_catalog, a function, an operator or a
 * type without a schema may be one of that schema's under a name of PostgreSQL's.
 */
export function factsUnder(path: SearchPath, facts: Facts): Facts {
  if (!hides(path)) return facts;
  const hidden = facts.functions.filter((call) => splitFunction(call).schema === undefined);
  if (hidden.length === 0 && !facts.bare) return facts;
  return {
    ...facts,
    class: strongest(facts.class, "function"),
    effectful: [...new Set([...facts.effectful, ...hidden])].sort(),
    foreignOperator: facts.foreignOperator || facts.bare,
  };
}

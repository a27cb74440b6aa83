import { CLASSES, type Facts } from "../statements/index.ts";
import { splitName } from "./patterns.ts";

/** Which schemas a name without one may be in. */

/** The session's search_path; undefined: not known now. */
export type SearchPath = readonly string[] | undefined;

/** @param value as the server reports it, such as `"$user", public` */
export function parseSearchPath(value: string, userSchemas: boolean): SearchPath {
  if (value.trim() === "") return [];
  const schemas: string[] = [];
  const item = /\s*(?:"((?:[^"]|"")*)"|([^\s",]+))\s*(,|$)/y;
  for (;;) {
    const match = item.exec(value);
    if (match === null) return undefined;
    const schema = match[1]?.replaceAll('""', '"') ?? match[2]!.toLowerCase();
    // current_user is not reported: which schema this is cannot be told.
    if (schema === "$user" && userSchemas) return undefined;
    // Temporary objects are the session's own, wherever they stand in the path.
    if (schema !== "$user" && schema !== "pg_temp" && !schemas.includes(schema)) schemas.push(schema);
    if (match[3] === "") return schemas;
  }
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
  if (path === undefined) return undefined;
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
 * What a statement does under a path. Where another schema is searched before pg_catalog, a function without a schema may
 * be one of that schema's under a name of PostgreSQL's.
 */
export function factsUnder(path: SearchPath, facts: Facts): Facts {
  if (path === undefined || path.indexOf("pg_catalog") < 1) return facts;
  const hidden = facts.functions.filter((call) => splitFunction(call).schema === undefined);
  if (hidden.length === 0) return facts;
  return {
    ...facts,
    class: CLASSES.indexOf(facts.class) < CLASSES.indexOf("function") ? "function" : facts.class,
    effectful: [...new Set([...facts.effectful, ...hidden])].sort(),
  };
}

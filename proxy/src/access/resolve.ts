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

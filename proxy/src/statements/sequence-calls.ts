/** Sequences that a call names in a string: `nextval('s.q')` changes the relation `s.q` as surely as an UPDATE would. */
import type { Access } from "./statement.ts";
import { constant, type Nodes, strings } from "./tree.ts";

/** Functions of pg_catalog whose first argument is a sequence, and what they do to it. */
export const SEQUENCE_FUNCTIONS: ReadonlyMap<string, Access> = new Map([
  ["currval", "read"],
  ["nextval", "write"],
  ["pg_get_sequence_data", "read"],
  ["pg_sequence_last_value", "read"],
  ["pg_sequence_parameters", "read"],
  ["setval", "write"],
]);

/** NAMEDATALEN - 1: what the server cuts an unquoted or quoted name to. Bytes. */
const MAX_NAME = 63;

/** @returns the first argument as the text it is written as, through casts to text and regclass; undefined for others */
export function writtenArgument(call: Nodes["FuncCall"]): string | undefined {
  let node = call.args?.[0] as Partial<Nodes> | undefined;
  while (node?.TypeCast !== undefined) {
    const type = strings(node.TypeCast.typeName?.names);
    if (!["regclass", "text"].includes(type.at(-1) ?? "") || (type.length > 1 && type[0] !== "pg_catalog"))
      return undefined;
    node = node.TypeCast.arg as Partial<Nodes> | undefined;
  }
  return node?.A_Const?.sval === undefined ? undefined : constant(node);
}

/**
 * A relation's name as regclass reads it (stringToQualifiedNameList in PostgreSQL's regproc.c).
 * @returns the parts, folded and unquoted; undefined for a number, or what the server would refuse
 */
export function qualifiedName(text: string): readonly string[] | undefined {
  const parts: string[] = [];
  const part = /[ \t\n\v\f\r]*(?:"((?:[^"]|"")+)"|([^". \t\n\v\f\r]+))[ \t\n\v\f\r]*(\.|$)/y;
  for (;;) {
    const found = part.exec(text);
    if (found === null) return undefined;
    const [, quoted, plain] = found;
    if (plain !== undefined && parts.length === 0 && found[3] === "" && /^(?:\d+|-)$/.test(plain)) return undefined;
    const name =
      quoted === undefined ? plain!.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) : quoted.replaceAll('""', '"');
    if (Buffer.byteLength(name) > MAX_NAME) return undefined;
    parts.push(name);
    if (found[3] === "") return parts.length <= 3 ? parts : undefined;
  }
}

/** The facts of one parsed statement. */
import { commandOf } from "./commands.ts";
import { sessionEffect } from "./session-effect.ts";
import { type Facts, strongest } from "./statement.ts";
import type { Nodes } from "./tree.ts";
import { Walk } from "./walk.ts";

/** What the parameters of an EXECUTE do; undefined where they are constants, or there are none. */
function givenTo(node: Nodes["ExecuteStmt"] | undefined): Facts | undefined {
  if (node?.params === undefined) return undefined;
  const walk = new Walk(commandOf);
  walk.visit(node.params, undefined);
  const facts = walk.facts("EXECUTE", true);
  const { provenRead, functions, relations, bare } = facts;
  return provenRead && functions.length === 0 && relations.length === 0 && !bare ? undefined : facts;
}

/** What an EXECUTE does: what was prepared, and what its parameters do. */
export function together(prepared: Facts, given: Facts): Facts {
  const relations = new Map(
    [...prepared.relations, ...given.relations].map((one) => [JSON.stringify([one.schema, one.name, one.access]), one]),
  );
  const both = (a: readonly string[], b: readonly string[]): string[] => [...new Set([...a, ...b])].sort();
  const incomplete = prepared.incomplete ?? given.incomplete;
  return {
    ...prepared,
    class: strongest(prepared.class, given.class),
    relations: [...relations.values()],
    functions: both(prepared.functions, given.functions),
    complete: prepared.complete && given.complete,
    ...(incomplete === undefined ? undefined : { incomplete }),
    unseen: prepared.unseen || given.unseen,
    provenRead: prepared.provenRead && given.provenRead,
    elsewhere: prepared.elsewhere === "write" ? "write" : (given.elsewhere ?? prepared.elsewhere),
    unfiltered: prepared.unfiltered || given.unfiltered,
    effectful: both(prepared.effectful, given.effectful),
    foreignOperator: prepared.foreignOperator || given.foreignOperator,
    bare: prepared.bare || given.bare,
  };
}

/**
 * @param statement one statement node, wrapped in its type's name
 * @throws RangeError when it is nested deeper than this process' stack
 */
export function factsOf(statement: unknown): Facts {
  const node = statement as Partial<Nodes>;
  const type = Object.keys(node)[0] ?? "";
  const command = commandOf(type);
  const content = (statement as Record<string, object>)[type] ?? {};
  const walk = new Walk(commandOf);
  walk.node(type, content, undefined);

  let inner: Facts | undefined;
  if (node.PrepareStmt !== undefined) {
    inner = factsOf(node.PrepareStmt.query);
    walk.adopt(inner);
  }
  const tag = typeof command?.tag === "function" ? command.tag(content) : (command?.tag ?? "UNKNOWN");
  // The others of class `read` leave something behind (DECLARE), or read what they do not name (FETCH).
  const query = (node.ExplainStmt?.query ?? node) as Partial<Nodes>;
  const facts = walk.facts(tag, query.SelectStmt !== undefined);
  const effect = sessionEffect(node, facts, inner ?? givenTo(node.ExecuteStmt));
  return effect === undefined ? facts : { ...facts, effect };
}

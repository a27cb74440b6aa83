/** The facts of one parsed statement. */
import { commandOf } from "./commands.ts";
import { sessionEffect } from "./session-effect.ts";
import type { Facts } from "./statement.ts";
import type { Nodes } from "./tree.ts";
import { Walk } from "./walk.ts";

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
  const effect = sessionEffect(node, facts, inner);
  return effect === undefined ? facts : { ...facts, effect };
}

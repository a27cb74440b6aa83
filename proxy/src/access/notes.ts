import { CLASSES } from "../statements/index.ts";
import type { Rule, RuleSet } from "./rules.ts";

/** What is in order in a file of rules, and hardly meant so: `vitrine proxy rules check`. */

export interface Note {
  readonly line: number;
  readonly message: string;
}

/** @param now milliseconds since 1970 */
export function notesOn(set: RuleSet, now: number): Note[] {
  const groups = new Set([...set.groups.values()].flatMap((names) => [...names]));
  const last = set.rules.findIndex(decidesAll);
  return set.rules.flatMap((rule, i) => {
    const found = [...aboutWho(rule, groups), ...aboutWhat(rule), ...aboutWhen(rule, now)];
    if (last >= 0 && i > last)
      found.push(`rule "${set.rules[last]!.name}" before it decides everything: it is never asked`);
    return found.map((message) => ({ line: rule.line, message }));
  });
}

function aboutWho({ action, name, who }: Rule, known: ReadonlySet<string>): string[] {
  const found: string[] = [];
  for (const group of (who.groups ?? []).filter((one) => !known.has(one))) {
    found.push(
      `rule "${name}" is about the group "${group}", which this file has not: nobody is in it but those whom the proxy's users file puts there`,
    );
  }
  const { applications, users, groups, auth, networks } = who;
  if (action === "allow" && applications !== undefined && (users ?? groups ?? auth ?? networks) === undefined) {
    found.push(`rule "${name}" allows by application alone, and a client may call itself what it likes`);
  }
  return found;
}

function aboutWhat({ action, name, what: { classes, reads, writes } }: Rule): string[] {
  if (action !== "allow" || classes?.has("write") !== true || reads === undefined || writes !== undefined) return [];
  return [`rule "${name}" has "reads" and no "writes": it covers no statement of class write that names a relation`];
}

function aboutWhen({ name, when }: Rule, now: number): string[] {
  return when?.until !== undefined && when.until <= now ? [`rule "${name}" has ended: its "until" is over`] : [];
}

/** Whether no statement gets past it, whoever sends it, from wherever and whenever. */
function decidesAll({ action, who, databases, what, when }: Rule): boolean {
  if (action === "observe" || when !== undefined || databases !== undefined) return false;
  if (Object.values(who).some((condition) => condition !== undefined)) return false;
  const { classes, ...others } = what;
  if (Object.values(others).some((condition) => condition !== undefined)) return false;
  return classes === undefined ? action === "deny" : CLASSES.every((one) => classes.has(one));
}

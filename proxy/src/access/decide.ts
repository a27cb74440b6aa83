import type { Facts } from "../statements/index.ts";
import { matchStatement, matchSubject, type Subject } from "./match.ts";
import type { SearchPath } from "./resolve.ts";
import { DEFAULT_RULE, type Rule, type RuleSet } from "./rules.ts";
import { inForce } from "./when.ts";

/** What the rules say to one statement of one session, at one time. */
export interface Decision {
  readonly allowed: boolean;
  /** The rule that decided; undefined when none matched, or none was asked. */
  readonly rule: Rule | undefined;
  /** The first observe rule that would have denied it. */
  readonly observed: Rule | undefined;
  /** One sentence, for the one who is denied. */
  readonly why: string;
  /** JSON members for the entry, each with a comma before it. */
  readonly members: string;
}

/** What is not decided: it ends or begins a transaction, or executes nothing. */
export const NOT_DECIDED: Decision = { allowed: true, rule: undefined, observed: undefined, why: "", members: "" };

/** A rule that matches a statement whenever it is in force. */
interface Candidate {
  readonly rule: Rule;
  readonly why: string;
}

interface Candidates {
  readonly list: readonly Candidate[];
  /** The answer where it does not depend on the time. */
  readonly fixed: Decision | undefined;
}

/**
 * Answers for all sessions to which the same rules apply and that have the same search_path. Remembered by the facts of
 * a statement, which live as long as the analyzer remembers its text.
 */
export class Table {
  readonly #rules: readonly Rule[];
  readonly #path: SearchPath;
  readonly #known = new WeakMap<Facts, Candidates>();

  constructor(rules: readonly Rule[], path: SearchPath) {
    this.#rules = rules;
    this.#path = path;
  }

  /** @param now milliseconds since 1970 */
  decide(facts: Facts, now: number): Decision {
    let known = this.#known.get(facts);
    if (known === undefined) {
      known = this.#candidates(facts);
      this.#known.set(facts, known);
    }
    return known.fixed ?? first(known.list, facts, now);
  }

  #candidates(facts: Facts): Candidates {
    const list: Candidate[] = [];
    let timed = false;
    for (const rule of this.#rules) {
      const { matches, why } = matchStatement(rule.action, rule.what, facts, this.#path);
      if (!matches) continue;
      list.push({ rule, why });
      if (rule.when !== undefined) timed = true;
      else if (rule.action !== "observe") break;
    }
    return { list, fixed: timed ? undefined : first(list, facts, 0) };
  }
}

function first(list: readonly Candidate[], facts: Facts, now: number): Decision {
  let observed: Rule | undefined;
  for (const { rule, why } of list) {
    if (rule.when !== undefined && !inForce(rule.when, now)) continue;
    if (rule.action === "observe") observed ??= rule;
    else return decision(rule.action === "allow", rule, observed, because(rule, why));
  }
  return decision(false, undefined, observed, `no rule allows it: ${doing(facts)}`);
}

function because(rule: Rule, why: string): string {
  return `rule "${rule.name}"${why === "" ? "" : `: ${why}`}`;
}

/** Class and relations, for one who wonders what no rule allows. */
function doing({ class: kind, relations, effectful }: Facts): string {
  const names = [
    ...relations.map(({ schema, name, access }) => `${access} of ${schema === undefined ? "" : `${schema}.`}${name}`),
    ...effectful.map((name) => `function ${name}`),
  ];
  const more = names.length > 5 ? ", …" : "";
  return `class ${kind}${names.length === 0 ? "" : `, ${names.slice(0, 5).join(", ")}${more}`}`;
}

/** @returns the decision with its members for the entry */
export function decision(allowed: boolean, rule: Rule | undefined, observed: Rule | undefined, why: string): Decision {
  const would = observed === undefined ? "" : `,"would_deny":${JSON.stringify(observed.name)}`;
  return { allowed, rule, observed, why, members: `,"rule":${JSON.stringify(rule?.name ?? DEFAULT_RULE)}${would}` };
}

/** The rules of a set that can match somebody, in order. */
export function rulesFor(set: RuleSet, subject: Subject): readonly Rule[] {
  return set.rules.filter((rule) => matchSubject(rule, set, subject).matches);
}

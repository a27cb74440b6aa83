import { Analyzer, type Facts, type Statement } from "../statements/index.ts";
import { Access, mayChangeReading, meant, SessionAccess } from "./access.ts";
import { matchStatement, matchSubject, type Subject } from "./match.ts";
import { parseSearchPath } from "./resolve.ts";
import type { Limits, Rule, RuleSet } from "./rules.ts";
import { inForce } from "./when.ts";

/** What rules say to a text, and why: `vitrine proxy rules test`. */

export interface Explained {
  readonly sql: string;
  readonly operation: string;
  readonly class: string;
  readonly allowed: boolean;
  /** undefined: a transaction command, which no rule is asked about */
  readonly rule: string | undefined;
  readonly observed: string | undefined;
  readonly why: string;
  /** What else the client is told, by the rule that denied. */
  readonly hint: string | undefined;
  /** What the rule that allowed it limits. */
  readonly limits: Limits | undefined;
  /** Why not everything that it does can be read off its text (spec/entry.md, `incomplete`). */
  readonly incomplete: string | undefined;
  /** Each rule before the one that decided, and why it does not match. */
  readonly passed: readonly { readonly rule: string; readonly line: number; readonly why: string }[];
}

export interface Question {
  readonly subject: Subject;
  readonly sql: string;
  /** As the server reports it. */
  readonly searchPath: string;
  /** Milliseconds since 1970. */
  readonly now: number;
}

let loaded: Promise<Analyzer> | undefined;

/**
 * @returns one answer for each statement of the text. In a session, one denied statement denies the whole text
 */
export async function explain(set: RuleSet, { subject, sql, searchPath, now }: Question): Promise<Explained[]> {
  loaded ??= Analyzer.load();
  const analyzer = await loaded;
  const text = Buffer.from(sql);
  const access = new SessionAccess(new Access(set), () => subject);
  access.searchPath(searchPath);
  const prepared = new Map<string, Facts>();
  let moved = false;
  return analyzer.analyze(text, "utf8").map((statement: Statement) => {
    const { effect } = statement;
    const facts = meant(statement.facts, (name) => prepared.get(name));
    if (effect?.kind === "prepare") prepared.set(effect.name, effect.inner);
    const decided = access.decide(facts, !moved, now);
    const path = moved ? undefined : parseSearchPath(searchPath, set.userSchemas);
    moved ||= mayChangeReading(facts, moved);
    const asked = facts.effect?.kind === "prepare" ? facts.effect.inner : facts;
    const until = decided.rule === undefined ? set.rules.length : set.rules.indexOf(decided.rule);
    const passed = set.rules.slice(0, until).map((rule) => {
      const who = matchSubject(rule, set, subject);
      const what = matchStatement(rule.action, rule.what, asked, path);
      const late = rule.when !== undefined && !inForce(rule.when, now);
      let why = "would deny this, but only observes";
      if (!who.matches) why = who.why;
      else if (!what.matches) why = what.why;
      else if (late) why = "not in force at this time";
      return { rule: rule.name, line: rule.line, why };
    });
    return {
      sql: text.toString("utf8", statement.start, statement.end),
      operation: statement.operation,
      class: asked.class,
      allowed: decided.allowed,
      rule: decided.members === "" ? undefined : (decided.rule?.name ?? "default"),
      observed: decided.observed?.name,
      why: decided.why,
      hint: decided.allowed ? undefined : decided.rule?.hint,
      limits: decided.allowed ? limitsOf(decided.rule) : undefined,
      incomplete: asked.incomplete,
      passed: decided.members === "" ? [] : passed,
    };
  });
}

function limitsOf(rule: Rule | undefined): Limits | undefined {
  const limits = rule?.limits;
  return limits !== undefined && Object.values(limits).some((limit) => limit !== undefined) ? limits : undefined;
}

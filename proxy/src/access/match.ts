import { LOCAL } from "../address/client.ts";
import type { Facts, StatementClass } from "../statements/index.ts";
import { fits, type Name } from "./patterns.ts";
import { factsUnder, type SearchPath, schemasOf, splitFunction } from "./resolve.ts";
import type { Action, Rule, RuleSet, What, Who } from "./rules.ts";

/** Whom rules are asked about. */
export interface Subject {
  readonly user: string;
  /** Known from elsewhere; those that the rules' file gives the user are added. */
  readonly groups: readonly string[];
  /** As in entries (spec/entry.md). */
  readonly auth: string;
  /** IP address; `[local]` for a Unix socket; undefined where neither is known. */
  readonly host: string | undefined;
  readonly application: string;
  readonly database: string;
}

/** `why` is about the match in a rule that denies, and about its absence otherwise. */
export interface Match {
  readonly matches: boolean;
  readonly why: string;
}

const MATCHES: Match = { matches: true, why: "" };
const not = (why: string): Match => ({ matches: false, why });

/** Who and where: does not change while a session keeps its application name. */
export function matchSubject(rule: Rule, set: RuleSet, subject: Subject): Match {
  const { users, groups, auth, networks, applications }: Who = rule.who;
  if (users !== undefined && !users.some((user) => fits(user, subject.user))) return not(`not user ${subject.user}`);
  if (groups !== undefined) {
    const own = set.groups.get(subject.user);
    if (!groups.some((group) => own?.has(group) || subject.groups.includes(group))) {
      return not(`${subject.user} is not in group ${groups.join(" or ")}`);
    }
  }
  if (auth !== undefined && !auth.includes(subject.auth)) return not(`not authenticated by ${subject.auth}`);
  if (networks !== undefined) {
    const { host } = subject;
    if (host === undefined || !networks.some((network) => network.has(host))) {
      return not(
        host === LOCAL ? "not from a Unix socket" : `not from ${host ?? "there: where the client is, is not known"}`,
      );
    }
  }
  if (applications !== undefined && !applications.some((name) => fits(name, subject.application))) {
    return not(`not application ${JSON.stringify(subject.application)}`);
  }
  if (rule.databases !== undefined && !rule.databases.some((name) => fits(name, subject.database))) {
    return not(`not in database ${subject.database}`);
  }
  return MATCHES;
}

/** An allow rule must cover all that a statement does; a deny or observe rule matches if any of it is named. */
export function matchStatement(action: Action, what: What, read: Facts, path: SearchPath): Match {
  const facts = factsUnder(path, read);
  const { classes } = what;
  if (classes !== undefined ? !classes.has(facts.class) : action === "allow" && facts.class === "unknown") {
    return not(`not for class ${facts.class}`);
  }
  if (what.unfiltered !== undefined && what.unfiltered !== facts.unfiltered) {
    return not(facts.unfiltered ? "an UPDATE or DELETE has no WHERE" : "no UPDATE or DELETE is without WHERE");
  }
  return action === "allow" ? covered(what, facts, path) : named(what, facts, path);
}

const BEYOND_RELATIONS: ReadonlySet<StatementClass> = new Set(["ddl", "role", "admin"] as const);

function covered({ reads, writes, functions }: What, facts: Facts, path: SearchPath): Match {
  if (reads !== undefined || writes !== undefined) {
    // DROP SCHEMA, GRANT … ON ALL TABLES, CREATE ROLE: what they change has no name that could be compared.
    if (facts.relations.length === 0 && BEYOND_RELATIONS.has(facts.class))
      return not("the statement names no relation");
    for (const { schema, name, access } of facts.relations) {
      const names = (access === "read" ? reads : writes) ?? [];
      const schemas = schemasOf(schema, name.startsWith("pg_"), path);
      if (!all(names, schemas, name)) return not(`does not cover ${access} of ${shown(schema, name, schemas)}`);
    }
    const named = (facts.elsewhere === "read" ? reads : writes) ?? [];
    if (facts.elsewhere !== undefined && !named.some(({ text }) => text === "*.*"))
      return not(`does not cover ${facts.elsewhere} of relations that the statement does not name`);
  }
  if (functions !== undefined) {
    for (const call of facts.effectful) {
      const { schema, name } = splitFunction(call);
      const schemas = schemasOf(schema, true, path);
      if (!all(functions, schemas, name)) return not(`does not cover the function ${shown(schema, name, schemas)}`);
    }
    if (facts.foreignOperator) return not("does not cover an operator that is not PostgreSQL's");
    if (facts.operation === "FUNCTION CALL" || (facts.class === "function" && facts.effectful.length === 0))
      return not("does not cover a function by number");
  }
  return MATCHES;
}

function named({ reads, writes, functions }: What, facts: Facts, path: SearchPath): Match {
  const why: string[] = [];
  if (reads !== undefined || writes !== undefined) {
    const hit = facts.relations.find(({ schema, name, access }) => {
      const names = (access === "read" ? reads : writes) ?? [];
      return any(names, schemasOf(schema, name.startsWith("pg_"), path), name);
    });
    if (hit !== undefined) why.push(`${hit.access} of ${hit.schema === undefined ? "" : `${hit.schema}.`}${hit.name}`);
    // It may be any of them.
    else if (facts.elsewhere !== undefined && (facts.elsewhere === "read" ? reads : writes) !== undefined)
      why.push(`${facts.elsewhere} of relations that the statement does not name`);
    else return not("names no relation that the statement touches");
  }
  if (functions !== undefined) {
    const hit = facts.functions.find((call) => {
      const { schema, name } = splitFunction(call);
      return any(functions, schemasOf(schema, true, path), name);
    });
    if (hit === undefined) return not("names no function that the statement calls");
    why.push(`the function ${hit}`);
  }
  return { matches: true, why: why.join(", ") };
}

/** Wherever the name may lead, it must be named. */
function all(names: readonly Name[], schemas: readonly string[] | undefined, name: string): boolean {
  const fitting = names.filter((pattern) => fits(pattern.name, name));
  if (schemas === undefined) return fitting.some(({ schema }) => schema.text === "*");
  return schemas.every((schema) => fitting.some((pattern) => fits(pattern.schema, schema)));
}

/** Where it may lead to something that is named, it counts as named. */
function any(names: readonly Name[], schemas: readonly string[] | undefined, name: string): boolean {
  return names.some(
    (pattern) =>
      fits(pattern.name, name) && (schemas === undefined || schemas.some((schema) => fits(pattern.schema, schema))),
  );
}

function shown(schema: string | undefined, name: string, schemas: readonly string[] | undefined): string {
  if (schema !== undefined) return `${schema}.${name}`;
  if (schemas === undefined) return `${name}, in whichever schema (the search_path is not known here)`;
  return schemas.length === 1 ? `${schemas[0]}.${name}` : `${name} in each of ${schemas.join(", ")}`;
}

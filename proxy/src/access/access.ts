import { classOfCall, type Facts, type SessionEffect, together, UNKNOWN_FACTS } from "../statements/index.ts";
import { type Decision, decision, NOT_DECIDED, rulesFor, Table } from "./decide.ts";
import type { Subject } from "./match.ts";
import { Rates } from "./rates.ts";
import { parseSearchPath, type SearchPath } from "./resolve.ts";
import type { Rule, RuleSet } from "./rules.ts";

const CALL: Facts = { ...UNKNOWN_FACTS, operation: "FUNCTION CALL", class: "function" };
const CALL_OF_OWN: Facts = { ...CALL, class: "admin" };

/** A function called by its number: which one it is cannot be told. @param oid undefined: not known */
export function functionByNumber(oid: number | undefined): Facts {
  return classOfCall(oid) === "admin" ? CALL_OF_OWN : CALL;
}

/**
 * What rules are asked about: of an EXECUTE what was prepared under the name, with what its parameters do.
 * @param prepared undefined where that is not known: then the EXECUTE stands for itself, which is `unknown`
 */
export function meant(facts: Facts, prepared: (name: string) => Facts | undefined): Facts {
  const { effect } = facts;
  const known = effect?.kind === "execute" ? prepared(effect.name) : undefined;
  if (effect?.kind !== "execute" || known === undefined) return facts;
  return effect.given === undefined ? known : together(known, effect.given);
}

/** Sessions that differ in their search_path have tables of their own. Nobody has that many, unless on purpose. */
const MAX_TABLES = 1000;

/** The rules in force, with what was decided by them: one for all sessions. */
export class Access {
  readonly rates: Rates = new Rates();
  #set: RuleSet;
  #version = 0;
  #tables = new Map<string, Table>();

  constructor(set: RuleSet) {
    this.#set = set;
  }

  get set(): RuleSet {
    return this.#set;
  }

  /** Grows with each change of the rules. */
  get version(): number {
    return this.#version;
  }

  /** From here on these are asked, by every session. */
  replace(set: RuleSet): void {
    this.#set = set;
    this.#version += 1;
    this.#tables = new Map();
  }

  table(rules: readonly Rule[], path: SearchPath): Table {
    const key = `${rules.map(({ name }) => name).join(" ")}|${path === undefined ? "?" : JSON.stringify(path)}`;
    let table = this.#tables.get(key);
    if (table === undefined) {
      if (this.#tables.size >= MAX_TABLES) this.#tables.clear();
      table = new Table(rules, path);
      this.#tables.set(key, table);
    }
    return table;
  }
}

/** Asks the rules for one session. */
export class SessionAccess {
  readonly #access: Access;
  readonly #subject: () => Subject;
  /** What is known of the path while the server has not reported it. */
  readonly #unreported: SearchPath;
  #version = -1;
  #rules: readonly Rule[] = [];
  #reported: string | undefined;
  #path: SearchPath;
  /** For the path that the server reported last, and for none. */
  #table: Table | undefined;
  #pathless: Table | undefined;

  constructor(access: Access, subject: () => Subject, unreported?: SearchPath) {
    this.#access = access;
    this.#subject = subject;
    this.#unreported = unreported;
  }

  /** The server reported the session's search_path (PostgreSQL 18 and later do). */
  searchPath(value: string): void {
    this.#reported = value;
    this.#table = undefined;
    this.#version = -1;
  }

  /** The search_path as the server reported it last; undefined: it never did. */
  get reported(): string | undefined {
    return this.#reported;
  }

  /** Who asks is another now: its application name has changed. */
  changed(): void {
    this.#version = -1;
  }

  /** What is in the text of one statement, or is known of the one that an EXECUTE names. */
  decide(facts: Facts, pathKnown: boolean, now: number = Date.now()): Decision {
    if (isPassedUnasked(facts.effect)) return NOT_DECIDED;
    if (this.#version !== this.#access.version) this.#refresh();
    let table = pathKnown ? this.#table : this.#pathless;
    if (table === undefined) {
      table = this.#access.table(this.#rules, pathKnown ? this.#path : this.#unreported);
      if (pathKnown) this.#table = table;
      else this.#pathless = table;
    }
    // Whoever may not execute it need not prepare it.
    return table.decide(facts.effect?.kind === "prepare" ? facts.effect.inner : facts, now);
  }

  /** As `decide`, for names that the server resolved under another path than the present one. */
  decideUnder(facts: Facts, path: string | undefined, now: number = Date.now()): Decision {
    if (isPassedUnasked(facts.effect)) return NOT_DECIDED;
    if (this.#version !== this.#access.version) this.#refresh();
    return this.#access.table(this.#rules, this.#read(path)).decide(facts, now);
  }

  /** Counts one execution under the rule that allowed it. @returns what is decided with that */
  count(allowed: Decision): Decision {
    const { rule } = allowed;
    const perMinute = rule?.limits.statementsPerMinute;
    if (rule === undefined || perMinute === undefined) return allowed;
    if (this.#access.rates.take(rule.name, this.#subject().user, perMinute, performance.now())) return allowed;
    return decision(false, rule, allowed.observed, `rule "${rule.name}": more than ${perMinute} statements a minute`);
  }

  #refresh(): void {
    const { set, version } = this.#access;
    this.#version = version;
    this.#rules = rulesFor(set, this.#subject());
    this.#path = this.#read(this.#reported);
    this.#table = undefined;
    this.#pathless = undefined;
  }

  #read(path: string | undefined): SearchPath {
    return path === undefined ? this.#unreported : parseSearchPath(path, this.#access.set.userSchemas);
  }
}

/** BEGIN, COMMIT and the like: no session could get out of a failed transaction without them. */
function isPassedUnasked(effect: SessionEffect | undefined): boolean {
  return effect?.kind === "transaction" && !["prepare", "commit-prepared", "rollback-prepared"].includes(effect.verb);
}

/** By these a text is read: its names, its strings, its characters. */
const READ_BY = ["search_path", "role", "session_authorization", "standard_conforming_strings", "client_encoding"];

/** Whether it may change how later texts are read; `changed` says whether anything in this session may have. */
export function mayChangeReading({ effect, effectful, unseen, class: kind }: Facts, changed: boolean): boolean {
  if (effectful.some((name) => name === "set_config" || name === "pg_catalog.set_config")) return true;
  switch (effect?.kind) {
    case "set":
    case "reset":
      return effect.name === undefined || READ_BY.includes(effect.name);
    case "discard":
      return effect.what === "all";
    case "set-config":
      return true;
    case "transaction":
      // What was set in the transaction, or for it alone, ends with it.
      return changed && !["begin", "savepoint", "release"].includes(effect.verb);
    default:
      // The class is that of the strongest effect: CREATE TABLE … AS SELECT f() is `ddl`.
      return unseen || kind === "function" || kind === "unknown";
  }
}

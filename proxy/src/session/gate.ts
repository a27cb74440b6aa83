import { isAscii } from "node:buffer";
import {
  type Decision,
  decision,
  functionByNumber,
  mayChangeReading,
  meant,
  NOT_DECIDED,
  type SessionAccess,
} from "../access/index.ts";
import { type Facts, type SessionEffect, type Statement, UNKNOWN_FACTS } from "../statements/index.ts";
import type { Execution, Quota } from "./execution.ts";
import type { Candidate, Judged, Reading } from "./judged.ts";

/** What a decision lets its execution return; undefined: as much as there is. */
function quotaOf(allowed: Decision): Quota | undefined {
  const limits = allowed.rule?.limits;
  if (limits === undefined || (limits.rows === undefined && limits.bytes === undefined)) return undefined;
  const { rows = Number.POSITIVE_INFINITY, bytes = Number.POSITIVE_INFINITY } = limits;
  return { rows, bytes, allowed, copied: 0, beyond: undefined };
}

/** @param limit which one would be exceeded by what comes now */
export function exceeded(quota: Quota, limit: "rows" | "bytes"): Decision {
  const { rule, observed } = quota.allowed;
  return decision(false, rule, observed, `rule "${rule?.name}": more than ${rule?.limits[limit]} ${limit}`);
}

/** The rules allow it: the execution says so, and is held to what they leave it. */
export function permit(execution: Execution, decided: Decision): void {
  execution.decided = decided.members;
  execution.quota = quotaOf(decided);
}

const BACKSLASH = 0x5c;
/** With more names than these unanswered, all count as changing. */
const MAX_RENAMING = 1000;
const NOT_READ: Judged = { facts: UNKNOWN_FACTS };

/** What was decided of a text: one for each statement up to the first that is denied. */
export interface Judgement {
  readonly decisions: readonly Decision[];
  /** Which one is denied; -1: none. */
  readonly denied: number;
}

/**
 * Asks the access rules for a session's messages, with what the session knows: what SQL prepared under which name, and
 * whether the search_path is still the one that the server reported last.
 */
export class Gate {
  readonly #access: SessionAccess;
  /** By PREPARE, and completed. */
  readonly #prepared = new Map<string, Facts>();
  /** Names that something unanswered may give to something else; how many must be answered until that is known. */
  readonly #renaming = new Map<string, number>();
  #allRenaming = 0;
  /** Messages that ReadyForQuery answers: the server reports changed settings just before it. */
  #asked = 0;
  #ready = 0;
  /** The path is known again once so many were answered. */
  #knownAt = 0;
  #moved = false;
  #reading: Reading | undefined;
  /** What the protocol has bound under the name of a portal, which SQL knows as a cursor. */
  readonly #portals: (name: string) => readonly Candidate[];

  constructor(access: SessionAccess, portals: (name: string) => readonly Candidate[]) {
    this.#access = access;
    this.#portals = portals;
  }

  /** A Bind: the server resolves the names of the statement now, and executes that, whatever the path is then. */
  bound(): Reading {
    const known = this.#known;
    const path = this.#access.reported;
    if (this.#reading?.known !== known || this.#reading.path !== path) this.#reading = { known, path };
    return this.#reading;
  }

  /**
   * How a text must be judged. While settings may be changing that say where a string ends, or what its bytes mean, only
   * plain text is read by the server as it was read here.
   */
  reading(text: Buffer, statements: readonly Statement[]): readonly Judged[] {
    if (this.#known || (isAscii(text) && !text.includes(BACKSLASH))) return statements;
    return statements.map(() => NOT_READ);
  }

  /** A Query: it is executed whole or not at all. */
  query(statements: readonly Judged[]): Judgement {
    return this.#judge(statements, true);
  }

  /** A Parse: nothing is executed yet, so nothing is counted. */
  parse(statements: readonly Judged[]): Decision {
    const { decisions, denied } = this.#judge(statements, false);
    return decisions[denied < 0 ? 0 : denied] ?? NOT_DECIDED;
  }

  /**
   * An Execute.
   * @param candidates what it may execute, as far as is known: each must be allowed. A name that is not known is undefined
   * @param counted false where it carries on what was counted before
   */
  execute(candidates: readonly Candidate[], name: string | undefined, counted: boolean): Decision {
    let answer = NOT_DECIDED;
    for (const { judged: statements, bound } of candidates) {
      const inner = statements === undefined && name !== undefined ? this.#preparedAs(name) : undefined;
      const known = statements ?? [inner === undefined ? NOT_READ : { facts: inner }];
      const { decisions, denied } = this.#judge(known, false);
      answer = decisions[denied < 0 ? 0 : denied] ?? NOT_DECIDED;
      if (denied >= 0) return answer;
      const before = this.#deniedAtBind(known, bound);
      if (before !== undefined) return before;
      this.#moves(known);
    }
    return counted ? this.#access.count(answer) : answer;
  }

  /** @param oid undefined: not known yet */
  functionCall(oid: number | undefined): Decision {
    const facts = functionByNumber(oid);
    const decided = this.#access.decide(facts, this.#known);
    const answer = decided.allowed ? this.#access.count(decided) : decided;
    if (answer.allowed) this.#moves([{ facts }]);
    return answer;
  }

  /** A message was sent that ReadyForQuery answers. */
  asked(): void {
    this.#asked += 1;
  }

  /** @param idle nothing is unanswered now: also nothing that the server swallowed, as it does with a Sync in COPY */
  ready(idle: boolean): void {
    this.#ready = idle ? this.#asked : this.#ready + 1;
    if (idle && this.#renaming.size > 0) this.#renaming.clear();
  }

  /** What stands under the name is about to change. No name: all of them. */
  renaming(name?: string): void {
    const at = this.#asked + 1;
    if (name === undefined || this.#renaming.size >= MAX_RENAMING) this.#allRenaming = at;
    else this.#renaming.set(name, at);
  }

  /** A PREPARE was completed. */
  prepared(name: string, inner: Facts): void {
    this.#prepared.set(name, inner);
  }

  /** No name: all of them. */
  deallocated(name?: string): void {
    if (name === undefined) this.#prepared.clear();
    else this.#prepared.delete(name);
  }

  get #known(): boolean {
    return this.#knownAt <= this.#ready;
  }

  #judge(statements: readonly Judged[], executed: boolean): Judgement {
    const decisions: Decision[] = [];
    let known = this.#known;
    let moved = this.#moved;
    let local: Map<string, Facts> | undefined;
    for (const { facts } of statements) {
      const { effect } = facts;
      const asked = meant(facts, (name) => local?.get(name) ?? this.#preparedAs(name));
      if (effect?.kind === "prepare") {
        local ??= new Map();
        local.set(effect.name, effect.inner);
      }
      const decided = this.#fetched(effect, known) ?? this.#access.decide(asked, known);
      decisions.push(decided);
      if (!decided.allowed) return { decisions, denied: decisions.length - 1 };
      if (mayChangeReading(asked, moved)) {
        known = false;
        moved = true;
      }
    }
    if (!executed) return { decisions, denied: -1 };
    for (const [i, decided] of decisions.entries()) {
      const counted = this.#access.count(decided);
      if (!counted.allowed) return { decisions: [...decisions.slice(0, i), counted], denied: i };
    }
    if (!known && this.#known) this.#unknown();
    this.#moved = moved;
    for (const { facts } of statements) this.#renames(facts.effect);
    return { decisions, denied: -1 };
  }

  /** A FETCH from what the protocol has bound executes it: decided as an Execute of it would be. */
  #fetched(effect: SessionEffect | undefined, pathKnown: boolean): Decision | undefined {
    if (effect?.kind !== "fetch") return undefined;
    let answer: Decision | undefined;
    for (const { judged = [NOT_READ], bound } of this.#portals(effect.name)) {
      for (const { facts } of judged) {
        answer = this.#access.decide(facts, pathKnown);
        if (!answer.allowed) return answer;
      }
      answer = this.#deniedAtBind(judged, bound) ?? answer;
      if (answer?.allowed === false) return answer;
    }
    return answer;
  }

  /** What the names meant when they were resolved must be allowed as well as what they mean now. */
  #deniedAtBind(statements: readonly Judged[], bound: Reading | undefined): Decision | undefined {
    if (bound === undefined || (bound.known && bound.path === this.#access.reported)) return undefined;
    for (const { facts } of statements) {
      const asked = meant(facts, (name) => this.#preparedAs(name));
      const decided = this.#access.decideUnder(asked, bound.known ? bound.path : undefined);
      if (!decided.allowed) return decided;
    }
    return undefined;
  }

  #moves(statements: readonly Judged[]): void {
    for (const { facts } of statements) {
      const asked = meant(facts, (name) => this.#preparedAs(name));
      if (mayChangeReading(asked, this.#moved)) this.#unknown();
      this.#renames(facts.effect);
    }
  }

  /** What SQL has prepared under the name; undefined where that is not known, or may be something else by then. */
  #preparedAs(name: string): Facts | undefined {
    const until = Math.max(this.#allRenaming, this.#renaming.get(name) ?? 0);
    return until > this.#ready ? undefined : this.#prepared.get(name);
  }

  #renames(effect: SessionEffect | undefined): void {
    if (effect?.kind === "prepare" || effect?.kind === "deallocate") this.renaming(effect.name);
    else if (effect?.kind === "discard" && effect.what === "all") this.renaming();
  }

  #unknown(): void {
    this.#moved = true;
    this.#knownAt = this.#asked + 1;
  }
}

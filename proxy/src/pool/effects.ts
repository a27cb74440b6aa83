/** What of a statement's effects matters to whoever shares server connections between sessions. */
import type { Facts, SessionEffect, Statement } from "../statements/index.ts";

/** Why a session keeps its server connection (spec/entry.md, `pins`). */
export const PINS = [
  "advisory-lock",
  "cursor",
  "listen",
  "load",
  "prepare",
  "settings",
  "temporary",
  "unknown",
] as const;

export type Pin = (typeof PINS)[number];

export interface Effects {
  /** Why the connection may not be shared once this was sent, whatever comes of it. */
  readonly pins: readonly Pin[];
  /** What it does to the session when it completes. */
  readonly effect: SessionEffect | undefined;
  /** Statements prepared before it may have to be planned anew. */
  readonly definition: boolean;
  /** It makes something, where the search path says. */
  readonly makes: boolean;
  /** What is made later may be temporary, though nothing says so there: the search path may name pg_temp. */
  readonly path: "session" | "transaction" | undefined;
  /** It changes by what search path and role names are read, or takes away the names of all that is prepared. */
  readonly moves: boolean;
  /** Not even DISCARD ALL undoes it. */
  readonly stays: boolean;
  /** The server may take for a statement what our grammar does not: what it then did is not known. */
  readonly unread: boolean;
}

/** Most statements. */
export const PLAIN: Effects = {
  pins: [],
  effect: undefined,
  definition: false,
  makes: false,
  path: undefined,
  moves: false,
  stays: false,
  unread: false,
};

const set = (list: string): ReadonlySet<string> => new Set(list.trim().split(/\s+/));

/** PostgreSQL's own functions with an effect, of which the session keeps nothing beyond its transaction. */
const NOTHING_LEFT = set(`
  lo_close lo_creat lo_create lo_from_bytea lo_lseek lo_lseek64 lo_open lo_put lo_tell lo_tell64 lo_truncate
  lo_truncate64 lo_unlink loread lowrite nextval pg_advisory_unlock pg_advisory_unlock_all pg_advisory_unlock_shared
  pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_cancel_backend pg_current_xact_id pg_export_snapshot
  pg_logical_emit_message pg_ls_dir pg_notify pg_read_binary_file pg_read_file pg_reload_conf pg_sleep pg_sleep_for
  pg_sleep_until pg_stat_clear_snapshot pg_stat_file pg_stat_force_next_flush pg_stat_reset pg_switch_wal
  pg_terminate_backend pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared setval txid_current
`);

const LOCKS = set("pg_advisory_lock pg_advisory_lock_shared pg_try_advisory_lock pg_try_advisory_lock_shared");

const known = new WeakMap<Facts, Effects>();

/** @param statement as the analyzer gives it */
export function effectsOf(statement: Statement): Effects {
  let effects = known.get(statement.facts);
  if (effects === undefined) {
    effects = read(statement.facts);
    known.set(statement.facts, effects);
  }
  return effects;
}

function read(facts: Facts): Effects {
  const pins = new Set<Pin>();
  collect(facts, pins);
  const { effect, operation } = facts;
  const unread = facts.incomplete === "syntax";
  const definition = facts.class === "ddl" || facts.class === "role" || facts.class === "admin";
  if (operation === "LOAD") pins.add("load");
  const stays = operation === "LOAD" || facts.effectful.some((name) => plainName(name) === "setseed") || isSeed(effect);
  if (stays && pins.size === 0) pins.add("settings");
  const path = pathOf(facts);
  // The second is SELECT INTO.
  const makes =
    operation.startsWith("CREATE") ||
    ((operation === "SELECT" || operation === "EXPLAIN") &&
      definition &&
      facts.relations.some(({ access }) => access === "write"));
  if (pins.size === 0 && effect === undefined && !definition && !makes && !unread && path === undefined) return PLAIN;
  return { pins: [...pins], effect, definition, makes, path, moves: moves(effect), stays, unread };
}

/** The random numbers' beginning is no setting that RESET ALL knows. */
function isSeed(effect: SessionEffect | undefined): boolean {
  return effect?.kind === "set" && effect.name === "seed";
}

function pathOf({ effect, effectful }: Facts): Effects["path"] {
  if (effect?.kind === "set" && effect.name === "search_path") {
    if (effect.value?.includes("pg_temp") !== true) return undefined;
    return effect.local ? "transaction" : "session";
  }
  // Which setting it is about is not told. For the session, it pins anyhow.
  return effectful.some((name) => plainName(name) === "set_config") ? "transaction" : undefined;
}

const READ_BY = set("search_path role session_authorization");

function moves(effect: SessionEffect | undefined): boolean {
  if (effect?.kind === "discard") return effect.what === "all";
  if (effect?.kind === "deallocate") return effect.name === undefined;
  if (effect?.kind !== "set" && effect?.kind !== "reset") return false;
  return effect.name === undefined || READ_BY.has(effect.name);
}

function collect(facts: Facts, pins: Set<Pin>): void {
  const { effect, operation, incomplete, unseen } = facts;
  switch (effect?.kind) {
    case "prepare":
      pins.add("prepare");
      // It will be executed without being looked at again.
      collect(effect.inner, pins);
      break;
    case "listen":
      pins.add("listen");
      break;
    case "declare":
      if (effect.hold) pins.add("cursor");
      break;
    case "temporary":
      pins.add("temporary");
      break;
    case "set-config":
      if (!effect.local) pins.add("settings");
      break;
    default:
  }
  for (const name of facts.effectful) {
    const own = plainName(name);
    if (own === undefined) pins.add("unknown");
    else if (LOCKS.has(own)) pins.add("advisory-lock");
    else if (own === "setseed") pins.add("settings");
    else if (own === "set_config") {
      // Next to another effect it is not told whether it is for the transaction.
      if (effect?.kind !== "set-config") pins.add("settings");
    } else if (!NOTHING_LEFT.has(own)) pins.add("unknown");
  }
  if (facts.foreignOperator) pins.add("unknown");
  // What EXECUTE and FETCH run was looked at when it was prepared and declared.
  const later = operation === "EXECUTE" || operation === "FETCH" || operation === "MOVE";
  if (incomplete === "opaque") {
    if (unseen && !later) pins.add("unknown");
  } else if (incomplete !== undefined && incomplete !== "syntax") pins.add("unknown");
}

/** The name of a function that is PostgreSQL's own unless somebody has put another in its place. */
function plainName(written: string): string | undefined {
  const name = written.startsWith("pg_catalog.") ? written.slice("pg_catalog.".length) : written;
  return name.includes(".") || name.includes('"') ? undefined : name;
}

/** What calling a function does, judged by its name. */
import { EFFECTFUL_FUNCTIONS, EFFECTLESS_FUNCTIONS } from "./builtins.ts";
import type { StatementClass } from "./statement.ts";

export interface CallEffect {
  readonly class: StatementClass;
  /** What it does cannot be read off the statement's text. */
  readonly opaque: boolean;
}

const NONE: CallEffect = { class: "read", opaque: false };
const SOMEBODYS: CallEffect = { class: "function", opaque: true };
const ADMIN: CallEffect = { class: "admin", opaque: false };
const RUNS_A_STRING: CallEffect = { class: "unknown", opaque: true };

const set = (list: string): ReadonlySet<string> => new Set(list.trim().split(/\s+/));

/** Execute SQL, or read relations, that they are given as a string. */
const RUN_STRINGS = set(`
  cursor_to_xml cursor_to_xmlschema database_to_xml database_to_xml_and_xmlschema database_to_xmlschema
  query_to_xml query_to_xml_and_xmlschema query_to_xmlschema schema_to_xml schema_to_xml_and_xmlschema
  schema_to_xmlschema table_to_xml table_to_xml_and_xmlschema table_to_xmlschema ts_rewrite ts_stat
`);

/** Change data that others see. */
const WRITE = set(`
  lo_creat lo_create lo_from_bytea lo_put lo_truncate lo_truncate64 lo_unlink lowrite nextval
  pg_logical_emit_message pg_notify setval
`);

/** Touch nothing but the session and its transaction. */
const SESSION = set(`
  lo_close lo_lseek lo_lseek64 lo_open lo_tell lo_tell64 loread pg_advisory_lock pg_advisory_lock_shared
  pg_advisory_unlock pg_advisory_unlock_all pg_advisory_unlock_shared pg_advisory_xact_lock
  pg_advisory_xact_lock_shared pg_current_xact_id pg_export_snapshot pg_sleep pg_sleep_for pg_sleep_until
  pg_stat_clear_snapshot pg_stat_force_next_flush pg_try_advisory_lock pg_try_advisory_lock_shared
  pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared setseed txid_current
`);

/** Reach relations, or what was done to any of them, that they are given by value. */
const REACH_UNNAMED = set(`
  brin_desummarize_range brin_summarize_new_values brin_summarize_range gin_clean_pending_list pg_clear_attribute_stats
  pg_clear_relation_stats pg_extension_config_dump pg_logical_slot_get_binary_changes pg_logical_slot_get_changes
  pg_logical_slot_peek_binary_changes pg_logical_slot_peek_changes pg_nextoid pg_restore_attribute_stats
  pg_restore_relation_stats pg_stat_reset_single_table_counters
`);

/** They run the input function of a type that is named in a string. */
const RUN_A_TYPE = set("pg_input_error_info pg_input_is_valid");

/** Extensions whose functions execute strings; an extension can be installed in any schema. */
const EXTENSION_RUNS_STRINGS = /^(?:dblink(?:_.*)?|crosstab\d*|crosstab_hash|connectby|xpath_table)$/;
/** adminpack: reads and writes files of the server. */
const EXTENSION_ADMIN = /^(?:pg_file_.*|pg_logdir_ls|postgres_fdw_disconnect.*)$/;

/**
 * @param name the parts of the function's name as the grammar gives them: unquoted, folded
 * @returns the effect; `class` is `read` for a function that has none
 */
export function callEffect(name: readonly string[]): CallEffect {
  const last = name.at(-1) ?? "";
  if (name.length === 1 || (name.length === 2 && name[0] === "pg_catalog")) {
    if (EFFECTLESS_FUNCTIONS.has(last)) return NONE;
    if (EFFECTFUL_FUNCTIONS.has(last)) {
      if (RUN_STRINGS.has(last)) return RUNS_A_STRING;
      if (WRITE.has(last)) return { class: "write", opaque: false };
      if (SESSION.has(last)) return { class: "session", opaque: false };
      if (RUN_A_TYPE.has(last)) return SOMEBODYS;
      return { class: "admin", opaque: REACH_UNNAMED.has(last) || last.startsWith("binary_upgrade_") };
    }
  }
  if (EXTENSION_RUNS_STRINGS.test(last)) return RUNS_A_STRING;
  if (EXTENSION_ADMIN.test(last)) return ADMIN;
  return SOMEBODYS;
}

/** A name that is a function's without effect, if it is a function's in pg_catalog. */
export function hasNoEffect(name: string): boolean {
  return EFFECTLESS_FUNCTIONS.has(name);
}

/** A name that, as a function's, would do something known: one of PostgreSQL's, or of an extension's. */
export function isEffectful(name: string): boolean {
  return EFFECTFUL_FUNCTIONS.has(name) || EXTENSION_RUNS_STRINGS.test(name) || EXTENSION_ADMIN.test(name);
}

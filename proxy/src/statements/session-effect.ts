/** What a statement does to its session, read off its tree. */
import { type Facts, isSettings, type SessionEffect } from "./statement.ts";
import { constant, type Nodes, strings } from "./tree.ts";
import { option } from "./visits.ts";

/** DECLARE … WITH HOLD in DeclareCursorStmt's options (PostgreSQL's parsenodes.h). */
const CURSOR_OPT_HOLD = 0x20;

/** How the names of settings begin that the proxy itself may show. */
const OWN_SETTINGS = "vitrine.";

const VERBS = {
  TRANS_STMT_BEGIN: "begin",
  TRANS_STMT_START: "begin",
  TRANS_STMT_COMMIT: "commit",
  TRANS_STMT_ROLLBACK: "rollback",
  TRANS_STMT_SAVEPOINT: "savepoint",
  TRANS_STMT_RELEASE: "release",
  TRANS_STMT_ROLLBACK_TO: "rollback-to",
  TRANS_STMT_PREPARE: "prepare",
  TRANS_STMT_COMMIT_PREPARED: "commit-prepared",
  TRANS_STMT_ROLLBACK_PREPARED: "rollback-prepared",
} as const;

const named = (name: string | undefined): { name?: string } => (name === undefined ? {} : { name });

/**
 * @param statement one wrapped statement node
 * @param facts the functions it calls, and the relations it names
 * @param inner what a PREPARE prepares, or the parameters of an EXECUTE do
 */
export function sessionEffect(
  statement: Partial<Nodes>,
  { functions, relations }: Pick<Facts, "functions" | "relations">,
  inner: Facts | undefined,
): SessionEffect | undefined {
  if (statement.TransactionStmt !== undefined) {
    const { kind, chain, savepoint_name, gid } = statement.TransactionStmt;
    if (kind === undefined) return undefined;
    return { kind: "transaction", verb: VERBS[kind], chain: chain === true, ...named(savepoint_name ?? gid) };
  }
  if (statement.PrepareStmt !== undefined && inner !== undefined) {
    return { kind: "prepare", name: statement.PrepareStmt.name ?? "", inner };
  }
  if (statement.ExecuteStmt !== undefined) {
    const given = inner === undefined ? {} : { given: inner };
    return { kind: "execute", name: statement.ExecuteStmt.name ?? "", ...given };
  }
  if (statement.DeallocateStmt !== undefined) return { kind: "deallocate", ...named(statement.DeallocateStmt.name) };
  if (statement.VariableSetStmt !== undefined) return setting(statement.VariableSetStmt);
  if (statement.VariableShowStmt !== undefined) {
    const name = (statement.VariableShowStmt.name ?? "").toLowerCase();
    return name.startsWith(OWN_SETTINGS) ? { kind: "show", name } : undefined;
  }
  if (statement.DiscardStmt !== undefined) {
    const what = (statement.DiscardStmt.target ?? "").replace("DISCARD_", "").toLowerCase();
    return { kind: "discard", what: what as "all" | "plans" | "sequences" | "temp" };
  }
  if (statement.DeclareCursorStmt !== undefined) {
    const { portalname, options } = statement.DeclareCursorStmt;
    return { kind: "declare", name: portalname ?? "", hold: ((options ?? 0) & CURSOR_OPT_HOLD) !== 0 };
  }
  if (statement.FetchStmt !== undefined) return { kind: "fetch", name: statement.FetchStmt.portalname ?? "" };
  if (statement.ClosePortalStmt !== undefined) return { kind: "close", ...named(statement.ClosePortalStmt.portalname) };
  if (statement.ListenStmt !== undefined) return { kind: "listen", name: statement.ListenStmt.conditionname ?? "" };
  if (statement.UnlistenStmt !== undefined) return { kind: "unlisten", ...named(statement.UnlistenStmt.conditionname) };
  if (makesTemporary(statement)) return { kind: "temporary" };
  if (unlocksAll(statement.SelectStmt)) return { kind: "unlock-all" };
  // A rule of the view pg_settings turns an UPDATE into calls of set_config, for the session.
  if (relations.some(isSettings)) return { kind: "set-config", local: false };
  if (functions.includes("set_config") || functions.includes("pg_catalog.set_config")) {
    return { kind: "set-config", local: setsLocally(statement) };
  }
  return undefined;
}

/** Names that PostgreSQL still takes for others (map_old_guc_names in its guc.c). */
const OLD_NAMES: ReadonlyMap<string, string> = new Map([
  ["sort_mem", "work_mem"],
  ["vacuum_mem", "maintenance_work_mem"],
]);

function setting(node: Nodes["VariableSetStmt"]): SessionEffect {
  const written = (node.name ?? "").toLowerCase();
  const name = OLD_NAMES.get(written) ?? written;
  if (node.kind === "VAR_RESET_ALL") return { kind: "reset" };
  if (node.kind === "VAR_RESET") return { kind: "reset", name };
  const values = (node.args ?? []).map(constant);
  const known = node.kind === "VAR_SET_VALUE" && values.length > 0 && !values.includes(undefined);
  return { kind: "set", name, local: node.is_local === true, ...(known ? { value: values.join(", ") } : {}) };
}

/** Whether it does that and no more: behind a condition, in a row that is not there, it would not be done. */
function unlocksAll(select: Nodes["SelectStmt"] | undefined): boolean {
  if (select === undefined || Object.keys(select).some((key) => !SELECT_LIST.has(key))) return false;
  const [target, ...more] = select.targetList ?? [];
  const call = (target as { ResTarget?: { val?: Partial<Nodes> } } | undefined)?.ResTarget?.val?.FuncCall;
  if (call === undefined || more.length > 0 || call.args !== undefined || call.agg_filter !== undefined) return false;
  const [name, ...rest] = strings(call.funcname).reverse();
  return name === "pg_advisory_unlock_all" && (rest.length === 0 || rest.join() === "pg_catalog");
}

/** What a SELECT without FROM, WHERE and the like has. */
const SELECT_LIST: ReadonlySet<string> = new Set(["targetList", "limitOption", "op"]);

/** Whether every call of set_config in it says, by the word `true`, that it ends with the transaction. */
function setsLocally(node: unknown): boolean {
  if (typeof node !== "object" || node === null) return true;
  if (Array.isArray(node)) return node.every(setsLocally);
  return Object.entries(node).every(([key, child]) => {
    if (key === "FuncCall" || key === "funccall") {
      const { funcname, args = [] } = child as Nodes["FuncCall"];
      // Not by a string: texts that differ in strings alone are taken for alike.
      const { A_Const: local } = (args[2] ?? {}) as Partial<Nodes>;
      if (strings(funcname).at(-1) === "set_config" && local?.boolval?.boolval !== true) return false;
    }
    return setsLocally(child);
  });
}

const TEMPORARY_SCHEMA = /^pg_temp(?:_\d+)?$/;

/** Rows are written without a thought for where; what is made is made somewhere. */
function makesTemporary(statement: Partial<Nodes>): boolean {
  const { SelectStmt, InsertStmt, UpdateStmt, DeleteStmt, MergeStmt, CopyStmt } = statement;
  if (SelectStmt !== undefined) return selectsIntoTemporary(SelectStmt);
  // Such a table goes with its transaction, and what hangs on it with it (PreCommit_on_commit_actions); only its
  // sequence can be cut loose from it.
  const { CreateStmt, CreateTableAsStmt, AlterSeqStmt } = statement;
  const onCommit = CreateStmt?.oncommit ?? CreateTableAsStmt?.into?.onCommit;
  if (onCommit === "ONCOMMIT_DROP") return false;
  if (AlterSeqStmt !== undefined && cutsLoose(AlterSeqStmt)) return true;
  const writes = InsertStmt ?? UpdateStmt ?? DeleteStmt ?? MergeStmt ?? CopyStmt;
  return writes === undefined && namesTemporary(statement);
}

/** `ALTER SEQUENCE … OWNED BY NONE` */
function cutsLoose({ options }: Nodes["AlterSeqStmt"]): boolean {
  return option(options, "owned_by").some(({ arg }) => {
    const names = (arg as Partial<Nodes> | undefined)?.List?.items ?? [];
    return names.length === 1 && (names[0] as Partial<Nodes>).String?.sval === "none";
  });
}

function selectsIntoTemporary({ intoClause, larg }: Nodes["SelectStmt"]): boolean {
  if (intoClause !== undefined) return namesTemporary(intoClause);
  // Of a UNION the first part has it.
  return larg !== undefined && selectsIntoTemporary(larg);
}

function namesTemporary(node: unknown): boolean {
  if (typeof node !== "object" || node === null) return false;
  if (Array.isArray(node)) return node.some(namesTemporary);
  return Object.entries(node).some(([key, child]) => {
    if (key === "relpersistence") return child === "t";
    if (key === "schemaname" || key === "sval") return typeof child === "string" && TEMPORARY_SCHEMA.test(child);
    return namesTemporary(child);
  });
}

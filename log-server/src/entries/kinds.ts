import { isKeyName } from "../formats/note.ts";
import {
  anyOf,
  atLeast,
  count,
  type Form,
  flag,
  hashBase64,
  hex,
  listOf,
  matching,
  members,
  no,
  object,
  oneOf,
  sealable,
  session,
  sha256Hex,
  sqlstate,
  text,
  timestamp,
} from "./forms.ts";

// The members of each kind of entry (spec/entry.md, "Kinds"). A name with `?` stands for a member that its row says
// may be absent; where absence depends on another member, `statementFault` has the rule.

type Members = Readonly<Record<string, Form>>;

const epoch = atLeast(1);
const auth = anyOf(
  oneOf("trust", "password", "md5", "scram-sha-256", "scram-sha-256-plus", "certificate"),
  matching(/^other:.+$/s),
);
const actor = object({ login: text, auth, "by?": oneOf("proxy"), "identity?": text, "groups?": listOf(text) });
const clientAtStart = object({
  address: sealable("client.address"),
  "application?": text,
  tls: flag,
  "certificate?": sha256Hex,
});
const claimed = object({
  "user?": object({ name: text, from: oneOf("application_name", "comment") }),
  "trace?": object({ id: hex(32), span: hex(16) }),
});
const settings = anyOf(listOf(object({ name: text, value: text })), object({ bytes: count, sha256: sha256Hex }));
const nameAndKey = object({ name: (value) => typeof value === "string" && isKeyName(value), vkey: text });
const scope = object({ "index?": count, "login?": text, "before?": timestamp });
const SCOPES = ["index", "login", "before"];
const durability = oneOf("before-execute", "before-result", "relaxed");

export const statementClasses: readonly string[] = [
  "read",
  "write",
  "ddl",
  "role",
  "function",
  "copy",
  "admin",
  "session",
  "unknown",
];
export const statementOutcomes: readonly string[] = ["completed", "failed", "denied", "cancelled", "unknown"];

const table: Readonly<Record<string, Members>> = {
  "source.start": {
    vkey: text,
    software: object({ name: text, version: text }),
    config: sha256Hex,
    durability: object({ reads: durability, others: durability, window_ms: count }),
    seals: object({ every_entries: count, every_ms: count, idle_ms: count }),
    previous: anyOf(
      (value) => value === null,
      object({ epoch, next: count, chain: hashBase64, clean: flag, spool: oneOf("kept", "lost") }),
    ),
  },
  "source.key": { vkey: text, proof: text },
  "source.seal": { seal: text },
  "source.stop": { reason: oneOf("shutdown"), seal: text },
  "session.start": {
    session,
    actor,
    database: text,
    client: clientAtStart,
    server: object({ "version?": text, "pid?": count, "host?": text, "tls?": flag }),
    protocol: text,
    "settings?": settings,
    "attempts?": atLeast(2),
  },
  "session.end": {
    session,
    actor,
    database: text,
    start: timestamp,
    duration_us: count,
    statements: count,
    failed: count,
    rows: count,
    bytes_in: count,
    bytes_out: count,
    "pins?": listOf(text),
    reason: oneOf(
      "client-terminated",
      "client-closed",
      "server-closed",
      "shutdown",
      "protocol-error",
      "spool-full",
      "idle-timeout",
      "transaction-timeout",
      "statement-timeout",
      "killed",
    ),
  },
  "access.refused": {
    actor: object({ login: text }),
    database: text,
    client: clientAtStart,
    by: oneOf("server", "proxy"),
    sqlstate,
    error: sealable("error"),
  },
  statement: {
    session,
    actor,
    database: text,
    "n?": atLeast(1),
    "role?": text,
    client: object({ address: sealable("client.address"), "application?": text }),
    "claimed?": claimed,
    protocol: oneOf("simple", "extended", "function"),
    operation: text,
    class: oneOf(...statementClasses),
    relations: listOf(object({ "schema?": text, name: text, access: oneOf("read", "write") })),
    functions: listOf(text),
    "fingerprint?": hex(16),
    complete: flag,
    "incomplete?": oneOf("syntax", "too-large", "encoding", "opaque", "analysis"),
    "sql?": sealable("sql"),
    "function_oid?": count,
    "params?": sealable("params"),
    "params_count?": count,
    "rule?": text,
    "would_deny?": text,
    "tx?": oneOf("I", "T", "E"),
    start: timestamp,
    "duration_us?": count,
    outcome: oneOf(...statementOutcomes),
    "sqlstate?": sqlstate,
    "tag?": text,
    "rows?": count,
    "bytes_in?": count,
    "bytes_out?": count,
    "error?": sealable("error"),
    "attempts?": atLeast(2),
    "executed?": no,
    "recovered?": object({ epoch }),
  },
  "config.change": { config: sha256Hex, previous_config: sha256Hex },
  "rules.change": { rules: sha256Hex, "previous_rules?": sha256Hex },
  "users.change": { users: sha256Hex, "previous_users?": sha256Hex },
  "source.registered": { registered: nameAndKey, by: text, reason: sealable("reason") },
  "source.retired": { retired: nameAndKey, by: text, reason: sealable("reason") },
  "disclosure.read": { reader: text, index: count, names: listOf(text), reason: sealable("reason") },
  "erasure.ordered": {
    scope: (value) => scope(value) && SCOPES.filter((name) => Object.hasOwn(value as object, name)).length === 1,
    by: text,
    reason: sealable("reason"),
  },
  "erasure.done": { ordered: count, entries: count, values: count },
  "log.keys": { keys: (value) => listOf(text)(value) && (value as unknown[]).length > 0 },
};

const kinds = new Map(Object.entries(table).map(([kind, forms]) => [kind, members(forms)]));

/** @returns the forms of the members that a kind has, behind the six that all have; undefined for an unknown one */
export function formsOf(kind: string): ReadonlyMap<string, Form> | undefined {
  const list = kinds.get(kind);
  return list && new Map(list.map(({ name, form }) => [name, form]));
}

/** Members of a statement that `statementFault` looks into; of the others it sees at most whether they are there. */
export const decidingMembers: ReadonlySet<string> = new Set(["complete", "protocol", "outcome"]);

/** Members of a statement that are there unless it was recovered after a crash; some of them must then be absent. */
const UNLESS_RECOVERED = ["n", "tx", "duration_us", "rows", "bytes_in", "bytes_out"] as const;
const NOT_RECOVERED = ["n", "tx", "duration_us"] as const;

function statementFault(value: Record<string, unknown>): string | undefined {
  const has = (name: string): boolean => value[name] !== undefined;
  if (has("incomplete") === (value.complete === true)) return '"incomplete" stands exactly where "complete" is false';
  if (has("function_oid") !== (value.protocol === "function")) {
    return '"function_oid" stands exactly where "protocol" is function';
  }
  if (has("sql") && value.protocol === "function") return '"sql" is absent where "protocol" is function';
  if (has("params") !== has("params_count")) return '"params_count" stands exactly where "params" does';
  if (value.outcome === "completed" && (has("sqlstate") || has("error"))) {
    return '"sqlstate" and "error" are absent where "outcome" is completed';
  }
  if (!has("recovered")) {
    const missing = UNLESS_RECOVERED.find((name) => !has(name));
    return missing === undefined ? undefined : `"${missing}" of a statement is missing`;
  }
  if (value.outcome !== "unknown") return '"outcome" with "recovered" is unknown';
  const extra = NOT_RECOVERED.find(has);
  return extra === undefined ? undefined : `"${extra}" is absent with "recovered"`;
}

/** @returns what is wrong with the members that the entry's kind has; nothing is said of kinds that are not known. */
export function kindFault(value: Record<string, unknown>, kind: string): string | undefined {
  const list = kinds.get(kind);
  if (list === undefined) return undefined;
  for (const { name, optional, form } of list) {
    // No member of these names is inherited; JSON has no undefined.
    const member = value[name];
    if (member === undefined) {
      if (!optional) return `"${name}" of a ${kind} is missing`;
    } else if (!form(member)) {
      return `"${name}" of a ${kind} has not the form that spec/entry.md says`;
    }
  }
  return kind === "statement" ? statementFault(value) : undefined;
}

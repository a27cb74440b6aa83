import { decodeBase64 } from "../formats/base64.ts";
import { isKeyName } from "../formats/key.ts";
import { isCount, isTimestamp } from "../formats/text.ts";
import {
  arrayOf,
  checkAll,
  isBoolean,
  isDigest,
  isPositive,
  isSession,
  isSeveral,
  isText,
  type Member,
  type Members,
  matching,
  may,
  must,
  object,
  oneOf,
  sealableAddress,
  sealableError,
  sealableParams,
  sealableReason,
  sealableSql,
} from "./members.ts";
import { type Check, patternOf, plainCharacter, written } from "./patterns.ts";

/** Step E2, the tables of spec/entry.md: which members each kind has, and what each may be. */

const auth: Check = matching(
  /^(?:trust|password|md5|scram-sha-256|scram-sha-256-plus|certificate|other:.+)$/s,
  `trust|password|md5|scram-sha-256(?:-plus)?|certificate|other:${plainCharacter}+`,
);
const actor: Member = must(
  "actor",
  "an object with login and auth",
  object([
    must("login", "a string", isText),
    must("auth", "a way to authenticate", auth),
    may("by", "proxy", oneOf("proxy")),
    may("identity", "a string", isText),
    may("groups", "an array of strings", arrayOf(isText)),
  ]),
);
/** What nobody has checked. */
const claimed: Member = may(
  "claimed",
  "an object of user and trace",
  object([
    may("user", "", object([must("name", "", isText), must("from", "", oneOf("application_name", "comment"))])),
    may(
      "trace",
      "",
      object([
        must("id", "", matching(/^[0-9a-f]{32}$/, "[0-9a-f]{32}")),
        must("span", "", matching(/^[0-9a-f]{16}$/, "[0-9a-f]{16}")),
      ]),
    ),
  ]),
);
const session: Member = must("session", "of the form <epoch>.<n>", isSession);
const database: Member = must("database", "a string", isText);
const address: Member = must("address", "a sealable string", sealableAddress);
const application: Member = may("application", "a string", isText);
const clientAtStart: Member = must(
  "client",
  "an object with address and tls",
  object([address, application, must("tls", "a boolean", isBoolean), may("certificate", "a hex SHA-256", isDigest)]),
);
const sqlstate: Check = matching(/^[0-9A-Z]{5}$/, "[0-9A-Z]{5}");
const attempts: Member = may("attempts", "an integer from 2", isSeveral);
const durabilities = ["before-execute", "before-result", "relaxed"];
const settingsList: Check = arrayOf(object([must("name", "", isText), must("value", "", isText)]));
const settingsDigest: Check = object([must("bytes", "", isCount), must("sha256", "", isDigest)]);
const settings: Member = may(
  "settings",
  "an array of names and values, or its size and digest",
  written((value) => settingsList(value) || settingsDigest(value), patternOf(settingsList)),
);
const seal: Member = must("seal", "a string", isText);

const previous: Check = object([
  must("epoch", "an integer from 1", isPositive),
  must("next", "an integer", isCount),
  must("chain", "base64", (value) => typeof value === "string" && decodeBase64(value)?.length === 32),
  must("clean", "a boolean", isBoolean),
  must("spool", "kept or lost", oneOf("kept", "lost")),
]);

const relation: Check = object([
  may("schema", "a string", isText),
  must("name", "a string", isText),
  must("access", "read or write", oneOf("read", "write")),
]);

const by: Member = must("by", "a string", isText);
const reason: Member = must("reason", "a sealable string", sealableReason);
const nameAndKey: Check = object([
  must("name", "", (value) => typeof value === "string" && isKeyName(value)),
  must("vkey", "", isText),
]);

/** Exactly one of these stands in the scope of an erasure. */
const scopes: readonly Member[] = [
  may("index", "an integer", isCount),
  may("login", "a string", isText),
  may("before", "a timestamp", isTimestamp),
];
const isScope: Check = (value) =>
  object(scopes)(value) && scopes.filter(({ name }) => (value as Members)[name] !== undefined).length === 1;

/** What a log does itself, in its own source. */
const logActs: readonly (readonly [string, readonly Member[]])[] = [
  ["source.registered", [must("registered", "an object with name and vkey", nameAndKey), by, reason]],
  ["source.retired", [must("retired", "an object with name and vkey", nameAndKey), by, reason]],
  [
    "disclosure.read",
    [
      must("reader", "a string", isText),
      must("index", "an integer", isCount),
      must("names", "an array of strings", (value) => Array.isArray(value) && value.every(isText)),
      reason,
    ],
  ],
  ["erasure.ordered", [must("scope", "an object with one of index, login and before", isScope), by, reason]],
  [
    "erasure.done",
    [
      must("ordered", "an integer", isCount),
      must("entries", "an integer", isCount),
      must("values", "an integer", isCount),
    ],
  ],
  [
    "log.keys",
    [must("keys", "an array of strings", (value) => Array.isArray(value) && value.length > 0 && value.every(isText))],
  ],
];

const kinds: ReadonlyMap<string, readonly Member[]> = new Map<string, readonly Member[]>([
  [
    "source.start",
    [
      must("vkey", "a string", isText),
      must(
        "software",
        "an object with name and version",
        object([must("name", "", isText), must("version", "", isText)]),
      ),
      must("config", "a hex SHA-256", isDigest),
      must(
        "durability",
        "an object with reads, others and window_ms",
        object([
          must("reads", "", oneOf(...durabilities)),
          must("others", "", oneOf(...durabilities)),
          must("window_ms", "", isCount),
        ]),
      ),
      must(
        "seals",
        "an object with every_entries, every_ms and idle_ms",
        object([must("every_entries", "", isCount), must("every_ms", "", isCount), must("idle_ms", "", isCount)]),
      ),
      must("previous", "null, or an object with epoch, next, chain, clean and spool", (v) => v === null || previous(v)),
    ],
  ],
  ["source.key", [must("vkey", "a string", isText), must("proof", "a string", isText)]],
  ["source.seal", [seal]],
  ["source.stop", [must("reason", "shutdown", oneOf("shutdown")), seal]],
  [
    "session.start",
    [
      session,
      actor,
      database,
      clientAtStart,
      must(
        "server",
        "an object of version, pid, host and tls",
        object([
          may("version", "", isText),
          may("pid", "", isCount),
          may("host", "", isText),
          may("tls", "", isBoolean),
        ]),
      ),
      must("protocol", "a string", isText),
      settings,
      attempts,
    ],
  ],
  [
    "session.end",
    [
      session,
      actor,
      database,
      must("start", "a timestamp", isTimestamp),
      must("duration_us", "an integer", isCount),
      must("statements", "an integer", isCount),
      must("failed", "an integer", isCount),
      must("rows", "an integer", isCount),
      must("bytes_in", "an integer", isCount),
      must("bytes_out", "an integer", isCount),
      may("pins", "an array of strings", arrayOf(isText)),
      must(
        "reason",
        "a known reason",
        oneOf(
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
      ),
    ],
  ],
  [
    "access.refused",
    [
      must("actor", "an object with login", object([must("login", "", isText)])),
      database,
      clientAtStart,
      must("by", "server or proxy", oneOf("server", "proxy")),
      must("sqlstate", "five characters", sqlstate),
      must("error", "a sealable string", sealableError),
    ],
  ],
  [
    "statement",
    [
      session,
      actor,
      database,
      may("n", "an integer from 1", isPositive),
      may("role", "a string", isText),
      must("client", "an object with address", object([address, application])),
      claimed,
      must("protocol", "simple, extended or function", oneOf("simple", "extended", "function")),
      must("operation", "a string", isText),
      must(
        "class",
        "a known class",
        oneOf("read", "write", "ddl", "role", "function", "copy", "admin", "session", "unknown"),
      ),
      must("relations", "an array of relations", arrayOf(relation)),
      must("functions", "an array of strings", arrayOf(isText)),
      may("fingerprint", "16 hex digits", matching(/^[0-9a-f]{16}$/, "[0-9a-f]{16}")),
      must("complete", "a boolean", isBoolean),
      may("incomplete", "a known reason", oneOf("syntax", "too-large", "encoding", "opaque", "analysis")),
      may("sql", "a sealable statement", sealableSql),
      may("function_oid", "an integer", isCount),
      may("params", "sealable parameters", sealableParams),
      may("params_count", "an integer", isCount),
      may("rule", "a string", isText),
      may("would_deny", "a string", isText),
      may("tx", "I, T or E", oneOf("I", "T", "E")),
      must("start", "a timestamp", isTimestamp),
      may("duration_us", "an integer", isCount),
      must("outcome", "a known outcome", oneOf("completed", "failed", "denied", "cancelled", "unknown")),
      may("sqlstate", "five characters", sqlstate),
      may("tag", "a string", isText),
      may("rows", "an integer", isCount),
      may("bytes_in", "an integer", isCount),
      may("bytes_out", "an integer", isCount),
      may("error", "a sealable string", sealableError),
      attempts,
      may("executed", "false", (value) => value === false),
      may("recovered", "an object with epoch", object([must("epoch", "", isPositive)])),
    ],
  ],
  ["config.change", [must("config", "a hex SHA-256", isDigest), must("previous_config", "a hex SHA-256", isDigest)]],
  ["rules.change", [must("rules", "a hex SHA-256", isDigest), may("previous_rules", "a hex SHA-256", isDigest)]],
  ["users.change", [must("users", "a hex SHA-256", isDigest), may("previous_users", "a hex SHA-256", isDigest)]],
  ...logActs,
]);

/** @returns the table of a kind; undefined when it is not known */
export function membersOf(kind: string): readonly Member[] | undefined {
  return kinds.get(kind);
}

/**
 * @param kind an entry's kind; of one that is not known nothing is required
 * @returns what is wrong, or undefined
 */
export function checkMembers(kind: string, entry: Record<string, unknown>): string | undefined {
  const members = kinds.get(kind);
  if (members === undefined) return undefined;
  const wrong = checkAll(members, entry);
  if (wrong !== undefined || kind !== "statement") return wrong;
  return checkStatement(entry);
}

/** Members of a statement that are there or absent as others say. */
function checkStatement(entry: Members): string | undefined {
  const has = (name: string): boolean => entry[name] !== undefined;
  /** @returns the first of the names that is there and should not be, or the other way round */
  const expect = (there: boolean, when: string, ...names: string[]): string | undefined => {
    const wrong = names.find((name) => has(name) !== there);
    return wrong === undefined ? undefined : `${wrong} is ${there ? "missing" : "there"} ${when}`;
  };
  const byNumber = entry.protocol === "function";
  const completed = entry.outcome === "completed";
  const recovered = has("recovered");
  if (recovered && entry.outcome !== "unknown") return "its outcome is not unknown with recovered";
  return (
    expect(entry.complete === false, `with complete ${entry.complete}`, "incomplete") ??
    expect(byNumber, `with protocol ${entry.protocol}`, "function_oid") ??
    (byNumber ? expect(false, "with protocol function", "sql") : undefined) ??
    expect(has("params"), has("params") ? "with params" : "without params", "params_count") ??
    (completed ? expect(false, "with outcome completed", "sqlstate", "error") : undefined) ??
    expect(!recovered, recovered ? "with recovered" : "without recovered", "n", "tx", "duration_us") ??
    (recovered ? undefined : expect(true, "without recovered", "rows", "bytes_in", "bytes_out"))
  );
}

import { decodeBase64 } from "./base64.ts";
import { parseSealed } from "./sealed.ts";
import { isCount, isTimestamp, parseDecimal } from "./text.ts";

/** Step E2, the tables of spec/entry.md: which members each kind has, and what each may be. */

type Members = Record<string, unknown>;
type Check = (value: unknown) => boolean;
/** Name, what it must be (to say so), how that is checked, and whether it may be left out. */
type Member = { name: string; what: string; check: Check; optional: boolean };

function must(name: string, what: string, check: Check): Member {
  return { name, what, check, optional: false };
}

function may(name: string, what: string, check: Check): Member {
  return { name, what, check, optional: true };
}

function isObject(value: unknown): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @returns what is wrong with the members, or undefined. */
function checkAll(members: readonly Member[], object: Members): string | undefined {
  for (const member of members) {
    const value = object[member.name];
    if (value === undefined) {
      if (!member.optional) return `${member.name} is missing`;
    } else if (!member.check(value)) {
      return `${member.name} is not ${member.what}`;
    }
  }
  return undefined;
}

function object(members: readonly Member[]): Check {
  return (value) => isObject(value) && checkAll(members, value) === undefined;
}

function oneOf(...values: string[]): Check {
  return (value) => typeof value === "string" && values.includes(value);
}

function matching(pattern: RegExp): Check {
  return (value) => typeof value === "string" && pattern.test(value);
}

/** In the clear, or an object with a member `sealed`, which no clear value has. */
function sealable(isClear: Check): Check {
  return (value) =>
    isObject(value) && Object.hasOwn(value, "sealed") ? parseSealed(value) !== undefined : isClear(value);
}

const isText: Check = (value) => typeof value === "string";
const isBoolean: Check = (value) => typeof value === "boolean";
const isPositive: Check = (value) => isCount(value) && value >= 1;
const isDigest: Check = matching(/^[0-9a-f]{64}$/);
const isSession: Check = (value) => typeof value === "string" && parseSessionId(value) !== undefined;

const isBinary: Check = (value) =>
  isObject(value) &&
  Object.keys(value).length === 1 &&
  typeof value.base64 === "string" &&
  decodeBase64(value.base64) !== undefined;
const isDigestOfBlock: Check = (value) =>
  isObject(value) && Object.keys(value).length === 2 && isCount(value.bytes) && isDigest(value.sha256);

/** What a member that may be sealed is when it stands in the clear, and what its disclosure holds, by its path. */
export const clearValues: ReadonlyMap<string, (value: unknown) => boolean> = new Map<string, Check>([
  ["sql", (value) => isText(value) || isBinary(value)],
  [
    "params",
    (value) =>
      Array.isArray(value) ? value.every((p) => p === null || isText(p) || isBinary(p)) : isDigestOfBlock(value),
  ],
  ["error", isText],
  ["client.address", isText],
]);

const sealableSql: Check = sealable(clearValues.get("sql")!);
const sealableParams: Check = sealable(clearValues.get("params")!);
const sealableError: Check = sealable(clearValues.get("error")!);
const sealableAddress: Check = sealable(clearValues.get("client.address")!);

const auth: Check = matching(/^(?:trust|password|md5|scram-sha-256|scram-sha-256-plus|other:.+)$/s);
const actor: Member = must(
  "actor",
  "an object with login and auth",
  object([must("login", "a string", isText), must("auth", "a way to authenticate", auth)]),
);
const session: Member = must("session", "of the form <epoch>.<n>", isSession);
const database: Member = must("database", "a string", isText);
const address: Member = must("address", "a sealable string", sealableAddress);
const application: Member = may("application", "a string", isText);
const clientAtStart: Member = must(
  "client",
  "an object with address and tls",
  object([address, application, must("tls", "a boolean", isBoolean)]),
);
const sqlstate = /^[0-9A-Z]{5}$/;
const durabilities = ["before-execute", "before-result", "relaxed"];
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
  ["source.seal", [seal]],
  ["source.stop", [must("reason", "shutdown", oneOf("shutdown")), seal]],
  [
    "session.start",
    [
      session,
      actor,
      database,
      clientAtStart,
      must("server", "an object with version and pid", object([must("version", "", isText), must("pid", "", isCount)])),
      must("protocol", "a version such as 3.0", matching(/^[0-9]+\.[0-9]+$/)),
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
      must(
        "reason",
        "a known reason",
        oneOf("client-terminated", "client-closed", "server-closed", "shutdown", "protocol-error", "spool-full"),
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
      must("sqlstate", "five characters", matching(sqlstate)),
      must("error", "a sealable string", sealableError),
    ],
  ],
  [
    "statement",
    [
      session,
      actor,
      database,
      must("n", "an integer from 1", isPositive),
      may("role", "a string", isText),
      must("client", "an object with address", object([address, application])),
      must("protocol", "simple, extended or function", oneOf("simple", "extended", "function")),
      must("operation", "a string", isText),
      must(
        "class",
        "a known class",
        oneOf("read", "write", "ddl", "role", "function", "copy", "admin", "session", "unknown"),
      ),
      may("relations", "an array of relations", (value) => Array.isArray(value) && value.every(relation)),
      may("functions", "an array of strings", (value) => Array.isArray(value) && value.every(isText)),
      may("fingerprint", "16 hex digits", matching(/^[0-9a-f]{16}$/)),
      must("complete", "a boolean", isBoolean),
      may("incomplete", "a known reason", oneOf("syntax", "too-large", "encoding", "opaque", "analysis")),
      may("sql", "a sealable statement", sealableSql),
      may("function_oid", "an integer", isCount),
      may("params", "sealable parameters", sealableParams),
      may("params_count", "an integer", isCount),
      must("tx", "I, T or E", oneOf("I", "T", "E")),
      must("start", "a timestamp", isTimestamp),
      may("duration_us", "an integer", isCount),
      must("outcome", "a known outcome", oneOf("completed", "failed", "denied", "cancelled", "unknown")),
      may("sqlstate", "five characters", matching(sqlstate)),
      may("tag", "a string", isText),
      may("rows", "an integer", isCount),
      may("bytes_in", "an integer", isCount),
      may("bytes_out", "an integer", isCount),
      may("error", "a sealable string", sealableError),
      may("recovered", "an object with epoch", object([must("epoch", "", isPositive)])),
    ],
  ],
  ["config.change", [must("config", "a hex SHA-256", isDigest), must("previous_config", "a hex SHA-256", isDigest)]],
]);

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

/** Members of a statement that depend on others. */
function checkStatement(entry: Members): string | undefined {
  if (entry.protocol === "function" ? entry.function_oid === undefined : entry.sql === undefined) {
    return entry.protocol === "function" ? "function_oid is missing" : "sql is missing";
  }
  if (entry.complete === false && entry.incomplete === undefined) return "incomplete is missing";
  if (entry.params !== undefined && entry.params_count === undefined) return "params_count is missing";
  // Of an execution that nobody saw the end of, neither the SQLSTATE nor the duration is known.
  const outcome = entry.outcome;
  if (outcome !== "completed" && outcome !== "unknown" && entry.sqlstate === undefined) return "sqlstate is missing";
  if (outcome !== "unknown" && entry.duration_us === undefined) return "duration_us is missing";
  return undefined;
}

/** @returns the two numbers of a session id `<epoch>.<n>`, or undefined when it has another form. */
export function parseSessionId(id: string): { epoch: number; n: number } | undefined {
  const dot = id.indexOf(".");
  const epoch = parseDecimal(id.slice(0, dot));
  const n = parseDecimal(id.slice(dot + 1));
  return dot < 0 || epoch === undefined || epoch < 1 || n === undefined ? undefined : { epoch, n };
}

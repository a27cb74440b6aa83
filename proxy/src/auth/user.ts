import { parseVerifier, type ScramVerifier } from "./scram.ts";

/** Somebody who may log in at the proxy. */
export interface User {
  /** The login: the user name of the startup packet. */
  readonly name: string;
  /** undefined: no password will do. */
  readonly verifier: ScramVerifier | undefined;
  /** Who it is, where that says more than the login; it stands in the log. */
  readonly identity: string | undefined;
  /** For the access rules and the log; sorted, each once. */
  readonly groups: readonly string[];
  /** Milliseconds since the Unix epoch from which on the login is refused. */
  readonly expires: number | undefined;
  /** The role that the proxy logs in with at the database server: the login when there is none. */
  readonly role: string | undefined;
  /** The name that a client certificate must bear, in its common name or among its other names; the login when none. */
  readonly certificate: string | undefined;
}

const MAX_NAME_BYTES = 256;
const MAX_GROUPS = 64;
/** They stand in each entry of a session, of 65,535 bytes at most. */
const MAX_GROUPS_BYTES = 4096;
const MEMBERS = ["identity", "groups", "expires", "role", "certificate"] as const;
type MemberName = (typeof MEMBERS)[number];

/**
 * Reads a user's line:
 *
 *     "ann" "SCRAM-SHA-256$4096:<salt>$<StoredKey>:<ServerKey>" identity=ann@example.com groups=analysts,oncall
 *
 * Name and verifier stand in double quotes, a quote in them doubled; so may the members' values, and must when they
 * have white space. The verifier `""` is none.
 * @returns what is wrong with it, as the end of a sentence, when it is not one
 */
export function parseUser(line: string): User | string {
  const head = /^"((?:[^"]|"")*)"[ \t]+"((?:[^"]|"")*)"(?=[ \t]|$)/.exec(line);
  if (head === null) return 'is not a name and a verifier, each in double quotes: "ann" "SCRAM-SHA-256$…"';
  const name = unquoted(head[1]!);
  const nameProblem = badText(name);
  if (nameProblem !== undefined) return `has a name that ${nameProblem}`;
  const verifier = head[2] === "" ? undefined : parseVerifier(unquoted(head[2]!));
  // Never says what stands there: it may be a password.
  if (verifier === undefined && head[2] !== "") {
    return `has no SCRAM-SHA-256 verifier for ${JSON.stringify(name)}; "vitrine proxy user add" makes one`;
  }
  const members = readMembers(line.slice(head[0].length));
  if (typeof members === "string") return members;
  const expires = members.get("expires");
  const at = expires === undefined ? undefined : timeOf(expires);
  if (expires !== undefined && at === undefined)
    return "has an expires that is not a time such as 2027-01-31T00:00:00Z";
  const groups = members.get("groups")?.split(",") ?? [];
  if (groups.length > MAX_GROUPS) return `has ${groups.length} groups, where ${MAX_GROUPS} are the limit`;
  if (groups.includes("")) return "has an empty name among its groups";
  return {
    name,
    verifier,
    identity: members.get("identity"),
    groups: [...new Set(groups)].sort(),
    expires: at,
    role: members.get("role"),
    certificate: members.get("certificate"),
  };
}

function readMembers(text: string): Map<MemberName, string> | string {
  const members = new Map<MemberName, string>();
  const member = /[ \t]+([a-z]+)=(?:"((?:[^"]|"")*)"|([^\s"]+))(?=[ \t]|$)/y;
  const end = text.trimEnd().length;
  while (member.lastIndex < end) {
    const match = member.exec(text);
    if (match === null) return "has something behind the verifier that is not key=value";
    const name = match[1] as MemberName;
    if (!MEMBERS.includes(name)) return `has no key "${name}"; the keys are ${MEMBERS.join(", ")}`;
    if (members.has(name)) return `has the key "${name}" twice`;
    const value = match[3] ?? unquoted(match[2]!);
    const problem = badText(value, name === "groups" ? MAX_GROUPS_BYTES : MAX_NAME_BYTES);
    if (problem !== undefined) return `has a value of "${name}" that ${problem}`;
    members.set(name, value);
  }
  return members;
}

/** The line of a user, with the verifier as it stands in the file (an empty one for none). */
export function formatUser(
  user: Omit<User, "verifier" | "expires">,
  verifier: string,
  expires: string | undefined,
): string {
  const members: [MemberName, string | undefined][] = [
    ["identity", user.identity],
    ["groups", user.groups.length === 0 ? undefined : user.groups.join(",")],
    ["expires", expires],
    ["role", user.role],
    ["certificate", user.certificate],
  ];
  const rest = members.flatMap(([name, value]) =>
    value === undefined ? [] : [` ${name}=${/[\s"]/.test(value) ? quoted(value) : value}`],
  );
  return `${quoted(user.name)} ${quoted(verifier)}${rest.join("")}`;
}

/**
 * A time in UTC, to the second or finer.
 * @returns milliseconds since the Unix epoch; undefined when it is not one
 */
export function timeOf(text: string): number | undefined {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,6})?Z$/.exec(text);
  const at = match === null ? Number.NaN : Date.parse(text);
  // The calendar is checked by writing it again: Date.parse takes the 31st of some months for the 1st of the next.
  return Number.isNaN(at) || !new Date(at).toISOString().startsWith(match![1]!) ? undefined : at;
}

function badText(text: string, limit: number = MAX_NAME_BYTES): string | undefined {
  if (text === "") return "is empty";
  if (/[\x00-\x1f\x7f-\x9f\ud800-\udfff]/u.test(text)) return "has a control character";
  return Buffer.byteLength(text) > limit ? `has more than ${limit} bytes` : undefined;
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}

function unquoted(text: string): string {
  return text.replaceAll('""', '"');
}

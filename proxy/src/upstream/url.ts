import { isFolder, wrongPath } from "../address/unix-socket.ts";
import type { UpstreamAddress } from "./address.ts";
import { TARGETS, type Target } from "./target.ts";

/** Which database servers there are, and which of them a session may be on. */
export interface Upstream {
  /** At least one. */
  readonly hosts: readonly UpstreamAddress[];
  readonly target: Target;
  /** The hosts in random order, rather than as they stand. */
  readonly shuffled: boolean;
  /** For each address of each host; undefined: not said. */
  readonly connectTimeoutMs: number | undefined;
  /** libpq's parameters that concern encryption and authentication, unread. */
  readonly parameters: ReadonlyMap<string, string>;
}

const FORM =
  "postgres://HOST:PORT[,HOST:PORT...], or postgres:///?host=/FOLDER of a Unix socket; " +
  "login, password and database come from each client";
const MAX_HOSTS = 32;
/** Passed on unread: whoever encrypts decides about them. */
const OF_ENCRYPTION = /^(ssl[a-z_]*|requiressl|gssencmode|channel_binding|require_auth|krbsrvname|gsslib)$/;
/** Of the client's own session, which brings its own: nothing is lost by not reading them. */
const OF_SESSIONS = new Set(["application_name", "fallback_application_name", "client_encoding", "options"]);

/**
 * Reads libpq's URL of one or several hosts (PostgreSQL section 34.1.1.2). A login in it is dropped.
 *
 * @param wrong makes the error from what would be right; no message repeats the text, which may hold a password
 * @throws what `wrong` makes
 */
export function parseUpstreamUrl(value: unknown, wrong: (wanted: string) => Error): Upstream {
  const match = /^postgres(?:ql)?:\/\/(?:[^@/?#]*@)?([^@/?#]*)(?:\/[^?#]*)?(?:\?([^#]*))?$/.exec(String(value));
  if (match === null) throw wrong(FORM);
  const given = new Map<string, string>();
  for (const [name, text] of new URLSearchParams(match[2] ?? "")) {
    if (given.has(name)) throw wrong(`without a second ${name}`);
    given.set(name, text);
  }
  const take = (name: string): string | undefined => {
    const text = given.get(name);
    given.delete(name);
    return text;
  };
  const hosts = hostsOf(match[1]!, take("host"), take("port"), wrong);
  const target = (take("target_session_attrs") ?? "any") as Target;
  if (!TARGETS.includes(target)) throw wrong(`with one of ${TARGETS.join(", ")} as target_session_attrs`);
  const balance = take("load_balance_hosts") ?? "disable";
  if (balance !== "disable" && balance !== "random") throw wrong("with disable or random as load_balance_hosts");
  const timeout = take("connect_timeout");
  if (timeout !== undefined && !/^[1-9][0-9]{0,4}$/.test(timeout)) {
    throw wrong("with seconds, 1 to 99999, as connect_timeout");
  }
  const parameters = new Map<string, string>();
  for (const [name, text] of given) {
    if (OF_ENCRYPTION.test(name)) parameters.set(name, text);
    else if (!OF_SESSIONS.has(name)) {
      const shown = /^[a-z_]{1,40}$/.test(name) ? `the parameter ${name}` : "one of its parameters";
      throw wrong(`without ${shown}, which means nothing here: ${FORM}`);
    }
  }
  return {
    hosts,
    target,
    shuffled: balance === "random",
    connectTimeoutMs: timeout === undefined ? undefined : Number(timeout) * 1000,
    parameters,
  };
}

/** @param named, ports of the parameters, in which nothing is encoded any more */
function hostsOf(
  authority: string,
  named: string | undefined,
  ports: string | undefined,
  wrong: (wanted: string) => Error,
): readonly UpstreamAddress[] {
  if (named !== undefined && authority !== "") throw wrong(`without the parameter host behind a host: ${FORM}`);
  const texts = (named ?? authority).split(",");
  if (texts.length > MAX_HOSTS) throw wrong(`at most ${MAX_HOSTS} hosts`);
  const hosts = texts.map((text) => (named === undefined ? hostOf(text, wrong) : { host: text, port: undefined }));
  const list = ports?.split(",") ?? [];
  if (ports !== undefined && list.length !== 1 && list.length !== hosts.length) {
    throw wrong("with one port for all hosts as port, or one for each");
  }
  if (ports !== undefined && hosts.some(({ port }) => port !== undefined)) {
    throw wrong(`without the parameter port behind a port: ${FORM}`);
  }
  return hosts.map(({ host, port }, i) => checked(host, port ?? list[i] ?? list[0] ?? "5432", wrong));
}

function checked(host: string, digits: string, wrong: (wanted: string) => Error): UpstreamAddress {
  const port = Number(digits);
  if (!/^[0-9]{1,5}$/.test(digits) || port < 1 || port > 65_535) throw wrong(FORM);
  if (isFolder(host)) {
    // What is shown of it is shown to people.
    if (/\p{Cc}/u.test(host)) throw wrong("a folder without control characters");
    const wrongFolder = wrongPath({ host, port });
    if (wrongFolder !== undefined) throw wrong(wrongFolder);
  } else if (!/^[\w.:%-]+$/.test(host)) throw wrong(FORM);
  return { host, port };
}

function hostOf(text: string, wrong: (wanted: string) => Error): { host: string; port: string | undefined } {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]\s]+))(?::([0-9]{1,5}))?$/i.exec(text);
  if (match === null) throw wrong(FORM);
  try {
    return { host: decodeURIComponent(match[1] ?? match[2]!), port: match[3] };
  } catch {
    throw wrong(FORM);
  }
}

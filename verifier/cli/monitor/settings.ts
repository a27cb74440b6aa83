import { dirname, resolve } from "node:path";
import { VerifierError } from "../../src/index.ts";
import { readBounded } from "../files.ts";
import { printable, printableShort } from "../printable.ts";

/** What a monitor is told about one log. */
export type MonitoredLog = {
  log: string;
  /** Each a verifier key of the log, or a file that holds one; none when the policy names the log. */
  vkeys: readonly string[];
  /** The path of a policy file. */
  policy: string | undefined;
  /** Of a cosignature, in seconds. */
  maxAge: number | undefined;
  /** For a log that gives entries to holders of a token alone: the token, or a file that holds it. */
  token: string | undefined;
  /** Keys of sources, or their files. */
  sources: readonly string[];
  /** File of the findings that somebody has looked into. */
  acknowledged: string | undefined;
  /** What others show: as `compare` takes it. */
  views: readonly string[];
  intervalMs: number;
  timeoutMs: number;
  staleAfterMs: number;
  unreachableAfterMs: number;
  sealSlackMs: number;
  cosignatureAfterMs: number;
};

export type MonitorSettings = {
  logs: readonly MonitoredLog[];
  /** Undefined: the default folder. */
  state: string | undefined;
  /** A file for the status, which is replaced after each round. */
  status: string | undefined;
  webhook: string | undefined;
};

/** The times that can be set: name, default and bounds in seconds. The manual's table is held against this list. */
export const monitorTimes = {
  interval: { key: "interval_s", member: "intervalMs", default: 10, least: 0.1, most: 86_400 },
  timeout: { key: "timeout_s", member: "timeoutMs", default: 20, least: 0.1, most: 3600 },
  "stale-after": { key: "stale_after_s", member: "staleAfterMs", default: 300, least: 0, most: 2_592_000 },
  "unreachable-after": {
    key: "unreachable_after_s",
    member: "unreachableAfterMs",
    default: 60,
    least: 0,
    most: 2_592_000,
  },
  "seal-slack": { key: "seal_slack_s", member: "sealSlackMs", default: 30, least: 0, most: 2_592_000 },
  "cosignature-after": {
    key: "cosignature_after_s",
    member: "cosignatureAfterMs",
    default: 60,
    least: 0,
    most: 2_592_000,
  },
} as const;

export type TimeName = keyof typeof monitorTimes;

/**
 * @param given seconds by the name of the option; what is not there has its default
 * @param nameOf how the caller named it, for the message
 * @throws VerifierError `usage`
 */
export function readTimes(
  given: Readonly<Partial<Record<TimeName, number>>>,
  nameOf: (name: TimeName) => string,
): Pick<MonitoredLog, (typeof monitorTimes)[TimeName]["member"]> {
  const times: Partial<Record<string, number>> = {};
  for (const [name, { member, default: usual, least, most }] of Object.entries(monitorTimes)) {
    const value = given[name as TimeName] ?? usual;
    if (!Number.isFinite(value) || value < least || value > most) {
      throw usage(`${nameOf(name as TimeName)} is not a number of seconds from ${least} to ${most}`);
    }
    times[member] = Math.round(value * 1000);
  }
  return times as ReturnType<typeof readTimes>;
}

/** A file that names logs by the thousand is none that a person wrote. */
const maxConfigLength = 1_048_576;

/**
 * Reads the configuration of several logs: JSON. Paths in it are relative to the file.
 * @throws VerifierError `usage`
 */
export async function readMonitorConfig(path: string): Promise<MonitorSettings> {
  const bytes = await readBounded(path, maxConfigLength, "--config");
  if (bytes.length > maxConfigLength) throw usage(`--config ${printableShort(path)} is too long`);
  return parseMonitorConfig(bytes.toString("utf8"), path);
}

/** @throws VerifierError `usage` */
export function parseMonitorConfig(text: string, path: string): MonitorSettings {
  const file = `--config ${printableShort(path)}`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw usage(`${file} is not JSON: ${printable((error as Error).message)}`);
  }
  const whole = new Members(value, file);
  const from = (given: string): string => resolve(dirname(path), given);
  const logs = whole.list("logs").map((one, i) => readLog(new Members(one, `${file}: logs[${i}]`), from));
  if (logs.length === 0) throw usage(`${file}: logs is empty or missing; name one log at least`);
  const optional = (name: string): string | undefined => {
    const given = whole.text(name);
    return given === undefined ? undefined : from(given);
  };
  const settings = { logs, state: optional("state"), status: optional("status"), webhook: whole.text("webhook") };
  whole.end();
  return settings;
}

function readLog(members: Members, from: (path: string) => string): MonitoredLog {
  const place = (given: string): string => (/^[a-z][a-z0-9+.-]*:/i.test(given) ? given : from(given));
  // As readKey tells a key from a path.
  const key = (given: string): string => (/^[^+/.][^+]*\+[0-9a-f]{8}\+/u.test(given) ? given : from(given));
  const given: Partial<Record<TimeName, number>> = {};
  for (const [name, { key: member }] of Object.entries(monitorTimes)) {
    const seconds = members.number(member);
    if (seconds !== undefined) given[name as TimeName] = seconds;
  }
  const policy = members.text("policy");
  const vkeys = members.texts("vkeys").map(key);
  if (vkeys.length === 0 && policy === undefined) {
    throw usage(`${members.where}: vkeys is empty or missing, and there is no policy that names the log`);
  }
  const maxAge = members.number("max_age_s");
  if (maxAge !== undefined && !(Number.isSafeInteger(maxAge) && maxAge >= 0 && policy !== undefined)) {
    throw usage(`${members.where}: max_age_s is a whole number of seconds, and needs a policy`);
  }
  const token = members.text("token");
  const acknowledged = members.text("acknowledged");
  const log: MonitoredLog = {
    log: place(members.required("log")),
    vkeys,
    policy: policy === undefined ? undefined : from(policy),
    maxAge,
    token: token === undefined ? undefined : from(token),
    sources: members.texts("sources").map(key),
    acknowledged: acknowledged === undefined ? undefined : from(acknowledged),
    views: members.texts("views").map(place),
    ...readTimes(given, (name) => `${members.where}: ${monitorTimes[name].key}`),
  };
  members.end();
  return log;
}

/** The members of an object, each of which must be asked for. */
class Members {
  readonly where: string;
  readonly #members: Map<string, unknown>;

  constructor(value: unknown, where: string) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw usage(`${where} is not an object`);
    this.where = where;
    this.#members = new Map(Object.entries(value));
  }

  #take(name: string): unknown {
    const value = this.#members.get(name);
    this.#members.delete(name);
    return value;
  }

  text(name: string): string | undefined {
    const value = this.#take(name);
    if (value === undefined || (typeof value === "string" && value !== "")) return value;
    throw usage(`${this.where}: ${name} is not a text`);
  }

  required(name: string): string {
    const value = this.text(name);
    if (value === undefined) throw usage(`${this.where}: ${name} is missing`);
    return value;
  }

  number(name: string): number | undefined {
    const value = this.#take(name);
    if (value === undefined || typeof value === "number") return value;
    throw usage(`${this.where}: ${name} is not a number`);
  }

  list(name: string): unknown[] {
    const value = this.#take(name) ?? [];
    if (!Array.isArray(value)) throw usage(`${this.where}: ${name} is not a list`);
    return value;
  }

  texts(name: string): string[] {
    return this.list(name).map((one) => {
      if (typeof one === "string" && one !== "") return one;
      throw usage(`${this.where}: ${name} is not a list of texts`);
    });
  }

  /** @throws VerifierError `usage` for a member that nobody asked for: it would be ignored, and somebody relies on it */
  end(): void {
    const [name] = this.#members.keys();
    if (name !== undefined) throw usage(`${this.where}: there is no key ${printableShort(name)}`);
  }
}

function usage(message: string): VerifierError {
  return new VerifierError("usage", message);
}

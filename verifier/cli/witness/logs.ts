import type { KeyObject } from "node:crypto";
import { VerifierError } from "../../src/errors.ts";
import { decodeUtf8 } from "../../src/formats/text.ts";
import { readBounded } from "../files.ts";
import { printable, printableShort } from "../printable.ts";
import { publicKeyObject } from "./ed25519.ts";
import { type ListedLog, parseLogList } from "./log-list.ts";
import { Allowance } from "./rate.ts";

export type TrustedKey = { name: string; id: string; text: string; key: KeyObject };

/** A log that the witness is told to cosign for. */
export type TrustedLog = {
  origin: string;
  /** Any of them may sign. */
  keys: TrustedKey[];
  /** Undefined: as many requests as it likes. */
  perDay: number | undefined;
  allowance: Allowance | undefined;
};

/** By origin. */
export type TrustedLogs = ReadonlyMap<string, TrustedLog>;

/** Some ten thousands of logs. */
const maxListLength = 16 * 1024 * 1024;

/** What a witness is told of its logs. */
export type LogSettings = { log: readonly string[]; logs: readonly string[] };

/**
 * Reads all lists. A log that stands in several has the keys of all, and of their daily limits the highest.
 * @param before what held until now: a log whose limit stays keeps what is left of it
 * @throws VerifierError `usage`
 */
export async function readLogs(
  settings: LogSettings,
  before: TrustedLogs,
  nowMs: number,
): Promise<{ logs: TrustedLogs; skipped: string[] }> {
  const logs = new Map<string, TrustedLog>();
  const skipped: string[] = [];
  for (const vkey of settings.log) take(parseGiven(vkey), "--log");
  for (const path of settings.logs) {
    const from = printable(path);
    const bytes = await readBounded(path, maxListLength, "--logs");
    if (bytes.length > maxListLength) throw new VerifierError("usage", `${from} is too long for a list of logs`);
    const text = decodeUtf8(bytes);
    if (text === undefined) throw new VerifierError("usage", `${from} is not UTF-8`);
    take(parseLogList(text, from), from);
  }
  for (const log of logs.values()) {
    const known = before.get(log.origin);
    if (log.perDay === undefined) continue;
    log.allowance = known?.perDay === log.perDay ? known.allowance : new Allowance(log.perDay, nowMs);
  }
  return { logs, skipped };

  function take(list: { logs: ListedLog[]; skipped: string[] }, from: string): void {
    skipped.push(...list.skipped);
    for (const listed of list.logs) addLog(logs, listed, from);
  }
}

/** @param vkey as it was given: others of this program's options take a URL, or a file, under the same name */
function parseGiven(vkey: string): ReturnType<typeof parseLogList> {
  try {
    return parseLogList(vkey, "--log");
  } catch (error) {
    if (!(error instanceof VerifierError) || error.code !== "usage") throw error;
    const advice = "give the log's verifier key itself, or with --logs a file that holds it";
    throw new VerifierError("usage", `${error.message}; ${advice}`);
  }
}

function addLog(logs: Map<string, TrustedLog>, { key, origin, perDay }: ListedLog, from: string): void {
  const object = publicKeyObject(key.publicKey);
  if (object === undefined) {
    const why = "is no point, or one of small order for which anybody can sign";
    throw new VerifierError("usage", `${from}: the key ${printableShort(key.text)} ${why}`);
  }
  const known = logs.get(origin);
  const log = known ?? { origin, keys: [], perDay: undefined, allowance: undefined };
  if (known === undefined) logs.set(origin, log);
  if (perDay !== undefined) log.perDay = Math.max(log.perDay ?? 0, perDay);
  if (!log.keys.some(({ text }) => text === key.text)) {
    log.keys.push({ name: key.name, id: key.id, text: key.text, key: object });
  }
}

import { VerifierError } from "../../src/errors.ts";
import { decodeBase64 } from "../../src/formats/base64.ts";
import { parseVerifierKey, type VerifierKey } from "../../src/formats/key.ts";
import { printableShort } from "../printable.ts";

/** A log as a list names it; nothing else is known of it. */
export type ListedLog = {
  key: VerifierKey;
  origin: string;
  /** Requests a day; undefined: as many as it likes. */
  perDay: number | undefined;
};

export type LogList = {
  logs: ListedLog[];
  /** Logs that are left out because their keys are of a type that is not supported, as a sentence each. */
  skipped: string[];
};

const header = "logs/v0";
const maxPerDay = 2 ** 31 - 1;

/**
 * Reads a list of logs: one in the form of C2SP tlog-list (first line `logs/v0`), or plain verifier keys, one a line,
 * whose names are the origins. In both, white space around a line, empty lines and lines that begin with `#` are ignored.
 * @param from what errors call it
 * @throws VerifierError `usage`, with the number of the line
 */
export function parseLogList(text: string, from: string): LogList {
  const lines = text
    .split("\n")
    .map((line, i) => ({ text: line.replace(/^\p{White_Space}+|\p{White_Space}+$/gu, ""), number: i + 1 }))
    .filter((line) => line.text !== "" && !line.text.startsWith("#"));
  const list: LogList = { logs: [], skipped: [] };
  if (lines[0]?.text === header) readListed(lines.slice(1), from, list);
  else {
    for (const line of lines) {
      const key = readKey(line, line.text, from, list);
      if (key !== undefined) list.logs.push({ key, origin: key.name, perDay: undefined });
    }
  }
  return list;
}

type Line = { text: string; number: number };

/** The members of one log in their strict order; only the origin may be absent. */
const members = ["vkey", "origin", "qpd", "contact"] as const;
type Member = (typeof members)[number];

function readListed(lines: readonly Line[], from: string, list: LogList): void {
  const origins = new Set<string>();
  let log: Partial<Record<Member, string>> = {};
  let keyLine: Line | undefined;
  let next = 0;
  for (const line of lines) {
    const [, word, value] = /^(\S+)(?:[ \t]+(.*))?$/.exec(line.text) ?? [];
    const found = (members as readonly string[]).indexOf(word ?? "");
    const expected = members[next] === "origin" ? "origin or qpd" : members[next]!;
    if (found !== next && !(members[next] === "origin" && word === "qpd")) {
      throw wrong(line, from, `it begins with ${printableShort(word ?? "")}, where ${expected} should stand`);
    }
    if (value === undefined) throw wrong(line, from, `there is nothing behind ${word}`);
    log[members[found]!] = value;
    if (word === "vkey") keyLine = line;
    if (word === "qpd") checkPerDay(line, value, from);
    next = found + 1;
    if (next < members.length) continue;
    const key = readKey(keyLine!, log.vkey!, from, list);
    if (key !== undefined) {
      const origin = log.origin ?? key.name;
      if (origins.has(origin))
        throw wrong(keyLine!, from, `a log of the origin ${printableShort(origin)} stands above`);
      origins.add(origin);
      list.logs.push({ key, origin, perDay: Number(log.qpd) });
    }
    log = {};
    next = 0;
  }
  if (next !== 0) throw new VerifierError("usage", `${from} ends in the middle of a log: ${members[next]} is missing`);
}

function checkPerDay(line: Line, value: string, from: string): void {
  if (/^[1-9][0-9]{0,9}$/.test(value) && Number(value) <= maxPerDay) return;
  throw wrong(line, from, `qpd is not a canonical decimal from 1 to ${maxPerDay}: ${printableShort(value)}`);
}

/** @returns undefined for a key that is well formed, as far as can be told, and of another type */
function readKey(line: Line, text: string, from: string, list: LogList): VerifierKey | undefined {
  try {
    return parseVerifierKey(text);
  } catch (error) {
    if (!(error instanceof VerifierError)) throw error;
    const type = otherType(text);
    if (type === undefined) throw wrong(line, from, error.message);
    const hex = type.toString(16).padStart(2, "0");
    list.skipped.push(
      `${from}, line ${line.number}: a log is left out, its key is of type ${hex} and not 01 (Ed25519)`,
    );
    return undefined;
  }
}

/** @returns the type of a key of C2SP signed-note when it is none of Ed25519 notes */
function otherType(vkey: string): number | undefined {
  const material = /^[^+]+\+[0-9a-f]{8}\+(.+)$/u.exec(vkey)?.[1];
  const type = material === undefined ? undefined : decodeBase64(material)?.[0];
  return type === 1 ? undefined : type;
}

function wrong(line: Line, from: string, why: string): VerifierError {
  return new VerifierError("usage", `${from}, line ${line.number}: ${why}`);
}

import { type Finding, type FindingCode, isFindingCode, type Place, VerifierError } from "../src/index.ts";
import { readBounded } from "./files.ts";
import { printable, printableShort } from "./printable.ts";
import { parseTime } from "./time.ts";

/** Somebody has looked into a finding (spec/monitor.md, acknowledged findings). */
export type Acknowledged = {
  /** Who, when (a timestamp), and what came of it. */
  by: string;
  time: string;
  reason: string;
};

type Acknowledgement = Acknowledged & { code: FindingCode; message: string } & Place;

/**
 * What stands in the signed entries and never goes away. Whatever else is found is either over some day, or says that
 * the log contradicts its own signature, which no reason makes good.
 */
export const acknowledgeable: ReadonlySet<FindingCode> = new Set<FindingCode>([
  "entry_malformed",
  "epoch_break",
  "sequence_gap",
  "sequence_repeat",
  "source_key_mismatch",
  "declared_gap",
  "seal_invalid",
  "seal_mismatch",
  "session_break",
  "session_totals",
]);

const format = "vitrine/acknowledged/v1";
const maxLength = 1_048_576;
const longestText = 2000;

/** Which findings somebody has looked into. They stay what they are, and the verdict over them as well. */
export class Acknowledgements {
  readonly #list: readonly Acknowledgement[];

  constructor(list: readonly Acknowledgement[] = []) {
    this.#list = list;
  }

  /**
   * @param path of the file; undefined: nothing is acknowledged
   * @param origin of the log that it must be for
   * @throws VerifierError `usage`
   */
  static async read(path: string | undefined, origin: string): Promise<Acknowledgements> {
    if (path === undefined) return new Acknowledgements();
    const bytes = await readBounded(path, maxLength, "--acknowledged");
    const from = `--acknowledged ${printableShort(path)}`;
    if (bytes.length > maxLength) throw usage(`${from} has more than ${maxLength} bytes`);
    return new Acknowledgements(parseAcknowledged(bytes.toString("utf8"), origin, from));
  }

  /** @returns what was said of this very finding: its code, its sentence, and its place must be the same */
  of(finding: Pick<Finding, "message"> & { code: string } & Place): Acknowledged | undefined {
    const found = this.#list.find(
      (one) => one.code === finding.code && one.message === finding.message && samePlace(one, finding),
    );
    return found === undefined ? undefined : { by: found.by, time: found.time, reason: found.reason };
  }

  /**
   * @param omitted findings that are counted and not listed: nobody can have looked at them
   * @returns whether there are findings, and all of them are acknowledged
   */
  covers(findings: readonly Finding[], omitted: Readonly<Record<string, number>> = {}): boolean {
    if (findings.length === 0 || Object.keys(omitted).length > 0) return false;
    return findings.every((finding) => this.of(finding) !== undefined);
  }
}

const places = ["index", "source", "epoch", "seq"] as const;

function samePlace(one: Place, other: Place): boolean {
  return places.every((name) => one[name] === other[name]);
}

/**
 * @param from what errors call it
 * @throws VerifierError `usage`
 */
export function parseAcknowledged(text: string, origin: string, from: string): Acknowledgement[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw usage(`${from} is not JSON: ${printable((error as Error).message)}`);
  }
  const whole = (isObject(value) ? value : {}) as Record<string, unknown>;
  if (whole.format !== format) throw usage(`${from} does not have the format ${format}`);
  if (whole.log !== origin) throw usage(`${from} is for the log ${printableShort(String(whole.log))}, not ${origin}`);
  if (!Array.isArray(whole.acknowledged)) throw usage(`${from}: acknowledged is not a list`);
  return whole.acknowledged.map((one, i) => parseOne(one, `${from}: acknowledged[${i}]`));
}

function parseOne(value: unknown, where: string): Acknowledgement {
  if (!isObject(value)) throw usage(`${where} is not an object`);
  const textOf = (name: string): string => {
    const given = value[name];
    if (typeof given === "string" && given.trim() !== "" && given.length <= longestText) return given;
    throw usage(`${where}: ${name} is missing, empty or longer than ${longestText} characters`);
  };
  const code = textOf("code");
  if (!isFindingCode(code) || !acknowledgeable.has(code)) {
    throw usage(
      `${where}: ${printableShort(code)} cannot be acknowledged; only ${[...acknowledgeable].join(", ")} can`,
    );
  }
  const place: Place = {};
  for (const name of ["index", "epoch", "seq"] as const) {
    const given = value[name];
    if (given === undefined) continue;
    if (!Number.isSafeInteger(given) || (given as number) < 0) throw usage(`${where}: ${name} is not a whole number`);
    place[name] = given as number;
  }
  if (value.source !== undefined) place.source = textOf("source");
  // Said of no place, it would cover the next one as well.
  if (place.index === undefined) throw usage(`${where}: index is missing; take the finding as --json prints it`);
  const time = parseTime(textOf("time"), `${where}: time`);
  return { code, message: textOf("message"), ...place, by: textOf("by"), time, reason: textOf("reason") };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function usage(message: string): VerifierError {
  return new VerifierError("usage", message);
}

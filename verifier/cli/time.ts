import { VerifierError } from "../src/errors.ts";
import { isTimestamp } from "../src/formats/text.ts";
import { printableShort } from "./printable.ts";

const form =
  /^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ]([0-9]{2}:[0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6}))?)?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?$/;

/**
 * Reads a point in time of the command line: a date, or a date and a time, in UTC unless an offset is there.
 * @returns a timestamp of spec/README.md; two such compare as their text does
 * @throws VerifierError `usage`
 */
export function parseTime(value: string, name: string): string {
  const parts = form.exec(value);
  if (parts === null) throw bad(value, name);
  const [, date, minutes = "00:00", seconds = "00", fraction = "", offset = "Z"] = parts;
  const micros = fraction.padEnd(6, "0");
  const local = `${date}T${minutes}:${seconds}.${micros}Z`;
  if (!isTimestamp(local)) throw bad(value, name);
  if (offset === "Z" || offset === "z") return local;
  const shift = (Number(offset.slice(1, 3)) * 60 + Number(offset.slice(4))) * (offset.startsWith("-") ? -1 : 1);
  if (Number(offset.slice(1, 3)) > 23 || Number(offset.slice(4)) > 59) throw bad(value, name);
  const utc = new Date(Date.parse(`${local.slice(0, 19)}Z`) - shift * 60_000).toISOString();
  const shifted = `${utc.slice(0, 19)}.${micros}Z`;
  if (!isTimestamp(shifted)) throw bad(value, name); // beyond the years 0000 to 9999
  return shifted;
}

function bad(value: string, name: string): VerifierError {
  const forms = "2026-11-22, 2026-11-22T18:00Z or 2026-11-22T18:00:00.5+01:00";
  return new VerifierError("usage", `${name} is not a point in time: ${printableShort(value)}; write it as ${forms}`);
}

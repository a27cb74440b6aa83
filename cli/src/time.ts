import { CliError } from "./errors.ts";

const FORM = /^(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?(Z|[+-]\d{2}:\d{2}))?$/;

/**
 * Reads a point in time as a person writes it: a day, or a day and a time with `Z` or an offset.
 *
 * @param option that it was given with, for the error
 * @returns a timestamp in the form of spec/README.md: UTC, six fractional digits
 * @throws CliError `usage`
 */
export function parseTime(value: string, option: string): string {
  const [, date, minutes = "00:00", seconds = "00", fraction = "", offset = "Z"] = FORM.exec(value) ?? [];
  const ms = date === undefined ? Number.NaN : Date.parse(`${date}T${minutes}:${seconds}${offset}`);
  // Date.parse takes the 31st of every month; the day that comes out must be the one that went in.
  const day = date === undefined ? undefined : new Date(`${date}T00:00:00Z`);
  const exists = day !== undefined && !Number.isNaN(day.getTime()) && day.toISOString().startsWith(date!);
  // It takes 24:00 as well, for the next day.
  if (Number.isNaN(ms) || !exists || ms < 0 || minutes.startsWith("24")) {
    const form = "such as 2027-01-31, 2027-01-31T18:00Z or 2027-01-31T18:00:00+01:00";
    throw new CliError("usage", `${option} ${JSON.stringify(value)} is not a time, ${form}`);
  }
  return `${new Date(ms).toISOString().slice(0, 19)}.${fraction.padEnd(6, "0")}Z`;
}

import { CliError } from "./errors.ts";

/**
 * Reads a point in time as a person writes it: a day, or a day and a time with `Z` or an offset.
 *
 * @param option that it was given with, for the error
 * @returns a timestamp in the form of spec/README.md: UTC, six fractional digits
 * @throws CliError `usage`
 */
export function parseTime(value: string, option: string): string {
  const match = /^(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}(?::\d{2})?)(Z|[+-]\d{2}:\d{2}))?$/.exec(value);
  const ms = match === null ? Number.NaN : Date.parse(`${match[1]}T${match[2] ?? "00:00"}${match[3] ?? "Z"}`);
  // Date.parse takes the 31st of every month; the day that comes out must be the one that went in.
  const day = match === null ? undefined : new Date(`${match[1]}T00:00:00Z`);
  const exists = day !== undefined && !Number.isNaN(day.getTime()) && day.toISOString().startsWith(match![1]!);
  if (Number.isNaN(ms) || !exists || ms < 0) {
    const form = "such as 2027-01-31, 2027-01-31T18:00Z or 2027-01-31T18:00:00+01:00";
    throw new CliError("usage", `${option} ${JSON.stringify(value)} is not a time, ${form}`);
  }
  return new Date(ms).toISOString().replace(/(\.\d{3})Z$/, "$1000Z");
}

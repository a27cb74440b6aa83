/** Hours, days and ends: when a rule is in force. */

export const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;

export interface When {
  readonly zone: string;
  /** Minutes of the day: from, and up to but without. From above to: over midnight. */
  readonly hours: readonly { readonly from: number; readonly to: number }[] | undefined;
  /** Indexes into DAYS; of the day that it is, not of the one on which the hours began. */
  readonly days: ReadonlySet<number> | undefined;
  /** Milliseconds since 1970. */
  readonly from: number | undefined;
  readonly until: number | undefined;
}

/** @param text `HH:MM-HH:MM`, up to 24:00 */
export function parseHours(text: string): { from: number; to: number } | undefined {
  const match = /^([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)$/.exec(text);
  if (match === null) return undefined;
  const from = Number(match[1]) * 60 + Number(match[2]);
  const to = match[3] === undefined ? 1440 : Number(match[3]) * 60 + Number(match[4]);
  return from === to ? undefined : { from, to };
}

/** @param text `mon`, or `mon-fri` */
export function parseDays(text: string): number[] | undefined {
  const [first, last = first, more] = text.split("-").map((day) => DAYS.indexOf(day as "mon"));
  if (first === undefined || last === undefined || first < 0 || last < 0 || more !== undefined) return undefined;
  const days: number[] = [];
  for (let day = first; ; day = (day + 1) % 7) {
    days.push(day);
    if (day === last) return days;
  }
}

/** @param text RFC 3339 with a time zone */
export function parseInstant(text: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d)$/.test(text)) return undefined;
  const value = Date.parse(text);
  // February 30 would be taken for March 2.
  if (Number.isNaN(value) || Number(text.slice(8, 10)) > daysOf(Number(text.slice(0, 4)), Number(text.slice(5, 7)))) {
    return undefined;
  }
  return value;
}

const daysOf = (year: number, month: number): number => new Date(Date.UTC(year, month, 0)).getUTCDate();

export function isZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

interface Local {
  readonly day: number;
  readonly time: number;
}

const formats = new Map<string, Intl.DateTimeFormat>();
/** The last minute asked for in each zone: Intl takes longer than everything else here. */
const known = new Map<string, { readonly at: number; readonly local: Local }>();

function localTime(zone: string, now: number): Local {
  const at = Math.floor(now / 60_000);
  const last = known.get(zone);
  if (last?.at === at) return last.local;
  let format = formats.get(zone);
  if (format === undefined) {
    const fields = { weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" } as const;
    format = new Intl.DateTimeFormat("en-US", { timeZone: zone, ...fields });
    formats.set(zone, format);
  }
  const parts = new Map(format.formatToParts(now).map(({ type, value }) => [type, value]));
  const day = DAYS.indexOf((parts.get("weekday") ?? "").toLowerCase() as "mon");
  const time = Number(parts.get("hour")) * 60 + Number(parts.get("minute"));
  const local = { day, time };
  known.set(zone, { at, local });
  return local;
}

/** @param now milliseconds since 1970 */
export function inForce(when: When, now: number): boolean {
  if (when.from !== undefined && now < when.from) return false;
  if (when.until !== undefined && now >= when.until) return false;
  if (when.hours === undefined && when.days === undefined) return true;
  const { day, time } = localTime(when.zone, now);
  if (when.days !== undefined && !when.days.has(day)) return false;
  if (when.hours === undefined) return true;
  return when.hours.some(({ from, to }) => (from < to ? time >= from && time < to : time >= from || time < to));
}

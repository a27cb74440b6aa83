/**
 * Wall time in microseconds: the monotonic clock (the one behind process.hrtime) on an anchor taken from the wall
 * clock. The anchor is compared with the wall clock about once a second and taken anew when the two are more than a
 * millisecond apart, so that a corrected or stepped system clock is followed.
 */
let anchor = performance.timeOrigin * 1000;
let checkAt = 0;

/** Microseconds since the Unix epoch, a safe integer. */
export function nowMicros(): number {
  const elapsed = performance.now() * 1000;
  if (elapsed >= checkAt) {
    // Date.now() is cut to the millisecond: compared with its middle, an equal clock is at most 500 µs away.
    const wall = Date.now() * 1000 + 500;
    // A process that stood still between the two readings compares nothing, and tries again the next time.
    if (performance.now() * 1000 - elapsed < 500) {
      checkAt = elapsed + 1_000_000;
      if (Math.abs(anchor + elapsed - wall) > 1500) anchor = wall - elapsed;
    }
  }
  return Math.floor(anchor + elapsed);
}

const THREE_DIGITS: readonly string[] = Array.from({ length: 1000 }, (_, n) => String(n).padStart(3, "0"));
let second = Number.NaN;
let secondText = "";

/**
 * RFC 3339 in UTC with exactly six fractional digits (spec/README.md, conventions).
 * @param micros microseconds since the Unix epoch, as from {@link nowMicros}; now when left out
 */
export function formatTimestamp(micros: number = nowMicros()): string {
  const whole = Math.floor(micros / 1_000_000);
  if (whole !== second) {
    secondText = new Date(whole * 1000).toISOString().slice(0, 20);
    second = whole;
  }
  const rest = micros - whole * 1_000_000;
  const millis = Math.floor(rest / 1000);
  return `${secondText}${THREE_DIGITS[millis]!}${THREE_DIGITS[rest - millis * 1000]!}Z`;
}

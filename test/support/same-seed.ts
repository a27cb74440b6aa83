/**
 * Each property draws the same cases in each run, so that a failure is of what was changed. Loaded before every
 * test (.taprc). `SEED=n` draws others, and `SEED=any` others each time, to look for more.
 */
import fc from "fast-check";

const asked = process.env.SEED ?? "20261123";
if (asked !== "any") {
  const seed = Number(asked);
  if (!Number.isInteger(seed)) throw new TypeError(`SEED is an integer or "any", not ${JSON.stringify(asked)}`);
  fc.configureGlobal({ ...fc.readConfigureGlobal(), seed });
}

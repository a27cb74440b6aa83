import { LogServerError } from "../errors.ts";
import { parseBase64, parseDecimal } from "../formats/encoding.ts";
import { HASH_BYTES } from "../formats/merkle.ts";
import { isReason } from "../intake/acts.ts";

// Strict readers of query parameters and path parts.

/** @returns an error that names the parameter. */
export function badParameter(parameter: string, what: string): LogServerError {
  return new LogServerError("bad_parameter", `${parameter}: ${what}`, { parameter });
}

function single(values: unknown, parameter: string): string {
  const value = (values as Record<string, unknown>)[parameter];
  if (value === undefined) throw badParameter(parameter, "it is missing");
  if (typeof value !== "string") throw badParameter(parameter, "it is given more than once");
  return value;
}

/**
 * @param values the query, or the path's parameters
 * @throws LogServerError `bad_parameter`
 */
export function decimalParameter(values: unknown, parameter: string): number {
  const value = parseDecimal(single(values, parameter));
  if (value === undefined)
    throw badParameter(parameter, "expected a decimal from 0 to 2^53 − 1, without leading zeros");
  return value;
}

/** @throws LogServerError `bad_parameter` */
export function hashParameter(values: unknown, parameter: string): Buffer {
  const value = parseBase64(single(values, parameter));
  if (value?.length !== HASH_BYTES) {
    throw badParameter(parameter, "expected padded base64 of 32 bytes, with + written as %2B");
  }
  return value;
}

/** @throws LogServerError `beyond_tree` when `value` is above `most` */
export function withinTree(parameter: string, value: number, most: number, size: number): void {
  if (value <= most) return;
  const message = `${parameter} ${value} is beyond the latest checkpoint, whose size is ${size}; wait for the next`;
  throw new LogServerError("beyond_tree", message, { size });
}

/** @throws LogServerError `bad_parameter` */
export function reasonParameter(values: unknown): string {
  return reasonOf(single(values, "reason"));
}

/**
 * @param value of a parameter, or of a member of a body
 * @returns why somebody does what they do
 * @throws LogServerError `bad_parameter`
 */
export function reasonOf(value: unknown): string {
  if (typeof value === "string" && isReason(value)) return value;
  throw badParameter("reason", "expected a text of 1 to 512 bytes of UTF-8 without control characters");
}

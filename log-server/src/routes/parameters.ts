import { parseBase64, parseDecimal } from "../encoding.ts";
import { LogServerError } from "../errors.ts";
import { HASH_BYTES } from "../merkle.ts";

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

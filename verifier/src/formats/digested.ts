import { sha256 } from "@noble/hashes/sha2.js";
import { VerifierError } from "../errors.ts";
import { encodeHex, encodeUtf8 } from "./text.ts";

/** JSON texts that are kept from one run to the next, with a digest that shows damage (and is no protection). */

function digestOf(body: unknown): string {
  return encodeHex(sha256(encodeUtf8(JSON.stringify(body))));
}

/** @returns the text to keep, ending in a newline */
export function writeDigested(format: string, body: object): string {
  return `${JSON.stringify({ format, digest: digestOf(body), body })}\n`;
}

/**
 * @param text as {@link writeDigested} gave it
 * @throws VerifierError `usage` when it is damaged or of another format
 */
export function readDigested(text: string, format: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw unusable("it is not JSON");
  }
  const whole = (typeof parsed === "object" && parsed !== null ? parsed : {}) as Record<string, unknown>;
  if (whole.format !== format) throw unusable(`its format is not ${format}`);
  const body = (typeof whole.body === "object" && whole.body !== null ? whole.body : {}) as Record<string, unknown>;
  if (whole.digest !== digestOf(body)) throw unusable("its digest does not fit: it was damaged or edited");
  return body;
}

/** @returns what to throw over something kept that cannot be used */
export function unusable(why: string): VerifierError {
  return new VerifierError("usage", `what was kept of this log cannot be used: ${why}`);
}

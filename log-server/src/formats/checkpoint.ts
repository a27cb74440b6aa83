import { parseBase64, parseDecimal } from "./encoding.ts";
import { EMPTY_ROOT, HASH_BYTES } from "./merkle.ts";

/** C2SP tlog-checkpoint: what the log signs. */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  /** 32 bytes. */
  readonly root: Buffer;
}

/** @returns the text of a checkpoint's note; no extension lines. */
export function checkpointText({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${root.toString("base64")}\n`;
}

/** @returns the checkpoint in a note's text, or undefined when it is not one (spec/proof.md, C2). */
export function parseCheckpointText(text: string): Checkpoint | undefined {
  const [origin, decimal, base64, ...extensions] = text.split("\n");
  if (origin === undefined || origin === "" || decimal === undefined || base64 === undefined) return undefined;
  // The text ends in a newline, so the last element is empty; an empty extension line is not one.
  if (extensions.pop() !== "" || extensions.includes("")) return undefined;
  const size = parseDecimal(decimal);
  const root = parseBase64(base64);
  if (size === undefined || root === undefined || root.length !== HASH_BYTES) return undefined;
  if (size === 0 && !root.equals(EMPTY_ROOT)) return undefined;
  return { origin, size, root };
}

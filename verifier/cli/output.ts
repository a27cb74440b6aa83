import type { Writable } from "node:stream";
import { VerifierError } from "../src/index.ts";
import { printable, printableJson } from "./printable.ts";

/** @param lines printable already */
export function printLines(lines: readonly string[]): void {
  process.stdout.write(`${lines.join("\n")}\n`);
}

/** The one JSON object of `--json`. */
export function printResult(command: string, members: Record<string, unknown>): void {
  process.stdout.write(`${printableJson({ command, ...members })}\n`);
}

/**
 * For who goes on and on: that nobody reads any more must not go unnoticed.
 * @throws VerifierError `write_failed`
 */
export async function printDemanded(text: string, stream: Writable = process.stdout): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      stream.write(text, (error) => (error ? reject(error) : resolve()));
    });
  } catch (error) {
    const why = printable(error instanceof Error ? error.message : String(error));
    throw new VerifierError("write_failed", `standard output does not take any more: ${why}`);
  }
}

/** @returns columns of the terminal, or what suits a file */
export function outputWidth(): number {
  return process.stdout.isTTY ? Math.max(40, process.stdout.columns) : 120;
}

import { printableJson } from "./printable.ts";

/** @param lines printable already */
export function printLines(lines: readonly string[]): void {
  process.stdout.write(`${lines.join("\n")}\n`);
}

/** The one JSON object of `--json`. */
export function printResult(command: string, members: Record<string, unknown>): void {
  process.stdout.write(`${printableJson({ command, ...members })}\n`);
}

/** @returns columns of the terminal, or what suits a file */
export function outputWidth(): number {
  return process.stdout.isTTY ? Math.max(40, process.stdout.columns) : 120;
}

import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { Row } from "../../../../cli/export/row.ts";
import { parseEntry, VerifierError } from "../../../../src/index.ts";
import { type Bytes, bytesOf, readVectors } from "../../../support/vectors.ts";

/** A row as a signed tree gives it. */
export function rowOf(text: string | Uint8Array, index = 0, disclosed: Record<string, unknown> = {}): Row {
  const bytes = Buffer.from(text as string);
  const leaf = createHash("sha256").update(Buffer.of(0)).update(bytes).digest();
  const row = { origin: "log.example/vitrine", index, bytes, leaf, disclosed: new Map(Object.entries(disclosed)) };
  const readAt = Date.UTC(2026, 10, 22, 23);
  try {
    return { ...row, readAt, entry: parseEntry(bytes), problem: undefined };
  } catch (error) {
    if (!(error instanceof VerifierError)) throw error;
    return { ...row, readAt, entry: undefined, problem: error.message };
  }
}

type Vector = { desc: string; entry: Bytes; wantErr?: string };

/** Every entry of the vectors, good and bad. */
export function vectorRows(): { desc: string; isGood: boolean; row: Row }[] {
  const { cases } = readVectors<{ cases: Vector[] }>("entries.json");
  return cases.map(({ desc, entry, wantErr }, index) => ({
    desc,
    isGood: wantErr === undefined,
    row: rowOf(bytesOf(entry), index),
  }));
}

/**
 * What is expected of each row, as it was looked at by a person: one JSON object a line.
 * With VITRINE_GOLDEN=write the file is made from what there is.
 */
export function golden(name: string, made: readonly object[]): unknown[] {
  const file = new URL(`../../../../../test/cli/export/golden/${name}`, import.meta.url);
  const write = process.env.VITRINE_GOLDEN === "write";
  if (write) writeFileSync(file, made.map((one) => `${JSON.stringify(one)}\n`).join(""));
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown);
}

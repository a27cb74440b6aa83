import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder, writeDurably } from "../files.ts";
import type { TrustedLog } from "./logs.ts";
import { type Head, originHash } from "./state.ts";

/** Two trees of one size, both signed by a log's key. */
export type ForkEvidence = {
  trusted: TrustedLog;
  kept: Head;
  /** What was sent, with its verified lines only. */
  seen: { text: string; logLines: string };
};

/** A log that signs more than so many trees of one size proves nothing more by it, but would fill the disk. */
const mostOfOneLog = 16;

/**
 * Keeps both notes in a file of their own, in the form of spec/proof.md, "Against the checkpoint kept".
 * @returns the file's path; undefined when it was there, or there are enough of this log
 * @throws an error of the system
 */
export async function keepFork(folder: string, { trusted, kept, seen }: ForkEvidence): Promise<string | undefined> {
  const notes = { kept: `${kept.text}\n${kept.logLines}`, seen: `${seen.text}\n${seen.logLines}` };
  const beginning = `${originHash(trusted.origin).slice(0, 16)}.fork-`;
  const name = `${beginning}${createHash("sha256").update(JSON.stringify(notes)).digest("hex").slice(0, 16)}.json`;
  await makeFolder(folder);
  const there = (await readdir(folder)).filter((file) => file.startsWith(beginning));
  if (there.includes(name) || there.length >= mostOfOneLog) return undefined;
  const vkeys = signersOf(trusted, seen.logLines);
  // With several keys it may be that none signed both.
  const vkey = signersOf(trusted, kept.logLines).find((text) => vkeys.includes(text)) ?? vkeys[0];
  const content = { format: "vitrine/fork-evidence/v1", vkey, found: "split_view", ...notes };
  await writeDurably(join(folder, name), `${JSON.stringify(content, undefined, 2)}\n`);
  return join(folder, name);
}

function signersOf({ keys }: TrustedLog, lines: string): string[] {
  const ids = lines.split("\n").map((line) => {
    const [, name, blob] = line.split(" ");
    return `${name}+${Buffer.from(blob ?? "", "base64").toString("hex", 0, 4)}`;
  });
  return keys.filter(({ name, id }) => ids.includes(`${name}+${id}`)).map(({ text }) => text);
}

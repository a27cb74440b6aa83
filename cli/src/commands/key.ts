import { existsSync, writeFileSync } from "node:fs";
import { createKey } from "@vitrine/log-server";
import { CliError, codeOf, oneLine } from "../errors.ts";

/**
 * Makes a key pair: the signing key into a file of its own, the verifier key to standard output.
 *
 * @param output the file; by default the last part of the name, and `.key`, in the current folder
 * @returns the exit status
 * @throws CliError `key_exists`, `key_unwritable`
 */
export function makeKey(name: string, output: string | undefined): number {
  make(name, fileOf(name, output));
  return 0;
}

/**
 * Makes the key pairs of a proxy with so many workers, as far as they are missing: of those that are there, only the
 * file's name is told.
 *
 * @returns the exit status
 * @throws CliError `key_unwritable`
 */
export async function makeWorkerKeys(name: string, output: string | undefined, workers: number): Promise<number> {
  const { ofWorker } = await import("@vitrine/proxy");
  for (let number = 1; number <= workers; number += 1) {
    const file = ofWorker(fileOf(name, output), number);
    if (existsSync(file)) process.stderr.write(`${file} is there, and stays.\n`);
    else make(number === 1 ? name : `${name}/worker-${number}`, file);
  }
  return 0;
}

function fileOf(name: string, output: string | undefined): string {
  return output ?? `${name.replace(/^.*\//s, "") || "vitrine"}.key`;
}

function make(name: string, file: string): void {
  const { skey, vkey } = createKey(name);
  try {
    writeFileSync(file, `${skey.trimEnd()}\n`, { mode: 0o600, flag: "wx", flush: true });
  } catch (error) {
    if (codeOf(error) === "EEXIST") {
      throw new CliError("key_exists", `${file} exists, and a key is never replaced; name another file with -o FILE`);
    }
    throw new CliError("key_unwritable", `cannot write the key: ${oneLine(error)}; name another file with -o FILE`);
  }
  process.stdout.write(`${vkey.trimEnd()}\n`);
  process.stderr.write(`The signing key is in ${file}. Keep it secret, and keep a copy: it cannot be made again.\n`);
}

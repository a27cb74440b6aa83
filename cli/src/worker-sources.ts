import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { parseDocument } from "yaml";
import { addInYaml } from "./config-files.ts";
import type { CreateKey } from "./data-folder.ts";

/** @returns `workers` of a proxy's configuration file; 1 where it is not there, or not what it should be */
export function workersOf(proxyYaml: string): number {
  const workers: unknown = parseDocument(readFileSync(proxyYaml, "utf8")).get("workers");
  // What is wrong with it the proxy says, with the line.
  return typeof workers === "number" && Number.isInteger(workers) && workers >= 1 && workers <= 999 ? workers : 1;
}

/**
 * Gives each worker of the proxy a key, and registers it with the log-server: as far as that was not done before.
 *
 * CRASH: a key stands before it is registered; one whose registration did not come about is registered by the next
 * start, by the verifier key beside it.
 *
 * @param sourceVkey of the first worker, whose name the others' names begin with
 * @param fileOf the key file of a worker
 */
export function registerWorkers(
  workers: number,
  sourceVkey: string,
  logServerYaml: string,
  fileOf: (number: number) => string,
  createKey: CreateKey,
): void {
  const name = sourceVkey.replace(/\+[0-9a-f]{8}\+[^+]*$/, "");
  for (let number = 2; number <= workers; number += 1) {
    const file = fileOf(number);
    const vkeyFile = `${file}.vkey`;
    if (!existsSync(file)) {
      const { skey, vkey } = createKey(`${name}/worker-${number}`);
      // First the one that is public: nobody can sign by it alone.
      writeFileSync(vkeyFile, `${vkey.trimEnd()}\n`, { mode: 0o644, flush: true });
      writeFileSync(`${file}.new`, `${skey.trimEnd()}\n`, { mode: 0o600, flush: true });
      renameSync(`${file}.new`, file);
    }
    if (existsSync(vkeyFile)) addInYaml(logServerYaml, "sources", readFileSync(vkeyFile, "utf8").trim());
  }
}

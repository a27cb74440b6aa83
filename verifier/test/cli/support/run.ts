import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const command = fileURLToPath(new URL("../../../../bin/vitrine-verifier.js", import.meta.url));

export type Result = { status: number | null; stdout: string; stderr: string; json: Record<string, unknown> };

/** Runs the command as a process of its own. `json` is the one object that it printed. */
export function run(
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; input?: string } = {},
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [command, ...args], { env: { ...process.env, ...options.env } });
    const text = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8");
      child[name].on("data", (chunk: string) => {
        text[name] += chunk;
      });
    }
    child.stdin.on("error", () => undefined); // a command that does not read it may be gone
    child.stdin.end(options.input ?? "");
    child.on("error", reject);
    child.on("close", (status) => {
      const json = (): Record<string, unknown> => JSON.parse(text.stdout) as Record<string, unknown>;
      resolve({
        status,
        ...text,
        get json() {
          return json();
        },
      });
    });
  });
}

/** A folder that is removed when the test is over. */
export function temporaryFolder(t: { teardown(what: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), "vitrine-verifier-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

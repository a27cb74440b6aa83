/** litewitness of filippo.io/torchwood, where it is installed: it keeps its state in SQLite, and its key in an ssh-agent. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { delimiter, join } from "node:path";
import { freePort } from "../support/stack.ts";
import { type BenchedWitness, type BenchLog, stopped } from "./witness.ts";

function isInstalled(command: string): boolean {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => existsSync(join(folder, command)));
}

async function until(isReady: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 200; i += 1) {
    if (await isReady()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${what} is not ready after 10 s`);
}

export async function startLitewitness(
  folder: string,
  logs: readonly Pick<BenchLog, "origin" | "vkey">[],
): Promise<BenchedWitness | undefined> {
  if (!["litewitness", "ssh-agent", "ssh-add", "ssh-keygen", "sqlite3"].every(isInstalled)) return undefined;
  const [key, socket, database] = [join(folder, "id"), join(folder, "agent"), join(folder, "litewitness.db")];
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]);
  const fingerprint = execFileSync("ssh-keygen", ["-l", "-f", key], { encoding: "utf8" }).split(" ")[1]!;
  const agent: ChildProcess = spawn("ssh-agent", ["-D", "-a", socket], { stdio: "ignore" });
  await until(() => existsSync(socket), "ssh-agent");
  execFileSync("ssh-add", ["-q", key], { env: { ...process.env, SSH_AUTH_SOCK: socket }, stdio: "ignore" });

  const port = await freePort();
  const args = ["-name", "bench.example/peer", "-db", database, "-ssh-agent", socket, "-key", fingerprint];
  const child = spawn("litewitness", [...args, "-listen", `127.0.0.1:${port}`], { stdio: "ignore" });
  await until(
    () =>
      new Promise<boolean>((resolve) => {
        const attempt = connect(port, "127.0.0.1", () => resolve(true));
        attempt.on("error", () => resolve(false));
        attempt.on("connect", () => attempt.destroy());
      }),
    "litewitness",
  );
  const empty = createHash("sha256").digest("base64");
  const rows = logs.map(
    ({ origin, vkey }) =>
      `INSERT INTO log VALUES ('${origin}', 0, '${empty}'); INSERT INTO key VALUES ('${origin}', '${vkey}');`,
  );
  execFileSync("sqlite3", [database], { input: `BEGIN; ${rows.join("\n")} COMMIT;` });
  const stop = async (): Promise<void> => {
    await stopped(child);
    await stopped(agent);
  };
  return { name: "litewitness (Go, SQLite)", port, child, stop };
}

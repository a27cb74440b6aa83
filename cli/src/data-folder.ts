import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { initialLogServerYaml, initialProxyYaml } from "./config-files.ts";
import { CliError, codeOf, oneLine } from "./errors.ts";
import { type FolderLock, lockFolder } from "./lock.ts";

/** The layout that this version reads and writes; it grows when an older `vitrine` could not use the folder. */
const DATA_VERSION = "vitrine data 1";

/** Files of a data folder, relative to it. README.md describes each. */
export const FILES = {
  version: "VERSION",
  creating: "CREATING",
  keys: "keys",
  logKey: "keys/log.key",
  sourceKey: "keys/source.key",
  actsKey: "keys/acts.key",
  superuserPassword: "keys/postgres.password",
  appPassword: "keys/app.password",
  logVkey: "log.vkey",
  sourceVkey: "source.vkey",
  actsVkey: "acts.vkey",
  auditorToken: "auditor.token",
  tokens: "tokens",
  logServerYaml: "log-server.yaml",
  proxyYaml: "proxy.yaml",
  connection: "connection",
  logServerLog: "log-server.log",
  proxyLog: "proxy.log",
  postgres: "postgres",
  postgresLog: "postgres.log",
} as const;

const FOLDERS = [FILES.keys, "log", "log/store", "log/index", "guard", "spool"];

/** Makes a key pair for a signed-note name: the signing key file's line, and the verifier key. */
export type CreateKey = (name: string) => { skey: string; vkey: string };

export interface DataFolder {
  readonly path: string;
  /** Whether this start created it. */
  readonly created: boolean;
  readonly lock: FolderLock;
  file(name: keyof typeof FILES): string;
  read(name: keyof typeof FILES): string;
}

/**
 * As mkdir of Node with `recursive`, which never returns where the file system takes no folders though the one above is
 * there, such as /proc (seen with Node 20.20).
 */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(path.dirname(folder));
  mkdirSync(folder, { mode: 0o700 });
}

/**
 * Opens the data folder for this process alone, and creates what a first start needs: keys, tokens, configuration.
 *
 * @param waiting told when an earlier `up` was killed and what it started is still stopping
 * @param signal gives up the wait for that
 * @throws CliError `data_unwritable`, `data_foreign`, `data_version`, `data_in_use`
 */
export async function openDataFolder(
  folder: string,
  createKey: CreateKey,
  waiting: () => void,
  signal?: AbortSignal,
): Promise<DataFolder> {
  let lock: FolderLock;
  try {
    makeFolder(path.resolve(folder));
    refuseForeign(folder);
    lock = await lockFolder(folder, waiting, signal);
  } catch (error) {
    throw unwritable(folder, error);
  }
  try {
    const file = (name: keyof typeof FILES): string => path.join(folder, FILES[name]);
    const created = !existsSync(file("version"));
    if (created) create(folder, createKey);
    const read = (name: keyof typeof FILES): string => readFileSync(file(name), "utf8").trim();
    return { path: folder, created, lock, file, read };
  } catch (error) {
    lock.release();
    throw unwritable(folder, error);
  }
}

/** Whether a first start has created a data folder here, of whatever version. */
export function isDataFolder(folder: string): boolean {
  return existsSync(path.join(folder, FILES.version));
}

/** A folder with a version must have ours; one without must be empty, or a first start that did not finish. */
function refuseForeign(folder: string): void {
  const versionFile = path.join(folder, FILES.version);
  if (existsSync(versionFile)) {
    const version = readFileSync(versionFile, "utf8").trim();
    if (version === DATA_VERSION) return;
    throw new CliError(
      "data_version",
      `${folder} was written by another version (its VERSION says ${JSON.stringify(version.slice(0, 40))}, this one reads ` +
        `${JSON.stringify(DATA_VERSION)}); use the version that wrote it, or another folder with --data DIR`,
    );
  }
  const others = readdirSync(folder).filter((name) => !name.startsWith("up.lock"));
  if (others.length > 0 && !others.includes(FILES.creating)) {
    throw new CliError(
      "data_foreign",
      `${folder} is not empty and is no data folder of Vitrine; name an empty or a new one with --data DIR`,
    );
  }
}

/**
 * CRASH: until VERSION stands, CREATING does, and nothing has been signed or stored with what this made. The next
 * start finds no VERSION and makes all of it anew.
 */
function create(folder: string, createKey: CreateKey): void {
  const write = (name: string, text: string, mode: number): void => {
    const file = path.join(folder, name);
    rmSync(file, { force: true }); // the mode of a file that is there would stay
    writeFileSync(file, `${text.trimEnd()}\n`, { mode, flush: true });
  };
  write(FILES.creating, DATA_VERSION, 0o600);
  for (const name of FOLDERS) mkdirSync(path.join(folder, name), { recursive: true, mode: 0o700 });

  const origin = `vitrine.local/${randomBytes(4).toString("hex")}`;
  const log = createKey(origin);
  const source = createKey(`${origin}/proxy`);
  const acts = createKey(`${origin}/acts`);
  const token = randomBytes(32).toString("base64url");
  write(FILES.logKey, log.skey, 0o600);
  write(FILES.sourceKey, source.skey, 0o600);
  write(FILES.actsKey, acts.skey, 0o600);
  write(FILES.actsVkey, acts.vkey, 0o644);
  write(FILES.logVkey, log.vkey, 0o644);
  write(FILES.sourceVkey, source.vkey, 0o644);
  write(FILES.auditorToken, token, 0o600);
  write(FILES.tokens, `${createHash("sha256").update(token).digest("hex")} auditor - auditor`, 0o600);
  write(FILES.logServerYaml, initialLogServerYaml(origin, source.vkey), 0o600);
  write(FILES.proxyYaml, initialProxyYaml(), 0o600);
  renameSync(path.join(folder, FILES.creating), path.join(folder, FILES.version));
}

/** A system's error about a file of the data folder, in our words; any other error as it is. */
export function aboutDataFolder(folder: string, error: unknown): unknown {
  const { path: file } = (error ?? {}) as { path?: unknown };
  return typeof file === "string" && file.startsWith(folder) ? unwritable(folder, error) : error;
}

function unwritable(folder: string, error: unknown): unknown {
  const code = codeOf(error);
  if (error instanceof CliError || code === undefined || !/^E[A-Z]+$/.test(code)) return error;
  const message = `cannot use ${folder} as data folder: ${oneLine(error)}; ${adviceFor(code, folder)}`;
  return new CliError("data_unwritable", message, { cause: error });
}

function adviceFor(code: string, folder: string): string {
  const another = "name one that can be written with --data DIR";
  if (code === "ENOENT" && isDataFolder(folder)) return `put back what is missing, or ${another}`;
  if (code !== "EACCES") return another;
  return `start as the user to whom it belongs, give all of it to this one (a start as root leaves files of root's), or ${another}`;
}

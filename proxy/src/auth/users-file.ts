import { randomBytes } from "node:crypto";
import { open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { ProxyError } from "../errors.ts";
import { formatVerifier, makeVerifier, parseVerifier } from "./scram.ts";
import { formatUser, parseUser, type User } from "./user.ts";
import { isUserLine, parseUsers, readPrivate, USERS_BYTES } from "./users.ts";

/** What is to be so of a user; what is undefined stays as it is, or is nothing for a new one. */
export interface UserChange {
  readonly name: string;
  /** A password, or a verifier in PostgreSQL's form, as PostgreSQL takes either; `null`: no password will do. */
  readonly password: string | Buffer | null | undefined;
  /** For a new password. */
  readonly iterations: number | undefined;
  readonly identity: string | undefined;
  readonly groups: readonly string[] | undefined;
  /** A time in UTC, such as `2027-01-31T00:00:00Z`. */
  readonly expires: string | undefined;
  readonly role: string | undefined;
  readonly certificate: string | undefined;
}

/**
 * Puts a user into a file, which is made when it is not there; every other line stays as it is.
 * @returns whether the user is new
 * @throws ProxyError `bad_config` when the file, or what the user would be, is not in order; nothing is changed then
 */
export async function putUser(path: string, change: UserChange): Promise<boolean> {
  let added = true;
  await changeFile(path, async (text) => {
    const lines = (text ?? `secret=${randomBytes(32).toString("base64")}\n`).split("\n");
    const at = indexOf(lines, change.name);
    const before = at < 0 ? undefined : (parseUser(lines[at]!) as User);
    added = before === undefined;
    const line = await lineOf(change, before);
    if (at >= 0) lines[at] = line;
    else lines.splice(lines.at(-1) === "" ? -1 : lines.length, 0, line);
    return lines.at(-1) === "" ? lines : [...lines, ""];
  });
  return added;
}

/**
 * @returns whether there was such a user
 * @throws ProxyError `bad_config`
 */
export async function removeUser(path: string, name: string): Promise<boolean> {
  let found = false;
  await changeFile(path, async (text) => {
    if (text === undefined) throw bad(`${path} does not exist`);
    const lines = text.split("\n");
    const at = indexOf(lines, name);
    found = at >= 0;
    return found ? lines.toSpliced(at, 1) : undefined;
  });
  return found;
}

async function lineOf(change: UserChange, before: User | undefined): Promise<string> {
  const { name, password, iterations, identity, groups, expires, role, certificate } = change;
  if (password === undefined && before === undefined)
    throw bad(`there is no user ${JSON.stringify(name)} to be changed`);
  let verifier = before?.verifier === undefined ? "" : formatVerifier(before.verifier);
  if (password === null) verifier = "";
  else if (password !== undefined) {
    const given = password.toString();
    verifier = parseVerifier(given) === undefined ? formatVerifier(await makeVerifier(password, iterations)) : given;
  }
  const until = before?.expires === undefined ? undefined : new Date(before.expires).toISOString();
  const user = {
    name,
    identity: identity ?? before?.identity,
    groups: groups ?? before?.groups ?? [],
    role: role ?? before?.role,
    certificate: certificate ?? before?.certificate,
  };
  const line = formatUser(user, verifier, expires ?? until);
  const read = parseUser(line);
  if (typeof read === "string") throw bad(`the line of ${JSON.stringify(name)} ${read}`);
  return line;
}

function indexOf(lines: readonly string[], name: string): number {
  return lines.findIndex((line) => {
    const user = isUserLine(line) ? parseUser(line.replace(/\r$/, "")) : undefined;
    return typeof user === "object" && user.name === name;
  });
}

/** @param change given the file's text, undefined when there is none; gives its lines, undefined for no change */
async function changeFile(
  path: string,
  change: (text: string | undefined) => Promise<readonly string[] | undefined>,
): Promise<void> {
  const next = `${path}.next`;
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(next, "wx", 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw bad(`${next} cannot be written: ${said(error)}`);
    throw bad(`${next} is there: the file is being changed, or a change was broken off. If none runs, remove it`);
  }
  try {
    try {
      const there = await readFile(path).then(
        () => true,
        (error: unknown) => {
          if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
          throw bad(`the users file ${path} cannot be read: ${said(error)}`);
        },
      );
      const text = there ? await readPrivate(path, "the users file", USERS_BYTES) : undefined;
      if (text !== undefined) parseUsers(text, path);
      const lines = await change(text);
      if (lines === undefined) {
        await rm(next);
        return;
      }
      const written = lines.join("\n");
      parseUsers(written, path);
      await file.writeFile(written);
      await file.sync();
    } finally {
      await file.close();
    }
    // CRASH: the file is as it was, and the one beside it says that a change was broken off.
    await rename(next, path);
  } catch (error) {
    await rm(next, { force: true });
    if (error instanceof ProxyError) throw error;
    throw bad(`${path} cannot be written: ${said(error)}`);
  }
  const folder = await open(dirname(path), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function said(error: unknown): string {
  return (error as Error).message;
}

function bad(what: string): ProxyError {
  return new ProxyError("bad_config", what);
}

import { hash, randomBytes } from "node:crypto";
import { open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { timestamp } from "../entries/forms.ts";
import { LogServerError, reason } from "../errors.ts";

// The file of tokens: in each line the lowercase hex SHA-256 of a token, its roles, when it expires, and its name.
// The tokens themselves are nowhere: what is lost is made anew.

/** What a token may be good for. `auditor` and `admin` include `viewer`; neither includes the other. */
export const tokenRoles = ["viewer", "auditor", "admin"] as const;

export type TokenRole = (typeof tokenRoles)[number];

/** One line of the file. */
export interface Token {
  /** SHA-256 of the token, 32 bytes. */
  readonly digest: Buffer;
  readonly roles: readonly TokenRole[];
  /** A timestamp in the form of spec/README.md; undefined when it never expires. */
  readonly expires: string | undefined;
  /** Whose it is: what the log writes down as the reader. */
  readonly name: string;
}

const MAX_NAME_BYTES = 128;
const TOKEN_BYTES = 32;

/** @returns whether a token can have this name: up to 128 bytes without white space and control characters. */
export function isTokenName(name: string): boolean {
  return /^[^\p{White_Space}\p{Cc}\p{Surrogate}#]+$/u.test(name) && Buffer.byteLength(name) <= MAX_NAME_BYTES;
}

function parseRoles(text: string): readonly TokenRole[] | undefined {
  const roles = text.split(",") as TokenRole[];
  return roles.every((role) => tokenRoles.includes(role)) && new Set(roles).size === roles.length ? roles : undefined;
}

/**
 * Parses a file of tokens. Empty lines and lines that begin with # are passed over.
 * @param where the text comes from, for the error: the configuration's key and the file
 * @throws LogServerError `bad_config`
 */
export function parseTokens(text: string, where: string): readonly Token[] {
  const tokens: Token[] = [];
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (line === "" || line.startsWith("#")) continue;
    const bad = (what: string): LogServerError =>
      new LogServerError("bad_config", `${where}, line ${i + 1}: ${what}; see "Tokens" in the manual`);
    const [digest = "", roleText = "", expires = "", name = "", ...more] = line.split(" ");
    if (!/^[0-9a-f]{64}$/.test(digest)) throw bad("it does not begin with the lowercase hex SHA-256 of a token");
    const roles = parseRoles(roleText);
    if (roles === undefined) {
      throw bad(`behind one space stand roles, each once, joined by commas: ${tokenRoles.join(", ")}`);
    }
    if (expires !== "-" && !timestamp(expires)) {
      throw bad("behind the roles stands when it expires, such as 2027-01-31T00:00:00.000000Z, or -");
    }
    if (!isTokenName(name) || more.length > 0) throw bad("it ends with the token's name, without white space and #");
    if (tokens.some((each) => each.name === name)) throw bad(`the name ${name} stands in an earlier line as well`);
    const known = Buffer.from(digest, "hex");
    if (tokens.some((each) => each.digest.equals(known))) throw bad("its token stands in an earlier line as well");
    tokens.push({ digest: known, roles, expires: expires === "-" ? undefined : expires, name });
  }
  return tokens;
}

/**
 * Reads the file of tokens.
 * @param key of the configuration that names the file, for the error
 * @throws LogServerError `bad_config`
 */
export async function readTokens(path: string, key: string = "tokens"): Promise<readonly Token[]> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new LogServerError("bad_config", `${key}: ${path} cannot be read: ${reason(error)}`, {}, { cause: error });
  }
  return parseTokens(text, `${key}: ${path}`);
}

/** @returns the line of a token. */
export function formatToken({ digest, roles, expires, name }: Token): string {
  return `${digest.toString("hex")} ${roles.join(",")} ${expires ?? "-"} ${name}\n`;
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw new LogServerError("bad_config", `tokens: ${path} cannot be read: ${reason(error)}`, {}, { cause: error });
  }
}

/** Replaces the file as a whole: a log that reads it meanwhile finds the old one or the new one. */
async function replace(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  try {
    const file = await open(temporary, "w", 0o600);
    try {
      // The mode of a file that was left there would stay.
      await file.chmod(0o600);
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    const directory = await open(dirname(path), "r");
    await directory.sync().finally(() => directory.close());
  } catch (error) {
    throw new LogServerError("bad_config", `tokens: ${path} cannot be written: ${reason(error)}`, {}, { cause: error });
  }
}

/**
 * Makes a token and adds its line to the file, which is made if need be.
 * @param expires a timestamp in the form of spec/README.md
 * @returns the token, which stands nowhere else
 * @throws LogServerError `bad_config`: the file changes only when all is well
 */
export async function addToken(
  path: string,
  { name, roles, expires }: { name: string; roles: readonly TokenRole[]; expires?: string | undefined },
): Promise<string> {
  const before = await readText(path);
  const token = randomBytes(TOKEN_BYTES).toString("base64url");
  const line = formatToken({ digest: hash("sha256", token, "buffer"), roles, expires, name });
  const after = `${before}${before === "" || before.endsWith("\n") ? "" : "\n"}${line}`;
  parseTokens(after, `tokens: ${path}`);
  await replace(path, after);
  return token;
}

/**
 * Takes a token's line out of the file. The other lines stay as they are.
 * @returns whether there was one of this name
 * @throws LogServerError `bad_config`
 */
export async function revokeToken(path: string, name: string): Promise<boolean> {
  const before = await readText(path);
  const found = parseTokens(before, `tokens: ${path}`).find((token) => token.name === name);
  if (found === undefined) return false;
  const digest = found.digest.toString("hex");
  await replace(path, before.replace(new RegExp(`^${digest} .*(?:\\r?\\n|$)`, "m"), ""));
  return true;
}

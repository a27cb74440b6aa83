import { createHash, randomBytes } from "node:crypto";
import { open } from "node:fs/promises";
import { ProxyError } from "../errors.ts";
import { strictBase64 } from "./base64.ts";
import { DEFAULT_ITERATIONS, DEFAULT_SALT_BYTES, hmac, KEY_BYTES, type ScramVerifier } from "./scram.ts";
import { parseUser, type User } from "./user.ts";

export const USERS_BYTES: number = 64 * 1024 * 1024;
const SECRET_BYTES = 32;

/** The users of one state of the file. */
export class Users {
  readonly byName: ReadonlyMap<string, User>;
  /** Hex SHA-256 of the file. */
  readonly digest: string;
  readonly #secret: Buffer;
  readonly #kinds: readonly Kind[];

  constructor(users: readonly User[], secret: Buffer, digest: string) {
    this.byName = new Map(users.map((user) => [user.name, user]));
    this.digest = digest;
    this.#secret = secret;
    this.#kinds = kindsOf(users);
  }

  /**
   * What an exchange with somebody who has no password is done with: it looks like that of a user, always the same for
   * one name, and no password fits. Iterations and the salt's size are as often those of some users as users have them:
   * neither tells who is there.
   */
  mock(name: string): ScramVerifier {
    const part = (what: string): Buffer => hmac(this.#secret, `${what}\0${name}`);
    const { iterations, saltBytes } = this.#kindFor(part);
    const salts = Array.from({ length: Math.ceil(saltBytes / KEY_BYTES) }, (_, i) =>
      part(i === 0 ? "salt" : `salt ${i}`),
    );
    return {
      iterations,
      salt: Buffer.concat(salts).subarray(0, saltBytes),
      storedKey: part("stored key"),
      serverKey: part("server key"),
    };
  }

  /**
   * Weighted rendezvous hashing: a name changes its kind only to one that more users have than before, so that a reload
   * after a few changes shows next to nothing.
   */
  #kindFor(part: (what: string) => Buffer): Kind {
    let best = this.#kinds[0]!;
    let highest = Number.NEGATIVE_INFINITY;
    for (const kind of this.#kinds) {
      const drawn = (part(`kind ${kind.iterations}:${kind.saltBytes}`).readUIntBE(0, 6) + 1) / (2 ** 48 + 1);
      const score = Math.log(drawn) / kind.users;
      if (score <= highest) continue;
      highest = score;
      best = kind;
    }
    return best;
  }
}

/** What a verifier lets be seen before anything is proven, and how many users have it so. */
interface Kind {
  readonly iterations: number;
  readonly saltBytes: number;
  readonly users: number;
}

/** Where nobody is asked for. */
export function noUsers(): Users {
  return new Users([], randomBytes(SECRET_BYTES), "");
}

function kindsOf(users: readonly User[]): Kind[] {
  const kinds = new Map<string, Kind>();
  for (const { verifier } of users) {
    if (verifier === undefined) continue;
    const { iterations, salt } = verifier;
    const name = `${iterations}:${salt.length}`;
    kinds.set(name, { iterations, saltBytes: salt.length, users: (kinds.get(name)?.users ?? 0) + 1 });
  }
  return kinds.size > 0
    ? [...kinds.values()]
    : [{ iterations: DEFAULT_ITERATIONS, saltBytes: DEFAULT_SALT_BYTES, users: 1 }];
}

/** Neither empty, nor a comment, nor the secret. */
export function isUserLine(line: string): boolean {
  return line.trim() !== "" && !line.startsWith("#") && !line.startsWith("secret=");
}

/**
 * Reads a file of users: a line `secret=<base64 of 32 bytes>`, a line for each user ({@link parseUser}), empty lines and
 * lines that begin with `#`.
 * @throws ProxyError `bad_config`, with the line of the first thing that is wrong
 */
export function parseUsers(text: string, path: string): Users {
  const users: User[] = [];
  const seen = new Map<string, number>();
  let secret: Buffer | undefined;
  for (const [index, line] of text.split("\n").entries()) {
    const where = `${path}:${index + 1}`;
    if (line.trim() === "" || line.startsWith("#")) continue;
    if (!isUserLine(line)) {
      if (secret !== undefined) throw bad(`${where}: a second secret`);
      secret = strictBase64(line.slice("secret=".length).trim());
      if (secret?.length !== SECRET_BYTES) throw bad(`${where}: the secret is not ${SECRET_BYTES} bytes in base64`);
      continue;
    }
    const user = parseUser(line.replace(/\r$/, ""));
    if (typeof user === "string") throw bad(`${where}: the line ${user}`);
    const before = seen.get(user.name);
    if (before !== undefined) throw bad(`${where}: ${JSON.stringify(user.name)} stands in line ${before} already`);
    seen.set(user.name, index + 1);
    users.push(user);
  }
  if (secret === undefined) throw bad(`${path} has no line secret=…; "vitrine proxy user add" writes one`);
  return new Users(users, secret, createHash("sha256").update(text).digest("hex"));
}

/** @throws ProxyError `bad_config` when it cannot be read, is not private, or {@link parseUsers} does not take it */
export async function readUsers(path: string): Promise<Users> {
  return parseUsers(await readPrivate(path, "the users file", USERS_BYTES), path);
}

/**
 * A text file that holds secrets, and so is its owner's alone.
 * @throws ProxyError `bad_config`
 */
export async function readPrivate(path: string, what: string, limit: number): Promise<string> {
  try {
    const file = await open(path, "r");
    try {
      const { mode, size } = await file.stat();
      if (mode % 0o100 !== 0) throw bad(`${what} ${path} can be read by others than its owner: chmod 600 it`);
      if (size > limit) throw bad(`${what} ${path} has more than ${limit} bytes`);
      return new TextDecoder("utf-8", { fatal: true }).decode(await file.readFile());
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof ProxyError) throw error;
    const why = error instanceof TypeError ? "it is not UTF-8" : (error as Error).message;
    throw bad(`${what} ${path} cannot be read: ${why}`);
  }
}

function bad(what: string): ProxyError {
  return new ProxyError("bad_config", what);
}

import { hash, timingSafeEqual } from "node:crypto";
import { stat } from "node:fs/promises";
import { LogServerError, reason } from "../errors.ts";
import { readTokens, type Token, type TokenRole } from "./token-file.ts";

/** @returns what tells two versions of a file apart; undefined when it cannot be looked at. */
async function versionOf(path: string): Promise<string | undefined> {
  try {
    const { ino, size, mtimeNs } = await stat(path, { bigint: true });
    return `${ino} ${size} ${mtimeNs}`;
  } catch {
    // Reading it says why.
    return undefined;
  }
}

/**
 * The tokens that the log knows. The file is looked at whenever a token is used, so that one that was revoked is
 * refused at once. A file that cannot be read or has an error leaves those in force that were; the log says so.
 */
export class Tokens {
  readonly #path: string | undefined;
  readonly #key: string;
  readonly #warn: (message: string) => void;
  #version: string | undefined;
  #list: readonly Token[] = [];

  private constructor(path: string | undefined, warn: (message: string) => void, key: string) {
    this.#path = path;
    this.#key = key;
    this.#warn = warn;
  }

  /**
   * @param path of the file; undefined when there are no tokens
   * @param warn is told why a changed file is not taken
   * @param key of the configuration that names the file, for errors
   * @throws LogServerError `bad_config`
   */
  static async open(
    path: string | undefined,
    warn: (message: string) => void,
    key: string = "tokens",
  ): Promise<Tokens> {
    const tokens = new Tokens(path, warn, key);
    await tokens.reload();
    return tokens;
  }

  /**
   * Reads the file again, changed or not.
   * @throws LogServerError `bad_config`; the tokens are then those from before
   */
  async reload(): Promise<void> {
    if (this.#path === undefined) return;
    // Looked at first: what changes while it is read is read again the next time.
    this.#version = await versionOf(this.#path);
    this.#list = await readTokens(this.#path, this.#key);
  }

  async #refresh(): Promise<void> {
    if (this.#path === undefined || (await versionOf(this.#path)) === this.#version) return;
    try {
      await this.reload();
    } catch (error) {
      this.#warn(`the tokens are those from before: ${reason(error)}`);
    }
  }

  /**
   * @param authorization the header, if there is one
   * @returns the token that it carries; undefined without the header
   * @throws LogServerError `unauthorized` when it carries anything but a token that is known and has not expired
   */
  async identify(authorization: string | undefined): Promise<Token | undefined> {
    if (authorization === undefined) return undefined;
    await this.#refresh();
    const sent = /^Bearer +([A-Za-z0-9._~+/=-]+)$/i.exec(authorization)?.[1];
    const digest = hash("sha256", sent ?? "", "buffer");
    let found: Token | undefined;
    // All of them, and each in constant time: how long it takes says nothing about which came close.
    for (const token of this.#list) if (timingSafeEqual(token.digest, digest)) found = token;
    if (sent === undefined || found === undefined) {
      throw new LogServerError("unauthorized", "the token sent is not known; send Authorization: Bearer <token>");
    }
    const expiry = found.expires === undefined ? Number.POSITIVE_INFINITY : Date.parse(found.expires);
    if (Date.now() < expiry) return found;
    throw new LogServerError("unauthorized", `the token sent expired at ${found.expires}; ask for another`);
  }

  /**
   * @param what the token is needed for, as the beginning of a sentence
   * @returns the token, which has the role
   * @throws LogServerError `unauthorized` without a token that is good; `forbidden` when it has not the role
   */
  async require(authorization: string | undefined, role: TokenRole, what: string): Promise<Token> {
    const token = await this.identify(authorization);
    if (token === undefined) {
      throw new LogServerError("unauthorized", `${what} needs a token: send Authorization: Bearer <token>`);
    }
    if (hasRole(token, role)) return token;
    const message = `${what} needs a token with the role ${role}, and ${token.name} has ${token.roles.join(", ")}`;
    throw new LogServerError("forbidden", message);
  }
}

/** @returns whether the token has the role, by itself or because each role includes `viewer`. */
export function hasRole({ roles }: Token, role: TokenRole): boolean {
  return role === "viewer" || roles.includes(role);
}

import { randomBytes } from "node:crypto";
import { ProxyError } from "../errors.ts";
import { strictBase64 } from "./base64.ts";
import { equal, hmac, KEY_BYTES, keysOf, type ScramKeys, sha256, xor } from "./scram.ts";
import { type SCRAM, SCRAM_PLUS } from "./scram-server.ts";

/** RFC 7677 section 4: a server that asks for fewer would make the password easier to guess from what it is sent. */
const MIN_ITERATIONS = 4096;
/** What a server may ask for; each takes about 0.3 µs. */
const MAX_ITERATIONS = 1_000_000;
const MAX_SALT_BYTES = 256;
const NONCE_BYTES = 18;

/** What proves the login: a password, or the keys of one for exactly one salt and number of iterations. */
export type ScramSecret = { readonly password: string } | { readonly keys: ScramKeys };

export interface ScramClientOptions {
  readonly secret: ScramSecret;
  readonly mechanism: typeof SCRAM | typeof SCRAM_PLUS;
  /** `tls-server-end-point` of the server's certificate; undefined without TLS. */
  readonly binding: Buffer | undefined;
  /** Given by tests that follow an RFC's example. */
  readonly nonce?: string;
  readonly name?: string;
}

/**
 * The client's side of one SCRAM-SHA-256 exchange. The server is not believed before `verify` has returned.
 * What it sends wrong is `upstream_untrusted`.
 */
export class ScramClient {
  readonly #secret: ScramSecret;
  readonly #nonce: string;
  readonly #bare: string;
  readonly #gs2: string;
  readonly #binding: Buffer;
  #serverSignature: Buffer | undefined;

  constructor({ secret, mechanism, binding, nonce, name }: ScramClientOptions) {
    this.#secret = secret;
    this.#nonce = nonce ?? randomBytes(NONCE_BYTES).toString("base64");
    // PostgreSQL takes the name of the startup packet.
    this.#bare = `n=${name ?? ""},r=${this.#nonce}`;
    // "y" says that the binding was not offered: a server that did offer it then knows of somebody in between.
    this.#gs2 = mechanism === SCRAM_PLUS ? "p=tls-server-end-point,," : binding === undefined ? "n,," : "y,,";
    this.#binding = mechanism === SCRAM_PLUS ? binding! : Buffer.alloc(0);
  }

  /** client-first-message */
  first(): string {
    return `${this.#gs2}${this.#bare}`;
  }

  /**
   * @param serverFirst server-first-message
   * @returns client-final-message
   * @throws ProxyError `upstream_untrusted`; `upstream_refused` when the keys are for another salt than the server's
   */
  async final(serverFirst: string): Promise<string> {
    const match = /^r=([\x21-\x2b\x2d-\x7e]+),s=([^,]+),i=([1-9][0-9]{0,9})(?:,[A-Za-z]=[^,]*)*$/.exec(serverFirst);
    const salt = strictBase64(match?.[2] ?? "");
    if (match === null || salt === undefined || salt.length === 0 || salt.length > MAX_SALT_BYTES) {
      throw untrusted("its SCRAM message is malformed");
    }
    const nonce = match[1]!;
    if (!nonce.startsWith(this.#nonce) || nonce.length === this.#nonce.length) {
      throw untrusted("its SCRAM nonce does not continue ours");
    }
    const keys = await this.#keys(salt, Number(match[3]));
    const channel = Buffer.concat([Buffer.from(this.#gs2), this.#binding]).toString("base64");
    const withoutProof = `c=${channel},r=${nonce}`;
    const exchange = `${this.#bare},${serverFirst},${withoutProof}`;
    this.#serverSignature = hmac(keys.serverKey, exchange);
    const proof = xor(keys.clientKey, hmac(sha256(keys.clientKey), exchange));
    return `${withoutProof},p=${proof.toString("base64")}`;
  }

  /**
   * @param serverFinal server-final-message
   * @throws ProxyError `upstream_untrusted` when the server does not prove that it knows the password's keys
   */
  verify(serverFinal: string): void {
    const signature = strictBase64(/^v=([^,]+)(?:,[A-Za-z]=[^,]*)*$/.exec(serverFinal)?.[1] ?? "");
    if (this.#serverSignature === undefined || signature?.length !== KEY_BYTES) {
      throw untrusted("its last SCRAM message is malformed");
    }
    if (!equal(signature, this.#serverSignature))
      throw untrusted("its SCRAM signature is wrong: it has not the password");
  }

  async #keys(salt: Buffer, iterations: number): Promise<ScramKeys> {
    if ("keys" in this.#secret) {
      const { keys } = this.#secret;
      if (keys.iterations !== iterations || !equal(keys.salt, salt)) {
        throw new ProxyError(
          "upstream_refused",
          "the login cannot be passed through: the server's SCRAM verifier has another salt or number of iterations than " +
            "the proxy's users file",
        );
      }
      return keys;
    }
    if (iterations < MIN_ITERATIONS || iterations > MAX_ITERATIONS) {
      throw untrusted(
        `it asks for ${iterations} SCRAM iterations, where ${MIN_ITERATIONS} to ${MAX_ITERATIONS} are taken`,
      );
    }
    return keysOf(this.#secret.password, salt, iterations);
  }
}

function untrusted(what: string): ProxyError {
  return new ProxyError("upstream_untrusted", `the database server is not trusted: ${what}`);
}

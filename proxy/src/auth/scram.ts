import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { strictBase64 } from "./base64.ts";
import { preparedPassword } from "./password.ts";

/** The keys of SCRAM-SHA-256 (RFC 5802 section 3, RFC 7677), and PostgreSQL's way of writing them down. */

export const KEY_BYTES = 32;
export const DEFAULT_ITERATIONS = 4096;
export const DEFAULT_SALT_BYTES = 16;
/** PostgreSQL's own bound of `scram_iterations`. */
export const MAX_ITERATIONS = 2_147_483_647;
const MAX_SALT_BYTES = 256;

/** What a server keeps of a password: enough to check it, not enough to log in elsewhere. */
export interface ScramVerifier {
  readonly iterations: number;
  readonly salt: Buffer;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

/**
 * The two keys of a password, for one salt and one number of iterations. Who has them can log in wherever the same are
 * used, so they are as secret as the password.
 */
export interface ScramKeys {
  readonly iterations: number;
  readonly salt: Buffer;
  readonly clientKey: Buffer;
  readonly serverKey: Buffer;
}

const derive = promisify(pbkdf2);

/** HMAC-SHA-256. */
export function hmac(key: Buffer, text: string | Buffer): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

export function sha256(bytes: Buffer): Buffer {
  return createHash("sha256").update(bytes).digest();
}

/** @throws RangeError (a bug) when the sizes differ */
export function xor(a: Buffer, b: Buffer): Buffer {
  if (a.length !== b.length) throw new RangeError("keys of different sizes");
  const result = Buffer.alloc(a.length);
  for (let i = 0; i < a.length; i += 1) result[i] = a[i]! ^ b[i]!;
  return result;
}

/** Takes the same time wherever they differ; sizes are no secret. */
export function equal(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** The keys of a password. Their derivation takes a while by design, and does not block the thread. */
export async function keysOf(password: string | Buffer, salt: Buffer, iterations: number): Promise<ScramKeys> {
  const salted = await derive(preparedPassword(password), salt, iterations, KEY_BYTES, "sha256");
  return { iterations, salt, clientKey: hmac(salted, "Client Key"), serverKey: hmac(salted, "Server Key") };
}

export function verifierOf({ iterations, salt, clientKey, serverKey }: ScramKeys): ScramVerifier {
  return { iterations, salt, storedKey: sha256(clientKey), serverKey };
}

/** A verifier for a new password, with a salt of its own. */
export async function makeVerifier(
  password: string | Buffer,
  iterations: number = DEFAULT_ITERATIONS,
): Promise<ScramVerifier> {
  return verifierOf(await keysOf(password, randomBytes(DEFAULT_SALT_BYTES), iterations));
}

/** As in PostgreSQL's `pg_authid.rolpassword`. */
export function formatVerifier({ iterations, salt, storedKey, serverKey }: ScramVerifier): string {
  const [a, b, c] = [salt, storedKey, serverKey].map((bytes) => bytes.toString("base64"));
  return `SCRAM-SHA-256$${iterations}:${a}$${b}:${c}`;
}

/** @returns undefined when it is not one */
export function parseVerifier(text: string): ScramVerifier | undefined {
  const match = /^SCRAM-SHA-256\$([1-9][0-9]{0,9}):([^$:]+)\$([^$:]{44}):([^$:]{44})$/.exec(text);
  if (match === null) return undefined;
  const iterations = Number(match[1]);
  const [salt, storedKey, serverKey] = match.slice(2).map(strictBase64);
  if (salt === undefined || storedKey?.length !== KEY_BYTES || serverKey?.length !== KEY_BYTES) return undefined;
  if (iterations > MAX_ITERATIONS || salt.length > MAX_SALT_BYTES) return undefined;
  return { iterations, salt, storedKey, serverKey };
}

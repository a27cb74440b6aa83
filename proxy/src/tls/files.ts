import type { Stats } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { ProxyError } from "../errors.ts";

/** Longer ones are not certificates and keys. */
const MAX_BYTES = 1 << 20;

/** @throws ProxyError `bad_certificate` */
export async function readPem(path: string, key: string): Promise<string> {
  return (await readChecked(path, key, () => undefined)).toString("utf8");
}

/**
 * Reads a private key. As for PostgreSQL's own keys: only its owner may read it, or, when it is root's, a group.
 * @throws ProxyError `bad_certificate`; never with anything of the key
 */
export async function readPrivateKey(path: string, key: string): Promise<string> {
  const pem = await readChecked(path, key, ({ mode, uid }) => {
    if (process.platform === "win32") return undefined;
    const allowed = uid === 0 ? 0o640 : 0o600;
    const permissions = mode % 0o1000;
    return (permissions & ~allowed & 0o077) === 0
      ? undefined
      : `can be read by others (mode 0${permissions.toString(8)}): chmod 600 it`;
  });
  const text = pem.toString("utf8");
  if (/^-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: .*ENCRYPTED/m.test(text)) {
    throw bad(key, path, "holds a key that is encrypted with a password: give one that is not, readable by its owner");
  }
  return text;
}

async function readChecked(path: string, key: string, fault: (stats: Stats) => string | undefined): Promise<Buffer> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, "r");
    const stats = await file.stat();
    const wrong = stats.isFile()
      ? stats.size > MAX_BYTES
        ? "is too long for what it should be"
        : fault(stats)
      : "is not a file";
    if (wrong !== undefined) throw bad(key, path, wrong);
    return await file.readFile();
  } catch (error) {
    if (error instanceof ProxyError) throw error;
    throw bad(key, path, `cannot be read: ${(error as NodeJS.ErrnoException).code ?? "unknown error"}`);
  } finally {
    await file?.close();
  }
}

/** @throws ProxyError `bad_certificate` when OpenSSL cannot use them, or the key is another certificate's */
export function checkContext(options: SecureContextOptions, what: string): void {
  try {
    createSecureContext(options);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException & { reason?: string };
    const mismatch = code === "ERR_OSSL_X509_KEY_VALUES_MISMATCH" || /key values mismatch/.test(message);
    const why = mismatch
      ? "the key is not the certificate's"
      : `not PEM that OpenSSL can read (${(error as { reason?: string }).reason ?? code ?? "unknown error"})`;
    throw new ProxyError("bad_certificate", `${what}: ${why}`, { cause: error });
  }
}

/** @throws ProxyError `bad_certificate` for a file without a certificate, which OpenSSL takes without a word */
export function checkHasCertificate(pem: string, key: string, path: string): void {
  if (!/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/.test(pem)) throw bad(key, path, "holds no certificate in PEM");
}

function bad(key: string, path: string, what: string): ProxyError {
  return new ProxyError("bad_certificate", `"${key}" names ${path}, which ${what}`);
}

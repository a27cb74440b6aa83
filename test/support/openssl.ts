/** Certificates, made by the command `openssl`. */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Certified {
  readonly cert: string;
  readonly key: string;
  /** Hex SHA-256 of the certificate in DER. */
  readonly digest: string;
}

export function hasOpenssl(): boolean {
  return spawnSync("openssl", ["version"]).status === 0;
}

/** An authority in a folder. All it makes are paths of files there. */
export class OpensslAuthority {
  readonly cert: string;
  readonly #key: string;
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    this.cert = join(folder, "root.crt");
    this.#key = join(folder, "root.key");
    const to = ["-keyout", this.#key, "-out", this.cert];
    openssl("req", "-x509", ...NEW_KEY, ...to, "-days", "30", "-subj", "/CN=Test root");
  }

  /** @param names as OpenSSL writes alternative names: `DNS:localhost,IP:127.0.0.1` */
  issue(name: string, names?: string): Certified {
    const [cert, key, request] = ["crt", "key", "csr"].map((end) => join(this.#folder, `${name}.${end}`)) as [
      string,
      string,
      string,
    ];
    openssl("req", ...NEW_KEY, "-keyout", key, "-out", request, "-subj", `/CN=${name}`);
    const extensions = join(this.#folder, `${name}.ext`);
    writeFileSync(extensions, names === undefined ? "" : `subjectAltName=${names}\n`);
    const by = ["-CA", this.cert, "-CAkey", this.#key, "-CAcreateserial", "-days", "30", "-extfile", extensions];
    openssl("x509", "-req", "-in", request, "-out", cert, ...by);
    chmodSync(key, 0o600);
    const { raw } = new X509Certificate(readFileSync(cert));
    return { cert, key, digest: createHash("sha256").update(raw).digest("hex") };
  }
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

function openssl(...args: string[]): void {
  execFileSync("openssl", args, { stdio: "pipe" });
}

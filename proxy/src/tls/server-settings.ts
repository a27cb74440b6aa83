import { resolve } from "node:path";
import type { SecureVersion } from "node:tls";

export const SERVER_MODES = ["disable", "prefer", "require", "verify-ca", "verify-full"] as const;
export type ServerMode = (typeof SERVER_MODES)[number];

/** How the database server is reached, in libpq's terms (PostgreSQL section 34.1.2). */
export interface ServerTlsSettings {
  readonly mode: ServerMode;
  /** A file of certificates, `system` for the public ones, undefined when nothing is verified. */
  readonly rootCert: string | undefined;
  /** What those of `rootCert` have revoked: for each of them a list. */
  readonly crl: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  /** TLS from the first byte on (PostgreSQL 17), without asking. */
  readonly direct: boolean;
  /** Whether the host's name is told in the clear when the connection begins. */
  readonly sni: boolean;
  readonly minVersion: SecureVersion;
}

const VERSIONS: readonly string[] = ["TLSv1.2", "TLSv1.3"];

/**
 * Reads libpq's parameters that concern TLS. What it does not know it leaves to others.
 *
 * @param folder that paths are relative to
 * @param wrong makes the error from what would be right
 * @throws what `wrong` makes
 */
export function serverTlsSettings(
  parameters: ReadonlyMap<string, string>,
  folder: string,
  wrong: (wanted: string) => Error,
): ServerTlsSettings {
  const get = (name: string): string | undefined => parameters.get(name);
  const oneOf = <T extends string>(name: string, values: readonly T[], otherwise: T): T => {
    const value = get(name) ?? otherwise;
    if (!values.includes(value as T)) throw wrong(`with one of ${values.join(", ")} as ${name}`);
    return value as T;
  };
  refuseOthers(parameters, wrong);
  const asked = oneOf("sslmode", SERVER_MODES, "disable");
  const rootCert = get("sslrootcert");
  if (asked === "disable") {
    for (const name of ["sslrootcert", "sslcrl", "sslcert", "sslkey", "sslnegotiation"]) {
      if (parameters.has(name)) throw wrong(`with an sslmode that encrypts, such as verify-full, for it has ${name}`);
    }
  }
  if (rootCert === undefined && asked.startsWith("verify")) {
    throw wrong(`with sslrootcert=FILE, or sslrootcert=system, for sslmode=${asked} to verify the server by`);
  }
  if (rootCert !== undefined && asked === "prefer")
    throw wrong("with sslmode=verify-ca or verify-full, for sslrootcert");
  if (rootCert === undefined && parameters.has("sslcrl")) throw wrong("with sslrootcert, for sslcrl");
  // As libpq does: anybody can have a certificate of a public authority, so only the name says whose it is.
  if (rootCert === "system" && asked !== "verify-full") throw wrong("with sslmode=verify-full, for sslrootcert=system");
  const direct = oneOf("sslnegotiation", ["postgres", "direct"], "postgres") === "direct";
  if (direct && asked === "prefer") throw wrong("with sslmode=require or better, for sslnegotiation=direct");
  const [cert, key] = [get("sslcert"), get("sslkey")];
  if ((cert === undefined) !== (key === undefined)) throw wrong("with both sslcert and sslkey, or neither");
  const file = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : resolve(folder, path);
  return {
    // As libpq does: with a file to verify it by, the server is verified.
    mode: asked === "require" && rootCert !== undefined ? "verify-ca" : asked,
    rootCert: rootCert === "system" ? rootCert : file(rootCert),
    crl: file(get("sslcrl")),
    cert: file(cert),
    key: file(key),
    direct,
    sni: oneOf("sslsni", ["1", "0"], "1") === "1",
    minVersion: oneOf("ssl_min_protocol_version", VERSIONS, "TLSv1.2") as SecureVersion,
  };
}

/** Parameters that would be taken for a protection and are none here. */
function refuseOthers(parameters: ReadonlyMap<string, string>, wrong: (wanted: string) => Error): void {
  for (const name of ["requiressl", "sslpassword", "sslcrldir", "sslcertmode", "ssl_max_protocol_version"]) {
    if (parameters.has(name)) throw wrong(`without ${name}, which is not supported`);
  }
  if (parameters.get("sslmode") === "allow") throw wrong("with sslmode=prefer or better: allow is not supported");
  if (parameters.get("gssencmode") === "require") throw wrong("without gssencmode=require: GSSAPI is not supported");
}

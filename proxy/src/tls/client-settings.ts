import { resolve } from "node:path";
import type { ProxyError } from "../errors.ts";

const TLS_MODES = ["disable", "prefer", "require"] as const;
const CLIENT_CERTIFICATES = ["none", "optional", "require"] as const;
type TlsMode = (typeof TLS_MODES)[number];
type ClientCertificates = (typeof CLIENT_CERTIFICATES)[number];

/** The keys `tls.*` of the configuration. */
export const TLS_KEYS: readonly TlsConfigKey[] = [
  { path: "tls.mode", kind: "choice", default: undefined, choices: TLS_MODES },
  { path: "tls.cert", kind: "string", default: undefined },
  { path: "tls.key", kind: "string", default: undefined },
  { path: "tls.client_ca", kind: "string", default: undefined },
  { path: "tls.client_crl", kind: "string", default: undefined },
  { path: "tls.client_cert", kind: "choice", default: "none", choices: CLIENT_CERTIFICATES },
];

interface TlsConfigKey {
  readonly path: string;
  readonly kind: "string" | "choice";
  readonly default: string | undefined;
  readonly choices?: readonly string[];
}

/** How clients may, or have to, encrypt. */
export interface ClientTlsSettings {
  readonly mode: Exclude<TlsMode, "disable">;
  readonly cert: string;
  readonly key: string;
  /** Certificates of those who issue the clients' certificates. */
  readonly clientCa: string | undefined;
  /** What those have revoked: for each of them a list. */
  readonly clientCrl?: string | undefined;
  readonly clientCert: ClientCertificates;
}

/**
 * Puts the keys `tls.*` together.
 * @param get the value of a key, undefined when it is not there; each is of its own type already
 * @param folder that paths are relative to
 * @param bad makes the error
 * @returns undefined for `disable`
 * @throws what `bad` makes
 */
export function clientTlsSettings(
  get: (path: string) => unknown,
  folder: string,
  bad: (what: string) => ProxyError,
): ClientTlsSettings | undefined {
  const text = (name: string): string | undefined => get(name) as string | undefined;
  const [cert, key, clientCa] = [text("tls.cert"), text("tls.key"), text("tls.client_ca")];
  const mode = (get("tls.mode") as TlsMode | undefined) ?? (cert === undefined ? "disable" : "prefer");
  const clientCert = (get("tls.client_cert") as ClientCertificates | undefined) ?? "none";
  if (mode === "disable") return undefined;
  if (cert === undefined || key === undefined) throw bad(`"tls.mode" is ${mode}: "tls.cert" and "tls.key" are needed`);
  if (clientCert !== "none" && clientCa === undefined) {
    throw bad(`"tls.client_cert" is ${clientCert}: "tls.client_ca" is needed, to know whose certificates are good`);
  }
  const clientCrl = text("tls.client_crl");
  if (clientCa === undefined && clientCrl !== undefined) {
    throw bad('"tls.client_crl" means nothing without "tls.client_ca"');
  }
  const file = (path: string): string => resolve(folder, path);
  return {
    mode,
    cert: file(cert),
    key: file(key),
    clientCa: clientCa === undefined ? undefined : file(clientCa),
    clientCrl: clientCrl === undefined ? undefined : file(clientCrl),
    clientCert,
  };
}

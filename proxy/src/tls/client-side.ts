import { constants, createHash, X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import { createServer, type Server, type TLSSocket, type TlsOptions } from "node:tls";
import { ProxyError } from "../errors.ts";
import { type CertificateNames, endPointOf, namesOf } from "./certificate.ts";
import type { ClientTlsSettings } from "./client-settings.ts";
import { checkContext, checkHasCertificate, readPem, readPrivateKey } from "./files.ts";

/** PostgreSQL section 54.2.11: the name of its protocol where TLS chooses one (ALPN). */
export const ALPN = "postgresql";

/** What is known of a client's encrypted connection. */
export interface ClientEncryption {
  /** Of the client's certificate, when it showed one that is good. */
  readonly certificate: ClientCertificate | undefined;
  /** `tls-server-end-point`: what a client that binds its login to this connection binds it to. */
  readonly endPoint: Buffer | undefined;
}

export interface ClientCertificate {
  /** Hex SHA-256 of the certificate in DER. */
  readonly digest: string;
  /** Undefined when they cannot be told. */
  readonly names: CertificateNames | undefined;
}

export interface Accepted {
  readonly socket: TLSSocket;
  readonly encryption: ClientEncryption;
  /** Why this client gets no session, although TLS is there to tell it so. */
  readonly refusal: ProxyError | undefined;
}

interface Material {
  readonly options: TlsOptions;
  readonly endPoint: Buffer | undefined;
  readonly says: string;
}

interface Waiting {
  readonly endPoint: Buffer | undefined;
  readonly resolve: (socket: TLSSocket) => void;
  readonly reject: (error: Error) => void;
}

/** The TLS that clients are given. It outlives its certificate: `reload` puts another in its place. */
export class ClientTls {
  readonly settings: ClientTlsSettings;
  readonly #server: Server;
  /** By the connection's two addresses: what tells a TLS socket's connection. */
  readonly #waiting = new Map<string, Waiting>();
  #material: Material;

  private constructor(settings: ClientTlsSettings, material: Material) {
    this.settings = settings;
    this.#material = material;
    const asked = settings.clientCert !== "none";
    // It never listens. Which certificates of clients are good is told by Node for sockets of a server only.
    this.#server = createServer({
      ...material.options,
      ALPNProtocols: [ALPN],
      requestCert: asked,
      // A client whose certificate is not good is told so in the protocol, and its refusal is recorded.
      rejectUnauthorized: false,
    });
    this.#server.on("secureConnection", (socket) => this.#settle(socket, (waiting) => waiting.resolve(socket)));
    this.#server.on("tlsClientError", (error, socket) => this.#settle(socket, (waiting) => waiting.reject(error)));
  }

  /** @throws ProxyError `bad_certificate` */
  static async load(settings: ClientTlsSettings): Promise<ClientTls> {
    return new ClientTls(settings, await read(settings));
  }

  /** Why a client without TLS gets no session; undefined when it may have one. */
  get plainRefusal(): ProxyError | undefined {
    if (this.settings.mode !== "require") return undefined;
    return new ProxyError(
      "tls_required",
      "this proxy takes encrypted connections only: connect with sslmode=require or better",
    );
  }

  /** What is in force, in a line. */
  get says(): string {
    return this.#material.says;
  }

  /**
   * Reads the files again. Connections that are there keep what they have.
   * @returns whether anything changed
   * @throws ProxyError `bad_certificate`; all stays as it was
   */
  async reload(): Promise<boolean> {
    const material = await read(this.settings);
    if (material.says === this.#material.says) return false;
    this.#server.setSecureContext(material.options);
    this.#material = material;
    return true;
  }

  /**
   * Takes over a client's socket, and shakes hands. The socket must have no listeners that read from it.
   * @param first bytes of the handshake that were read already: of direct TLS, which must choose ALPN
   * @throws Error when the handshake fails; the socket is destroyed then
   */
  async accept(raw: Socket, first: Buffer | undefined): Promise<Accepted> {
    const { endPoint } = this.#material;
    const name = nameOf(raw);
    if (name === undefined) throw new Error("the connection is closed");
    if (first !== undefined) raw.unshift(first);
    const { allowHalfOpen } = raw;
    // Who ends his side in the middle of a handshake is gone: nobody is left to shake hands with.
    raw.allowHalfOpen = false;
    const socket = await new Promise<TLSSocket>((resolve, reject) => {
      const closed = (): void => {
        // The next connection may have the same addresses.
        if (this.#waiting.get(name) === waiting) this.#waiting.delete(name);
        reject(new Error("the connection was closed"));
      };
      const done = (): void => {
        raw.off("close", closed);
      };
      const waiting: Waiting = {
        endPoint,
        resolve: (encrypted) => {
          done();
          encrypted.allowHalfOpen = allowHalfOpen;
          resolve(encrypted);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      };
      this.#waiting.set(name, waiting);
      raw.once("close", closed);
      this.#server.emit("connection", raw);
    });
    if (first !== undefined && socket.alpnProtocol !== ALPN) {
      socket.destroy();
      throw new Error("direct TLS without ALPN");
    }
    const shown = socket.getPeerX509Certificate();
    const wrong = this.#wrongWith(socket, shown !== undefined);
    const certificate = shown === undefined || wrong !== undefined ? undefined : certificateOf(shown.raw);
    return {
      socket,
      encryption: { certificate, endPoint },
      refusal: wrong === undefined ? undefined : new ProxyError("certificate_refused", wrong),
    };
  }

  #wrongWith(socket: TLSSocket, shown: boolean): string | undefined {
    const { clientCert } = this.settings;
    if (clientCert === "none") return undefined;
    if (!shown)
      return clientCert === "require"
        ? "this proxy takes clients with a certificate only, and none was shown"
        : undefined;
    // A code of OpenSSL's, such as CERT_HAS_EXPIRED.
    return socket.authorized ? undefined : `the client's certificate is not good: ${String(socket.authorizationError)}`;
  }

  #settle(socket: TLSSocket, tell: (waiting: Waiting) => void): void {
    const name = nameOf(socket);
    const waiting = name === undefined ? undefined : this.#waiting.get(name);
    if (waiting === undefined || name === undefined) {
      // The peer has gone, and its address with it. Nobody would read on, and see that: whoever waits is told by "close".
      socket.destroy();
      return;
    }
    this.#waiting.delete(name);
    tell(waiting);
  }
}

/** Two live connections of one machine never have the same four. */
function nameOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string | undefined {
  return remoteAddress === undefined ? undefined : `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

function certificateOf(der: Buffer): ClientCertificate {
  return { digest: createHash("sha256").update(der).digest("hex"), names: namesOf(der) };
}

async function read(settings: ClientTlsSettings): Promise<Material> {
  const { cert: certPath, key: keyPath, clientCa: caPath, clientCrl: crlPath } = settings;
  const cert = await readPem(certPath, "tls.cert");
  checkHasCertificate(cert, "tls.cert", certPath);
  const key = await readPrivateKey(keyPath, "tls.key");
  const ca = caPath === undefined ? undefined : await readPem(caPath, "tls.client_ca");
  if (ca !== undefined && caPath !== undefined) checkHasCertificate(ca, "tls.client_ca", caPath);
  const crl = crlPath === undefined ? undefined : await readPem(crlPath, "tls.client_crl");
  if (crl !== undefined) checkContext({ crl }, `"tls.client_crl" names ${crlPath}`);
  const options: TlsOptions = {
    cert,
    key,
    ...(ca === undefined ? {} : { ca }),
    ...(crl === undefined ? {} : { crl }),
    minVersion: "TLSv1.2",
    // As PostgreSQL does: no session is taken up again, and none is negotiated anew.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  };
  checkContext(options, `"tls.cert" and "tls.key"`);
  const { raw, subject, validTo } = new X509Certificate(cert);
  const digest = createHash("sha256")
    .update(cert)
    .update(key)
    .update(ca ?? "")
    .update(crl ?? "")
    .digest("hex");
  return {
    options,
    endPoint: endPointOf(raw),
    says: `TLS for clients (${settings.mode}): ${JSON.stringify(subject)}, valid until ${validTo}, ${digest.slice(0, 16)}`,
  };
}

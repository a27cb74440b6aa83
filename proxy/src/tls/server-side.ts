import { constants } from "node:crypto";
import { isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { ProxyError } from "../errors.ts";
import { SSL_REQUEST } from "../wire/write.ts";
import { endPointOf } from "./certificate.ts";
import { ALPN } from "./client-side.ts";
import { checkContext, checkHasCertificate, readPem, readPrivateKey } from "./files.ts";
import { wrongHost } from "./host-name.ts";
import type { ServerTlsSettings } from "./server-settings.ts";

const S = 0x53;
const N = 0x4e;
const E = 0x45;

/** The TLS by which database servers are reached. */
export class ServerTls {
  readonly settings: ServerTlsSettings;
  #material: ConnectionOptions;

  private constructor(settings: ServerTlsSettings, material: ConnectionOptions) {
    this.settings = settings;
    this.#material = material;
  }

  /** @throws ProxyError `bad_certificate` */
  static async load(settings: ServerTlsSettings): Promise<ServerTls> {
    return new ServerTls(settings, await read(settings));
  }

  /** Whether every connection is encrypted; undefined: that is seen only with each. */
  get always(): boolean | undefined {
    const { mode } = this.settings;
    return mode === "prefer" ? undefined : mode !== "disable";
  }

  /**
   * Reads the files again; for connections made from now on.
   * @returns whether anything changed
   * @throws ProxyError `bad_certificate`; all stays as it was
   */
  async reload(): Promise<boolean> {
    const material = await read(this.settings);
    if (JSON.stringify(material) === JSON.stringify(this.#material)) return false;
    this.#material = material;
    return true;
  }

  /**
   * Opens a connection as the settings want it.
   *
   * @param dial opens the plain one; called again where `prefer` falls back
   * @param host whose certificate it must be, and the name that is told
   * @param timeoutMs for the negotiation
   * @returns the socket, encrypted or not; paused, and nothing of it is read
   * @throws ProxyError `upstream_unreachable`, and what `dial` throws
   */
  async open(dial: () => Promise<Socket>, host: string, timeoutMs: number): Promise<Socket> {
    const { mode, direct } = this.settings;
    if (mode === "disable") return dial();
    const socket = await dial();
    try {
      if (!direct && (await ask(socket, timeoutMs)) === "no") {
        if (mode === "prefer") return socket;
        throw new Error(`the server does not offer TLS, and sslmode=${mode} wants it: set ssl=on there`);
      }
      return await this.#shakeHands(socket, host, timeoutMs);
    } catch (error) {
      socket.destroy();
      // As libpq does, in a connection of its own.
      if (mode === "prefer") return dial();
      throw unreachable((error as Error).message);
    }
  }

  #shakeHands(raw: Socket, host: string, timeoutMs: number): Promise<TLSSocket> {
    const { mode, direct, sni } = this.settings;
    // What goes wrong with it is told by the socket inside.
    raw.on("error", () => raw.destroy());
    const verify = mode === "verify-ca" || mode === "verify-full";
    return new Promise((resolve, reject) => {
      const socket = connect({
        ...this.#material,
        socket: raw,
        host,
        ...(sni && isIP(host) === 0 ? { servername: host } : {}),
        ALPNProtocols: [ALPN],
        rejectUnauthorized: verify,
        checkServerIdentity: (_, { raw: der }) => {
          const wrong = mode === "verify-full" ? wrongHost(der, host) : undefined;
          return wrong === undefined ? undefined : new Error(`the server's certificate is not good: ${wrong}`);
        },
      });
      const timer = setTimeout(() => fail(new Error(`no TLS handshake within ${timeoutMs / 1000} s`)), timeoutMs);
      const closed = (): void => fail(new Error("the server closed the connection in the TLS handshake"));
      const fail = (error: Error): void => {
        clearTimeout(timer);
        socket.on("error", () => undefined).destroy();
        reject(handshakeError(error));
      };
      socket.once("error", fail);
      socket.once("close", closed);
      socket.once("secureConnect", () => {
        clearTimeout(timer);
        socket.off("error", fail);
        socket.off("close", closed);
        if (direct && socket.alpnProtocol !== ALPN) {
          socket.on("error", () => undefined).destroy();
          reject(
            new Error(
              "the server does not choose ALPN, which sslnegotiation=direct wants: it is older than PostgreSQL 17",
            ),
          );
          return;
        }
        resolve(socket);
      });
    });
  }
}

/** @returns what a login to this server binds itself to (`tls-server-end-point`); undefined where there is nothing */
export function endPointOfServer(socket: TLSSocket): Buffer | undefined {
  const certificate = socket.getPeerX509Certificate();
  return certificate === undefined ? undefined : endPointOf(certificate.raw);
}

/**
 * Whether the server asked for a certificate of ours: only then does it know that we have one.
 * OpenSSL knows the server's algorithms from its CertificateRequest alone (RFC 8446 section 4.3.2).
 */
export function askedForCertificate(socket: TLSSocket): boolean {
  return socket.getSharedSigalgs().length > 0;
}

/**
 * Sends an SSLRequest and reads the one byte that answers it.
 * @throws Error for anything else. What a server says before TLS may be anybody's, so none of it is repeated
 *   (CVE-2024-10977), and bytes behind its answer are not taken for what it says later (CVE-2021-23222).
 */
function ask(socket: Socket, timeoutMs: number): Promise<"yes" | "no"> {
  return new Promise((resolve, reject) => {
    const done = (act: () => void): void => {
      clearTimeout(timer);
      socket.pause();
      socket.off("data", onData);
      socket.off("error", onError);
      socket.off("close", onClose);
      socket.off("end", onClose);
      act();
    };
    const fail = (why: string): void => done(() => reject(new Error(why)));
    const onData = (chunk: Buffer): void => {
      if (chunk[0] === E) fail("the server answers an SSLRequest with an error");
      else if (chunk[0] !== S && chunk[0] !== N) fail("the server answers an SSLRequest with what is no answer");
      else if (chunk.length > 1)
        fail("the server, or somebody in between, sends bytes behind its answer to an SSLRequest");
      else done(() => resolve(chunk[0] === S ? "yes" : "no"));
    };
    const onError = (error: Error): void => fail((error as NodeJS.ErrnoException).code ?? "the connection broke");
    const onClose = (): void => fail("the server closed the connection instead of answering an SSLRequest");
    const timer = setTimeout(() => fail(`no answer to an SSLRequest within ${timeoutMs / 1000} s`), timeoutMs);
    socket.on("data", onData);
    socket.on("error", onError);
    socket.on("close", onClose);
    socket.on("end", onClose);
    socket.write(SSL_REQUEST);
  });
}

function handshakeError(error: Error): Error {
  const { code, reason } = error as NodeJS.ErrnoException & { reason?: string };
  // OpenSSL's own words are long, and name files of its source.
  if (reason !== undefined) return new Error(`the TLS handshake failed: ${reason}`);
  if (code === undefined || error.message.startsWith("the server")) return error;
  return /^[A-Z0-9_]+$/.test(code) && !code.startsWith("E")
    ? new Error(`the server's certificate is not good: ${code}`)
    : new Error(`the TLS handshake failed: ${code}`);
}

function unreachable(why: string): ProxyError {
  return new ProxyError("upstream_unreachable", `no connection to the database server: ${why}`);
}

async function read({ mode, rootCert, crl, cert, key, minVersion }: ServerTlsSettings): Promise<ConnectionOptions> {
  if (mode === "disable") return {};
  // As libpq does: a connection stays what it was when it was verified.
  const options: ConnectionOptions = { minVersion, secureOptions: constants.SSL_OP_NO_RENEGOTIATION };
  if (rootCert !== undefined && rootCert !== "system") {
    options.ca = await readPem(rootCert, "sslrootcert");
    checkHasCertificate(options.ca, "sslrootcert", rootCert);
  }
  if (crl !== undefined) {
    options.crl = await readPem(crl, "sslcrl");
    checkContext({ crl: options.crl }, `"sslcrl" names ${crl}`);
  }
  if (cert !== undefined && key !== undefined) {
    options.cert = await readPem(cert, "sslcert");
    checkHasCertificate(options.cert, "sslcert", cert);
    options.key = await readPrivateKey(key, "sslkey");
  }
  checkContext(options, 'the files named in "upstream"');
  return options;
}

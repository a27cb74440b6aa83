import { ProxyError } from "../errors.ts";

/** What may come before a startup packet. `tls` is a TLS ClientHello without a request before it. */
export type EncryptionRequest = "ssl" | "gssenc" | "tls";

/**
 * - `decline`: answer `N` and read on
 * - `accept`: answer `S`, then TLS
 * - `direct`: TLS at once, and only with ALPN
 * - `close`: say nothing
 */
export type EncryptionAnswer = "decline" | "accept" | "direct" | "close";

/**
 * The order in which a client may ask for encryption (PostgreSQL sections 54.2.10 to 54.2.12): each way at most once, none
 * inside TLS, and direct TLS only as the first thing on a connection.
 */
export class Negotiation {
  readonly #tls: boolean;
  readonly #asked = new Set<EncryptionRequest>();
  #encrypted = false;

  /** @param tls whether this proxy has a certificate */
  constructor(tls: boolean) {
    this.#tls = tls;
  }

  /** @throws ProxyError `protocol_violation` */
  answer(request: EncryptionRequest): EncryptionAnswer {
    if (this.#encrypted) throw violation(`a request for encryption (${request}) on an encrypted connection`);
    if (this.#asked.has(request)) throw violation(`a second request for encryption (${request})`);
    const first = this.#asked.size === 0;
    this.#asked.add(request);
    if (request === "gssenc") return "decline";
    if (request === "tls" && (!this.#tls || !first)) return "close";
    if (!this.#tls) return "decline";
    this.#encrypted = true;
    return request === "tls" ? "direct" : "accept";
  }
}

function violation(what: string): ProxyError {
  return new ProxyError("protocol_violation", what);
}

import { randomBytes } from "node:crypto";
import { ProxyError } from "../errors.ts";
import { strictBase64 } from "./base64.ts";
import { equal, hmac, KEY_BYTES, type ScramKeys, type ScramVerifier, sha256, xor } from "./scram.ts";

export const SCRAM = "SCRAM-SHA-256";
export const SCRAM_PLUS = "SCRAM-SHA-256-PLUS";
const BINDING_TYPE = "tls-server-end-point";
/** PG_MAX_SASL_MESSAGE_LENGTH in PostgreSQL. */
export const MAX_SASL_BYTES = 1024;
const NONCE_BYTES = 18;

export interface ScramServerOptions {
  readonly verifier: ScramVerifier;
  /** `tls-server-end-point` of the TLS connection (RFC 5929 section 4); undefined without TLS. */
  readonly binding: Buffer | undefined;
  /** Of the server; given by tests that follow an RFC's example. */
  readonly nonce?: string;
}

export type ScramOutcome =
  | { readonly proven: true; readonly serverFinal: string; readonly keys: ScramKeys }
  | { readonly proven: false };

/**
 * The server's side of one SCRAM-SHA-256 exchange (RFC 5802, RFC 7677), as PostgreSQL words it. It knows nothing of
 * sockets and users; whether the verifier is anybody's is for its caller to know.
 *
 * `first` and `final` are called once each, in this order. What a client sends is at most 1,024 bytes; more, and
 * anything malformed, is `protocol_violation`.
 */
export class ScramServer {
  readonly #verifier: ScramVerifier;
  readonly #binding: Buffer | undefined;
  readonly #serverNonce: string;
  #firstBare = "";
  #serverFirst = "";
  #nonce = "";
  /** What the client's `c=` must be, in base64. */
  #expectedBinding = "";

  constructor({ verifier, binding, nonce }: ScramServerOptions) {
    this.#verifier = verifier;
    this.#binding = binding;
    this.#serverNonce = nonce ?? randomBytes(NONCE_BYTES).toString("base64");
  }

  /** What is offered, in the order of preference. */
  get mechanisms(): readonly string[] {
    return this.#binding === undefined ? [SCRAM] : [SCRAM_PLUS, SCRAM];
  }

  /**
   * client-first-message.
   * @returns server-first-message
   * @throws ProxyError `protocol_violation`; `not_authorized` when the client believes that this server cannot bind to
   *   the channel although it was offered: somebody in between took the offer out
   */
  first(mechanism: string, message: Buffer): string {
    if (!this.mechanisms.includes(mechanism))
      throw violation("client selected an invalid SASL authentication mechanism");
    const text = sasl(message);
    const match = /^(?:([ny])|p=([A-Za-z0-9.-]+)),(a=[^,]*)?,(.*)$/s.exec(text);
    if (match === null) throw malformed("it does not begin with a channel-binding flag");
    const [, flag, type, authzid, bare = ""] = match;
    this.#expectBinding(mechanism, flag, type);
    if (authzid !== undefined) {
      throw new ProxyError("not_supported", "client uses authorization identity, but it is not supported");
    }
    if (bare.startsWith("m=")) throw new ProxyError("not_supported", "client requires an unsupported SCRAM extension");
    // The name that counts is the startup packet's, as PostgreSQL has it; libpq leaves this one empty.
    const nonce = /^n=[^,]*,r=([\x21-\x2b\x2d-\x7e]+)(?:,[A-Za-z]=[^,]*)*$/.exec(bare)?.[1];
    if (nonce === undefined) throw malformed("its name or nonce is missing or not printable");
    this.#firstBare = bare;
    this.#nonce = `${nonce}${this.#serverNonce}`;
    const { salt, iterations } = this.#verifier;
    this.#serverFirst = `r=${this.#nonce},s=${salt.toString("base64")},i=${iterations}`;
    return this.#serverFirst;
  }

  /**
   * client-final-message.
   * @returns whether it proves the password. The keys are the password's for this verifier, for a server that has the same
   * @throws ProxyError `protocol_violation`; `not_authorized` when it is bound to another channel than this one
   */
  final(message: Buffer): ScramOutcome {
    const text = sasl(message);
    const match = /^(c=([^,]*),r=([^,]*)(?:,[A-Za-z]=[^,]*)*),p=([^,]*)$/.exec(text);
    if (match === null) throw malformed("it is not a channel binding, a nonce and a proof");
    const [, withoutProof = "", binding = "", nonce = "", proofText = ""] = match;
    if (!equal(Buffer.from(binding), Buffer.from(this.#expectedBinding))) {
      if (strictBase64(binding) === undefined) throw malformed("its channel binding is not base64");
      throw new ProxyError("not_authorized", "SCRAM channel binding check failed");
    }
    if (!equal(Buffer.from(nonce), Buffer.from(this.#nonce)))
      throw violation("invalid SCRAM response: nonce does not match");
    const proof = strictBase64(proofText);
    if (proof?.length !== KEY_BYTES) throw malformed("its proof is malformed");
    const { iterations, salt, storedKey, serverKey } = this.#verifier;
    const exchange = `${this.#firstBare},${this.#serverFirst},${withoutProof}`;
    const clientKey = xor(proof, hmac(storedKey, exchange));
    // Done in any case, so that both outcomes take the same time.
    const serverFinal = `v=${hmac(serverKey, exchange).toString("base64")}`;
    if (!equal(sha256(clientKey), storedKey)) return { proven: false };
    return { proven: true, serverFinal, keys: { iterations, salt, clientKey, serverKey } };
  }

  /** RFC 5802 section 6: what the client knows of channel binding must agree with what was offered. */
  #expectBinding(mechanism: string, flag: string | undefined, type: string | undefined): void {
    if (mechanism === SCRAM_PLUS) {
      if (type === undefined) {
        throw malformed(`the client selected ${SCRAM_PLUS}, but the message does not include channel binding data`);
      }
      if (type !== BINDING_TYPE) throw violation("unsupported SCRAM channel-binding type");
      this.#expectedBinding = Buffer.concat([Buffer.from(`p=${BINDING_TYPE},,`), this.#binding!]).toString("base64");
      return;
    }
    if (type !== undefined) throw malformed(`the client selected ${SCRAM} without channel binding, but sends some`);
    if (flag === "y" && this.#binding !== undefined) {
      throw new ProxyError(
        "not_authorized",
        "SCRAM channel binding negotiation error: the client supports channel binding but thinks the server does not",
      );
    }
    this.#expectedBinding = Buffer.from(`${flag},,`).toString("base64");
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function sasl(message: Buffer): string {
  if (message.length > MAX_SASL_BYTES) throw malformed(`it has ${message.length} bytes`);
  if (message.includes(0)) throw malformed("it has a zero byte");
  try {
    return utf8.decode(message);
  } catch {
    throw malformed("it is not UTF-8");
  }
}

function malformed(what: string): ProxyError {
  return violation(`malformed SCRAM message: ${what}`);
}

function violation(what: string): ProxyError {
  return new ProxyError("protocol_violation", what);
}

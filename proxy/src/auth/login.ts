import { createHash } from "node:crypto";
import type { Duplex } from "node:stream";
import { ProxyError } from "../errors.ts";
import {
  parseAuthentication,
  parseError,
  parseKeyData,
  parseNegotiated,
  parseParameterStatus,
  parseReady,
  type ServerError,
} from "../wire/backend.ts";
import { HEADER_BYTES } from "../wire/framer.ts";
import { BACKEND, showType } from "../wire/messages.ts";
import { LoginStream } from "./login-stream.ts";
import { passwordMessage, saslInitialResponse, saslResponse } from "./messages.ts";
import type { ScramKeys } from "./scram.ts";
import { ScramClient } from "./scram-client.ts";
import { SCRAM, SCRAM_PLUS } from "./scram-server.ts";
import { startupPacket } from "./startup-packet.ts";

/** How the proxy lets itself be authenticated by a server; the configuration lists those that it accepts. */
export const UPSTREAM_METHODS = [
  "scram-sha-256-plus",
  "scram-sha-256",
  "md5",
  "password",
  "certificate",
  "trust",
] as const;
export type UpstreamMethod = (typeof UPSTREAM_METHODS)[number];

/** What the proxy can prove itself with; SCRAM takes the password before the keys. */
export interface Credential {
  readonly password?: string | undefined;
  readonly keys?: ScramKeys | undefined;
}

export interface UpstreamLogin {
  /** Connected, encrypted where it is to be, and nothing sent yet. The login owns it until it returns. */
  readonly stream: Duplex;
  readonly role: string;
  readonly database: string;
  /** Startup parameters other than `user` and `database`. */
  readonly parameters?: Iterable<readonly [string, string]>;
  /** The protocol to ask for, `3.0` when left out. */
  readonly minor?: 0 | 2;
  readonly credential: Credential;
  readonly accepted: readonly UpstreamMethod[];
  /** How the stream is encrypted; undefined when it is not. */
  readonly tls?:
    | {
        /** `tls-server-end-point` of the server's certificate. */
        readonly binding: Buffer | undefined;
        /** The proxy showed a certificate of its own, which the server had asked for. */
        readonly certificate: boolean;
      }
    | undefined;
  readonly timeoutMs: number;
}

export interface LoggedIn {
  readonly kind: "in";
  readonly auth: UpstreamMethod;
  /** Such as `3.0`: what the server speaks. */
  readonly protocol: string;
  /** What the server reported, in its order. */
  readonly parameters: ReadonlyMap<string, string>;
  readonly key: { readonly pid: number; readonly key: Buffer } | undefined;
}

/** The server refused, and said why: a wrong password, no such database, too many connections, and the like. */
export interface RefusedLogin {
  readonly kind: "refused";
  readonly error: ServerError;
  /** Its ErrorResponse, whole. */
  readonly response: Buffer;
}

/**
 * Logs in at a server, up to its first ReadyForQuery; the stream is then paused, and what is read next is what stands
 * behind that message. In any other case the stream is destroyed.
 *
 * The server is held to `accepted`: it can neither ask for a weaker proof nor do without one, and under SCRAM it has to
 * prove itself.
 * @throws ProxyError `upstream_untrusted` when the server asks for what is not accepted, says AuthenticationOk without
 *   having proven itself, or breaks the protocol; `upstream_refused` when there is no credential for what it asks, or
 *   it takes too long behind that; `upstream_lost` when it closes, or asks nothing in time
 */
export async function loginUpstream(login: UpstreamLogin): Promise<LoggedIn | RefusedLogin> {
  const stream = new LoginStream(login.stream);
  const dialogue = new Dialogue(login, stream);
  const timer = setTimeout(() => {
    const code = dialogue.asked ? "upstream_refused" : "upstream_lost";
    stream.fail(new ProxyError(code, `the login at the server took more than ${login.timeoutMs / 1000} s`));
  }, login.timeoutMs);
  try {
    const { role, database, parameters = [], minor = 0 } = login;
    stream.write(startupPacket(minor, [["user", role], ["database", database], ...parameters]));
    const result = await dialogue.run();
    if (result.kind === "in") stream.release();
    else stream.destroy();
    return result;
  } catch (error) {
    stream.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

class Dialogue {
  /** It has, so it lives: what keeps it may be the client's own startup parameters (`post_auth_delay`). */
  asked = false;
  readonly #login: UpstreamLogin;
  readonly #stream: LoginStream;
  #protocol: string;
  #auth: UpstreamMethod | undefined;
  #scram: ScramClient | undefined;
  #expects: "request" | "continue" | "final" | "ok" = "request";

  constructor(login: UpstreamLogin, stream: LoginStream) {
    this.#login = login;
    this.#stream = stream;
    this.#protocol = `3.${login.minor ?? 0}`;
  }

  async run(): Promise<LoggedIn | RefusedLogin> {
    const refused = await this.#authenticate();
    return refused ?? this.#welcome();
  }

  /** Up to AuthenticationOk. */
  async #authenticate(): Promise<RefusedLogin | undefined> {
    for (;;) {
      const message = await this.#stream.next();
      switch (message[0]) {
        case BACKEND.errorResponse:
          return refusedBy(message);
        case BACKEND.noticeResponse:
          continue;
        case BACKEND.negotiateProtocolVersion:
          this.#protocol = parseNegotiated(message);
          continue;
        case BACKEND.authentication:
          if (await this.#onAuthentication(message)) return undefined;
          continue;
        default:
          throw untrusted(`it sent a message ${showType(message[0]!)} before AuthenticationOk`);
      }
    }
  }

  async #welcome(): Promise<LoggedIn | RefusedLogin> {
    const parameters = new Map<string, string>();
    let key: LoggedIn["key"];
    for (;;) {
      const message = await this.#stream.next();
      switch (message[0]) {
        case BACKEND.errorResponse:
          return refusedBy(message);
        case BACKEND.noticeResponse:
          continue;
        case BACKEND.parameterStatus: {
          const { name, value } = parseParameterStatus(message);
          parameters.set(name, value);
          continue;
        }
        case BACKEND.backendKeyData:
          key = parseKeyData(message);
          continue;
        case BACKEND.readyForQuery:
          if (parseReady(message) !== "I") throw untrusted("it begins within a transaction");
          return { kind: "in", auth: this.#auth!, protocol: this.#protocol, parameters, key };
        default:
          throw untrusted(`it sent a message ${showType(message[0]!)} during the login`);
      }
    }
  }

  /** @returns whether that was AuthenticationOk */
  async #onAuthentication(message: Buffer): Promise<boolean> {
    this.asked = true;
    if (message.length < HEADER_BYTES + 4) throw untrusted("its request for authentication is malformed");
    const request = parseAuthentication(message);
    const code = message.readInt32BE(HEADER_BYTES);
    if (request.kind === "ok") {
      this.#onOk();
      return true;
    }
    if (request.kind === "step") {
      await this.#onStep(code, message.toString("utf8", HEADER_BYTES + 4));
      return false;
    }
    if (this.#expects !== "request") throw untrusted("it asks for a second authentication");
    if (request.kind === "sasl") {
      this.#beginScram(request.mechanisms);
    } else {
      this.#sendPassword(request.name, message);
      this.#expects = "ok";
    }
    return false;
  }

  #onOk(): void {
    if (this.#expects === "ok") return;
    if (this.#expects !== "request") throw untrusted("it says that the login is done, and has not proven itself");
    const { accepted, tls } = this.#login;
    if (tls?.certificate === true && accepted.includes("certificate")) this.#auth = "certificate";
    else if (accepted.includes("trust")) this.#auth = "trust";
    else throw untrusted(`it lets anybody in without proof, where ${accepted.join(", ")} is accepted`);
  }

  async #onStep(code: number, data: string): Promise<void> {
    if (code === 11 && this.#expects === "continue") {
      this.#stream.write(saslResponse(await this.#scram!.final(data)));
      this.#expects = "final";
    } else if (code === 12 && this.#expects === "final") {
      this.#scram!.verify(data);
      this.#expects = "ok";
    } else {
      throw untrusted("its authentication messages are out of order");
    }
  }

  #beginScram(offered: readonly string[]): void {
    const { accepted, credential, tls } = this.#login;
    const binding = tls?.binding;
    const plus = offered.includes(SCRAM_PLUS) && accepted.includes("scram-sha-256-plus") && binding !== undefined;
    if (!plus && !(offered.includes(SCRAM) && accepted.includes("scram-sha-256")))
      throw this.#unaccepted(offered.join(", "));
    const { password, keys } = credential;
    const secret = password !== undefined ? { password } : keys !== undefined ? { keys } : undefined;
    if (secret === undefined) throw this.#noCredential("a password");
    this.#auth = plus ? "scram-sha-256-plus" : "scram-sha-256";
    const mechanism = plus ? SCRAM_PLUS : SCRAM;
    // That a server offered the binding and we did not take it must not look as if we had not heard of the offer.
    const unbound = !plus && offered.includes(SCRAM_PLUS);
    this.#scram = new ScramClient({ secret, mechanism, binding: unbound ? undefined : binding });
    this.#stream.write(saslInitialResponse(mechanism, this.#scram.first()));
    this.#expects = "continue";
  }

  #sendPassword(method: string, message: Buffer): void {
    const { accepted, credential, role, tls } = this.#login;
    if (method !== "md5" && method !== "password") throw this.#unaccepted(`authentication method ${method}`);
    if (!accepted.includes(method)) throw this.#unaccepted(method);
    if (method === "password" && tls === undefined) throw untrusted("it asks for the password itself, without TLS");
    const { password } = credential;
    if (password === undefined) throw this.#noCredential("a password");
    this.#auth = method;
    if (method === "password") {
      this.#stream.write(passwordMessage(password));
      return;
    }
    if (message.length !== HEADER_BYTES + 8) throw untrusted("its request for an MD5 password is malformed");
    const salt = message.subarray(HEADER_BYTES + 4);
    this.#stream.write(passwordMessage(`md5${md5(Buffer.concat([Buffer.from(md5(`${password}${role}`)), salt]))}`));
  }

  #unaccepted(what: string): ProxyError {
    return untrusted(`it asks for ${what}, where ${this.#login.accepted.join(", ")} is accepted ("upstream_auth")`);
  }

  #noCredential(what: string): ProxyError {
    const { role } = this.#login;
    return new ProxyError(
      "upstream_refused",
      `the database server asks for ${what} of role "${role}", and there is none`,
    );
  }
}

function md5(text: string | Buffer): string {
  return createHash("md5").update(text).digest("hex");
}

function refusedBy(message: Buffer): RefusedLogin {
  return { kind: "refused", error: parseError(message), response: Buffer.from(message) };
}

function untrusted(what: string): ProxyError {
  return new ProxyError("upstream_untrusted", `the database server is not trusted: ${what}`);
}

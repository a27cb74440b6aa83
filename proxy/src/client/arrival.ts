import type { BackendKey } from "../backend.ts";
import { ProxyError } from "../errors.ts";
import {
  type Accepted,
  type ClientEncryption,
  type ClientTls,
  type EncryptionRequest,
  Negotiation,
} from "../tls/index.ts";
import { type Startup, StartupReader } from "../wire/startup.ts";
import type { ClientSocket } from "./client-socket.ts";

/** What a client wants, once it has said so. */
export interface Arrived {
  /** It cancels what another one runs, and says nothing else. */
  cancel(key: BackendKey): void;
  /** It says who it is. */
  session(startup: Startup): void;
  /** That one may go on to a server, if it is let in. @param raw the startup packet as it came */
  enter(startup: Startup, raw: Buffer): void;
}

/**
 * What a client says before its session can begin (PostgreSQL section 54.2): requests for encryption, each answered
 * once, and then one packet that names what it wants.
 */
export class Arrival {
  /** There is no way to tell the client anything. It stays so when the handshake fails, which ends the connection. */
  shakingHands = false;
  /** Undefined: it came in the clear. */
  encryption: ClientEncryption | undefined;
  readonly #client: ClientSocket;
  readonly #tls: ClientTls | undefined;
  readonly #onHandshakeError: () => void;
  readonly #arrived: Arrived;
  readonly #negotiation: Negotiation;
  #reader = new StartupReader();
  /** What is wrong with the certificate that the client showed, or did not. */
  #uncertified: ProxyError | undefined;

  /** @param tls what the client may have; undefined: nothing */
  constructor(client: ClientSocket, tls: ClientTls | undefined, onHandshakeError: () => void, arrived: Arrived) {
    this.#client = client;
    this.#onHandshakeError = onHandshakeError;
    this.#tls = tls;
    this.#arrived = arrived;
    this.#negotiation = new Negotiation(tls !== undefined);
  }

  /**
   * Bytes of the client. Feed it until it has told of a cancel or a session; no more once it has.
   * @throws ProxyError when the client is to be told why it is turned away
   */
  feed(chunk: Buffer): void {
    const packet = this.#reader.feed(chunk);
    if (packet === undefined) return;
    switch (packet.kind) {
      case "tls":
      case "ssl":
      case "gssenc":
        this.#answer(packet.kind, chunk);
        return;
      case "cancel":
        this.#arrived.cancel(packet);
        return;
      case "refused":
        this.#arrived.session(packet.startup);
        throw packet.error;
      case "startup": {
        this.#arrived.session(packet.startup);
        const refusal = this.#refusal(packet.startup);
        if (refusal !== undefined) throw refusal;
        this.#arrived.enter(packet.startup, packet.raw);
      }
    }
  }

  #answer(request: EncryptionRequest, chunk: Buffer): void {
    switch (this.#negotiation.answer(request)) {
      case "close":
        this.#client.destroy();
        return;
      case "decline":
        this.#client.socket.write("N");
        return;
      case "accept":
        this.#client.socket.write("S");
        void this.#encrypt(undefined);
        return;
      case "direct":
        void this.#encrypt(chunk);
    }
  }

  /** From here on the client's bytes are those inside TLS. */
  async #encrypt(first: Buffer | undefined): Promise<void> {
    this.shakingHands = true;
    this.#client.letGo();
    let accepted: Accepted;
    try {
      accepted = await this.#tls!.accept(this.#client.socket, first);
    } catch {
      // Whoever it is could not be told anything, and has asked for nothing yet.
      this.#onHandshakeError();
      this.#client.destroy();
      this.#client.closed();
      return;
    }
    this.shakingHands = false;
    this.encryption = accepted.encryption;
    this.#uncertified = accepted.refusal;
    this.#reader = new StartupReader();
    this.#client.goOn(accepted.socket);
  }

  #refusal(startup: Startup): ProxyError | undefined {
    const plain = this.encryption === undefined ? this.#tls?.plainRefusal : this.#uncertified;
    if (plain !== undefined) return plain;
    const replication = startup.parameters.get("replication");
    if (replication !== undefined && !["false", "off", "no", "0"].includes(replication.toLowerCase())) {
      return new ProxyError("not_supported", "replication connections are not passed through this proxy");
    }
    return undefined;
  }
}

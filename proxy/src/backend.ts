import type { Duplex } from "node:stream";
import type { ProxyError } from "./errors.ts";
import type { ClientEncryption } from "./tls/index.ts";
import type { Startup } from "./wire/startup.ts";

/** What a CancelRequest names: the process id and secret of a BackendKeyData message. */
export interface BackendKey {
  readonly pid: number;
  readonly key: Buffer;
}

/** What a client has asked and was not answered yet, for who may have to ask it again. */
export interface Unanswered {
  /** Whether all of it may be sent to another server without an effect, if no byte of an answer was passed on. */
  readonly repeatable: boolean;
  /** It was sent once more. */
  repeated(): void;
}

/** What is known of a client when it asks for a session. */
export interface ClientEnd {
  readonly startup: Startup;
  /** The startup packet as it came. */
  readonly raw: Buffer;
  /** `host:port`, or `[local]`. */
  readonly address: string;
  /** Undefined: it came in the clear. */
  readonly encryption?: ClientEncryption | undefined;
  /** Left out: nothing is ever sent again. */
  readonly unanswered?: Unanswered;
}

/** Who a client is, and how that was found out (spec/entry.md, `actor`). */
export interface Who {
  readonly auth: string;
  readonly identity: string | undefined;
  readonly groups: readonly string[];
}

/**
 * Who answers a client: the database server's own socket, or what stands for it. Above it nothing knows which: records,
 * access rules and the order of bytes are the same for all.
 */
export interface Backend {
  /**
   * Frontend messages are written to it, backend messages are read from it, from the first request for authentication
   * on. It follows the laws of a socket with `allowHalfOpen`: "end" and "close" say that the server's side ended.
   */
  readonly stream: Duplex;
  /** What stands behind it; left out: a server connection of its own. */
  readonly kind?: "pool" | "console";
  /**
   * Asks that what runs under this key be cancelled. Says nothing about success, as PostgreSQL does not.
   * @throws ProxyError `upstream_unreachable`
   */
  cancel(key: BackendKey): Promise<void>;
  /** Whether the server is reached by TLS; left out: not said. */
  readonly tls?: boolean;
  /** The server's offer to bind the login to its TLS connection was taken away, for the client's is another one. */
  readonly unbound?: boolean;
  /** Whom it has let in, where it authenticates clients itself; undefined where the server does, and until then. */
  readonly who?: Who | undefined;
  /** Connections to servers that were tried for it, the one that it got included; left out: one. */
  readonly attempts?: number;
  /** The server's `host:port` as configured, where there are several to choose from. */
  readonly host?: string | undefined;
  /** Why the session kept a server connection of a pool to itself, sorted; asked when it ends. */
  readonly pins?: readonly string[];
  /** The server's own process id where the client is told another; undefined when it has none for its session. */
  serverPid?(): number | undefined;
  /** While it is not over, it is given the server's bytes first, and gives back those that are for the client. */
  readonly sift?: { readonly over: boolean; feed(chunk: Buffer): Buffer };
  /** Told of each parameter that the server reports to the client. */
  reported?(name: string, value: string): void;
  /** Asked once, when the server is ready for the first statement: why this client must not have the session. */
  refusal?(): ProxyError | undefined;
}

/**
 * @returns the backend for this client, once it can take messages; the startup packet is its own affair
 * @throws ProxyError when there is none for it
 */
export type OpenBackend = (client: ClientEnd) => Promise<Backend>;

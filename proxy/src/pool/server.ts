import type { Duplex } from "node:stream";
import type { BackendKey } from "../backend.ts";
import { ProxyError } from "../errors.ts";
import { parseParameterStatus } from "../wire/backend.ts";
import { Framer, type FrameSink } from "../wire/framer.ts";
import { BACKEND } from "../wire/messages.ts";
import { TERMINATE } from "../wire/write.ts";
import type { Shelf } from "./shelf.ts";

/** Of one message that is looked at whole, and of all that a server reports: a client may have a long search_path. */
const MAX_WHOLE = 1 << 20;

/** A connection that the server let in: it has said its first ReadyForQuery, and nothing was asked yet. */
export interface OpenedServer {
  readonly stream: Duplex;
  /** As the server reported them. */
  readonly parameters: ReadonlyMap<string, string>;
  readonly key: BackendKey | undefined;
  /** `host:port`. */
  readonly address: string;
  /** The same, where there are several hosts to choose from; left out: there is one. */
  readonly host?: string;
  /**
   * Asks the server to cancel what runs here; done when the connection that carried the request is closed. By then the
   * server's process has its signal.
   * @throws ProxyError `upstream_unreachable`
   */
  cancel(): Promise<void>;
  /**
   * Told of each parameter that the server reports later.
   * @returns whether it is a server still that sessions are to be on; left out: it always is
   */
  reported?(name: string, value: string): boolean;
}

/** Who has a server connection: told of its messages as a `FrameSink` is, and of what happens to it. */
export interface Holder extends FrameSink {
  /** What has arrived is told. */
  flush(): void;
  drained(): void;
  /** It closed; nothing more is told. */
  closed(): void;
}

export type ServerState = "idle" | "active" | "testing" | "cancelling";

/** One server connection of a pool, whoever has it. */
export class PooledServer {
  readonly opened: OpenedServer;
  readonly bornAt: number = performance.now();
  readonly since: Date = new Date();
  readonly #onClose: (server: PooledServer) => void;
  readonly #framer: Framer;
  /** Whose the message is that is passing by. */
  #current: FrameSink = IDLE;
  /** As last reported. */
  readonly parameters: Map<string, string>;
  /** Changes whenever a parameter was reported. */
  reports = 0;
  holder: Holder | undefined;
  state: ServerState = "idle";
  /** When it is too old to be lent again, by the monotonic clock. */
  expiresAt: number = Number.POSITIVE_INFINITY;
  idleSince: number = performance.now();
  /** The pool's generation that it was opened in. */
  generation = 0;
  /** Requests to cancel that are on their way to the server. */
  cancels = 0;
  /** Told when the last of them has arrived. */
  onCancelled: (() => void) | undefined;
  /** What was set since it was opened, as statements; see Settings. */
  settings = "";
  /** What is prepared on it. */
  shelf: Shelf | undefined;
  closed = false;
  /** It has become what sessions are not to be on: a standby that was promoted, say. */
  unfit = false;
  /** Length of what was reported since it was opened. */
  #reported = 0;
  #asleep = false;
  #signature = "";
  #signedAt = -1;

  constructor(opened: OpenedServer, onClose: (server: PooledServer) => void) {
    this.opened = opened;
    this.parameters = new Map(opened.parameters);
    this.#onClose = onClose;
    this.#framer = new Framer({
      begin: (type, size) => this.#begin(type, size),
      pass: (piece) => this.#current.pass?.(piece),
      end: (type, size, head) => this.#end(type, size, head),
    });
    const { stream } = opened;
    stream.on("data", (chunk: Buffer) => this.#onData(chunk));
    stream.on("drain", () => this.holder?.drained());
    // "close" follows, and says all that matters here.
    stream.on("error", () => stream.destroy());
    stream.on("end", () => stream.destroy());
    stream.on("close", () => this.#closed());
    if (stream.destroyed || stream.readableEnded) this.#closed();
    else stream.resume();
  }

  /** Equal for connections that report the same. */
  get signature(): string {
    if (this.#signedAt !== this.reports) {
      this.#signedAt = this.reports;
      this.#signature = signatureOf(this.parameters);
    }
    return this.#signature;
  }

  /** Whether its messages end with a whole one. */
  get atBoundary(): boolean {
    return this.#framer.atBoundary;
  }

  /** @returns whether more can be sent at once; `drained` is told when it can again */
  send(bytes: readonly Buffer[]): boolean {
    const { stream } = this.opened;
    if (this.closed) return true;
    if (bytes.length === 1) return stream.write(bytes[0]);
    stream.cork();
    let more = true;
    for (const piece of bytes) more = stream.write(piece);
    stream.uncork();
    return more;
  }

  /** Whether the holder takes what comes. */
  flow(on: boolean): void {
    if (on !== this.#asleep || this.closed) return;
    this.#asleep = !on;
    if (on) this.opened.stream.resume();
    else this.opened.stream.pause();
  }

  /** Asks the server to cancel what runs here, and counts it as under way until the request has arrived. */
  cancel(): Promise<void> {
    this.cancels += 1;
    return this.opened.cancel().finally(() => {
      this.cancels -= 1;
      if (this.cancels > 0) return;
      const told = this.onCancelled;
      this.onCancelled = undefined;
      told?.();
    });
  }

  /** Politely when nothing is under way, else by closing the socket. */
  close(politely: boolean): void {
    if (this.closed) return;
    const { stream } = this.opened;
    if (politely) {
      stream.end(TERMINATE);
      stream.resume();
    } else stream.destroy();
    this.#closed();
  }

  /** Sends nothing more and lets what runs come to its end, as when a client's socket ended. */
  endInput(): void {
    this.opened.stream.end();
  }

  #begin(type: number, size: number): number {
    this.#current = this.holder ?? IDLE;
    const asked = this.#current.begin(type, size);
    const keep = type === BACKEND.parameterStatus ? size : asked;
    if (keep > MAX_WHOLE) throw new ProxyError("protocol_violation", `the server sent a message of ${size} bytes`);
    return keep;
  }

  #end(type: number, size: number, head: Buffer): void {
    if (type === BACKEND.parameterStatus) {
      const { name, value } = parseParameterStatus(head);
      const before = this.parameters.get(name);
      this.#reported += before === undefined ? name.length + value.length : value.length - before.length;
      if (this.#reported > MAX_WHOLE) throw new ProxyError("protocol_violation", "the server reports too much");
      this.parameters.set(name, value);
      this.reports += 1;
      if (this.opened.reported?.(name, value) === false) this.unfit = true;
    } else if (this.#current === IDLE && type !== BACKEND.noticeResponse && type !== BACKEND.notificationResponse) {
      // Nobody asked anything: it says why it closes (57P01), or is out of step.
      this.close(false);
      return;
    }
    this.#current.end(type, size, head);
  }

  #onData(chunk: Buffer): void {
    const before = this.holder;
    try {
      this.#framer.feed(chunk);
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      // Bytes that are no message, or not the one expected: nothing that it says can be believed any more.
      this.close(false);
      return;
    }
    before?.flush();
    if (this.holder !== before) this.holder?.flush();
  }

  #closed(): void {
    if (this.closed) return;
    this.closed = true;
    const { holder } = this;
    this.holder = undefined;
    this.#onClose(this);
    holder?.closed();
    this.onCancelled?.();
  }
}

/** One text for what a server reports. */
export function signatureOf(parameters: ReadonlyMap<string, string>): string {
  return JSON.stringify([...parameters].sort());
}

const IDLE: FrameSink = { begin: () => 0, end: () => undefined };

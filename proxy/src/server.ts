import type { Socket } from "node:net";
import { addressOf } from "./address/client.ts";
import type { Recorder } from "./audit/index.ts";
import { Connection } from "./client/connection.ts";
import type { ConnectionContext } from "./client/connection-context.ts";
import type { ConnectionInfo, ConnectionState } from "./client/connection-info.ts";
import type { ProxyError } from "./errors.ts";
import type { ListenAddress } from "./listen/address.ts";
import { descriptorLimit, descriptorOf, leavesEnough } from "./listen/descriptors.ts";
import { Listeners } from "./listen/listeners.ts";
import { type Cause, Refusals } from "./listen/refusals.ts";

/** Sockets of sessions that ended, and whose clients are slow to notice. */
const SPARE_SOCKETS = 100;
/** Up to this part of a spool that takes no new sessions their refusals are recorded; what is above is for those that live. */
const REFUSED_BYTES = 0.85;
/** How long a session that was told to stop has for it: until the server has cancelled and rolled back. */
const STOPPED_MS = 2_000;

/** Accepts clients and knows which are here. */
export class ProxyServer {
  readonly #context: ConnectionContext;
  readonly #listeners: Listeners;
  readonly #refusals: Refusals;
  readonly #descriptors: number | undefined = descriptorLimit();
  readonly #connections = new Set<Connection>();
  /** Those of them that are logged in. */
  readonly #sessions = new Set<Connection>();
  #onEmpty: (() => void) | undefined;

  constructor(context: ConnectionContext) {
    this.#context = context;
    this.#refusals = new Refusals((cause, count) => context.notAccepted?.(cause, count));
    this.#listeners = new Listeners({
      client: (socket, local) => this.#accept(socket, local),
      refused: (why) => this.#refused(why === undefined ? "sockets" : `system:${why}`),
    });
    this.limitsChanged();
  }

  /** Connections that are not over yet. */
  get clients(): number {
    return this.#connections.size;
  }

  /** How many of them are logged in. */
  get sessions(): number {
    return this.#sessions.size;
  }

  /** Connections that have not said who they are. */
  get nameless(): number {
    let count = 0;
    for (const { info } of this.#connections) if (info === undefined) count += 1;
    return count;
  }

  /** How many connections are at what. */
  states(): Record<ConnectionState, number> {
    const counts: Record<ConnectionState, number> = { login: 0, idle: 0, transaction: 0, active: 0, ending: 0 };
    for (const { state } of this.#connections) counts[state] += 1;
    return counts;
  }

  /** Whether clients can come. */
  get listening(): boolean {
    return this.#listeners.listening;
  }

  /** The limits may be others now. */
  limitsChanged(): void {
    const { clients, logins } = this.#context.settings;
    // The descriptors that the spool needs must not go to silent ones.
    this.#listeners.maxSockets = clients + logins + SPARE_SOCKETS;
    this.surroundingsChanged();
  }

  /** How many client sockets are open; also those whose session has ended, and whose client was slow to notice. */
  sockets(): Promise<number> {
    return this.#listeners.sockets();
  }

  /**
   * Called once for each address.
   * @param host an address, a name, or the folder of a Unix socket
   * @param mode of that socket's file
   * @throws the system's error when the address is taken or not ours
   */
  listen(host: string, port: number, mode = 0o777): Promise<ListenAddress> {
    return this.#listeners.listen({ host, port }, mode);
  }

  /** The limits, or what is paused, may be others now. */
  surroundingsChanged(): void {
    for (const connection of this.#connections) connection.surroundingsChanged();
  }

  /** Those that say who they are. */
  infos(): ConnectionInfo[] {
    return [...this.#connections].flatMap(({ info }) => info ?? []);
  }

  /**
   * Ends those that are meant, now.
   * @returns how many
   */
  expire(meant: (info: ConnectionInfo) => boolean, error: ProxyError): number {
    const found = [...this.#connections].filter(({ info }) => info !== undefined && meant(info));
    for (const connection of found) connection.expire(error);
    return found.length;
  }

  /** Takes in nobody else. */
  stopListening(): void {
    this.#listeners.close();
  }

  /** Sessions that are meant end when nothing of theirs is under way: at once if idle. */
  drain(meant: (info: ConnectionInfo) => boolean): void {
    for (const connection of [...this.#connections]) {
      if (connection.info === undefined || meant(connection.info)) connection.drain();
    }
  }

  /** Ends every session with this error. */
  failAll(error: ProxyError): void {
    for (const connection of this.#connections) connection.fail(error);
  }

  /** Takes in nobody else; lets statements and transactions under way end, and stops the rest after `timeoutMs`. */
  async close(timeoutMs: number): Promise<void> {
    this.#listeners.close();
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    for (const connection of this.#connections) connection.drain();
    if (this.#connections.size === 0) return;
    const late = setTimeout(() => {
      for (const connection of this.#connections) connection.stop();
    }, timeoutMs);
    // A peer that does not even close its socket is not waited for.
    const end = new Promise<void>((resolve) => setTimeout(resolve, timeoutMs + STOPPED_MS).unref());
    await Promise.race([empty, end]);
    clearTimeout(late);
    // Their last entries belong before the source's own.
    for (const connection of this.#connections) connection.abandon();
  }

  #refused(cause: Cause): void {
    this.#context.metrics.acceptErrors.inc({ reason: cause.startsWith("system:") ? "system" : cause });
    this.#refusals.add(cause);
  }

  #accept(client: Socket, local: boolean): void {
    const coming = this.#connections.size - this.#sessions.size;
    if (!leavesEnough(descriptorOf(client), this.#descriptors, coming)) {
      client.resetAndDestroy();
      this.#refused("files");
      return;
    }
    this.#context.metrics.connections.inc();
    this.#context.shared.watch?.connected(addressOf(client, local));
    const { recorder } = this.#context.shared;
    if (!hasRoom(recorder)) {
      // Who asks now is not heard, so there is nothing to record.
      client.resetAndDestroy();
      return;
    }
    if (coming >= this.#context.settings.logins) {
      // Nobody is named yet, so there is nobody to record and no promise that an answer would be understood.
      client.resetAndDestroy();
      this.#refused("logins");
      return;
    }
    const connection: Connection = new Connection(client, local, this.#context, {
      loggedIn: () => this.#sessions.add(connection),
      over: () => {
        this.#sessions.delete(connection);
        this.#connections.delete(connection);
        if (this.#connections.size === 0) this.#onEmpty?.();
      },
    });
    this.#connections.add(connection);
  }
}

/** Whether there is room to record that somebody was refused. Strangers must not fill the spool so far that sessions end. */
function hasRoom(recorder: Recorder): boolean {
  const { state } = recorder;
  if (state === "open" || state === "failed") return true;
  const { bytes, maxBytes } = recorder.stats();
  return bytes < (state === "restricted" ? REFUSED_BYTES : 1) * maxBytes;
}

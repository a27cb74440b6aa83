import { parseReady } from "../wire/backend.ts";
import { Framer } from "../wire/framer.ts";
import { BACKEND, FRONTEND } from "../wire/messages.ts";
import type { Lane, LaneOwner } from "./lane.ts";
import { Pieces } from "./pieces.ts";
import type { Pool } from "./pool.ts";
import type { Holder, PooledServer } from "./server.ts";

/**
 * Session pooling: the client has its server connection for as long as its session lasts. Bytes pass as they come; of
 * messages no more is read than what says whether the server owes an answer.
 */
export class SessionLane implements Lane, Holder {
  readonly waitingSince = undefined;
  readonly pins: readonly string[] = [];
  readonly preparedStatements = 0;
  readonly #pool: Pick<Pool, "release">;
  readonly #owner: LaneOwner;
  readonly #framer: Framer;
  readonly #pieces: Pieces;
  #server: PooledServer | undefined;
  /** ReadyForQuery messages that are still to come. */
  #owed = 0;
  /** Something was sent that only a Sync will end. */
  #open = false;
  #status = "I";
  #used = false;
  #terminated = false;
  #done: (() => void) | undefined;

  constructor(pool: Pick<Pool, "release">, server: PooledServer, owner: LaneOwner) {
    this.#pool = pool;
    this.#owner = owner;
    this.#server = server;
    server.holder = this;
    this.#framer = new Framer({ begin: (type) => this.#asked(type), pass: () => undefined, end: () => undefined });
    this.#pieces = new Pieces((bytes) => {
      if (!owner.push(bytes)) this.#server?.flow(false);
    });
  }

  get server(): PooledServer | undefined {
    return this.#server;
  }

  // --- the client's side -------------------------------------------------------------------------------------------

  write(chunk: Buffer, done: () => void): void {
    const server = this.#server;
    if (server === undefined || this.#terminated) {
      done();
      return;
    }
    this.#framer.feed(chunk);
    if (this.#terminated && this.#isIdle) {
      // Nothing stands before the Terminate that was not answered, so it is all of the chunk that matters.
      this.close();
      done();
      return;
    }
    this.#used = true;
    if (server.send([chunk])) done();
    else this.#done = done;
  }

  close(): void {
    const server = this.#server;
    if (server === undefined) return;
    if (!this.#isIdle) {
      // PostgreSQL answers what was sent, notices the end, and closes.
      server.endInput();
      return;
    }
    this.#giveBack(server);
    this.#owner.finished();
  }

  resume(): void {
    this.#server?.flow(true);
  }

  cancel(): Promise<void> {
    return this.#server?.cancel() ?? Promise.resolve();
  }

  destroy(): void {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    this.#pool.release(server, "close");
  }

  // --- the server's side -------------------------------------------------------------------------------------------

  begin(type: number, size: number): number {
    return isWhole(type) ? size : 0;
  }

  pass(piece: Buffer): void {
    this.#pieces.add(piece);
  }

  end(type: number, _size: number, head: Buffer): void {
    if (isWhole(type)) this.#pieces.add(head);
    if (type !== BACKEND.readyForQuery) return;
    this.#status = parseReady(head);
    this.#owed = Math.max(0, this.#owed - 1);
  }

  flush(): void {
    this.#pieces.flush();
  }

  drained(): void {
    const done = this.#done;
    this.#done = undefined;
    done?.();
  }

  closed(): void {
    this.#server = undefined;
    this.#pieces.flush();
    this.drained();
    this.#owner.finished();
  }

  // --- inside ------------------------------------------------------------------------------------------------------

  /** Nothing is unanswered. While the server reads COPY data it swallows Syncs: more than it owes is counted then. */
  get #isIdle(): boolean {
    return this.#owed === 0 && !this.#open && this.#framer.atBoundary && this.#server?.atBoundary === true;
  }

  #asked(type: number): number {
    switch (type) {
      case FRONTEND.terminate:
        this.#terminated = true;
        break;
      case FRONTEND.sync:
        this.#owed += 1;
        this.#open = false;
        break;
      case FRONTEND.query:
      case FRONTEND.functionCall:
        this.#owed += 1;
        break;
      case FRONTEND.copyData:
      case FRONTEND.copyDone:
      case FRONTEND.copyFail:
        break;
      default:
        this.#open = true;
    }
    return 0;
  }

  #giveBack(server: PooledServer): void {
    this.#server = undefined;
    this.drained();
    // In a transaction the server would have rolled back. What cannot be discarded in one is discarded behind it.
    this.#pool.release(server, this.#status !== "I" ? "rollback" : this.#used ? "reset" : "clean");
  }
}

/** Not told in pieces: what is read here, and what the server connection reads. */
function isWhole(type: number): boolean {
  return type === BACKEND.readyForQuery || type === BACKEND.parameterStatus;
}

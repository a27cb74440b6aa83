import { type ClientErrorCode, ProxyError, toldAs } from "../errors.ts";
import type { Analyzer } from "../statements/index.ts";
import { type Again, isGoingAway, type ReadRetry } from "../upstream/index.ts";
import { parseError } from "../wire/backend.ts";
import { BACKEND } from "../wire/messages.ts";
import { errorResponse } from "../wire/write.ts";
import { Answers } from "./answers.ts";
import { Asking } from "./asking.ts";
import type { Lane, LaneOwner } from "./lane.ts";
import { type Leasing, lease } from "./lease.ts";
import { Names } from "./names.ts";
import { Pieces } from "./pieces.ts";
import type { Pool } from "./pool.ts";
import { Replies } from "./replies.ts";
import { CLOSE_COMPLETE, FENCE, FLUSH, PARSE_COMPLETE } from "./rewrite.ts";
import type { Holder, PooledServer } from "./server.ts";
import type { SessionState } from "./session-state.ts";
import { Shelf } from "./shelf.ts";
import type { PreparedTexts } from "./texts.ts";
import { parameterStatus, type Welcome } from "./welcome.ts";

export interface TransactionLaneOptions {
  readonly pool: Pick<Pool, "take" | "release">;
  readonly owner: LaneOwner;
  readonly state: SessionState;
  readonly analyzer: Analyzer;
  readonly texts: PreparedTexts;
  /** Prepared statements that a server connection keeps. */
  readonly shelfSize: () => number;
  /** What the client was told at its welcome. */
  readonly told: Welcome;
  /** It keeps its server connection from now on. */
  readonly onPin: (reason: string) => void;
  readonly onTimeout: () => void;
  /** Decides about reads whose server is lost; left out: none is asked again. */
  readonly reads?: ReadRetry | undefined;
}

/** What was sent last where nothing is left open behind its answer. */
const ENDS: ReadonlySet<string> = new Set(["sync", "query", "function", "fence"]);

/**
 * Transaction pooling: the client has a server connection from the first message that needs one up to the end of the
 * transaction, and then no more until the next, unless something pins it. `Asking` reads the client's messages, `Replies`
 * the server's; this joins them, and leases.
 */
export class TransactionLane implements Lane, Holder {
  readonly state: SessionState;
  readonly answers: Answers = new Answers();
  readonly names: Names;
  readonly analyzer: Analyzer;
  readonly texts: PreparedTexts;
  /** The server is in COPY FROM STDIN and swallows Flush and Sync. */
  copyIn = false;
  /** The same, up to its CommandComplete or error. */
  copying = false;
  /** Syncs that the server seems to have swallowed in COPY, and may answer yet where that failed before it read them. */
  swallowed = 0;
  /** After an error everything up to the next Sync, which was not sent yet, is skipped. */
  skipping = false;
  /**
   * A Query or a FunctionCall was sent where a Sync was due. PostgreSQL can say then that it is idle, and yet have the
   * implicit transaction open and refuse the next statement (XX000), whoever's it is.
   */
  mixed = false;
  readonly #options: TransactionLaneOptions;
  readonly #asking: Asking;
  readonly #replies: Replies;
  readonly #out: Buffer[] = [];
  readonly #pieces: Pieces;
  #server: PooledServer | undefined;
  #shelf: Shelf = new Shelf();
  #leasing: Leasing | undefined;
  /** The server has been told everything, and the client waits for it to say that. */
  #waitsForAnswers = false;
  #done: (() => void) | undefined;
  /** The server takes no more for now. */
  #choked = false;
  /** The client takes no more for now. */
  #full = false;
  #closing = false;
  #terminated = false;
  /** The server was told that nothing more comes. */
  #abandoned = false;
  #told: ReadonlyMap<string, string>;
  #signature: string;
  #reports = 0;
  /** Runs while a read waits to be asked again. */
  #pause: NodeJS.Timeout | undefined;
  /** What the server said before it goes away, as long as the client may not have to hear it. */
  #farewell: Buffer[] = [];
  #noted: ReadonlySet<string> = new Set();
  status = "I";

  constructor(options: TransactionLaneOptions) {
    this.#options = options;
    this.state = options.state;
    this.analyzer = options.analyzer;
    this.texts = options.texts;
    this.#told = options.told.parameters;
    // What it is now; before PostgreSQL 18 a server does not say.
    this.state.beginsWith(this.#told.get("search_path") ?? "");
    this.#signature = options.told.signature;
    this.names = new Names(this.answers, (message) => this.send(message));
    this.#asking = new Asking(this);
    this.#replies = new Replies(this);
    this.#pieces = new Pieces((bytes) => {
      if (options.reads !== undefined) {
        options.reads.returned();
        this.answers.forget();
      }
      if (this.#options.owner.push(bytes)) return;
      this.#full = true;
      this.#server?.flow(false);
    });
  }

  get server(): PooledServer | undefined {
    return this.#server;
  }

  get waitingSince(): number | undefined {
    return this.#leasing?.since;
  }

  get pins(): readonly string[] {
    return [...this.state.everPinned].sort();
  }

  get preparedStatements(): number {
    return this.names.size;
  }

  get shelf(): Shelf {
    return this.#shelf;
  }

  get shelfSize(): number {
    return this.#options.shelfSize();
  }

  /** How names are read now. */
  get environment(): string {
    return `${this.state.environment}\0${this.parameter("search_path") ?? ""}`;
  }

  /** A reported parameter, as the client knows it. */
  parameter(name: string): string | undefined {
    return (this.#server?.parameters ?? this.#told).get(name);
  }

  // --- Lane --------------------------------------------------------------------------------------------------------

  write(chunk: Buffer, done: () => void): void {
    const { reads } = this.#options;
    if (reads !== undefined) {
      if (this.#idle) {
        reads.settled();
        this.answers.remember();
      }
      reads.sent(chunk);
    }
    this.#asking.add(chunk);
    this.#done = done;
    this.proceed();
  }

  close(): void {
    this.#closing = true;
    this.#finish();
  }

  resume(): void {
    if (!this.#full) return;
    this.#full = false;
    this.#server?.flow(true);
  }

  async cancel(): Promise<void> {
    if (this.#leasing !== undefined || this.#pause !== undefined) {
      this.#refuse("statement_cancelled", "canceling statement due to user request: it waited for a server connection");
      return;
    }
    if (this.#server !== undefined && !this.answers.empty) await this.#server.cancel();
  }

  destroy(): void {
    this.#endPause();
    this.#leasing?.abandon();
    this.#leasing = undefined;
    const server = this.#server;
    this.#server = undefined;
    if (server !== undefined) this.#options.pool.release(server, "close");
  }

  // --- Holder: the server's messages -------------------------------------------------------------------------------

  begin(type: number, size: number): number {
    return this.#replies.begin(type, size);
  }

  pass(piece: Buffer): void {
    this.#pieces.add(piece);
  }

  end(type: number, size: number, head: Buffer): void {
    this.#replies.end(type, size, head);
  }

  flush(): void {
    this.#pieces.flush();
    this.#sendOut();
    // In COPY FROM STDIN the server answers nothing until it has heard more.
    if (this.#waitsForAnswers && (this.answers.empty || this.copyIn)) {
      this.#waitsForAnswers = false;
      this.proceed();
    }
    // What the end of the session was waiting for may have been skipped for an error, or wait for data itself.
    if (this.#closing && (this.skipping || this.copyIn)) this.#finish();
  }

  drained(): void {
    this.#choked = false;
    this.#tellDone();
  }

  closed(): void {
    this.#server = undefined;
    const again = this.#restores ? this.#options.reads?.lost() : undefined;
    if (again !== undefined) {
      this.#askAgain(again);
      return;
    }
    this.#retire();
    this.#pieces.flush();
    this.#choked = false;
    // No answer comes any more, and the write that waits for it must come to its end.
    this.#waitsForAnswers = false;
    this.#options.owner.finished();
    this.#tellDone();
  }

  /** Whether the server's next words may be its last, and another one asked instead. */
  get mayWithhold(): boolean {
    return this.#options.reads?.possible === true && this.#restores;
  }

  /**
   * The server says something instead of an answer, or beside it.
   * @param said an ErrorResponse or a NoticeResponse. With the former a server ends the connection that is told to stop,
   *   with the latter one that was stopped at once, or that ends because another of its processes died
   * @returns whether the client is not told, because the server goes away and another one may be asked
   */
  withholds(said: Buffer): boolean {
    if (!this.mayWithhold) return false;
    const { sqlstate, severity } = parseError(said);
    // Only the end of a session is certain to be behind its last word.
    const isLast = said[0] === BACKEND.noticeResponse || severity === "FATAL" || severity === "PANIC";
    if (!isLast || !isGoingAway(sqlstate)) return false;
    // What it had said of the answer just before went nowhere yet.
    const before = this.#pieces.take();
    this.#farewell.push(...(before === undefined ? [] : [before]), said);
    return true;
  }

  /** The server goes on, whatever it said. */
  stays(): void {
    if (this.#farewell.length > 0) this.#retire();
  }

  // --- what Asking and Replies ask for -----------------------------------------------------------------------------

  /** A message for the server. */
  send(message: Buffer): void {
    this.#out.push(message);
  }

  /** A message for the client, or a piece of one. */
  tell(message: Buffer): void {
    this.#pieces.add(message);
  }

  /** @returns whether there is a server connection; when not, one is asked for, and `proceed` is called when it is there */
  lease(): boolean {
    if (this.#server !== undefined) return true;
    if (this.#leasing !== undefined) return false;
    const { pool } = this.#options;
    this.#leasing = lease(
      pool,
      this.state.carry(),
      (server) => this.#leased(server),
      (error) => this.#unserved(error),
    );
    return this.#server !== undefined;
  }

  /** Nothing more is read from the client until everything sent is answered. */
  waitForAnswers(): void {
    this.#waitsForAnswers = true;
  }

  get waitsForAnswers(): boolean {
    return this.#waitsForAnswers;
  }

  /** A transaction may have come to its end. */
  ready(status: string): void {
    this.status = status;
    this.state.ready(status);
    this.#notePins();
    const server = this.#server;
    if (server === undefined || !this.answers.empty || this.copyIn) return;
    this.state.settled();
    if (status === "I") this.#asking.over();
    if (this.#closing) {
      if (!this.#abandoned) this.#leave(server);
      return;
    }
    if (status !== "I" || this.state.pinned || !this.#asking.empty) return;
    this.#giveBack(server, this.mixed ? "rollback" : "clean");
  }

  /** The client said Terminate: what it asked before goes first. */
  terminated(): void {
    this.#terminated = true;
  }

  /** Where it is not known whether ReadyForQuery comes once more, the server is asked something that it answers behind that. */
  fence(): void {
    if (this.swallowed === 0 || this.#server === undefined || this.answers.served || this.#asking.midway) return;
    this.send(FENCE);
    this.send(FLUSH);
    this.answers.push({ kind: "fence" });
    this.waitForAnswers();
  }

  /** Answers that need no server, once it is their turn. */
  settleOwn(): void {
    if (this.swallowed > 0) return;
    for (let { head } = this.answers; head?.kind === "parse" || head?.kind === "close"; { head } = this.answers) {
      if (head.way !== "own") return;
      this.tell(head.kind === "parse" ? PARSE_COMPLETE : CLOSE_COMPLETE);
      head.done?.();
      this.answers.shift();
    }
  }

  /** Handles what has come from the client, as far as it can be. */
  proceed(): void {
    if (this.#leasing === undefined && !this.#waitsForAnswers && this.#pause === undefined) {
      try {
        this.#asking.run();
      } catch (error) {
        if (!(error instanceof ProxyError)) throw error;
        this.#out.length = 0;
        this.#options.owner.fail(error);
        this.#tellDone();
        return;
      }
    }
    this.#notePins();
    this.#pieces.flush();
    this.#sendOut();
    if (this.#terminated) this.#closing = true;
    if (this.#closing) this.#finish();
    this.#tellDone();
  }

  // --- inside ------------------------------------------------------------------------------------------------------

  /** Nothing of the client's is under way. */
  get #idle(): boolean {
    const waits = this.#leasing !== undefined || this.#pause !== undefined;
    return this.#server === undefined && !waits && this.answers.empty && this.#asking.empty;
  }

  /** Whether another server connection would be as good: nothing of the session is on this one alone. */
  get #restores(): boolean {
    return this.status === "I" && !this.state.pinned && !this.copyIn && !this.#abandoned;
  }

  /** The server is lost, and what it was asked can be asked elsewhere, as if it came from the client once more. */
  #askAgain({ request, afterMs }: Again): void {
    this.#farewell = [];
    this.#pieces.take();
    this.#choked = false;
    this.#waitsForAnswers = false;
    this.#out.length = 0;
    for (const item of this.answers.takeBack()) if ("undo" in item) item.undo?.();
    this.skipping = false;
    this.#asking.rewind(Buffer.concat(request));
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.proceed();
    }, afterMs);
  }

  #sendOut(): void {
    if (this.#out.length === 0) return;
    const out = this.#out.splice(0);
    if (this.#server !== undefined) this.#choked = !this.#server.send(out);
  }

  #endPause(): void {
    clearTimeout(this.#pause);
    this.#pause = undefined;
  }

  /** No other server is asked: the client hears what this one said. */
  #retire(): void {
    for (const said of this.#farewell.splice(0)) this.#pieces.add(said);
  }

  #tellDone(): void {
    if (this.#choked || this.#leasing !== undefined || this.#waitsForAnswers || this.#pause !== undefined) return;
    const done = this.#done;
    this.#done = undefined;
    done?.();
  }

  #leased(server: PooledServer): void {
    const waited = this.#leasing !== undefined;
    this.#leasing = undefined;
    this.#server = server;
    this.mixed = false;
    this.swallowed = 0;
    server.holder = this;
    server.shelf ??= new Shelf();
    this.#shelf = server.shelf;
    this.#reports = server.reports;
    this.#tellParameters(server);
    server.flow(!this.#full);
    if (waited) this.proceed();
  }

  /** What this server reports otherwise than the client was told. */
  #tellParameters(server: PooledServer): void {
    const signature = server.signature;
    if (signature === this.#signature) return;
    for (const [name, value] of server.parameters) {
      if (this.#told.get(name) !== value) this.tell(parameterStatus(name, value));
    }
    this.#told = new Map(server.parameters);
    this.#signature = signature;
  }

  #unserved(error: ProxyError): void {
    this.#leasing = undefined;
    if (error.code === "pool_timeout") this.#options.onTimeout();
    if (error.code === "shutting_down" || error.code === "pool_settings") {
      this.#options.owner.fail(error);
      this.#tellDone();
    } else this.#refuse(toldAs(error), error.message);
  }

  /** The statement that waits for a server connection does not get one. The session goes on. */
  #refuse(code: ClientErrorCode, message: string): void {
    this.#leasing?.abandon();
    this.#leasing = undefined;
    this.#endPause();
    this.#asking.refuse(errorResponse("ERROR", code, message));
    this.proceed();
  }

  #giveBack(server: PooledServer, how: "clean" | "rollback" | "close"): void {
    if (server.reports !== this.#reports) {
      this.#told = new Map(server.parameters);
      this.#signature = server.signature;
    }
    if (this.#asking.empty) this.#options.reads?.settled();
    this.names.detach();
    server.settings = this.state.actual;
    this.#server = undefined;
    this.#options.pool.release(server, how);
  }

  /** The client sends nothing more. What it has asked is answered first, as far as PostgreSQL would. */
  #finish(): void {
    if (this.#pause !== undefined) return;
    if (this.#leasing !== undefined || this.#waitsForAnswers || this.#abandoned) return;
    const server = this.#server;
    if (server === undefined) {
      this.#options.owner.finished();
      return;
    }
    const { last, unended } = this.answers;
    // Given to somebody else now, what was not ended would be committed with his first statement.
    const open = this.copyIn || this.skipping || unended || !this.#asking.empty;
    if (last === undefined && !open) this.#leave(server);
    else if (open || !ENDS.has(last!.kind)) {
      // PostgreSQL answers what was sent, notices the end, and closes.
      this.#abandoned = true;
      server.endInput();
    }
    // Else the answers come, and `ready` gives it back.
  }

  /** The session ends, and nothing is under way. In a transaction the server would have rolled back. */
  #leave(server: PooledServer): void {
    const { stays, pinned } = this.state;
    this.#giveBack(server, stays ? "close" : this.status === "I" && !pinned && !this.mixed ? "clean" : "rollback");
    // The answer that was waited for has come with the bytes that are being read just now.
    this.#pieces.flush();
    this.#options.owner.finished();
  }

  #notePins(): void {
    const { everPinned } = this.state;
    if (this.#noted.size === everPinned.size) return;
    for (const reason of everPinned) if (!this.#noted.has(reason)) this.#options.onPin(reason);
    this.#noted = new Set(everPinned);
  }
}

import { Duplex } from "node:stream";
import type { Backend, BackendKey, ClientEnd, Who } from "../backend.ts";
import { ProxyError } from "../errors.ts";
import {
  backendKeyData,
  type Door,
  type DoorStep,
  type LetIn,
  makeKey,
  parameterStatus,
  readyForQuery,
} from "../pool/index.ts";
import { Framer } from "../wire/framer.ts";
import { FRONTEND } from "../wire/messages.ts";
import { negotiate } from "../wire/negotiate.ts";
import { errorResponse } from "../wire/write.ts";
import type { Desk } from "./desk.ts";
import { Dialogue } from "./dialogue.ts";
import type { Operator } from "./script.ts";

/** Of one message: a command is short, and a password's proof as well. */
const MESSAGE_BYTES = 65_536;

export interface ConsoleOptions {
  readonly door: Door<LetIn>;
  /** What somebody who was let in may do; undefined: nothing. */
  readonly operatorOf: (user: string) => Operator | undefined;
  readonly desk: Desk;
  readonly version: string;
}

interface Message {
  readonly type: number;
  readonly bytes: Buffer;
}

/**
 * The database that an operator connects to. To the layers above it is a database server like any other, so that each
 * command is recorded as a statement is.
 */
export class Console extends Duplex implements Backend {
  readonly kind = "console";
  readonly #client: ClientEnd;
  readonly #options: ConsoleOptions;
  readonly #key: BackendKey;
  readonly #negotiation: Buffer | undefined;
  readonly #framer: Framer;
  #inbox: Message[] = [];
  #accepted: LetIn | undefined;
  #dialogue: Dialogue | undefined;
  #begun = false;
  #over = false;

  constructor(client: ClientEnd, options: ConsoleOptions) {
    super();
    this.#client = client;
    this.#options = options;
    const { minor, message } = negotiate(client.startup);
    this.#key = makeKey(minor);
    this.#negotiation = message;
    this.#framer = new Framer({
      begin: (_type, size) => {
        if (size <= MESSAGE_BYTES) return size;
        throw new ProxyError(
          "protocol_violation",
          `a message of ${size} bytes, where the console takes ${MESSAGE_BYTES}`,
        );
      },
      pass: () => undefined,
      end: (type, _size, head) => this.#inbox.push({ type, bytes: head }),
    });
  }

  get stream(): Duplex {
    return this;
  }

  async cancel(): Promise<void> {
    this.#dialogue?.cancel();
  }

  get who(): Who | undefined {
    const { auth, identity, groups = [] } = this.#accepted ?? {};
    return auth === undefined ? undefined : { auth, identity, groups };
  }

  override _read(): void {
    if (this.#begun) return;
    // Not earlier: whoever opened it listens only now.
    this.#begun = true;
    if (this.#negotiation !== undefined) this.push(this.#negotiation);
    this.#guard(async () => this.#step(await this.#options.door.begin()));
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#guard(async () => {
      this.#framer.feed(chunk);
      const messages = this.#inbox;
      this.#inbox = [];
      for (const message of messages) {
        if (this.#over) break;
        await this.#take(message);
      }
    }).finally(() => done());
  }

  /** Who has said its last word does not wait for an answer any more. */
  override end(chunk?: unknown, encoding?: unknown, done?: unknown): this {
    this.#dialogue?.cancel();
    return super.end(chunk as string, encoding as BufferEncoding, done as () => void);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#over = true;
    this.#dialogue?.cancel();
    done(error);
  }

  async #take({ type, bytes }: Message): Promise<void> {
    if (type === FRONTEND.terminate) this.#end();
    else if (this.#dialogue !== undefined) await this.#dialogue.take(type, bytes, (answer) => this.#say(answer));
    else if (type === FRONTEND.password) this.#step(await this.#options.door.feed(bytes));
  }

  #step(step: DoorStep<LetIn>): void {
    if (this.#over) return;
    if (step.kind === "refused") throw step.error;
    if (step.kind === "continue") {
      this.#say(step.send);
      return;
    }
    const { user } = this.#client.startup;
    const operator = this.#options.operatorOf(user);
    if (operator === undefined) {
      throw new ProxyError("not_authorized", "this login may not use the console; see console.users");
    }
    this.#accepted = step.accepted;
    this.#dialogue = new Dialogue(operator, this.#options.desk);
    const reported = {
      server_version: this.#options.version,
      server_encoding: "UTF8",
      client_encoding: "UTF8",
      standard_conforming_strings: "on",
      DateStyle: "ISO",
      TimeZone: "UTC",
      integer_datetimes: "on",
      is_superuser: operator.admin ? "on" : "off",
    };
    this.#say(step.send);
    for (const [name, value] of Object.entries(reported)) this.#say(parameterStatus(name, value));
    this.#say(backendKeyData(this.#key));
    this.#say(readyForQuery("I"));
  }

  #say(bytes: Buffer): void {
    if (!this.#over) this.push(bytes);
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#dialogue?.cancel();
    this.push(null);
  }

  /** A refusal before the login is told by who is above, and recorded; one behind it ends the session. */
  async #guard(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof ProxyError)) {
        this.destroy(error as Error);
        return;
      }
      if (this.#dialogue === undefined) {
        this.destroy(error);
        return;
      }
      this.#say(errorResponse("FATAL", "protocol_violation", error.message));
      this.#end();
    }
  }
}

import cluster, { type Worker } from "node:cluster";
import { fileURLToPath } from "node:url";
import { ProxyError, type ProxyErrorCode, SQLSTATE, STARTUP_CODES } from "../errors.ts";
import type { Answer, Cancel, FromWorker, Task, Texts, ToWorker, Wanted } from "./messages.ts";
import { Office } from "./office.ts";
import type { Figures } from "./sums.ts";

/** So many workers that end within so long are no accident. */
const MANY_ENDS = 5;
const ENDS_WITHIN_MS = 60_000;
/** A worker whose successor ended at once is not followed at once; each time it waits for twice as long, up to the most. */
const AGAIN_MS = 500;
const MOST_AGAIN_MS = 30_000;
/** How long a worker may take to say how it is, and to cancel what is to be cancelled. */
const ANSWER_MS = 5_000;

interface Member {
  readonly number: number;
  worker: Worker;
  /** The configuration that it was given, as far as a reload changed it. */
  given: string | undefined;
  ready: { readonly host: string; readonly port: number; readonly source: string; readonly epoch: number } | undefined;
}

export interface CrewHooks {
  line(line: string): void;
  /** What a worker says a person should know; its line is among the lines. */
  notice(sentence: string): void;
  /** What this one says itself. */
  tell(event: "worker.ended" | "worker.serves", sentence: string): void;
  /** What a worker wants to know or to have done of all of them. */
  wanted(wanted: Wanted, signal: AbortSignal): Promise<Answer>;
  /** One that ended has a successor, which knows nothing of what was done since the start. */
  followed(number: number): void;
  /** All have seen their last client off. */
  empty(): void;
  /** It cannot go on: no worker stays. */
  failed(error: ProxyError): void;
}

/** The worker processes: starts them, starts another for one that ended, and carries what one has to tell the others. */
export class Crew {
  readonly office: Office<Member>;
  /** Workers that ended by themselves. */
  restarts = 0;
  /** The configuration that the workers have taken since the start. */
  reloaded: string | undefined;
  readonly #begun: Pick<Texts, "file" | "text">;
  readonly #hooks: CrewHooks;
  readonly #members: Member[] = [];
  readonly #answers = new Map<
    number,
    { readonly of: Worker; readonly resolve: (answer: Answer | undefined) => void }
  >();
  readonly #wanted = new Map<string, AbortController>();
  /** Those that have nobody left; undefined while none was asked to wait for that. */
  readonly #empty = new Set<Worker>();
  /** Those that are to be followed after a pause. */
  readonly #pauses = new Set<NodeJS.Timeout>();
  #asked = 0;
  #ends: number[] = [];
  #stopping = false;
  #leaving = false;

  /** @param begun the configuration that each worker begins with */
  constructor({ file, text }: Pick<Texts, "file" | "text">, clients: number, hooks: CrewHooks) {
    this.#begun = { file, text };
    this.#hooks = hooks;
    this.office = new Office(clients, ({ worker }, tight) => send(worker, { type: "give-back", tight }));
  }

  /** How many serve. */
  get serving(): number {
    return this.#members.filter(({ ready }) => ready !== undefined).length;
  }

  /** @throws ProxyError as {@link startProxy}, when one of them cannot start; then none stays */
  async start(count: number): Promise<NonNullable<Member["ready"]>> {
    cluster.setupPrimary({
      exec: fileURLToPath(new URL("./main.js", import.meta.url)),
      args: [],
      serialization: "advanced",
    });
    const all = await Promise.allSettled(Array.from({ length: count }, (_, i) => this.#bring(i + 1)));
    const refused = all.find((one) => one.status === "rejected");
    if (refused !== undefined) {
      await this.close();
      throw refused.reason as Error;
    }
    const first = (all[0] as PromiseFulfilledResult<Member>).value;
    return first.ready!;
  }

  /** Asks each of them. @returns their answers; those of workers that ended or did not answer in time are missing */
  async ask(task: Task, timeoutMs: number = ANSWER_MS): Promise<Answer[]> {
    const asked = this.#members.filter(({ ready }) => ready !== undefined);
    const answers = await Promise.all(asked.map(({ worker }) => this.#ask(worker, task, timeoutMs)));
    return answers.filter((answer) => answer !== undefined);
  }

  /**
   * Asks each of them, or one of them, for as long as it takes.
   * @returns their answers by number, those of workers that ended meanwhile left out
   */
  async askEach(
    task: Task,
    options: { readonly only?: number | undefined; readonly signal?: AbortSignal; readonly timeoutMs?: number } = {},
  ): Promise<{ readonly number: number; readonly answer: Answer }[]> {
    const { only, signal, timeoutMs = Number.POSITIVE_INFINITY } = options;
    const asked = this.#members
      .filter(({ number, ready }) => ready !== undefined && (only === undefined || number === only))
      .sort((a, b) => a.number - b.number);
    const answers = await Promise.all(
      asked.map(async ({ number, worker }) => ({ number, answer: await this.#ask(worker, task, timeoutMs, signal) })),
    );
    return answers.flatMap(({ number, answer }) => (answer === undefined ? [] : [{ number, answer }]));
  }

  /** What each counts, by a number that its successor does not have; undefined of one that did not answer in time. */
  async figures(): Promise<Map<number, Figures | undefined>> {
    const asked = this.#members.filter(({ ready }) => ready !== undefined);
    return new Map(
      await Promise.all(
        asked.map(async ({ worker }) => {
          const answer = await this.#ask(worker, "metrics", ANSWER_MS);
          return [worker.id, answer && "metrics" in answer ? answer.metrics : undefined] as const;
        }),
      ),
    );
  }

  /** Nobody comes any more: one that ends from here on is not followed, and what it had begun is its next start's. */
  leave(): void {
    this.#leaving = true;
    this.#endUnready();
  }

  /** Resolves when the one whose session it is has done it: the others have nothing under this key, and may be slower. */
  cancel(cancel: Cancel): Promise<void> {
    return new Promise((resolve) => {
      const asked = this.#members.map(async ({ worker, ready }) => {
        const answer = ready && (await this.#ask(worker, cancel, ANSWER_MS));
        if (answer !== undefined && "done" in answer && answer.done) resolve();
      });
      void Promise.all(asked).then(() => resolve());
    });
  }

  /** Ends them in order. @returns how many entries were not submitted */
  async close(): Promise<number> {
    this.#stopping = true;
    for (const pause of this.#pauses) clearTimeout(pause);
    const gone = this.#members.map(
      ({ worker }) =>
        new Promise<void>((resolve) => {
          if (worker.isDead()) resolve();
          else worker.once("exit", () => resolve());
        }),
    );
    this.#endUnready();
    const answers = await this.ask("close", Number.POSITIVE_INFINITY);
    await Promise.all(gone);
    return answers.reduce((sum, answer) => sum + ("unsubmitted" in answer ? answer.unsubmitted : 0), 0);
  }

  /** One that is not ready has nothing to end; its spool knows. */
  #endUnready(): void {
    for (const { worker, ready } of this.#members) if (ready === undefined) worker.process.kill("SIGKILL");
  }

  /** Begins one, and brings it to where the others are: what they were told meanwhile nobody told it. */
  async #bring(number: number): Promise<Member> {
    const member = await this.#begin(number);
    while (this.reloaded !== undefined && member.given !== this.reloaded && !this.#stopping) {
      member.given = this.reloaded;
      await this.#ask(member.worker, { reload: this.reloaded }, Number.POSITIVE_INFINITY);
    }
    this.#hooks.followed(number);
    return member;
  }

  #begin(number: number): Promise<Member> {
    return new Promise((resolve, reject) => {
      const worker = cluster.fork();
      const member: Member = { number, worker, given: undefined, ready: undefined };
      this.#members.push(member);
      this.office.joined(member);
      let failure: ProxyError | undefined;
      worker.on("message", (message: FromWorker) => {
        if (message.type === "here") {
          member.given = this.reloaded;
          send(worker, { type: "start", number, ...this.#begun, reloaded: this.reloaded });
        } else if (message.type === "ready") {
          member.ready = message;
          resolve(member);
        } else if (message.type === "failed") failure = new ProxyError(codeOf(message.code), message.message);
        else this.#told(member, message);
      });
      // A channel that breaks belongs to a worker that ends.
      worker.on("error", () => undefined);
      // Not "exit": that may come before the last message has been read.
      worker.process.once("close", (code, signal) => {
        this.#members.splice(this.#members.indexOf(member), 1);
        this.office.left(member);
        for (const [key, controller] of this.#wanted) if (key.startsWith(`${worker.id} `)) controller.abort();
        for (const [id, { of, resolve: answered }] of this.#answers) {
          if (of !== worker) continue;
          this.#answers.delete(id);
          answered(undefined);
        }
        const how = failure?.message ?? (signal === null ? `status ${code}` : `killed by ${signal}`);
        const error = failure ?? new ProxyError("worker_failed", `worker ${number} ended by itself: ${how}`);
        if (member.ready === undefined) reject(error);
        else if (!this.#stopping) this.#ended(number, how);
      });
    });
  }

  /** CRASH: its clients were cut with it; what it had begun is in its spool, and its successor records it as `unknown`. */
  #ended(number: number, how: string): void {
    this.restarts += 1;
    if (this.#isOneOfMany()) {
      this.#fail(many(number, how));
      return;
    }
    const next = this.#leaving ? "the next start records what it had begun" : "another one takes its place";
    this.#hooks.tell("worker.ended", `worker ${number} ended by itself: ${how}; ${next}`);
    if (this.#leaving) this.#lookEmpty();
    else this.#follow(number);
  }

  /** Counts an end. */
  #isOneOfMany(): boolean {
    const now = performance.now();
    this.#ends = [...this.#ends.filter((at) => now - at < ENDS_WITHIN_MS), now];
    return this.#ends.length >= MANY_ENDS;
  }

  #follow(number: number, pauseMs: number = AGAIN_MS): void {
    this.#bring(number).then(
      () => this.#hooks.tell("worker.serves", `worker ${number} serves again`),
      (error: ProxyError) => {
        if (this.#stopping) return;
        if (this.#leaving) {
          this.#lookEmpty();
          return;
        }
        this.#hooks.tell("worker.ended", `worker ${number} could not start again: ${error.message}`);
        const ended = error.code === "worker_failed";
        // What it says is wrong can be put right, and no client of the others is cut for it.
        if ((ended || this.serving === 0) && this.#isOneOfMany()) {
          this.#fail(ended ? many(number, error.message) : error);
          return;
        }
        const next = Math.min(MOST_AGAIN_MS, 2 * pauseMs);
        const pause = setTimeout(() => {
          this.#pauses.delete(pause);
          if (!this.#leaving) this.#follow(number, next);
        }, pauseMs);
        this.#pauses.add(pause);
      },
    );
  }

  #fail(error: ProxyError): void {
    if (this.#stopping) return;
    void this.close().then(() => this.#hooks.failed(error));
  }

  #told(member: Member, message: FromWorker): void {
    switch (message.type) {
      case "line":
        this.#hooks.line(message.line);
        return;
      case "notice":
        this.#hooks.notice(message.line);
        return;
      case "answer":
        this.#answers.get(message.id)?.resolve(message.value);
        this.#answers.delete(message.id);
        return;
      case "places": {
        const { id, wanted } = message;
        void this.office.grant(member, wanted).then((places) => send(member.worker, { type: "granted", id, places }));
        return;
      }
      case "given":
        this.office.given(member, message.places);
        return;
      case "returned":
        this.office.returned(member, message.places);
        return;
      case "wanted": {
        const key = `${member.worker.id} ${message.id}`;
        const controller = new AbortController();
        this.#wanted.set(key, controller);
        void this.#hooks.wanted(message.wanted, controller.signal).then((value) => {
          this.#wanted.delete(key);
          send(member.worker, { type: "done", id: message.id, value });
        });
        return;
      }
      case "left":
        this.#wanted.get(`${member.worker.id} ${message.id}`)?.abort();
        return;
      case "empty":
        this.#empty.add(member.worker);
        this.#lookEmpty();
        return;
      default:
    }
  }

  #lookEmpty(): void {
    if (!this.#stopping && this.#members.every(({ worker }) => this.#empty.has(worker))) this.#hooks.empty();
  }

  #ask(worker: Worker, task: Task, timeoutMs: number, signal?: AbortSignal): Promise<Answer | undefined> {
    this.#asked += 1;
    const id = this.#asked;
    return new Promise((resolve) => {
      this.#answers.set(id, { of: worker, resolve });
      if (Number.isFinite(timeoutMs)) {
        setTimeout(() => {
          if (this.#answers.delete(id)) resolve(undefined);
        }, timeoutMs).unref();
      }
      send(worker, { type: "ask", id, task });
      signal?.addEventListener("abort", () => send(worker, { type: "leave", id }), { once: true });
    });
  }
}

function many(number: number, how: string): ProxyError {
  const why = `${MANY_ENDS} workers ended within a minute, the last one, worker ${number}, with: ${how}`;
  return new ProxyError("worker_failed", `${why}; see what they said, and start again`);
}

/** To one that has just ended nothing is said. */
function send(worker: Worker, message: ToWorker): void {
  if (worker.isConnected()) worker.send(message, () => undefined);
}

function codeOf(code: string): ProxyErrorCode {
  return code in SQLSTATE || (STARTUP_CODES as readonly string[]).includes(code)
    ? (code as ProxyErrorCode)
    : "worker_failed";
}

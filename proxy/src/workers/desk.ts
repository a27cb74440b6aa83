import type { Act, Row, Shown } from "../console/index.ts";
import { ProxyError } from "../errors.ts";
import { together } from "../operations/index.ts";
import type { Crew } from "./crew.ts";
import type { Answer, Wanted } from "./messages.ts";

/** How long a worker may take to show what it has; one that takes longer is left out. */
const SHOW_MS = 5_000;

/** What somebody asks of one worker, at its console most of it, asked of all of them. */
export class CrewDesk {
  readonly #crew: Pick<Crew, "askEach" | "cancel" | "leave">;
  readonly #say: (act: Act, user: string) => void;
  readonly #reload: () => Promise<unknown>;
  readonly #stop: () => void;
  /** Paused databases; undefined: all of them. */
  readonly #paused = new Set<string | undefined>();

  /**
   * @param say told what is to be done before it is
   * @param reload reads the configuration again, everywhere
   * @param stop the whole proxy is to stop in order
   */
  constructor(
    crew: Pick<Crew, "askEach" | "cancel" | "leave">,
    say: (act: Act, user: string) => void,
    reload: () => Promise<unknown>,
    stop: () => void,
  ) {
    this.#crew = crew;
    this.#say = say;
    this.#reload = reload;
    this.#stop = stop;
  }

  /** Never throws a ProxyError: it is the answer then. */
  async answer(wanted: Wanted, signal: AbortSignal): Promise<Answer> {
    try {
      if ("show" in wanted) return { rows: await this.#show(wanted.show) };
      if ("cancel" in wanted) {
        await this.#crew.cancel(wanted);
        return { done: true };
      }
      this.#say(wanted.act, wanted.user);
      await this.#act(wanted.act, signal);
      return { done: true };
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      return { error: { code: error.code, message: error.message } };
    }
  }

  /** A worker that has just begun is brought to where the others are. */
  async followed(number: number): Promise<void> {
    const pauses = [...this.#paused].map((database) => ({ act: { kind: "pause", database } }) as const);
    await Promise.all(pauses.map((pause) => this.#crew.askEach(pause, { only: number })));
  }

  async #show(what: Shown): Promise<readonly Row[]> {
    const shares = (await this.#crew.askEach({ show: what }, { timeoutMs: SHOW_MS })).map(({ number, answer }) => ({
      worker: number,
      rows: "rows" in answer ? answer.rows : [],
    }));
    const rows = together(what, shares);
    if (what !== "lists") return rows;
    // The same database on two workers is one.
    const counts = await Promise.all(COUNTED.map(async (name) => [name, (await this.#show(name)).length] as const));
    const counted = new Map<unknown, number>(counts);
    return rows.map((row) => ({ ...row, items: counted.get(row.list) ?? row.items ?? 0 }));
  }

  async #act(act: Act, signal: AbortSignal): Promise<void> {
    switch (act.kind) {
      case "reload":
        await this.#reload();
        return;
      case "shutdown":
        // The one who asked is still to be answered.
        if (act.wait === "none") setImmediate(this.#stop);
        else {
          this.#crew.leave();
          await this.#all(act, signal);
        }
        return;
      case "kill_client":
        await this.#all(act, signal, act.worker ?? (await this.#workerOf(act.session)));
        return;
      case "pause":
      case "kill":
        this.#paused.add(act.database);
        await this.#all(act, signal);
        return;
      case "resume":
        if (act.database === undefined) this.#paused.clear();
        else this.#paused.delete(act.database);
        await this.#all(act, signal);
        return;
      default:
        await this.#all(act, signal);
    }
  }

  /** @throws ProxyError what the first has answered, when no worker has done it */
  async #all(act: Act, signal: AbortSignal, only?: number): Promise<void> {
    const answers = await this.#crew.askEach({ act }, { signal, only });
    const errors = answers.flatMap(({ answer }) => ("error" in answer ? [answer.error] : []));
    const [error] = errors;
    // One that has just begun may have nothing to resume; a pause that is not waited for is not over anywhere.
    if (error !== undefined && (errors.length === answers.length || act.kind === "pause")) {
      throw new ProxyError(error.code as ProxyError["code"], error.message);
    }
    if (answers.length === 0) throw new ProxyError("console_state", "no such worker serves; SHOW CLIENTS lists them");
  }

  async #workerOf(session: string): Promise<number> {
    const workers = (await this.#show("clients"))
      .filter(({ id }) => id === session)
      .map(({ worker }) => Number(worker));
    if (workers.length === 1) return workers[0]!;
    throw new ProxyError(
      "console_state",
      workers.length === 0
        ? `there is no session ${session}; SHOW CLIENTS lists them`
        : `workers ${workers.join(", ")} have a session ${session} each: name the worker behind it`,
    );
  }
}

const COUNTED: readonly Shown[] = ["databases", "users", "pools"];

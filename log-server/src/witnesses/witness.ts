import { reason } from "../errors.ts";
import type { PolicyWitness } from "../formats/policy.ts";
import { WitnessConnection } from "./http.ts";
import {
  addCheckpointBody,
  type Candidate,
  type Failed,
  readAnswer,
  type Verdict,
  type WitnessFailure,
} from "./protocol.ts";

/** How a witness is asked; all in milliseconds. */
export interface WitnessTiming {
  /** A publication waits this long. */
  readonly deadline: number;
  /** A request that takes longer is given up. What comes between the two is added to the checkpoint served. */
  readonly request: number;
  /** After the first failure in a row; doubled with each, up to the most, and spread by half of it either way. */
  readonly backoff: number;
  readonly maxBackoff: number;
  /** A checkpoint that stays is cosigned anew, for its time. */
  readonly refresh: number;
}

/** @param deadline how long a publication waits */
export function witnessTiming(deadline: number): WitnessTiming {
  return { deadline, request: 10 * deadline, backoff: 1000, maxBackoff: 300_000, refresh: 600_000 };
}

/** A line by the witness, verified. */
export interface Cosigned {
  /** Of the checkpoint. */
  readonly text: string;
  readonly line: string;
  /** Seconds since 1970, by the witness's clock. */
  readonly timestamp: number;
}

export interface Failing {
  readonly failure: WitnessFailure;
  readonly message: string;
  /** Of the first failure in a row, in milliseconds since 1970. */
  readonly since: number;
}

/** What a witness is given, and whom it tells. */
export interface WitnessPorts {
  /** A consistency proof; `from` is at most `to`. */
  readonly prove: (from: number, to: number) => Promise<readonly Buffer[]>;
  /** Told of each exchange's result, and how long it took, in seconds. */
  readonly answered: (witness: Witness, result: "cosigned" | WitnessFailure, seconds: number) => void;
  /**
   * Called, and awaited, when it says that it has seen more of the log, or another history.
   * @param shown the note that it shows as its latest, not verified, if it shows one
   */
  readonly suspected: (witness: Witness, shown: Buffer | undefined) => Promise<void>;
  /** Told when the first of a row of failures has come, and when it is over. */
  readonly changed: (witness: Witness) => void;
}

// A 409 names the size to begin at; one more is for a witness that somebody else has meanwhile told of the log.
const ATTEMPTS = 3;

/**
 * One witness, asked for one cosignature at a time and always for the newest checkpoint. After a failure it is left
 * alone for a while, so that it does not delay every checkpoint.
 */
export class Witness {
  readonly witness: PolicyWitness;
  readonly #connection: WitnessConnection;
  readonly #timing: WitnessTiming;
  readonly #ports: WitnessPorts;
  #closed = false;
  #candidate: Candidate | undefined;
  /** That it has cosigned last, as far as is known. */
  #size = 0;
  #busy = false;
  /** Its last answer came before the deadline. */
  #prompt = true;
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #failing: Failing | undefined;
  #alarm: Failing | undefined;
  #cosigned: Cosigned | undefined;

  /** @param url its submission prefix */
  constructor(witness: PolicyWitness, url: URL, timing: WitnessTiming, ports: WitnessPorts) {
    this.witness = witness;
    this.#connection = new WitnessConnection(url);
    this.#timing = timing;
    this.#ports = ports;
  }

  get cosigned(): Cosigned | undefined {
    return this.#cosigned;
  }

  get failing(): Failing | undefined {
    return this.#failing;
  }

  /** It has seen more of this log than the log has, or another history. Stays until it cosigns again. */
  get alarm(): Failing | undefined {
    return this.#alarm;
  }

  /**
   * Asks for a cosignature, at once unless it has failed lately or is being asked.
   * @returns settles with its answer; undefined when a publication has no reason to wait for one
   */
  want(candidate: Candidate): Promise<void> | undefined {
    this.#candidate = candidate;
    // Signed again with other keys: what is cosigned is the text.
    if (this.#busy || this.#failing !== undefined || this.#cosigned?.text === candidate.text) return undefined;
    clearTimeout(this.#timer);
    const prompt = this.#prompt;
    const answer = this.#run(candidate);
    return prompt ? answer : undefined;
  }

  async #run(candidate: Candidate): Promise<void> {
    this.#busy = true;
    const { deadline } = this.#timing;
    const start = performance.now();
    const late = setTimeout(() => {
      this.#prompt = false;
    }, deadline);
    const verdict = await this.#ask(candidate);
    clearTimeout(late);
    if (this.#closed) return;
    const elapsed = performance.now() - start;
    if (elapsed < deadline) this.#prompt = true;
    this.#busy = false;
    this.#settle(candidate, verdict);
    this.#ports.answered(this, verdict.result === "failed" ? verdict.failure : verdict.result, elapsed / 1000);
    this.#schedule(candidate, verdict);
  }

  async #ask(candidate: Candidate): Promise<Exclude<Verdict, { result: "learned" }>> {
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        const old = this.#size;
        const body = addCheckpointBody(old, await this.#ports.prove(old, candidate.size), candidate);
        const answer = await this.#connection.addCheckpoint(body, this.#timing.request);
        const verdict = readAnswer(answer, old, candidate, this.witness.key, Date.now());
        if (verdict.result === "cosigned") this.#size = candidate.size;
        if (verdict.result === "failed" && verdict.failure === "conflict") this.#size = 0;
        if (verdict.result === "failed" && isAlarming(verdict.failure)) await this.#suspect(candidate);
        if (verdict.result !== "learned") return verdict;
        this.#size = verdict.size;
      }
      const message = `409 with another size ${ATTEMPTS} times in a row; somebody else submits checkpoints of this log`;
      return { result: "failed", failure: "conflict", message };
    } catch (error) {
      // The proof cannot be read, or a fault of ours; in neither case may a witness end the log.
      return { result: "failed", failure: "internal", message: reason(error) };
    }
  }

  async #suspect({ text }: Candidate): Promise<void> {
    const origin = text.slice(0, text.indexOf("\n"));
    const answer = await this.#connection.latestCheckpoint(origin, this.#timing.request);
    const shown = !("failure" in answer) && answer.status === 200 ? answer.body : undefined;
    if (!this.#closed) await this.#ports.suspected(this, shown);
  }

  #settle({ text }: Candidate, verdict: Exclude<Verdict, { result: "learned" }>): void {
    if (verdict.result === "cosigned") {
      this.#cosigned = { text, line: verdict.line, timestamp: verdict.timestamp };
      this.#failures = 0;
      this.#alarm = undefined;
      const recovered = this.#failing !== undefined;
      this.#failing = undefined;
      if (recovered) this.#ports.changed(this);
      return;
    }
    const { failure, message } = verdict;
    const first = this.#failing === undefined;
    const since = this.#failing?.since ?? Date.now();
    this.#failures += 1;
    this.#failing = { failure, message, since };
    const alarming = isAlarming(failure) && this.#alarm?.failure !== failure;
    if (alarming) this.#alarm = this.#failing;
    if (first || alarming) this.#ports.changed(this);
  }

  #schedule(candidate: Candidate, verdict: Exclude<Verdict, { result: "learned" }>): void {
    if (verdict.result === "cosigned" && this.#candidate !== candidate && this.#candidate?.text !== candidate.text) {
      void this.#run(this.#candidate!);
      return;
    }
    const wait = verdict.result === "failed" ? this.#backoff(verdict) : spread(this.#timing.refresh);
    this.#timer = setTimeout(() => void this.#run(this.#candidate!), wait);
    // It keeps no process alive.
    this.#timer.unref();
  }

  #backoff({ retryAfterMs = 0 }: Failed): number {
    const { backoff, maxBackoff } = this.#timing;
    return Math.max(retryAfterMs, spread(Math.min(maxBackoff, backoff * 2 ** Math.min(this.#failures - 1, 30))));
  }

  /** Gives up what is under way, and asks no more. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#connection.close();
  }
}

function isAlarming(failure: WitnessFailure): boolean {
  return failure === "ahead" || failure === "split";
}

/** Half to one and a half: many logs that fail at the same time do not come back at the same time. */
function spread(ms: number): number {
  return ms * (0.5 + Math.random());
}

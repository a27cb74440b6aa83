import { stat } from "node:fs/promises";
import {
  type AlertEvent,
  type HeadReport,
  type LogReader,
  newMemory,
  parseMemory,
  type Round,
  serializeMemory,
  type Verdict,
  VerifierError,
  type VerifierKey,
  Watch,
  type WatchMemory,
} from "../../src/index.ts";
import { Acknowledgements } from "../acknowledged.ts";
import { readToken } from "../disclosures.ts";
import { pathError, readBounded, systemCode, writeDurably } from "../files.ts";
import { readPins } from "../keys.ts";
import { LeafPool } from "../leaf-pool.ts";
import { checkToken, saveSoFar, saveState } from "../log-session.ts";
import { type LogSource, openSource } from "../log-source.ts";
import { printable } from "../printable.ts";
import { States } from "../states.ts";
import { readTrust, type Trust } from "../trust.ts";
import { type OpenView, openView } from "../views.ts";
import { inTime } from "./in-time.ts";
import type { Told } from "./lines.ts";
import type { MonitoredLog } from "./settings.ts";

/** The places where the process may die between two steps that last. */
export type CrashPoint = "round.told" | "round.remembered";

export type FollowOptions = {
  folder: string;
  /** Whether there is a webhook, for which what it did not get yet is remembered. */
  sends: boolean;
  /** Settles when it is told. @throws VerifierError `write_failed`: then nobody was told */
  tell(events: readonly Told[]): Promise<void>;
  /** Ends what is under way. */
  signal: AbortSignal;
  now?: () => number;
  onProgress?: (done: number, size: number) => void;
  hooks?: { at(point: CrashPoint): void };
};

/** What a webhook could not be told is remembered up to here; beyond, the oldest is given up. */
const mostUnsent = 1000;
const maxMemoryLength = 64 * 1024 * 1024;

/** A view gets so many times what it may be silent for all that a round asks of it. */
const viewFactor = 3;

/** One log that is followed, with all that is kept of it on disk. */
export class Followed {
  readonly settings: MonitoredLog;
  readonly trust: Trust;
  /** Which of its alerts somebody has looked into. */
  readonly acknowledged: Acknowledgements;
  readonly #options: FollowOptions;
  readonly #source: LogSource;
  readonly #views: readonly OpenView[];
  readonly #state: States;
  readonly #watch: Watch;
  readonly #pool: LeafPool = new LeafPool();
  readonly #unsent: AlertEvent[];
  readonly #forks: string[] = [];
  /** What was known when it was last told. A round that was broken off has seen more, and told nobody. */
  #told: WatchMemory;
  #remembered: string | undefined;
  /** Undefined before the first round. */
  reached: boolean | undefined;
  lastRound: number | undefined;

  private constructor(
    settings: MonitoredLog,
    trust: Trust,
    options: FollowOptions,
    source: LogSource,
    views: readonly OpenView[],
    state: States,
    memory: WatchMemory,
    pins: ReadonlyMap<string, VerifierKey>,
    acknowledged: Acknowledgements,
  ) {
    this.acknowledged = acknowledged;
    this.settings = settings;
    this.trust = trust;
    this.#options = options;
    this.#source = source;
    this.#views = views;
    this.#state = state;
    this.#unsent = memory.unsent;
    this.#told = structuredClone(memory);
    const { now, onProgress, signal } = options;
    this.#watch = new Watch({
      name: source.base,
      reader: endable(source.reader, signal),
      key: trust.keys,
      witnesses: trust.witnesses,
      pins,
      views: views.map((view) => inTime(endable(view, signal), viewFactor * settings.timeoutMs)),
      settings,
      kept: state.kept,
      memory,
      hashLeaves: this.#pool.hash,
      onVerified: (keep) => saveSoFar(this.#state, keep),
      ...(now === undefined ? {} : { now }),
      ...(onProgress === undefined ? {} : { onProgress }),
    });
  }

  /** @throws VerifierError `usage` */
  static async open(settings: MonitoredLog, options: FollowOptions): Promise<Followed> {
    const trust = await readTrust(settings);
    const [key] = trust.keys;
    const pins = await readPins(settings.sources);
    const state = await States.open(options.folder, trust.keys);
    const memory = await readMemories(state, trust.keys);
    const token = settings.token === undefined ? undefined : await readToken(settings.token);
    const source = await openSource(settings.log, settings.timeoutMs, token);
    if (token !== undefined) checkToken(source);
    const views: OpenView[] = [];
    for (const view of settings.views) views.push(await openView(view, key, settings.timeoutMs));
    const acknowledged = await Acknowledgements.read(settings.acknowledged, key.name);
    return new Followed(settings, trust, options, source, views, state, memory, pins, acknowledged);
  }

  /** The first of the log's keys. */
  get key(): VerifierKey {
    return this.trust.keys[0];
  }

  /** The URL or folder. */
  get base(): string {
    return this.#source.base;
  }

  get verdict(): Verdict {
    return this.#watch.verdict;
  }

  get watch(): Watch {
    return this.#watch;
  }

  /** The files with the notes of forks that were found in this run. */
  get forks(): readonly string[] {
    return this.#forks;
  }

  /** What the webhook has to be told, the oldest first. */
  get unsent(): readonly AlertEvent[] {
    return this.#unsent;
  }

  /** The webhook got it. It is remembered with the next round: at worst it gets it twice. */
  sent(event: AlertEvent): void {
    // It may have been given up meanwhile, as one too many.
    if (this.#unsent[0] === event) this.#unsent.shift();
  }

  toTold(event: AlertEvent): Told {
    return { ...event, log: this.#source.base, origin: this.key.name };
  }

  /**
   * A round: look, tell, remember, advance.
   * @throws VerifierError `write_failed`; nothing of what was not told is remembered then
   */
  async round(): Promise<void> {
    const round = await this.#watch.round();
    this.reached = round.reached;
    this.lastRound = this.#options.now?.() ?? Date.now();
    const problems: string[] = [];
    const forks = await this.#keepForks(round, problems);
    await this.#tell(round.events, forks[0]);
    // CRASH: what was told is not remembered: the next run tells it again.
    this.#options.hooks?.at("round.told");
    await this.#remember(problems);
    // CRASH: it is remembered, and the log's state is not advanced: the next run reads the same entries again, finds
    // the same, and does not tell it again.
    this.#options.hooks?.at("round.remembered");
    const others = await this.#advance(round, problems);
    const failed = problems.slice(0, 1).map((message) => ({ code: "not_kept" as const, message }));
    await this.#tell(this.#watch.noteKept([...others, ...failed]));
    await this.#remember([]);
  }

  async #keepForks({ evidence }: Round, problems: string[]): Promise<string[]> {
    const paths: string[] = [];
    for (const { found, notes } of evidence) {
      try {
        paths.push(await this.#state.keepEvidence(notes, found));
      } catch (error) {
        problems.push(problemOf(error));
      }
    }
    this.#forks.push(...paths);
    return paths;
  }

  /** @param evidence where the notes of a fork are that this round found */
  async #tell(events: readonly AlertEvent[], evidence?: string): Promise<void> {
    if (events.length === 0) return;
    const isFork = ({ event, alert }: AlertEvent): boolean =>
      event === "raised" && ["rolled_back", "split_view", "inconsistent"].includes(alert.code);
    const whole = events.map((event) => (isFork(event) && evidence !== undefined ? { ...event, evidence } : event));
    if (this.#options.sends) {
      this.#unsent.push(...whole);
      this.#unsent.splice(0, this.#unsent.length - mostUnsent);
    }
    await this.#options.tell(whole.map((event) => this.toTold(event)));
  }

  async #remember(problems: string[]): Promise<void> {
    this.#told = structuredClone(this.#watch.memory);
    await this.#write(problems);
  }

  async #write(problems: string[]): Promise<void> {
    const memory = { ...this.#told, unsent: this.#unsent };
    const text = serializeMemory(memory, this.key);
    if (text === this.#remembered) return;
    for (const [at, path] of memoryPaths(this.#state).entries()) {
      try {
        await writeDurably(path, serializeMemory(memory, this.trust.keys[at]!));
      } catch (error) {
        problems.push(problemOf(pathError(error, `${printable(path)} cannot be written`)));
        return;
      }
    }
    this.#remembered = text;
  }

  /** @returns what another run of the verifier has kept that contradicts this one */
  async #advance({ keep }: Round, problems: string[]): Promise<HeadReport["findings"]> {
    if (keep === undefined) return [];
    const report: HeadReport = {
      verdict: "PASS",
      findings: [],
      omitted: {},
      checkpoint: keep.checkpoint,
      keptSize: undefined,
      witnessing: undefined,
      conclusion: "",
      keep,
      evidence: undefined,
    };
    try {
      const saved = await saveState({ ...this.#source, ...this.trust, state: this.#state }, report);
      if (saved.problem !== undefined) problems.push(saved.problem);
      if (saved.evidence !== undefined) this.#forks.push(saved.evidence);
    } catch (error) {
      // The log went away while two runs were compared: the next round does it.
      if (!(error instanceof VerifierError) || error.code !== "log_unreachable") throw error;
    }
    return report.findings;
  }

  /** Also remembers what the webhook has been told since the last round. */
  async close(): Promise<void> {
    if (this.#remembered !== undefined) await this.#write([]);
    this.#source.close();
    for (const view of this.#views) view.close();
    await this.#pool.close();
  }
}

/** The monitor was asked to end. */
export class Ended extends Error {}

/** Waits no longer for an answer once the monitor ends: a log may take its time. */
function unlessEnded<Answer>(answer: Promise<Answer>, signal: AbortSignal): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const end = (): void => reject(new Ended());
    if (signal.aborted) end();
    signal.addEventListener("abort", end, { once: true });
    answer.then(resolve, reject).finally(() => signal.removeEventListener("abort", end));
  });
}

/** @returns the same, whose answers nobody waits for any more once the monitor ends */
function endable<Asked extends Pick<LogReader, "checkpoint"> & { tile?: LogReader["tile"] }>(
  asked: Asked,
  signal: AbortSignal,
): Asked {
  const { tile } = asked;
  return {
    ...asked,
    checkpoint: () => unlessEnded(asked.checkpoint(), signal),
    ...(tile === undefined
      ? {}
      : { tile: (...of: Parameters<typeof tile>) => unlessEnded(asked.tile!(...of), signal) }),
  };
}

function memoryPaths(state: States): string[] {
  return state.paths.map((path) => path.replace(/\.json$/, ".monitor.json"));
}

/** While a log changes its key, it is remembered under each: the new one alone has to know what the old one did. */
async function readMemories(state: States, keys: readonly VerifierKey[]): Promise<WatchMemory> {
  for (const [at, path] of memoryPaths(state).entries()) {
    const memory = await readMemory(path, keys[at]!);
    if (memory !== undefined) return memory;
  }
  return newMemory();
}

/** @returns undefined when there is none */
async function readMemory(path: string, key: VerifierKey): Promise<WatchMemory | undefined> {
  try {
    await stat(path);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw pathError(error, `${printable(path)} cannot be read`);
  }
  const bytes = await readBounded(path, maxMemoryLength, "what the monitor remembers");
  try {
    return parseMemory(bytes.toString("utf8"), key);
  } catch (error) {
    if (!(error instanceof VerifierError)) throw error;
    const advice = "move it away to begin anew; alerts that are open are then raised again";
    throw new VerifierError("usage", `${printable(path)}: ${error.message}; ${advice}`);
  }
}

function problemOf(error: unknown): string {
  // The disk may be full for a while. That is told, and the log is followed on.
  if (error instanceof VerifierError && error.code === "usage") return error.message;
  throw error;
}

import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { VerifierError } from "../../src/index.ts";
import type { MonitorInvocation } from "../args/monitor.ts";
import { acknowledgedStatus } from "../exit-status.ts";
import type { Lock } from "../lock.ts";
import { Delivery } from "../monitor/delivery.ts";
import { Ended, Followed, type FollowOptions } from "../monitor/followed.ts";
import { eventLine, type Told } from "../monitor/lines.ts";
import { lockLogs } from "../monitor/locks.ts";
import { type MonitorSettings, readMonitorConfig } from "../monitor/settings.ts";
import { statusOfLogs, writeStatus } from "../monitor/status.ts";
import { Webhook } from "../monitor/webhook.ts";
import { printDemanded } from "../output.ts";
import { printable } from "../printable.ts";
import { Progress } from "../progress.ts";
import { defaultFolder } from "../state.ts";

/** A log that does not answer is asked more and more seldom, down to once in so many milliseconds. */
const longestIntervalMs = 60_000;
/** Each pause is this share shorter or longer, so that many monitors do not come at once. */
const jitter = 0.1;
/** So long the webhook gets at the end for what it has not been told (milliseconds). */
const lastWordsMs = 10_000;

/**
 * `vitrine-verifier monitor`: steps M1 to M8, until SIGTERM or SIGINT.
 * @returns the exit status
 * @throws VerifierError `usage`, `state_locked`, `write_failed`
 */
export async function runMonitor(options: MonitorInvocation): Promise<number> {
  const settings = options.config === undefined ? options.settings : await readMonitorConfig(options.config);
  const monitor = await Monitor.open(settings, options.json);
  const stop = (): void => monitor.stop();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, stop);
  try {
    if (options.once) {
      await monitor.once();
      // An alert comes when it has not answered for a while; the exit status says so at once.
      for (const log of monitor.unreached)
        process.stderr.write(`vitrine-verifier: log_unreachable: ${printable(log)} did not answer in this round\n`);
    } else {
      // On standard error: standard output has what goes wrong, and is silent while nothing does.
      for (const { log, intervalMs } of settings.logs)
        process.stderr.write(`following ${printable(log)}, every ${intervalMs / 1000} s; a line for what goes wrong\n`);
      await monitor.run();
    }
  } finally {
    await monitor.close();
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.off(signal, stop);
  }
  return monitor.status;
}

class Monitor {
  readonly #settings: MonitorSettings;
  readonly #logs: readonly Followed[];
  readonly #ended: AbortController;
  readonly #delivery: Delivery | undefined;
  readonly #lock: Lock;
  #statusProblem = false;

  private constructor(
    settings: MonitorSettings,
    logs: readonly Followed[],
    ended: AbortController,
    delivery: Delivery | undefined,
    lock: Lock,
  ) {
    this.#lock = lock;
    this.#settings = settings;
    this.#logs = logs;
    this.#ended = ended;
    this.#delivery = delivery;
  }

  /** @throws VerifierError `usage`, `state_locked` */
  static async open(settings: MonitorSettings, json: boolean): Promise<Monitor> {
    const ended = new AbortController();
    setMaxListeners(0, ended.signal); // one for each request under way
    const progress = new Progress();
    const tell = async (events: readonly Told[]): Promise<void> => {
      progress.end();
      await printDemanded(events.map((event) => `${eventLine(event, json)}\n`).join(""));
    };
    const webhook = settings.webhook === undefined ? undefined : new Webhook(settings.webhook);
    const folder = settings.state ?? defaultFolder();
    const options: FollowOptions = {
      folder,
      sends: webhook !== undefined,
      tell,
      signal: ended.signal,
      ...(process.stderr.isTTY ? { onProgress: (done, size) => progress.entries(done, size) } : {}),
    };
    const logs: Followed[] = [];
    const lock = await lockLogs(folder, settings.logs);
    try {
      for (const log of settings.logs) logs.push(await Followed.open(log, options));
    } catch (error) {
      for (const log of logs) await log.close();
      await lock.release();
      throw error;
    }
    const delivery = webhook === undefined ? undefined : new Delivery(webhook, logs, tell);
    return new Monitor(settings, logs, ended, delivery, lock);
  }

  get status(): number {
    const status = statusOfLogs(this.#logs);
    return (status === 0 || status === acknowledgedStatus) && (this.#delivery?.failing || this.#statusProblem)
      ? 2
      : status;
  }

  /** The logs that did not answer in their last round. */
  get unreached(): readonly string[] {
    return this.#logs.filter(({ reached }) => reached === false).map(({ base }) => base);
  }

  stop(): void {
    this.#ended.abort();
  }

  async once(): Promise<void> {
    await Promise.all(this.#logs.map((log) => this.#round(log)));
  }

  async run(): Promise<void> {
    const all = this.#logs.map((log) => this.#follow(log));
    try {
      await Promise.all(all);
    } finally {
      // A fault of one ends all.
      this.stop();
      await Promise.allSettled(all);
    }
  }

  async #follow(log: Followed): Promise<void> {
    const { intervalMs } = log.settings;
    for (let failures = 0; !this.#ended.signal.aborted; ) {
      await this.#round(log);
      failures = log.reached ? 0 : Math.min(failures + 1, 20);
      const pause = Math.max(intervalMs, Math.min(longestIntervalMs, intervalMs * 2 ** failures));
      const wait = pause * (1 - jitter + 2 * jitter * Math.random());
      await sleep(wait, undefined, { signal: this.#ended.signal }).catch(() => undefined); // the end is seen above
    }
  }

  async #round(log: Followed): Promise<void> {
    try {
      await log.round();
    } catch (error) {
      // What was under way is begun anew by the next run: nothing of it was kept.
      if (error instanceof Ended) return;
      throw error;
    }
    this.#delivery?.wake();
    await this.#writeStatus();
  }

  async #writeStatus(): Promise<void> {
    const { status } = this.#settings;
    if (status === undefined) return;
    try {
      await writeStatus(status, this.#logs, Date.now());
      this.#statusProblem = false;
    } catch (error) {
      if (!(error instanceof VerifierError) || error.code !== "usage") throw error;
      if (!this.#statusProblem) process.stderr.write(`vitrine-verifier: ${printable(error.message)}\n`);
      this.#statusProblem = true;
    }
  }

  async close(): Promise<void> {
    try {
      await this.#delivery?.stop(lastWordsMs);
    } finally {
      for (const log of this.#logs) await log.close();
      await this.#lock.release();
    }
  }
}

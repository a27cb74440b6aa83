import type { LogServerConfig } from "./config/config.ts";
import type { LogServerError } from "./errors.ts";
import { type Hooks, type LogServerHooks, withDefaults } from "./hooks.ts";
import { readSigningKeys } from "./keys/signing-keys.ts";
import { type OpenedLog, openLog } from "./open-log.ts";
import { type Life, makeParts, type Parts } from "./parts.ts";
import { openCheckpoint } from "./publish/guard.ts";
import { isSignedBy } from "./publish/publisher.ts";
import { ignoredKeys, type ReloadReport, readWitnessPolicy } from "./reload.ts";
import { buildServer, listen } from "./server.ts";

/** How long a closing log waits for the connections that are busy. */
const CLOSE_MS = 5000;

/** A log that serves. */
export interface RunningLogServer {
  /** Where it listens: `http://<host>:<port>`. */
  readonly url: string;
  readonly origin: string;
  readonly vkey: string;
  /** Fulfilled with the error when the log cannot go on; pending as long as it can. Close it then, and exit. */
  readonly failed: Promise<LogServerError>;
  /**
   * Reads the files of tokens, signing keys and the witness policy again, and goes on by them.
   * @param config read anew; of it only what `reload.ts` lists is taken
   * @throws LogServerError `bad_config`, `bad_key`; everything stays as it was
   */
  reload(config: LogServerConfig): Promise<ReloadReport>;
  /** Takes no more submissions, writes those that wait, signs a last checkpoint, and closes. Can be called again. */
  close(): Promise<void>;
}

/**
 * Starts a log: reads its key, opens and checks its store, publishes what was not yet published, and listens.
 * @throws LogServerError a code of spec/errors.md, "Log-server, at start"; nothing stays open then
 */
export async function startLogServer(config: LogServerConfig, hooks: LogServerHooks = {}): Promise<RunningLogServer> {
  const full = withDefaults(hooks);
  return openLog(
    config,
    (message) => full.log("warn", message),
    (opened) => new RunningLog(config, full, opened).open(),
  );
}

/** A log from its first signature to its end. */
class RunningLog implements Life {
  readonly failed: Promise<LogServerError>;
  readonly #config: LogServerConfig;
  readonly #hooks: Hooks;
  readonly #opened: OpenedLog;
  readonly #parts: Parts;
  readonly #app: ReturnType<typeof buildServer>;
  #end!: (error: LogServerError) => void;
  #failure: LogServerError | undefined;
  #serving = false;
  #stopping = false;
  #reloading: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;

  constructor(config: LogServerConfig, hooks: Hooks, opened: OpenedLog) {
    this.#config = config;
    this.#hooks = hooks;
    this.#opened = opened;
    this.failed = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#parts = makeParts(config, hooks, opened, this);
    this.#app = buildServer(this.#parts.context);
  }

  get failure(): LogServerError | undefined {
    return this.#failure;
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  readonly fail = (error: LogServerError): void => {
    this.#failure ??= error;
    // Before that it is thrown, and whoever started the log reports it.
    if (this.#serving) this.#report(error);
    const { sequencer, publisher, context } = this.#parts;
    sequencer.halt(error);
    publisher.halt();
    context.acts.halt();
    this.#end(this.#failure);
  };

  #report({ code, message }: LogServerError): void {
    this.#hooks.log("error", `${code}: ${message}`);
  }

  /** Signs what is not signed, and listens. */
  async open(): Promise<RunningLogServer> {
    const { publisher, witnesses, followers, context } = this.#parts;
    let url: string;
    try {
      await this.#sign();
      for (const follower of followers) follower.follow(publisher.served.size);
      url = await listen(this.#app, this.#config.listen);
    } catch (error) {
      context.acts.halt();
      witnesses.close();
      for (const follower of followers) await follower.close();
      // What failed first says why.
      throw this.#failure ?? error;
    }
    this.#serving = true;
    // While it began to listen.
    if (this.#failure !== undefined) this.#report(this.#failure);
    publisher.start();
    context.erasures.resume();
    return {
      url,
      origin: this.#config.origin,
      vkey: publisher.keys[0]!.vkey,
      failed: this.failed,
      reload: (next) => this.#reload(next),
      close: () => this.#close(),
    };
  }

  /** Before anything is signed, the witnesses are asked whether they have seen more. */
  async #sign(): Promise<void> {
    const { latest, keys } = this.#opened;
    const { publisher, context } = this.#parts;
    await publisher.showLatest();
    if (this.#failure === undefined) await context.acts.open(latest !== undefined && !isSignedBy(latest.note, keys));
    if (this.#failure === undefined) await publisher.publish();
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** One reload after the other: the last one asked for is the one in force. */
  #reload(next: LogServerConfig): Promise<ReloadReport> {
    const report = this.#reloading.then(() => this.#reloadOnce(next));
    this.#reloading = report.catch(() => undefined);
    return report;
  }

  async #reloadOnce(next: LogServerConfig): Promise<ReloadReport> {
    const { publisher, witnesses, context } = this.#parts;
    const keys = await readSigningKeys(this.#config.origin, next.key, next.moreKeys);
    openCheckpoint(publisher.latest.note, 0, keys, "the checkpoint signed last", "store_corrupt");
    const policy = await readWitnessPolicy(next, keys);
    await context.tokens.reload();
    await this.#opened.addTokens?.reload();
    const vkeys = keys.map(({ vkey }) => vkey);
    if (vkeys.join() !== publisher.keys.map(({ vkey }) => vkey).join()) {
      await context.acts.record({ kind: "log.keys", members: { keys: vkeys } });
    }
    // Nothing fails from here on.
    publisher.setKeys(keys);
    witnesses.replace(policy);
    publisher.askWitnesses();
    return { keys: vkeys, witnesses: policy.witnesses.length, ignored: ignoredKeys(this.#config, next) };
  }

  #close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  async #shutDown(): Promise<void> {
    const { publisher, witnesses, followers, context } = this.#parts;
    this.#stopping = true;
    await context.erasures.stop();
    await context.intake.drain();
    await publisher.stop();
    try {
      if (this.#failure === undefined) await context.acts.close();
      if (this.#failure === undefined) await publisher.publish();
    } finally {
      witnesses.close();
      // Whoever has not sent its request, or read its answer, by then is cut off.
      const deadline = setTimeout(() => this.#app.server.closeAllConnections(), CLOSE_MS);
      await this.#app.close();
      clearTimeout(deadline);
      for (const follower of followers) await follower.close();
      await context.store.close();
    }
  }
}

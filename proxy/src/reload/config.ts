import { stat } from "node:fs/promises";
import type { Recorder } from "../audit/index.ts";
import { mergeConfig, type ProxyConfig, parseProxyConfig, readProxyConfig } from "../config/config.ts";
import { ProxyError } from "../errors.ts";
import type { Lines } from "../lines/index.ts";
import { POOL_KEYS } from "../pool/index.ts";

/** The keys that count from the moment the file is read again; of the others the values of the start stay in force. */
export const RELOADED: readonly string[] = [
  "log.level",
  "log.format",
  "sealed",
  "limits.clients",
  "limits.statement_bytes",
  "limits.disclosure_bytes",
  "limits.login_timeout_ms",
  "limits.drain_timeout_ms",
  "limits.logins",
  "limits.idle_timeout_ms",
  "limits.idle_in_transaction_ms",
  "limits.statement_timeout_ms",
  "console.users",
  "console.stats_users",
  "console.pgbouncer",
  "auth",
  "upstream_auth",
  "limits.failed_logins_per_minute",
  ...POOL_KEYS.map(({ path }) => path),
];

/** The configuration that is in force, which is the file's as far as it can change while the proxy runs. */
export class ConfigInForce {
  readonly #recorder: Pick<Recorder, "record" | "durable">;
  readonly #onChange: (config: ProxyConfig) => void;
  #config: ProxyConfig;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  /** @param onChange this is in force from here on, and must not fail */
  constructor(
    config: ProxyConfig,
    recorder: Pick<Recorder, "record" | "durable">,
    onChange: (config: ProxyConfig) => void,
  ) {
    this.#config = config;
    this.#recorder = recorder;
    this.#onChange = onChange;
  }

  get config(): ProxyConfig {
    return this.#config;
  }

  /** What is in force stays. */
  close(): void {
    this.#closed = true;
  }

  /**
   * Reads the file again. One reload at a time, in the order of asking.
   * @param also what else is read, before anything is changed: when it fails nothing is
   * @param read what was read already, for this process and for others
   * @returns a sentence that says what changed, and what waits for a restart
   * @throws ProxyError `bad_config`, `shutting_down`, the spool's failure, and what `also` throws
   */
  reload(also: () => Promise<void> = async () => undefined, read?: string): Promise<string> {
    const next = this.#last.then(() => this.#reload(also, read));
    this.#last = next.catch(() => undefined);
    return next;
  }

  async #reload(also: () => Promise<void>, read: string | undefined): Promise<string> {
    const before = this.#config;
    if (read === undefined) await checkIsFile(before.file);
    const file = await (read === undefined ? readProxyConfig(before.file) : parseProxyConfig(read, before.file));
    const { config, changed, waiting } = await mergeConfig(before, file, RELOADED);
    await also();
    if (this.#closed) throw new ProxyError("shutting_down", "the proxy is being stopped");
    if (config.digest !== before.digest) {
      const members = `"config":"${config.digest}","previous_config":"${before.digest}"`;
      const position = this.#recorder.record("config.change", members, []);
      await this.#recorder.durable(position);
      // CRASH: the log has the change, and nothing was decided by it; the next start says what it begins with.
      this.#config = config;
      this.#onChange(config);
    }
    const what = changed.length === 0 ? "unchanged" : `changed ${changed.join(", ")}`;
    const later = waiting.length === 0 ? "" : `; only a restart changes ${waiting.join(", ")}`;
    return `configuration ${config.digest.slice(0, 16)}: ${what}${later}`;
  }
}

/** Tells the operator that nothing came of a reload. */
export function sayRefused(lines: Pick<Lines, "say">, { code, message }: ProxyError): void {
  lines.say("config.refused", `everything stays as it was: ${message}`, { code });
}

/** A pipe can be read at the start; to read it again would wait for somebody who writes. One that is not there is told by the reader. */
export async function checkIsFile(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined || found.isFile()) return;
  throw new ProxyError("bad_config", `${path} is no file that could be read again; only a restart reads it`);
}

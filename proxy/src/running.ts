import type { BackendKey } from "./backend.ts";
import type { Act, Desk, Row, Shown } from "./console/index.ts";
import type { Health } from "./health.ts";
import type { Counts, Places } from "./listen/places.ts";

export interface RunningProxy {
  readonly address: { readonly host: string; readonly port: number };
  readonly source: string;
  readonly epoch: number;
  /** Ends the sessions, seals, and submits what is left. `unsubmitted` entries stay in the spool for the next start. */
  close(): Promise<{ unsubmitted: number }>;
  /**
   * Reads the configuration again, and the access rules where there are any, and brings the source's next key into force,
   * if there is one. What became of the key is a notice, so that one does not hang on the other. Lines say it as well.
   * @param read the configuration's text, where it was read already
   * @returns a sentence that says what is in force now
   * @throws ProxyError `bad_config`; everything stays as it was. Also the spool's failure, `shutting_down`
   */
  reload(read?: string): Promise<string>;
  health(): Promise<Health>;
  /** What this process shows and does for the console; nothing where it only starts others. */
  readonly share?: Share;
  /** prom-client's, as JSON. */
  metrics(): Promise<readonly unknown[]>;
  /** Cancels what runs under this key here, if it is one of a session here. @returns whether it is */
  cancel(key: BackendKey): Promise<boolean>;
  /** Fulfilled with the error when it cannot go on; one that only cannot record stays, to tell its clients so. */
  readonly failed?: Promise<Error>;
}

/** One process' part in what is asked at the console. */
export interface Share {
  show(what: Shown): Promise<readonly Row[]>;
  /** @throws ProxyError as a desk */
  perform(act: Act, signal: AbortSignal): Promise<void>;
}

/** What a proxy shares with others that serve the same clients. */
export interface Among extends Desk {
  /** How many clients may be logged in here, given how many there are. */
  places(counts: () => Counts): Places;
  /** A cancel request for a key that is not known here. Resolves when it is delivered, or cannot be. */
  cancel(key: BackendKey): Promise<void>;
}

export interface ProxyHooks {
  /** Told of what a person should know: the spool's state, the log's refusal. One sentence each. */
  readonly notice?: (line: string) => void;
  /** Given each line that the operator is told, without its end (`log.level`, `log.format`). */
  readonly line?: (line: string) => void;
  /** Called when an operator asks at the console that the proxy stop: `close` is to follow. */
  readonly stop?: () => void;
}

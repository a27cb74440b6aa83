import type { Act, Row, Shown } from "../console/index.ts";
import type { Health } from "../health.ts";

/** What runs under a key is to be cancelled. */
export interface Cancel {
  readonly cancel: { readonly pid: number; readonly key: Uint8Array };
}

/**
 * What a worker is asked to do; it answers each with `answer`. The configuration to take comes with `reload`: the file
 * may be another by the time each of them would read it.
 */
export type Task =
  | "health"
  | "metrics"
  | "close"
  | { readonly reload: string }
  | { readonly show: Shown }
  | { readonly act: Act }
  | Cancel;

/** What is to be asked of all of them. */
export type Wanted = { readonly show: Shown } | { readonly act: Act; readonly user: string } | Cancel;

/** The configuration that is in force, whatever its file says by now. */
export interface Texts {
  readonly file: string;
  /** As it was read at the start. */
  readonly text: string;
  /** As it was taken last; of this the keys count that a reload changes. */
  readonly reloaded?: string | undefined;
}

/** What the one that started the workers tells them. */
export type ToWorker =
  | ({ readonly type: "start"; readonly number: number } & Texts)
  | { readonly type: "ask"; readonly id: number; readonly task: Task }
  /** What was asked under this number is not waited for any more. */
  | { readonly type: "leave"; readonly id: number }
  /** What a worker wanted of all of them. */
  | { readonly type: "done"; readonly id: number; readonly value: Answer }
  /** So many more clients may be logged in there. */
  | { readonly type: "granted"; readonly id: number; readonly places: number }
  /** Others need places: those that nobody uses are to come back, as `returned`. */
  | { readonly type: "give-back"; readonly tight: boolean };

/** What a worker tells the one that started it. */
export type FromWorker =
  /** It listens to what it is told; what comes earlier is lost. */
  | { readonly type: "here" }
  | {
      readonly type: "ready";
      readonly host: string;
      readonly port: number;
      readonly source: string;
      readonly epoch: number;
    }
  | { readonly type: "failed"; readonly code: string; readonly message: string }
  | { readonly type: "line"; readonly line: string }
  | { readonly type: "notice"; readonly line: string }
  | { readonly type: "answer"; readonly id: number; readonly value: Answer }
  | { readonly type: "places"; readonly id: number; readonly wanted: number }
  | { readonly type: "returned"; readonly places: number }
  /** The same, unasked. */
  | { readonly type: "given"; readonly places: number }
  /** What is to be asked of all of them; told when it is `done`. */
  | { readonly type: "wanted"; readonly id: number; readonly wanted: Wanted }
  /** That is not waited for any more. */
  | { readonly type: "left"; readonly id: number }
  /** Nobody is left there, as it was asked to wait for. */
  | { readonly type: "empty" };

/**
 * By task: a sentence, the health, prom-client's metrics as JSON, the number of entries that were not submitted; of a
 * cancel, whether the key is one of a session there.
 */
export type Answer =
  | { readonly sentence: string }
  | { readonly health: Health }
  | { readonly metrics: readonly unknown[] }
  | { readonly unsubmitted: number }
  | { readonly rows: readonly Row[] }
  | { readonly done: boolean }
  | { readonly error: { readonly code: string; readonly message: string } };

import { stat } from "node:fs/promises";
import type { LogServerConfig } from "../config/config.ts";
import { LogServerError, reason } from "../errors.ts";
import type { VerifierKey } from "../formats/note.ts";
import { readSigningKeys } from "../keys/signing-keys.ts";
import { openCheckpoint, readGuard, type SignedCheckpoint } from "../publish/guard.ts";
import { openLevelStore } from "../store/level-store.ts";
import type { Store } from "../store/store.ts";

/** A log that does not run, for tools that read it. Nothing is written; while it is open no server can start. */
export interface StoppedLog {
  readonly keys: readonly VerifierKey[];
  readonly store: Store;
}

/**
 * Opens the store of a log that does not run.
 * @throws LogServerError `bad_key`, `store_missing`, `store_locked`, `store_version`, `store_corrupt`, `write_failed`
 */
export async function openStopped(config: LogServerConfig): Promise<StoppedLog> {
  const keys = await readSigningKeys(config.origin, config.key, config.moreKeys);
  // LevelDB would make the folder for its lock.
  const there = await stat(config.store).catch(() => undefined);
  const store = there && (await openLevelStore(config.store, config.origin, false));
  if (store !== undefined) return { keys, store };
  throw new LogServerError("store_missing", `there is no store at ${config.store}: name the configuration of a log`);
}

/** @returns the checkpoint recorded in the store. @throws LogServerError `store_corrupt`, `bad_key` */
export async function recordedCheckpoint({ store, keys }: StoppedLog): Promise<SignedCheckpoint | undefined> {
  const recorded = await store.checkpoint();
  if (recorded === undefined) return undefined;
  return openCheckpoint(recorded.note, recorded.time, keys, "the checkpoint recorded in the store", "store_corrupt");
}

/**
 * @returns the later of the guard's checkpoint and the recorded one: what a server would serve at first
 * @throws LogServerError `guard_missing`, `store_corrupt`, `bad_key`
 */
export async function lastCheckpoint(log: StoppedLog, config: LogServerConfig): Promise<SignedCheckpoint | undefined> {
  const guard = await readGuard(config.guard, log.keys);
  const recorded = await recordedCheckpoint(log);
  if (guard === undefined || recorded === undefined) return guard ?? recorded;
  return recorded.size >= guard.size ? recorded : guard;
}

/** Runs a tool on a log that does not run, and closes it. What the tool cannot read is `store_corrupt`. */
export async function withStopped<T>(config: LogServerConfig, tool: (log: StoppedLog) => Promise<T>): Promise<T> {
  const log = await openStopped(config);
  try {
    return await tool(log);
  } catch (error) {
    if (error instanceof LogServerError || !isStoreError(error)) throw error;
    const message = `the store ${config.store} cannot be read: ${reason(error)}; see vitrine log fsck`;
    throw new LogServerError("store_corrupt", message, {}, { cause: error });
  } finally {
    await log.store.close();
  }
}

/** LevelDB's own errors have codes. */
function isStoreError(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return typeof code === "string" && code.startsWith("LEVEL_");
}

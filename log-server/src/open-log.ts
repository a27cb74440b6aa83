import { access, readFile } from "node:fs/promises";
import { Tokens } from "./access/tokens.ts";
import type { LogServerConfig } from "./config/config.ts";
import { checkPaths } from "./config/paths.ts";
import { LogServerError, reason } from "./errors.ts";
import type { SignerKey, VerifierKey } from "./formats/note.ts";
import type { Policy } from "./formats/policy.ts";
import type { Acts } from "./intake/acts.ts";
import type { Sequencer } from "./intake/sequencer.ts";
import { Sources } from "./intake/sources.ts";
import { actsName, readActsKey } from "./keys/acts-key.ts";
import { readSigningKeys } from "./keys/signing-keys.ts";
import { openCheckpoint, readGuard, type SignedCheckpoint } from "./publish/guard.ts";
import { checkAgainstSigned, recoverEdge } from "./publish/recovery.ts";
import { readWitnessPolicy } from "./reload.ts";
import { openLevelStore } from "./store/level-store.ts";
import type { ErasureRecord, SourcePosition, Store } from "./store/store.ts";
import { TreeReader } from "./tree/log.ts";

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function openStore(config: LogServerConfig, guard: SignedCheckpoint | undefined): Promise<Store> {
  // Where the log has signed entries a missing store is not made anew: copying the right one over it would mix them.
  const create = guard === undefined || guard.size === 0;
  const store =
    create || (await exists(config.store)) ? await openLevelStore(config.store, config.origin, create) : undefined;
  if (store !== undefined) return store;
  const message = `there is no store at ${config.store}, and the guard file ${config.guard} was signed over ${guard?.size} entries; put the store back. Do not delete the guard file to get past this: the log would be forked`;
  throw new LogServerError("store_behind", message);
}

/** @returns the checkpoint last signed, once the store is known to have its tree. */
async function lastSigned(
  config: LogServerConfig,
  store: Store,
  guard: SignedCheckpoint | undefined,
  keys: readonly VerifierKey[],
): Promise<SignedCheckpoint | undefined> {
  const where = `the guard file ${config.guard}`;
  if (guard !== undefined) await checkAgainstSigned(store, guard, where);
  const recorded = await store.checkpoint();
  if (recorded === undefined) return guard;
  if (guard === undefined) {
    const message = `${where} is missing, and this log has signed before: put back the checkpoint last served, which any verifier of this log keeps`;
    throw new LogServerError("guard_missing", message);
  }
  const record = openCheckpoint(
    recorded.note,
    recorded.time,
    keys,
    "the checkpoint recorded in the store",
    "store_corrupt",
  );
  await checkAgainstSigned(store, record, "the checkpoint recorded in the store");
  // Usually they are the same. The guard is ahead after a crash between the two; the record is ahead when an older
  // guard was put back.
  return record.size >= guard.size ? record : guard;
}

/** @returns whether the last of a source's entries is `source.stop`; false without any. */
async function endedInOrder(store: Store, position: SourcePosition | undefined, name: string): Promise<boolean> {
  if (position === undefined) return false;
  const { epoch, next } = position;
  const [range] = await store.accepted(name, epoch, next - 1, next);
  if (range === undefined) throw new Error(`the store has ${name} up to ${next} and cannot find its last entry`);
  const index = range.index + next - 1 - range.seq;
  const [entry] = await new TreeReader(store, 0).entries(index, index + 1);
  return (JSON.parse(entry!.toString("utf8")) as { kind: string }).kind === "source.stop";
}

async function ownVersion(): Promise<string> {
  const text = await readFile(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

/** What a log goes on from: its store is open and checked, and all files that it needs are read. */
export interface OpenedLog {
  readonly tokens: Tokens;
  readonly addTokens: Tokens | undefined;
  readonly keys: readonly SignerKey[];
  readonly policy: Policy;
  readonly sources: Sources;
  readonly acts: Pick<ConstructorParameters<typeof Acts>[0], "key" | "clean" | "software">;
  readonly erasures: ReadonlyMap<number, ErasureRecord>;
  readonly store: Store;
  readonly state: ConstructorParameters<typeof Sequencer>[1];
  /** The checkpoint last signed. */
  readonly latest: SignedCheckpoint | undefined;
}

/**
 * Reads a log's files, opens its store and checks that it is the one that was signed.
 * @param warn takes what an operator should read later on
 * @param use is given what was opened; what it throws closes the store
 * @throws LogServerError a code of spec/errors.md, "Log-server, at start"; nothing stays open then
 */
export async function openLog<T>(
  config: LogServerConfig,
  warn: (message: string) => void,
  use: (log: OpenedLog) => Promise<T>,
): Promise<T> {
  await checkPaths(config);
  const tokens = await Tokens.open(config.tokens, warn);
  const addTokens =
    config.addTokens === undefined ? undefined : await Tokens.open(config.addTokens, warn, "add_tokens");
  const keys = await readSigningKeys(config.origin, config.key, config.moreKeys);
  const policy = await readWitnessPolicy(config, keys);
  const guard = await readGuard(config.guard, keys);
  const store = await openStore(config, guard);
  try {
    const positions = await store.positions();
    const edge = await recoverEdge(store);
    const latest = await lastSigned(config, store, guard, keys);
    const sources = new Sources(config.sources, await store.sources(), positions);
    const own = positions.get(actsName(config.origin));
    const actsKey = await readActsKey(config.actsKey, config.origin, own?.vkey);
    const clean = await endedInOrder(store, own, actsKey.name);
    const erasures = await store.erasures();
    const state = { ...edge, positions, sources };
    const acts = { key: actsKey, clean, software: { name: "vitrine-log-server", version: await ownVersion() } };
    return await use({ tokens, addTokens, keys, policy, sources, acts, erasures, store, state, latest });
  } catch (error) {
    await store.close();
    if (error instanceof LogServerError) throw error;
    const message = `the store ${config.store} cannot be read: ${reason(error)}; restore a copy that is not older than the guard file`;
    throw new LogServerError("store_corrupt", message, {}, { cause: error });
  }
}

import { hash } from "node:crypto";
import { access, readFile, realpath } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { basename, dirname, join, relative, sep } from "node:path";
import { Acts } from "./acts.ts";
import { actsName, readActsKey } from "./acts-key.ts";
import { checkpointText } from "./checkpoint.ts";
import type { LogServerConfig } from "./config.ts";
import type { ServerContext } from "./context.ts";
import { EdgeCheck } from "./edge-check.ts";
import { MAX_ENTRY_BYTES } from "./entry.ts";
import { Erasures } from "./erasure.ts";
import { LogServerError, reason } from "./errors.ts";
import { openCheckpoint, readGuard, type SignedCheckpoint } from "./guard.ts";
import { HashIndex } from "./hash-index.ts";
import { checkHealth } from "./health.ts";
import { type LogServerHooks, withDefaults } from "./hooks.ts";
import { Intake } from "./intake.ts";
import { openLevelStore } from "./level-store.ts";
import { TreeReader } from "./log.ts";
import { Metrics } from "./metrics.ts";
import type { SignerKey, VerifierKey } from "./note.ts";
import type { Policy } from "./policy.ts";
import { Publisher } from "./publisher.ts";
import { RateLimiter } from "./rate-limit.ts";

import { checkAgainstShown, checkAgainstSigned, recoverEdge } from "./recovery.ts";
import { Registry } from "./registry.ts";

import { ignoredKeys, type ReloadReport, readWitnessPolicy } from "./reload.ts";
import { Searcher } from "./search.ts";
import { SearchIndex } from "./search-index.ts";
import { Sequencer } from "./sequencer.ts";
import { buildServer } from "./server.ts";
import { readSigningKeys } from "./signing-keys.ts";
import { positionOf, Sources } from "./sources.ts";
import type { ErasureRecord, SourcePosition, Store } from "./store.ts";
import { Tokens } from "./tokens.ts";
import { WaitingRoom } from "./waiting-room.ts";
import { witnessTiming } from "./witness.ts";
import { Witnesses } from "./witnesses.ts";

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

/** @returns the path without symbolic links, as far as it exists. */
async function canonical(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    // It does not exist yet; its parent may.
    return dirname(path) === path ? path : join(await canonical(dirname(path)), basename(path));
  }
}

/** A copy of the store's directory that is put back must not bring an older guard, or an older index, with it. */
async function checkPaths(config: LogServerConfig): Promise<void> {
  const store = await canonical(config.store);
  for (const key of ["guard", "index", "searchIndex", "key", "actsKey"] as const) {
    const path = relative(store, await canonical(config[key]));
    if (path === ".." || path.startsWith(`..${sep}`)) continue;
    const name = key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    const message = `${name} (${config[key]}) must not stand in the store's directory, ${config.store}`;
    throw new LogServerError("bad_config", message);
  }
  if ((await canonical(config.index)) === (await canonical(config.searchIndex))) {
    throw new LogServerError("bad_config", `index and search_index are both ${config.index}; each needs its own`);
  }
}

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

async function listen(app: ReturnType<typeof buildServer>, { host, port }: LogServerConfig["listen"]): Promise<string> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EADDRINUSE") {
      const message = `the address ${host}:${port} is taken: stop the process that listens there, or choose another in "listen"`;
      throw new LogServerError("port_in_use", message, {}, { cause: error });
    }
    throw new LogServerError("bad_config", `listen: ${host}:${port}: ${reason(error)}`, {}, { cause: error });
  }
  const address = app.server.address() as AddressInfo;
  return `http://${address.family === "IPv6" ? `[${address.address}]` : address.address}:${address.port}`;
}

/**
 * Starts a log: reads its key, opens and checks its store, publishes what was not yet published, and listens.
 * @throws LogServerError a code of spec/errors.md, "Log-server, at start"; nothing stays open then
 */
export async function startLogServer(config: LogServerConfig, hooks: LogServerHooks = {}): Promise<RunningLogServer> {
  await checkPaths(config);
  const warn = (message: string): void => withDefaults(hooks).log("warn", message);
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
    return await run({ config, hooks, sources, tokens, addTokens, keys, policy, acts, erasures, store, state, latest });
  } catch (error) {
    await store.close();
    if (error instanceof LogServerError) throw error;
    const message = `the store ${config.store} cannot be read: ${reason(error)}; restore a copy that is not older than the guard file`;
    throw new LogServerError("store_corrupt", message, {}, { cause: error });
  }
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

interface Parts {
  readonly config: LogServerConfig;
  readonly hooks: LogServerHooks;
  readonly sources: Sources;
  readonly tokens: Tokens;
  readonly addTokens: Tokens | undefined;
  readonly keys: readonly SignerKey[];
  readonly policy: Policy;
  readonly acts: Pick<ConstructorParameters<typeof Acts>[0], "key" | "clean" | "software">;
  readonly erasures: ReadonlyMap<number, ErasureRecord>;
  readonly store: Store;
  readonly state: ConstructorParameters<typeof Sequencer>[1];
  readonly latest: SignedCheckpoint | undefined;
}

async function run(parts: Parts): Promise<RunningLogServer> {
  const { config, sources, tokens, store, state } = parts;
  const hooks = withDefaults(parts.hooks);
  let failure: LogServerError | undefined;
  let serving = false;
  let fail!: (error: LogServerError) => void;
  const failed = new Promise<LogServerError>((resolve) => {
    fail = resolve;
  });
  const onFatal = (error: LogServerError): void => {
    failure ??= error;
    // Before that it is thrown, and whoever started the log reports it.
    if (serving) hooks.log("error", `${error.code}: ${error.message}`);
    sequencer.halt(error);
    publisher.halt();
    acts.halt();
    fail(failure);
  };

  const metrics = new Metrics();
  const reader = new TreeReader(store);
  const sequencer = new Sequencer(store, state, hooks, (turn) => metrics.turn(turn), onFatal);
  const index = new HashIndex(config.index, config.origin, reader, (message) => hooks.log("warn", message), config.add);
  const search = new SearchIndex(config.searchIndex, config.origin, reader, hooks);
  const followers = [index, search];
  const onPublished = ({ size }: SignedCheckpoint): void => {
    metrics.checkpoint();
    for (const follower of followers) follower.follow(size);
  };
  const witnesses = new Witnesses({
    policy: parts.policy,
    timing: witnessTiming(config.witnessTimeoutMs),
    prove: (from, to) => reader.consistencyProof(from, to),
    suspected: async (name, shown) => {
      if (shown === undefined) return;
      try {
        const where = `the checkpoint that witness ${name} has cosigned last`;
        await checkAgainstShown(store, shown, publisher.keys, where);
      } catch (error) {
        // Signed with this log's key, and not of this store: to sign on would be to sign a second history.
        if (error instanceof LogServerError) onFatal(error);
        else throw error;
      }
    },
    answered: (name, result, seconds) => metrics.witness(name, result, seconds),
    log: hooks.log,
  });
  const publisher = new Publisher(
    {
      store,
      head: () => sequencer.head,
      guard: config.guard,
      keys: parts.keys,
      interval: config.checkpointIntervalMs,
      latest: parts.latest,
      witnesses,
    },
    { hooks, measured: (stage, seconds) => metrics.stage(stage, seconds), onPublished, onFatal },
  );
  const ownPosition = positionOf(sequencer.positions, parts.acts.key.name, parts.acts.key.vkey);
  const acts = new Acts({
    ...parts.acts,
    config: hash("sha256", JSON.stringify(config), "hex"),
    logKeys: () => publisher.keys.map(({ vkey }) => vkey),
    position: ownPosition,
    submit: async (submission) => (await sequencer.submit(submission)).ranges[0]!.index,
  });
  sources.addOwn(parts.acts.key);
  const registry = new Registry(sources, acts);
  const erasures = new Erasures(parts.erasures, { store, reader, acts, hooks, onFatal });
  const edge = new EdgeCheck(store);
  const waiting = new WaitingRoom(config.limits.waitingSubmissions, config.limits.waitingBytes);
  const waitingAdds = new WaitingRoom(config.limits.waitingAdds, config.limits.waitingAdds * MAX_ENTRY_BYTES);
  const intake = new Intake(config.origin, sources, sequencer);
  let stopping = false;
  const context: ServerContext = {
    store,
    reader,
    index,
    searcher: new Searcher(search, reader),
    searchPublic: config.searchPublic,
    intake,
    waiting,
    add: config.add ? { tokens: parts.addTokens, waiting: waitingAdds } : undefined,
    sources,
    acts,
    registry,
    erasures,
    tokens,
    publicEntries: config.publicEntries,
    metrics,
    hooks,
    limiters: {
      reads: new RateLimiter(config.limits.requestsPerSecond),
      unsigned: new RateLimiter(config.limits.requestsPerSecond),
    },
    trustedProxies: config.trustedProxies,
    limits: config.limits,
    published: () => publisher.served,
    positions: () => sequencer.positions,
    stopping: () => stopping,
    health: async () => {
      const { served } = publisher;
      const state = {
        keys: publisher.keys,
        served,
        head: sequencer.head,
        edge: await edge.check(served),
        checkedAt: publisher.checkedAt,
        interval: config.checkpointIntervalMs + config.witnessTimeoutMs,
        indexed: index.position,
        searchable: search.position,
        failure: failure?.message,
        witnesses: witnesses.report(checkpointText(served)),
        witnessesRequired: config.witnessesRequired,
      };
      return checkHealth(state, Date.now());
    },
  };
  metrics.observe({
    treeSize: () => sequencer.head.size,
    publishedSize: () => publisher.served.size,
    indexLag: () => Math.max(0, publisher.served.size - index.position),
    searchLag: () => Math.max(0, publisher.served.size - search.position),
    waitingSubmissions: () => waiting.submissions,
    waitingBytes: () => waiting.bytes,
    waitingAdds: () => waitingAdds.submissions,
    witnesses: () => witnesses.report(checkpointText(publisher.served)),
  });

  try {
    await publisher.showLatest();
    if (failure === undefined) await acts.open();
    if (failure === undefined) await publisher.publish();
    if (failure !== undefined) throw failure;
  } catch (error) {
    acts.halt();
    witnesses.close();
    throw error;
  }
  for (const follower of followers) follower.follow(publisher.served.size);
  const app = buildServer(context);
  let url: string;
  try {
    url = await listen(app, config.listen);
  } catch (error) {
    acts.halt();
    witnesses.close();
    for (const follower of followers) await follower.close();
    throw error;
  }
  serving = true;
  publisher.start();
  erasures.resume();

  const shutDown = async (): Promise<void> => {
    stopping = true;
    await erasures.stop();
    await intake.drain();
    await publisher.stop();
    try {
      if (failure === undefined) await acts.close();
      if (failure === undefined) await publisher.publish();
    } finally {
      witnesses.close();
      // Whoever has not sent its request, or read its answer, by then is cut off.
      const deadline = setTimeout(() => app.server.closeAllConnections(), CLOSE_MS);
      await app.close();
      clearTimeout(deadline);
      for (const follower of followers) await follower.close();
      await store.close();
    }
  };
  const reloadOnce = async (next: LogServerConfig): Promise<ReloadReport> => {
    const keys = await readSigningKeys(config.origin, next.key, next.moreKeys);
    openCheckpoint(publisher.latest.note, 0, keys, "the checkpoint signed last", "store_corrupt");
    const policy = await readWitnessPolicy(next, keys);
    await tokens.reload();
    await parts.addTokens?.reload();
    const vkeys = keys.map(({ vkey }) => vkey);
    if (vkeys.join() !== publisher.keys.map(({ vkey }) => vkey).join()) {
      await acts.record({ kind: "log.keys", members: { keys: vkeys } });
    }
    // Nothing fails from here on.
    publisher.setKeys(keys);
    witnesses.replace(policy);
    publisher.askWitnesses();
    return {
      keys: vkeys,
      witnesses: policy.witnesses.length,
      ignored: ignoredKeys(config, next),
    };
  };
  let reloading: Promise<unknown> = Promise.resolve();
  const reload = (next: LogServerConfig): Promise<ReloadReport> => {
    // One after the other: the last one asked for is the one in force.
    const report = reloading.then(() => reloadOnce(next));
    reloading = report.catch(() => undefined);
    return report;
  };
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= shutDown();
    return closing;
  };
  return { url, origin: config.origin, vkey: publisher.keys[0]!.vkey, failed, reload, close };
}

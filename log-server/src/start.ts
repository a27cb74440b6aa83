import { hash } from "node:crypto";
import type { LogServerConfig } from "./config/config.ts";
import type { ServerContext } from "./context.ts";
import { MAX_ENTRY_BYTES } from "./entries/entry.ts";
import { Erasures } from "./erasure/erasure.ts";
import { LogServerError } from "./errors.ts";
import { checkpointText } from "./formats/checkpoint.ts";
import { checkHealth } from "./health.ts";
import { type Hooks, type LogServerHooks, withDefaults } from "./hooks.ts";
import { Acts } from "./intake/acts.ts";
import { Intake } from "./intake/intake.ts";
import { RateLimiter } from "./intake/rate-limit.ts";
import { Registry } from "./intake/registry.ts";
import { Sequencer } from "./intake/sequencer.ts";
import { positionOf } from "./intake/sources.ts";
import { WaitingRoom } from "./intake/waiting-room.ts";
import { readSigningKeys } from "./keys/signing-keys.ts";
import { Metrics } from "./metrics.ts";
import { type OpenedLog, openLog } from "./open-log.ts";
import { EdgeCheck } from "./publish/edge-check.ts";
import { openCheckpoint, type SignedCheckpoint } from "./publish/guard.ts";
import { isSignedBy, Publisher } from "./publish/publisher.ts";
import { checkAgainstShown } from "./publish/recovery.ts";
import { ignoredKeys, type ReloadReport, readWitnessPolicy } from "./reload.ts";
import { Searcher } from "./search/search.ts";
import { SearchIndex } from "./search/search-index.ts";
import { buildServer, listen } from "./server.ts";
import { HashIndex } from "./tree/hash-index.ts";
import { TreeReader } from "./tree/log.ts";
import { witnessTiming } from "./witnesses/witness.ts";
import { Witnesses } from "./witnesses/witnesses.ts";

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
    (opened) => run(config, full, opened),
  );
}

async function run(config: LogServerConfig, hooks: Hooks, opened: OpenedLog): Promise<RunningLogServer> {
  const { sources, tokens, store, state } = opened;
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
    policy: opened.policy,
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
      keys: opened.keys,
      interval: config.checkpointIntervalMs,
      latest: opened.latest,
      witnesses,
    },
    { hooks, measured: (stage, seconds) => metrics.stage(stage, seconds), onPublished, onFatal },
  );
  const ownPosition = positionOf(sequencer.positions, opened.acts.key.name, opened.acts.key.vkey);
  const acts = new Acts({
    ...opened.acts,
    config: hash("sha256", JSON.stringify(config), "hex"),
    logKeys: () => publisher.keys.map(({ vkey }) => vkey),
    position: ownPosition,
    submit: async (submission) => (await sequencer.submit(submission)).ranges[0]!.index,
  });
  sources.addOwn(opened.acts.key);
  const registry = new Registry(sources, acts);
  const erasures = new Erasures(opened.erasures, { store, reader, acts, hooks, onFatal });
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
    add: config.add ? { tokens: opened.addTokens, waiting: waitingAdds } : undefined,
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
        keys: publisher.servedKeys,
        served,
        head: sequencer.head,
        edge: await edge.check(served),
        checkedAgo: publisher.checkedAgo,
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
    const { latest, keys } = opened;
    if (failure === undefined) await acts.open(latest !== undefined && !isSignedBy(latest.note, keys));
    if (failure === undefined) await publisher.publish();
    if (failure !== undefined) throw failure;
  } catch (error) {
    acts.halt();
    witnesses.close();
    // What failed first says why.
    throw failure ?? error;
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
    await opened.addTokens?.reload();
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

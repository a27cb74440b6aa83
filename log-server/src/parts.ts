import { hash } from "node:crypto";
import type { LogServerConfig } from "./config/config.ts";
import type { ServerContext } from "./context.ts";
import { MAX_ENTRY_BYTES } from "./entries/entry.ts";
import { Erasures } from "./erasure/erasure.ts";
import { LogServerError } from "./errors.ts";
import { checkpointText } from "./formats/checkpoint.ts";
import { checkHealth, type Health } from "./health.ts";
import type { Hooks } from "./hooks.ts";
import { Acts } from "./intake/acts.ts";
import { Intake } from "./intake/intake.ts";
import { RateLimiter } from "./intake/rate-limit.ts";
import { Registry } from "./intake/registry.ts";
import { Sequencer } from "./intake/sequencer.ts";
import { positionOf } from "./intake/sources.ts";
import { WaitingRoom } from "./intake/waiting-room.ts";
import { Metrics } from "./metrics.ts";
import type { OpenedLog } from "./open-log.ts";
import { EdgeCheck } from "./publish/edge-check.ts";
import { Publisher } from "./publish/publisher.ts";
import { checkAgainstShown } from "./publish/recovery.ts";
import { Searcher } from "./search/search.ts";
import { SearchIndex } from "./search/search-index.ts";
import { HashIndex } from "./tree/hash-index.ts";
import { TreeReader } from "./tree/log.ts";
import { witnessTiming } from "./witnesses/witness.ts";
import { Witnesses } from "./witnesses/witnesses.ts";

/** How it stands with the log, for its parts. */
export interface Life {
  /** Why it cannot go on. */
  readonly failure: LogServerError | undefined;
  /** It is shutting down. */
  readonly stopping: boolean;
  /** Ends it. */
  readonly fail: (error: LogServerError) => void;
}

/** What a log that runs consists of, besides its server; `context` has those that its routes serve from. */
export interface Parts {
  readonly context: ServerContext;
  readonly sequencer: Sequencer;
  readonly publisher: Publisher;
  readonly witnesses: Witnesses;
  readonly followers: readonly [HashIndex, SearchIndex];
}

/** Puts a log together. Nothing runs yet. */
export function makeParts(config: LogServerConfig, hooks: Hooks, opened: OpenedLog, life: Life): Parts {
  const { sources, tokens, store, state } = opened;
  const metrics = new Metrics();
  const reader = new TreeReader(store);
  const sequencer = new Sequencer(store, state, hooks, (turn) => metrics.turn(turn), life.fail);
  const index = new HashIndex(config.index, config.origin, reader, (message) => hooks.log("warn", message), config.add);
  const search = new SearchIndex(config.searchIndex, config.origin, reader, hooks);
  const followers = [index, search] as const;
  const witnesses = makeWitnesses(config, opened, { reader, metrics, hooks, life, keys: () => publisher.keys });
  const publisher: Publisher = new Publisher(
    {
      store,
      head: () => sequencer.head,
      guard: config.guard,
      keys: opened.keys,
      interval: config.checkpointIntervalMs,
      latest: opened.latest,
      witnesses,
    },
    {
      hooks,
      measured: (stage, seconds) => metrics.stage(stage, seconds),
      onPublished: ({ size }) => {
        metrics.checkpoint();
        for (const follower of followers) follower.follow(size);
      },
      onFatal: life.fail,
    },
  );
  const acts = new Acts({
    ...opened.acts,
    config: hash("sha256", JSON.stringify(config), "hex"),
    logKeys: () => publisher.keys.map(({ vkey }) => vkey),
    position: positionOf(sequencer.positions, opened.acts.key.name, opened.acts.key.vkey),
    submit: async (submission) => (await sequencer.submit(submission)).ranges[0]!.index,
  });
  sources.addOwn(opened.acts.key);
  const { limits } = config;
  const waitingAdds = new WaitingRoom(limits.waitingAdds, limits.waitingAdds * MAX_ENTRY_BYTES);
  const context: ServerContext = {
    store,
    reader,
    index,
    searcher: new Searcher(search, reader),
    searchPublic: config.searchPublic,
    intake: new Intake(config.origin, sources, sequencer),
    waiting: new WaitingRoom(limits.waitingSubmissions, limits.waitingBytes),
    add: config.add ? { tokens: opened.addTokens, waiting: waitingAdds } : undefined,
    sources,
    acts,
    registry: new Registry(sources, acts),
    erasures: new Erasures(opened.erasures, { store, reader, acts, hooks, onFatal: life.fail }),
    tokens,
    publicEntries: config.publicEntries,
    metrics,
    hooks,
    limiters: {
      reads: new RateLimiter(limits.requestsPerSecond),
      unsigned: new RateLimiter(limits.requestsPerSecond),
    },
    trustedProxies: config.trustedProxies,
    limits,
    published: () => publisher.served,
    positions: () => sequencer.positions,
    stopping: () => life.stopping,
    health: healthOf(config, life, () => parts, new EdgeCheck(store)),
  };
  const parts: Parts = { context, sequencer, publisher, witnesses, followers };
  observe(parts, waitingAdds);
  return parts;
}

function makeWitnesses(
  config: LogServerConfig,
  { policy, store }: OpenedLog,
  parts: {
    readonly reader: TreeReader;
    readonly metrics: Metrics;
    readonly hooks: Hooks;
    readonly life: Life;
    readonly keys: () => Publisher["keys"];
  },
): Witnesses {
  const { reader, metrics, hooks, life, keys } = parts;
  return new Witnesses({
    policy,
    timing: witnessTiming(config.witnessTimeoutMs),
    prove: (from, to) => reader.consistencyProof(from, to),
    suspected: async (name, shown) => {
      if (shown === undefined) return;
      try {
        await checkAgainstShown(store, shown, keys(), `the checkpoint that witness ${name} has cosigned last`);
      } catch (error) {
        // Signed with this log's key, and not of this store: to sign on would be to sign a second history.
        if (error instanceof LogServerError) life.fail(error);
        else throw error;
      }
    },
    answered: (name, result, seconds) => metrics.witness(name, result, seconds),
    log: hooks.log,
  });
}

function healthOf(config: LogServerConfig, life: Life, parts: () => Parts, edge: EdgeCheck): () => Promise<Health> {
  return async () => {
    const { sequencer, publisher, witnesses, followers } = parts();
    const [index, search] = followers;
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
      failure: life.failure?.message,
      witnesses: witnesses.report(checkpointText(served)),
      witnessesRequired: config.witnessesRequired,
    };
    return checkHealth(state, Date.now());
  };
}

function observe({ context, sequencer, publisher, witnesses, followers }: Parts, waitingAdds: WaitingRoom): void {
  const [index, search] = followers;
  const { metrics, waiting } = context;
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
}

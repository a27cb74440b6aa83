import type { Tokens } from "./access/tokens.ts";
import type { LogServerConfig } from "./config/config.ts";
import type { Erasures } from "./erasure/erasure.ts";
import type { Health } from "./health.ts";
import type { Hooks } from "./hooks.ts";
import type { Acts } from "./intake/acts.ts";
import type { Intake } from "./intake/intake.ts";
import type { RateLimiter } from "./intake/rate-limit.ts";
import type { Registry } from "./intake/registry.ts";
import type { Sources } from "./intake/sources.ts";
import type { WaitingRoom } from "./intake/waiting-room.ts";
import type { Metrics } from "./metrics.ts";
import type { SignedCheckpoint } from "./publish/guard.ts";
import type { Searcher } from "./search/search.ts";
import type { SourcePosition, Store } from "./store/store.ts";
import type { HashIndex } from "./tree/hash-index.ts";
import type { TreeReader } from "./tree/log.ts";

/** What the routes serve from. */
export interface ServerContext {
  readonly store: Store;
  readonly reader: TreeReader;
  readonly index: HashIndex;
  readonly searcher: Searcher;
  /** Whether a search needs no token. */
  readonly searchPublic: boolean;
  readonly intake: Intake;
  readonly waiting: WaitingRoom;
  /** `POST /add`, where it is on: who may (everyone without `tokens`), and the room of its own that it has. */
  readonly add: { readonly tokens: Tokens | undefined; readonly waiting: WaitingRoom } | undefined;
  readonly sources: Sources;
  readonly acts: Acts;
  readonly registry: Registry;
  readonly erasures: Erasures;
  readonly tokens: Tokens;
  /** Whether entries are given to everybody, or to holders of a token alone. */
  readonly publicEntries: boolean;
  readonly metrics: Metrics;
  readonly hooks: Hooks;
  /** By address: reads that cost much, and submissions that no source has signed. */
  readonly limiters: { readonly reads: RateLimiter; readonly unsigned: RateLimiter };
  readonly trustedProxies: readonly string[];
  readonly limits: LogServerConfig["limits"];
  /** The checkpoint that everything read is gated by. */
  readonly published: () => SignedCheckpoint;
  readonly positions: () => ReadonlyMap<string, SourcePosition>;
  readonly health: () => Promise<Health>;
  /** The log is shutting down, and takes no more submissions. */
  readonly stopping: () => boolean;
}

import type { Acts } from "./acts.ts";
import type { Erasures } from "./erasure.ts";
import type { SignedCheckpoint } from "./guard.ts";
import type { HashIndex } from "./hash-index.ts";
import type { Health } from "./health.ts";
import type { Hooks } from "./hooks.ts";
import type { Intake } from "./intake.ts";
import type { TreeReader } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { RateLimiter } from "./rate-limit.ts";
import type { Registry } from "./registry.ts";
import type { Searcher } from "./search.ts";
import type { Sources } from "./sources.ts";
import type { SourcePosition, Store } from "./store.ts";
import type { Tokens } from "./tokens.ts";
import type { WaitingRoom } from "./waiting-room.ts";

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
  readonly limits: { readonly bodyBytes: number; readonly requestTimeoutMs: number };
  /** The checkpoint that everything read is gated by. */
  readonly published: () => SignedCheckpoint;
  readonly positions: () => ReadonlyMap<string, SourcePosition>;
  readonly health: () => Promise<Health>;
  /** The log is shutting down, and takes no more submissions. */
  readonly stopping: () => boolean;
}

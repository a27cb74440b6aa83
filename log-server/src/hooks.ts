/**
 * Where the process may die between two durable steps, in the order of the steps. Each has a comment that begins
 * `CRASH:` at its place.
 */
export const crashPoints = [
  "append:before",
  "append:after",
  "guard:before",
  "guard:written",
  "guard:renamed",
  "guard:durable",
  "checkpoint:recorded",
] as const;

/** The same in an erasure. */
export const erasureCrashPoints = ["erasure:ordered", "erasure:deleted", "erasure:purged"] as const;

export type CrashPoint = (typeof crashPoints)[number] | (typeof erasureCrashPoints)[number];

/** The same for the search index. Its death or failure is nothing to the log, so these points are apart. */
export const searchCrashPoints = ["search:chunk-full", "search:chunk-written"] as const;

export type SearchCrashPoint = (typeof searchCrashPoints)[number];

/** What a caller of `startLogServer` may add. */
export interface LogServerHooks {
  /** Called, and awaited, at each crash point. What it throws counts as a write error. For crash tests. */
  readonly at?: (point: CrashPoint) => void | Promise<void>;
  /** The same for the search index, which then begins again from what it has on disk. */
  readonly atSearch?: (point: SearchCrashPoint) => void | Promise<void>;
  /** Takes what an operator should read, one line each; without it the lines go to stderr. Never holds a secret. */
  readonly log?: (level: "info" | "warn" | "error", message: string) => void;
}

/** The hooks with their defaults. */
export interface Hooks {
  at(point: CrashPoint): Promise<void>;
  atSearch(point: SearchCrashPoint): Promise<void>;
  log(level: "info" | "warn" | "error", message: string): void;
}

export function withDefaults(hooks: LogServerHooks): Hooks {
  return {
    at: async (point) => {
      await hooks.at?.(point);
    },
    atSearch: async (point) => {
      await hooks.atSearch?.(point);
    },
    log: (level, message) => {
      if (hooks.log !== undefined) hooks.log(level, message);
      else process.stderr.write(`vitrine log ${level}: ${message}\n`);
    },
  };
}

/**
 * Where the process may die between two durable steps, in the order of the steps. Each has a comment that begins
 * `CRASH:` at its place.
 */
export const crashPoints = [
  "create:state",
  "create:key",
  "open:truncated",
  "append:before",
  "append:written",
  "append:durable",
  "answer:signed",
  "compact:written",
  "compact:synced",
  "compact:renamed",
  "compact:durable",
] as const;

export type CrashPoint = (typeof crashPoints)[number];

/** What the caller of a witness may add. */
export type WitnessHooks = {
  /** Called at each crash point. For crash tests. */
  at(point: CrashPoint): void;
  /** Takes what an operator should read: one line, printable. Never holds a secret. */
  log(message: string): void;
};

export const defaultHooks: WitnessHooks = {
  at: () => undefined,
  log: (message) => void process.stderr.write(`vitrine-verifier witness: ${message}\n`),
};

/**
 * Where an export may die between two durable steps, in the order of the steps. Each has a comment that begins `CRASH:`
 * at its place.
 */
export const crashPoints = [
  "file:torn",
  "file:written",
  "file:durable",
  "rotate:renamed",
  "rotate:created",
  "otlp:accepted",
  "position:durable",
] as const;

export type CrashPoint = (typeof crashPoints)[number];

/** What the caller of an export may add. */
export type ExportHooks = {
  /** Called at each crash point. For crash tests. */
  at(point: CrashPoint): void;
  /** Takes what an operator should read: one line, printable. Never holds a secret. */
  log(message: string): void;
};

export const defaultHooks: ExportHooks = {
  at: () => undefined,
  log: (message) => void process.stderr.write(`vitrine-verifier export: ${message}\n`),
};

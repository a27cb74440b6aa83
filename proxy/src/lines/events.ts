/** From what must be acted on to what is only of use when something is looked for. */
export const LEVELS = ["error", "warn", "info", "debug"] as const;
export type Level = (typeof LEVELS)[number];

export const FORMATS = ["text", "json"] as const;
export type Format = (typeof FORMATS)[number];

/** Everything the proxy tells its operator, and how much it matters: the manual's table is held against this. */
export const EVENTS = {
  "client.connected": "debug",
  "client.refused": "warn",
  "session.start": "debug",
  "session.end": "debug",
  "login.refused": "info",
  "session.failed": "warn",
  "statement.denied": "info",
  "statement.timeout": "info",
  "log.waiting": "warn",
  "log.taking": "info",
  "spool.open": "info",
  "spool.restricted": "warn",
  "spool.closed": "error",
  "spool.failed": "error",
  "config.changed": "info",
  "config.refused": "error",
  "worker.ended": "error",
  "worker.serves": "info",
  notice: "info",
  "console.command": "info",
} as const;

export type EventName = keyof typeof EVENTS;

/** What a line says besides: names and numbers, never a secret and never a statement's text. */
export type Fields = Readonly<Record<string, string | number | undefined>>;

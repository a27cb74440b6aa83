/** What a part tells the `vitrine up` that started it. */
export type PartMessage =
  | { readonly type: "ready"; readonly at: string }
  | { readonly type: "failed"; readonly code: string; readonly message: string; readonly status: number }
  | { readonly type: "notice"; readonly line: string }
  | { readonly type: "stopped"; readonly unsubmitted: number };

/**
 * What `up` tells a part: whom it must outlive, should `up` die. There is no message to stop: SIGTERM does that.
 */
export interface UpMessage {
  readonly type: "outlive";
  /** As from processIdentity. */
  readonly identity: string;
}

export function isUpMessage(message: unknown): message is UpMessage {
  return typeof message === "object" && message !== null && "type" in message && message.type === "outlive";
}

export function isPartMessage(message: unknown): message is PartMessage {
  if (typeof message !== "object" || message === null || !("type" in message)) return false;
  if (message.type === "notice") return true;
  return message.type === "ready" || message.type === "failed" || message.type === "stopped";
}

/** What a person is told of entries that the log has not taken yet. */
export function waiting(unsubmitted: number): string {
  if (unsubmitted === 0) return "";
  const entries = unsubmitted === 1 ? "1 entry waits" : `${unsubmitted} entries wait`;
  return `; ${entries} in the spool and will be submitted at the next start`;
}

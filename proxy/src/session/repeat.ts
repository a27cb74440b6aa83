import type { Execution } from "./execution.ts";
import type { Pending } from "./queue.ts";

/**
 * Whether what is unanswered can be sent to a server once more without an effect that anyone could see: proven reads,
 * what prepares them and what ends them, and nothing of their answer seen yet. Asked outside of a transaction only.
 */
export function isRepeatable(unanswered: readonly Pending[]): boolean {
  return unanswered.length > 0 && unanswered.every(isHarmless);
}

function isHarmless(pending: Pending): boolean {
  if ("denial" in pending && pending.denial !== undefined) return false;
  switch (pending.kind) {
    case "query":
      // One that unsettles may be something else than its text says.
      if (pending.shown !== undefined || pending.next > 0 || pending.failed || pending.unsettles) return false;
      return pending.executions.every(isRead);
    case "execute":
      return !pending.carriedOn && !pending.unsettles && isRead(pending.execution);
    case "parse":
      return pending.prepared.shown === undefined;
    case "bind":
      return pending.announced === undefined || isRead(pending.announced.execution);
    case "describe":
    case "close":
    case "sync":
      return true;
    case "function":
    case "copy-end":
    case "shown":
      return false;
  }
}

function isRead({ subject, rows, ended }: Execution): boolean {
  return !ended && rows === 0 && subject.statement?.provenRead === true;
}

/** They were sent once more. */
export function countRepeated(unanswered: readonly Pending[]): void {
  for (const pending of unanswered) {
    if (pending.kind === "query") for (const execution of pending.executions) execution.attempts += 1;
    else if (pending.kind === "bind") {
      if (pending.announced !== undefined) pending.announced.execution.attempts += 1;
    } else if (pending.kind === "execute" && pending.announced === undefined) pending.execution.attempts += 1;
  }
}

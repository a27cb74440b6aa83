import type { Recorder } from "../audit/index.ts";

/** As much of a recorder as announces changes. */
export type Announcer = Pick<Recorder, "record" | "durable">;

/**
 * Says in the log which file's content decides from here on: an entry `rules.change` or `users.change` (spec/entry.md).
 * @param digest hex SHA-256 of the file
 * @param previous the one before it in this epoch
 * @returns when that is durable
 * @throws ProxyError the spool's failure
 */
export function announceFile(
  recorder: Announcer,
  what: "rules" | "users",
  digest: string,
  previous?: string,
): Promise<void> {
  const before = previous === undefined ? "" : `,"previous_${what}":"${previous}"`;
  const position = recorder.record(`${what}.change`, `"${what}":"${digest}"${before}`, []);
  return recorder.durable(position);
}

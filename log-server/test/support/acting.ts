import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Test } from "tap";
import type { LogServerConfig } from "../../src/config/config.ts";
import type { LogServerHooks } from "../../src/hooks.ts";
import { type RunningLogServer, startLogServer } from "../../src/start.ts";
import { type Answer, get, send } from "./client.ts";
import { type LogFolder, makeLogFolder } from "./folder.ts";

// A log with tokens of every role, for tests of what it does itself.

export const AUDITOR = { authorization: "Bearer auditor" };
export const ADMIN = { authorization: "Bearer admin", "content-type": "application/json" };

export interface ActingLog {
  readonly folder: LogFolder;
  readonly log: RunningLogServer;
  readonly config: LogServerConfig;
  /** Stops it, and starts it again. */
  restart(hooks?: LogServerHooks): Promise<ActingLog>;
}

export async function start(config: LogServerConfig, folder: LogFolder, hooks: LogServerHooks): Promise<ActingLog> {
  const log = await startLogServer(config, { log: () => {}, ...hooks });
  const restart = async (next: LogServerHooks = {}): Promise<ActingLog> => {
    await log.close();
    return start(config, folder, next);
  };
  return { folder, log, config, restart };
}

export async function actingLog(
  t: Test,
  sources: readonly string[] = [],
  hooks: LogServerHooks = {},
): Promise<ActingLog> {
  const folder = await makeLogFolder(sources);
  t.teardown(() => folder.remove());
  const tokens = join(folder.path, "tokens");
  const digest = (token: string): string => createHash("sha256").update(token).digest("hex");
  const lines = ["auditor", "admin", "viewer"].map((role) => `${digest(role)} ${role} - the-${role}\n`);
  await writeFile(tokens, lines.join(""));
  return start(folder.config({ tokens, checkpointIntervalMs: 10 }), folder, hooks);
}

export const post = (
  url: string,
  path: string,
  body: unknown,
  headers: Record<string, string> = ADMIN,
): Promise<Answer> => send(url, "POST", path, headers, Buffer.from(JSON.stringify(body)));

export interface LoggedEntry {
  /** Its index in the log. */
  readonly at: number;
  readonly kind: string;
  readonly source: string;
  readonly epoch: number;
  readonly seq: number;
  readonly [member: string]: unknown;
}

/** Every entry that a checkpoint over the whole tree covers. */
export async function entriesOf(url: string): Promise<LoggedEntry[]> {
  for (;;) {
    const { size, tree_size } = (await get(url, "/healthz")).json();
    if (size === tree_size) break;
  }
  const { tree_size } = (await get(url, "/ct/v1/get-sth")).json();
  const entries: LoggedEntry[] = [];
  while (entries.length < tree_size) {
    const page = (await get(url, `/ct/v1/get-entries?start=${entries.length}&end=${tree_size - 1}`)).json();
    for (const { leaf_input } of page.entries) {
      entries.push({ at: entries.length, ...JSON.parse(Buffer.from(leaf_input, "base64").toString()) });
    }
  }
  return entries;
}

/** What the log did, in order. */
export async function actsOf(url: string): Promise<LoggedEntry[]> {
  return (await entriesOf(url)).filter(({ source }) => source.endsWith("/acts"));
}

/** A text that stands nowhere else, no part of it: 32 characters that do not compress. */
export const secret = (): string => randomBytes(24).toString("base64url");

/** @returns the disclosures of an entry, as an auditor reads them. */
export async function disclosed(url: string, index: number): Promise<unknown[][]> {
  const answer = await get(url, `/api/v1/entries/${index}/disclosures?reason=test`, AUDITOR);
  if (answer.status !== 200) throw new Error(`${answer.status}: ${answer.body}`);
  return answer.json().disclosures.map((each: string) => JSON.parse(Buffer.from(each, "base64url").toString()));
}

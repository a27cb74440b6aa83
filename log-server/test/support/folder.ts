import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LogServerConfig } from "../../src/config/config.ts";
import { createKey } from "../../src/keys/keys.ts";

export const ORIGIN = "log.example/test";

/** A folder with a log's key, and the configuration of a log that lives in it. */
export interface LogFolder {
  readonly path: string;
  readonly vkey: string;
  config(changes?: Partial<LogServerConfig>): LogServerConfig;
  remove(): Promise<void>;
}

export async function makeLogFolder(sources: readonly string[] = []): Promise<LogFolder> {
  const path = await mkdtemp(join(tmpdir(), "vitrine-log-"));
  const { skey, vkey } = createKey(ORIGIN);
  await writeFile(join(path, "log.key"), `${skey}\n`, { mode: 0o600 });
  return {
    path,
    vkey,
    config: (changes = {}) => ({
      listen: { host: "127.0.0.1", port: 0 },
      trustedProxies: [],
      origin: ORIGIN,
      key: join(path, "log.key"),
      actsKey: join(path, "acts.key"),
      moreKeys: [],
      store: join(path, "log/store"),
      index: join(path, "log/index"),
      searchIndex: join(path, "log/search"),
      searchPublic: true,
      guard: join(path, "guard/checkpoint"),
      sources,
      add: false,
      publicEntries: true,
      checkpointIntervalMs: 60_000,
      witnessTimeoutMs: 1000,
      witnessesRequired: false,
      limits: {
        bodyBytes: 67_108_864,
        waitingSubmissions: 256,
        waitingBytes: 134_217_728,
        waitingAdds: 1024,
        requestsPerSecond: 0,
        requestTimeoutMs: 30_000,
        connections: 4096,
        unreadBytes: 67_108_864,
      },
      ...changes,
    }),
    remove: () => rm(path, { recursive: true, force: true }),
  };
}

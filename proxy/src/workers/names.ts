import { join } from "node:path";
import type { ProxyConfig } from "../config/config.ts";

/**
 * Each worker is a source of its own: a key, a spool, a record. The first one's are those of a proxy without workers,
 * so that their number can change.
 */
export function ofWorker(path: string, number: number): string {
  return number === 1 ? path : `${path}.worker-${number}`;
}

/** @returns the signing keys that a proxy with this configuration needs, one for each worker */
export function sourceKeyFiles({ source, workers }: ProxyConfig): string[] {
  return Array.from({ length: workers }, (_, i) => ofWorker(source.key, i + 1));
}

/** @returns the configuration of one worker; what it serves besides clients is served for all of them together */
export function workerConfig(config: ProxyConfig, number: number): ProxyConfig {
  const dir = ofWorker(config.spool.dir, number);
  const record =
    config.values.get("record") === undefined ? join(dir, "submitted") : ofWorker(config.record.path, number);
  return {
    ...config,
    status: undefined,
    source: { ...config.source, key: ofWorker(config.source.key, number) },
    spool: { ...config.spool, dir },
    record: { ...config.record, path: record },
  };
}

import { createHash, generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Recorder, type RecorderOptions, type SpoolState, sealValue } from "../../src/audit/index.ts";
import type { ProxyError } from "../../src/errors.ts";
import { TestLog } from "./log.ts";

export interface Keys {
  readonly skey: string;
  readonly vkey: string;
}

/** A fresh key pair in the two forms of spec/checkpoint.md. */
export function newKeys(name: string): Keys {
  const { privateKey } = generateKeyPairSync("ed25519");
  const { d, x } = privateKey.export({ format: "jwk" });
  const typed = Buffer.concat([Buffer.of(1), Buffer.from(x!, "base64url")]);
  const id = createHash("sha256").update(`${name}\n`).update(typed).digest("hex").slice(0, 8);
  const seed = Buffer.concat([Buffer.of(1), Buffer.from(d!, "base64url")]);
  return {
    skey: `PRIVATE+KEY+${name}+${id}+${seed.toString("base64")}`,
    vkey: `${name}+${id}+${typed.toString("base64")}`,
  };
}

export interface Bench {
  readonly dir: string;
  readonly log: TestLog;
  readonly keys: Keys;
  readonly states: { state: SpoolState; error: ProxyError | undefined }[];
  options(more?: Partial<RecorderOptions>): RecorderOptions;
  open(more?: Partial<RecorderOptions>): Promise<Recorder>;
}

export async function tempDir(t: { teardown(f: () => unknown): unknown }): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "vitrine-audit-"));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** A folder, a key and a log that listens. */
export async function setUp(t: { teardown(f: () => unknown): unknown }): Promise<Bench> {
  const dir = await tempDir(t);
  const keys = newKeys("proxy-1.example");
  const log = await new TestLog(keys.vkey, newKeys("log.example/test").vkey).listen();
  t.teardown(() => log.close());
  const states: Bench["states"] = [];
  const options = (more: Partial<RecorderOptions> = {}): RecorderOptions => ({
    key: keys.skey,
    spool: { dir, maxBytes: 64 * 1024 * 1024, maxAgeMs: 900_000, segmentBytes: 64 * 1024 },
    log: { url: log.url, vkey: log.vkey },
    software: { name: "test", version: "1.0.0" },
    configDigest: "ab".repeat(32),
    durability: { reads: "before-result", others: "before-execute", windowMs: 0 },
    lingerMs: 1,
    onState: (state, error) => states.push({ state, error }),
    ...more,
  });
  return { dir, log, keys, states, options, open: (more) => Recorder.open(options(more)) };
}

/** Members of a statement's intent, with sealed SQL that names it. */
export function statement(name: string, padding = 0): { members: string; disclosures: Uint8Array[] } {
  const sql = `select '${name}'${" ".repeat(padding)}`;
  const sealed = sealValue("sql", sql, sql.length);
  return {
    members: `"session":"1.1","name":${JSON.stringify(name)},"sql":${sealed.json}`,
    disclosures: [sealed.disclosure],
  };
}

export function durable(recorder: Recorder, position: number): Promise<void> {
  return new Promise((resolve) => recorder.whenDurable(position, resolve));
}

/** Intends, waits until that is durable, and completes. */
export async function run(recorder: Recorder, name: string, padding = 0): Promise<void> {
  const { members, disclosures } = statement(name, padding);
  const intent = recorder.intend("statement", members, disclosures);
  await durable(recorder, intent.position);
  recorder.complete(intent, '"outcome":"completed"', []);
}

/** Resolves when the condition holds; rejects after thirty seconds, saying what was waited for. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const end = Date.now() + 30_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

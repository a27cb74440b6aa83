import type { LogServerConfig } from "../config/config.ts";
import { isOfSource } from "../entries/added.ts";
import {
  blockDisclosures,
  disclosureBlockEnd,
  disclosureDigest,
  sealedValues,
  sharedDigest,
  sharedDigestOf,
} from "../entries/disclosure.ts";
import { blockOf, checkDisclosures } from "../entries/disclosure-check.ts";
import { type EntryValue, parseEntry } from "../entries/entry.ts";
import { LogServerError, reason } from "../errors.ts";
import { TILE_WIDTH } from "../formats/tile.ts";
import { actsName } from "../keys/acts-key.ts";
import { readGuard, type SignedCheckpoint } from "../publish/guard.ts";
import type { Store } from "../store/store.ts";
import { type Finding, Findings } from "./findings.ts";
import { ActsCheck } from "./fsck-acts.ts";
import { SourcesCheck } from "./fsck-sources.ts";
import { type Claim, TreeCheck } from "./fsck-tree.ts";
import { recordedCheckpoint, type StoppedLog, withStopped } from "./stopped.ts";

/** Digests of shared disclosures that were looked at; it is emptied when it is full. */
const SEEN = 100_000;

/** After this many damaged bundles in a row, nothing more is expected behind them. */
const HOPELESS = 16;

/** What a check of a whole store found. */
export interface FsckReport {
  readonly origin: string;
  readonly size: number;
  /** base64. */
  readonly root: string;
  /** Size of the last signed checkpoint; undefined when none was ever signed. */
  readonly signed: number | undefined;
  readonly disclosures: number;
  /** In the order in which they were found, at most 50 of each code; empty when the store is in order. */
  readonly findings: readonly Finding[];
  /** By code: how many more there are. */
  readonly omitted: Readonly<Record<string, number>>;
}

/** Looks at everything that the store has of an entry besides its bytes. */
class EntriesCheck {
  readonly #store: Store;
  readonly #findings: Findings;
  readonly #sources: SourcesCheck;
  readonly #acts: ActsCheck;
  readonly #seen = new Set<string>();
  disclosures = 0;

  constructor(store: Store, findings: Findings, sources: SourcesCheck, acts: ActsCheck) {
    this.#store = store;
    this.#findings = findings;
    this.#sources = sources;
    this.#acts = acts;
  }

  async bundle(first: number, entries: readonly Buffer[], leaves: readonly Buffer[]): Promise<void> {
    const blocks = await Promise.all(entries.map((_, i) => this.#block(first + i)));
    for (const [i, bytes] of entries.entries()) {
      const value = this.#value(first + i, bytes);
      if (value !== undefined) this.#sources.entry(first + i, value, leaves[i]!);
      if (value !== undefined) this.#acts.entry(first + i, value);
      const block = blocks[i];
      if (block !== undefined) this.#compare(first + i, value, block);
      if (value !== undefined) await this.#shared(first + i, bytes);
      if (value !== undefined) await this.#erased(first + i, value, block);
    }
    await this.#sources.flush();
  }

  #value(index: number, bytes: Buffer): EntryValue | undefined {
    if (!isOfSource(bytes)) return undefined;
    try {
      return parseEntry(bytes, index);
    } catch (error) {
      this.#findings.add("entry", `entry ${index} is not in the form of an entry: ${reason(error)}`, index);
      this.#sources.gap();
      this.#acts.gap();
      return undefined;
    }
  }

  async #block(index: number): Promise<Buffer | undefined> {
    try {
      return await this.#store.disclosures(index);
    } catch (error) {
      this.#findings.add("unreadable", `the disclosures of entry ${index}: ${reason(error)}`, index);
      return undefined;
    }
  }

  #compare(index: number, value: EntryValue | undefined, block: Buffer): void {
    try {
      if (disclosureBlockEnd(block, 0) !== block.length) throw new Error("their lengths do not fit");
      if (value === undefined) throw new Error("the entry has no sealed values");
      this.disclosures += blockDisclosures(block).length;
      checkDisclosures(blockOf(block), sealedValues(value), index);
    } catch (error) {
      this.#findings.add("disclosure", `the disclosures of entry ${index}: ${reason(error)}`, index);
    }
  }

  /** What was erased must not be there, whatever it opens. */
  async #erased(index: number, value: EntryValue, block: Buffer | undefined): Promise<void> {
    const order = this.#acts.erasedBy(index, value);
    if (order === undefined) return;
    const digest = sharedDigestOf(value);
    // What cannot be read was reported before.
    const shared = digest && (await this.#store.sharedDisclosure(digest).catch(() => undefined));
    if (block === undefined && shared === undefined) return;
    const message = `the erasure ordered by entry ${order} is done, and entry ${index} has disclosures that it was to delete`;
    this.#findings.add("erasure", message, index);
  }

  async #shared(index: number, bytes: Buffer): Promise<void> {
    const digest = sharedDigest(bytes, index);
    if (digest === undefined || this.#seen.has(digest.toString("latin1"))) return;
    if (this.#seen.size >= SEEN) this.#seen.clear();
    this.#seen.add(digest.toString("latin1"));
    try {
      const disclosure = await this.#store.sharedDisclosure(digest);
      if (disclosure === undefined) return;
      this.disclosures += 1;
      if (disclosureDigest(disclosure) === digest.toString("base64url")) return;
      this.#findings.add("disclosure", `the client address of entry ${index} does not have the digest sealed`, index);
    } catch (error) {
      this.#findings.add("unreadable", `the client address of entry ${index}: ${reason(error)}`, index);
    }
  }
}

async function claims(log: StoppedLog, config: LogServerConfig, findings: Findings): Promise<Claim[]> {
  const found: Claim[] = [];
  const look = async (
    code: "guard" | "checkpoint",
    where: string,
    read: () => Promise<SignedCheckpoint | undefined>,
  ): Promise<void> => {
    try {
      const checkpoint = await read();
      if (checkpoint !== undefined) found.push({ code, where, checkpoint });
    } catch (error) {
      findings.add(code, reason(error));
    }
  };
  await look("checkpoint", "the checkpoint recorded in the store", () => recordedCheckpoint(log));
  await look("guard", `the guard file ${config.guard}`, () => readGuard(config.guard, log.keys));
  const guarded = found.some(({ code }) => code === "guard") || findings.listed.some(({ code }) => code === "guard");
  if (!guarded && found.length > 0) {
    findings.add("guard", `the guard file ${config.guard} is missing, and this log has signed before`);
  }
  return found;
}

/**
 * Checks the whole store of a log that does not run: every entry, tile, position, accepted range and disclosure, and
 * what was signed. It changes nothing.
 * @param onProgress called now and then with the entries checked, and their number
 * @throws LogServerError `bad_key`, `store_missing`, `store_locked`, `store_version`, `store_corrupt`: what kept it from checking
 */
export async function fsckLog(
  config: LogServerConfig,
  onProgress: (done: number, size: number) => void = () => {},
): Promise<FsckReport> {
  return withStopped(config, async (log) => {
    const { store } = log;
    const findings = new Findings();
    const head = await readHead(store);
    const signed = await claims(log, config, findings);
    const tree = new TreeCheck(store, head, signed, findings);
    const sources = new SourcesCheck(store, findings);
    const acts = new ActsCheck(findings, actsName(config.origin));
    await acts.open(store);
    const entries = new EntriesCheck(store, findings, sources, acts);
    let missing = 0;
    for (let number = 0; number * TILE_WIDTH < head.size; number += 1) {
      const found = await tree.bundle(number);
      missing = found === undefined ? missing + 1 : 0;
      // A head that is damaged may say any size.
      if (missing === HOPELESS) break;
      if (found === undefined) {
        sources.gap();
        acts.gap();
      } else await entries.bundle(number * TILE_WIDTH, found.entries, found.leaves);
      onProgress(Math.min((number + 1) * TILE_WIDTH, head.size), head.size);
    }
    await tree.finish();
    await sources.finish();
    acts.finish();
    const sizes = signed.map(({ checkpoint }) => checkpoint.size);
    return {
      origin: config.origin,
      size: head.size,
      root: head.root.toString("base64"),
      signed: sizes.length === 0 ? undefined : Math.max(...sizes),
      disclosures: entries.disclosures,
      findings: findings.listed,
      omitted: findings.omitted,
    };
  });
}

async function readHead(store: Store): ReturnType<Store["head"]> {
  try {
    return await store.head();
  } catch (error) {
    const message = `the head of the tree cannot be read: ${reason(error)}; restore a copy that is not older than the guard file`;
    throw new LogServerError("store_corrupt", message, {}, { cause: error });
  }
}

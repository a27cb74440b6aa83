/** What has to be known, and held, before an epoch can begin. */
import { ProxyError } from "../errors.ts";
import { type Disk, isFull, openDisk } from "./disk.ts";
import { type SigningKey, verifierKeyName } from "./keys.ts";
import { type Lock, lockFolder } from "./lock.ts";
import { describe, LogClient } from "./log-client.ts";
import type { RecorderOptions } from "./options.ts";
import { RecordFile } from "./record-file.ts";
import { type Scan, scanSpool } from "./scan.ts";
import { SEGMENT_HEAD } from "./segment.ts";
import { Segments } from "./segments.ts";
import { FoundKeys, SourceKeys } from "./source-keys.ts";
import { checkStanding, type SpoolStanding, standingOf } from "./standing.ts";
import type { SpoolHead } from "./state.ts";
import { SOURCES_TIMEOUT_MS } from "./submitter.ts";

const DEFAULT_SEGMENT_BYTES = 16 * 1024 * 1024;
const MIN_SEGMENT_BYTES = 2 * SEGMENT_HEAD;

export interface Ground {
  readonly keys: SourceKeys;
  /** In the key's place, while an earlier one is still in force: it has to be announced. */
  readonly ahead: SigningKey | undefined;
  /** Of the log. */
  readonly origin: string;
  readonly client: LogClient;
  /** With a segment begun that holds nothing yet. */
  readonly segments: Segments;
  readonly scan: Scan | undefined;
  /** How the source stands before its new epoch. */
  readonly head: SpoolHead;
  /** Of what the log acknowledged; undefined when none is kept. */
  readonly record: RecordFile | undefined;
  /** Set when the log did not say how it stands. */
  readonly unchecked: SpoolStanding | undefined;
  /** Gives up what is held. */
  close(): Promise<void>;
}

/** @throws ProxyError, any of the codes for a start that begin with `bad_`, `spool_` and `log_` */
export async function prepare(options: RecorderOptions): Promise<Ground> {
  const found = await FoundKeys.read(options.key);
  const { name } = found.current;
  const origin = verifierKeyName(options.log.vkey);
  const segmentBytes = checkSizes(options);
  const client = new LogClient(options.log.url);
  let lock: Lock | undefined;
  let segments: Segments | undefined;
  let record: RecordFile | undefined;
  const close = async (): Promise<void> => {
    client.close();
    await record?.close();
    await segments?.close();
    await lock?.release();
  };
  try {
    const { dir } = options.spool;
    const disk: Disk = await (options.disk ?? openDisk)(dir);
    lock = await lockFolder(dir);
    const scan = await scanSpool(disk, name);
    if (scan !== undefined && found.find(scan.state.vkey) === undefined)
      throw new ProxyError(
        "spool_version",
        `the spool ${dir} belongs to the source ${scan.state.vkey}, not to ${found.current.vkey}`,
      );
    const { head, unchecked } = await compare(client, origin, found, scan, dir);
    const keys = keysOf(found, head.vkey, scan);
    const ahead = await settleFiles(options, found, keys);
    if (options.record !== undefined) {
      const { path, maxBytes } = options.record;
      const header = { origin, source: name, vkey: head.vkey };
      record = await RecordFile.open(path, header, {
        ...(maxBytes === undefined ? {} : { maxBytes }),
        ...(options.disk === undefined ? {} : { disk: options.disk }),
        ...(options.hooks === undefined ? {} : { hooks: options.hooks }),
      });
    }
    segments = await Segments.open(disk, segmentBytes, scan, options.hooks ?? {});
    await segments.begin(head);
    // CRASH: a segment more, and all as before.
    options.hooks?.at?.("open.segment");
    return { keys, ahead, origin, client, segments, scan, head, record, unchecked, close };
  } catch (error) {
    await close();
    throw error instanceof ProxyError ? error : spoolError(error);
  }
}

/** @throws ProxyError `bad_key` when an earlier key that is still needed is not there */
function keysOf(found: FoundKeys, vkey: string, scan: Scan | undefined): SourceKeys {
  const inForce = found.need(vkey);
  if (scan?.handover === undefined) return new SourceKeys(inForce);
  const { from, place } = scan.handover;
  return new SourceKeys(inForce, { key: found.need(from), place });
}

/**
 * Brings the key files to where the spool says that the source stands.
 * @returns the key in the current one's place, when that is not in force yet
 */
async function settleFiles(
  { key: store, hooks = {} }: RecorderOptions,
  found: FoundKeys,
  keys: SourceKeys,
): Promise<SigningKey | undefined> {
  if (typeof store === "string") return undefined;
  const { vkey } = keys.inForce;
  if (vkey === found.current.vkey) {
    if (found.hasPrevious && !keys.isChanging) await store.forget();
    return undefined;
  }
  if (found.isPrevious(vkey)) {
    // A lost spool took the entry with it that had brought the key in the current one's place into force.
    return found.current;
  }
  // The entry was durable, and then the process died.
  await store.advance(hooks);
  if (!keys.isChanging) await store.forget();
  return undefined;
}

/** Holds the spool against the log, or learns from the log what a lost spool would have known. */
async function compare(
  client: LogClient,
  origin: string,
  found: FoundKeys,
  scan: Scan | undefined,
  dir: string,
): Promise<Pick<Ground, "head" | "unchecked">> {
  const answer = await client.sources(SOURCES_TIMEOUT_MS);
  const log = standingOf(answer, found.current.name, found.vkeys, origin);
  if (scan !== undefined) {
    if (log === undefined) return { head: scan.state, unchecked: scan.state };
    checkStanding(log, scan.state);
    return { head: scan.state, unchecked: undefined };
  }
  if (log === undefined)
    throw new ProxyError(
      "log_unreachable",
      `the spool ${dir} is new, and the log at ${client.url} did not say where the source stands (${describe(answer)}); start the log`,
    );
  const { vkey, epoch, next, chain } = log;
  const head = {
    vkey,
    epoch,
    next,
    chain,
    clean: false,
    lost: epoch > 0,
    sessions: 0,
    statements: 0,
    refused: 0,
    acknowledged: { epoch, next },
    nextId: 1,
  };
  return { head, unchecked: undefined };
}

function checkSizes({ spool, durability, seals }: RecorderOptions): number {
  const { maxBytes, maxAgeMs, segmentBytes = DEFAULT_SEGMENT_BYTES } = spool;
  const counts = { maxBytes, maxAgeMs, segmentBytes, windowMs: durability.windowMs, ...seals };
  for (const [name, value] of Object.entries(counts)) {
    const least = name === "windowMs" ? 0 : name === "segmentBytes" ? MIN_SEGMENT_BYTES : 1;
    if (!Number.isSafeInteger(value) || value < least)
      throw new ProxyError(
        "bad_config",
        `${name} of the audit is ${value}; it must be an integer of at least ${least}`,
      );
  }
  return segmentBytes;
}

/** What an error of the file system means to everyone else. */
export function spoolError(error: unknown): ProxyError {
  const { message } = error as Error;
  const full = isFull(error);
  return new ProxyError(
    full ? "disk_full" : "spool_failed",
    `the spool could not be ${full ? "written, for want of space" : "read or written"}: ${message}`,
    { cause: error },
  );
}

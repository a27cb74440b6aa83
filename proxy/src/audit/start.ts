/** What has to be known, and held, before an epoch can begin. */
import { ProxyError } from "../errors.ts";
import { type Disk, openDisk } from "./disk.ts";
import { parseSigningKey, type SigningKey, verifierKeyName } from "./keys.ts";
import { type Lock, lockFolder } from "./lock.ts";
import { describe, LogClient } from "./log-client.ts";
import type { RecorderOptions } from "./options.ts";
import { RecordFile } from "./record-file.ts";
import { type Scan, scanSpool } from "./scan.ts";
import { SEGMENT_HEAD } from "./segment.ts";
import { Segments } from "./segments.ts";
import { checkStanding, type SpoolStanding, standingOf } from "./standing.ts";
import type { SpoolHead } from "./state.ts";
import { SOURCES_TIMEOUT_MS } from "./submitter.ts";

const DEFAULT_SEGMENT_BYTES = 16 * 1024 * 1024;
const MIN_SEGMENT_BYTES = 2 * SEGMENT_HEAD;

export interface Ground {
  readonly key: SigningKey;
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
  const key = parseSigningKey(options.key);
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
    const scan = await scanSpool(disk, key.vkey);
    const { head, unchecked } = await compare(client, key, scan, dir);
    if (options.record !== undefined) {
      const { path, maxBytes } = options.record;
      const header = { origin, source: key.name, vkey: key.vkey };
      record = await RecordFile.open(path, header, {
        ...(maxBytes === undefined ? {} : { maxBytes }),
        ...(options.disk === undefined ? {} : { disk: options.disk }),
        ...(options.hooks === undefined ? {} : { hooks: options.hooks }),
      });
    }
    segments = await Segments.open(disk, key.vkey, segmentBytes, scan, options.hooks ?? {});
    await segments.begin(head);
    // CRASH: a segment more, and all as before.
    options.hooks?.at?.("open.segment");
    return { key, origin, client, segments, scan, head, record, unchecked, close };
  } catch (error) {
    await close();
    throw error instanceof ProxyError ? error : spoolError(error);
  }
}

/** Holds the spool against the log, or learns from the log what a lost spool would have known. */
async function compare(
  client: LogClient,
  key: SigningKey,
  scan: Scan | undefined,
  dir: string,
): Promise<Pick<Ground, "head" | "unchecked">> {
  const answer = await client.sources(SOURCES_TIMEOUT_MS);
  const log = standingOf(answer, key.name, key.vkey);
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
  const { epoch, next, chain } = log;
  const head = {
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
  const { code, message } = error as NodeJS.ErrnoException;
  const full = code === "ENOSPC" || code === "EDQUOT";
  return new ProxyError(
    full ? "disk_full" : "spool_failed",
    `the spool could not be ${full ? "written, for want of space" : "read or written"}: ${message}`,
    { cause: error },
  );
}

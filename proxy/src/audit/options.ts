import type { ProxyError } from "../errors.ts";
import type { Hooks } from "./crash-points.ts";
import type { Disk } from "./disk.ts";
import type { KeyStore } from "./key-file.ts";

export type Durability = "before-execute" | "before-result" | "relaxed";

/**
 * `open`: everything is taken. `restricted`: the spool is nearly full, begin no new session. `closed`: it is full, begin
 * no new statement either. `failed`: it could not be written, or the log refuses this source for good; for good.
 */
export type SpoolState = "open" | "restricted" | "closed" | "failed";

export interface SealIntervals {
  readonly everyEntries: number;
  readonly everyMs: number;
  readonly idleMs: number;
}

export interface RecorderOptions {
  /** The source's signing key, one line (spec/checkpoint.md), or where its keys are kept so that it can change. */
  readonly key: string | KeyStore;
  readonly spool: {
    readonly dir: string;
    readonly maxBytes: number;
    readonly maxAgeMs: number;
    /** Of one segment file; 16 MiB when left out. */
    readonly segmentBytes?: number;
  };
  readonly log: {
    /** Without `/api/v1`. */
    readonly url: string;
    /** The log's verifier key; its name is the origin. */
    readonly vkey: string;
  };
  /** Where what the log acknowledged is recorded (spec/record.md); nowhere when left out. */
  readonly record?: {
    readonly path: string;
    /** A longer file is put away, and another one begun; 64 MiB when left out. */
    readonly maxBytes?: number;
  };
  readonly software: { readonly name: string; readonly version: string };
  /** Hex SHA-256 of the effective configuration. */
  readonly configDigest: string;
  readonly durability: { readonly reads: Durability; readonly others: Durability; readonly windowMs: number };
  /** 1,000 entries, 10 s and 60 s when left out. */
  readonly seals?: SealIntervals;
  /** How long a few entries wait for company before they are submitted; 50 ms when left out. */
  readonly lingerMs?: number;
  readonly hooks?: Hooks;
  /** Also called with `failed` and the reason. May be called before `open` resolves. */
  readonly onState?: (state: SpoolState, error?: ProxyError) => void;
  /** The log does not take what it is sent, and why; undefined: it does again. Until then it waits in the spool. */
  readonly onTrouble?: (why: string | undefined) => void;
  /** Told of what became of a change of the key, a line each. */
  readonly onKey?: (line: string) => void;
  /** After each group commit: the milliseconds that it took, and how many records it brought. */
  readonly onCommit?: (ms: number, records: number) => void;
  /** The folder to write to; the real one when left out. */
  readonly disk?: (dir: string) => Promise<Disk>;
}

const DEFAULT_SEALS: SealIntervals = { everyEntries: 1000, everyMs: 10_000, idleMs: 60_000 };

export function sealsOf({ seals = DEFAULT_SEALS }: RecorderOptions): SealIntervals {
  return seals;
}

export function isRelaxed({ durability: { reads, others } }: RecorderOptions): boolean {
  return reads === "relaxed" || others === "relaxed";
}

import {
  type Checkpoint,
  type Evidence,
  type Kept,
  VerifierError,
  type VerifierKey,
  verifyCheckpoint,
} from "../src/index.ts";
import { State } from "./state.ts";

/**
 * What is kept of one log, under each of its keys: one, or several while it changes from one to the next
 * (spec/checkpoint.md, rotation).
 */
export class States {
  readonly #keys: readonly VerifierKey[];
  readonly #states: readonly State[];

  private constructor(keys: readonly VerifierKey[], states: readonly State[]) {
    this.#keys = keys;
    this.#states = states;
  }

  /** @throws VerifierError `usage`, as {@link State.open} */
  static async open(folder: string, keys: readonly VerifierKey[]): Promise<States> {
    const states: State[] = [];
    for (const key of keys) states.push(await State.open(folder, key));
    return new States(keys, states);
  }

  /** Of the file of the first key. */
  get path(): string {
    return this.#states[0]!.path;
  }

  /** Of the file of each key, in their order. */
  get paths(): readonly string[] {
    return this.#states.map(({ path }) => path);
  }

  /** What was kept when the files were last read, under each key that has something. */
  get kept(): readonly Kept[] {
    return this.#states.flatMap(({ kept }) => (kept === undefined ? [] : [kept]));
  }

  /**
   * Keeps this under each key, instead of what was kept when the files were last read.
   * @param keep what all runs know together; its checkpoint may be one that another run kept under one of the keys
   * @param mine the checkpoint that this run saw, signed by all keys
   * @returns false when another run has changed one of the files since; then that one is read again, and not written
   * @throws VerifierError `usage` when one cannot be written
   */
  async save(keep: Kept, mine: Checkpoint): Promise<boolean> {
    let done = true;
    for (const [at, state] of this.#states.entries()) {
      const candidates = [keep.checkpoint, mine, ...(state.kept === undefined ? [] : [state.kept.checkpoint])];
      const checkpoint = furthestUnder(this.#keys[at]!, candidates);
      // CRASH: some keys have this state and the others an older one, with which it is consistent.
      if (!(await state.save({ checkpoint, audit: fitting(checkpoint, keep, state.kept) }))) done = false;
    }
    return done;
  }

  /** As {@link State.keepEvidence}, under the first key that has signed the older one. */
  keepEvidence(evidence: Evidence, found: string): Promise<string> {
    const at = this.#keys.findIndex((key) => isSigned(evidence.kept, key));
    return this.#states[Math.max(at, 0)]!.keepEvidence(evidence, found, this.#keys);
  }
}

/** A state is read again by its own key alone, so what is kept in it must be signed by that one. */
function furthestUnder(key: VerifierKey, checkpoints: readonly Checkpoint[]): Checkpoint {
  const signed = checkpoints.filter((checkpoint) => isSigned(checkpoint, key));
  return signed.reduce((one, other) => (other.size > one.size ? other : one));
}

/** An audit is kept with a checkpoint that has all entries that it speaks of. */
function fitting({ size }: Checkpoint, keep: Kept, before: Kept | undefined): Kept["audit"] {
  return keep.audit === null || keep.audit.size <= size ? keep.audit : (before?.audit ?? null);
}

function isSigned({ note }: Checkpoint, key: VerifierKey): boolean {
  try {
    verifyCheckpoint(note, key);
    return true;
  } catch (error) {
    if (error instanceof VerifierError) return false;
    throw error;
  }
}

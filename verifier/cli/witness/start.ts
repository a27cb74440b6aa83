import { join } from "node:path";
import { VerifierError } from "../../src/errors.ts";
import { pathError } from "../files.ts";
import { type Lock, lockFolder } from "../lock.ts";
import { printable } from "../printable.ts";
import { openFolder } from "../state.ts";
import type { WitnessHooks } from "./hooks.ts";
import { type Cosigner, createCosigner, readCosigner, writeKeyFile } from "./key-file.ts";
import { readLogs } from "./logs.ts";
import { defaultLimits, type ServerLimits, WitnessServer } from "./server.ts";
import { readSettings, type Settings, type WitnessFlags } from "./settings.ts";
import { WitnessState } from "./state.ts";
import { type Clocks, Witness } from "./witness.ts";

const systemClocks: Clocks = {
  wall: () => Math.floor(Date.now() / 1000),
  steadyMs: () => performance.now(),
};

/** How long a stop waits for requests that are being answered. */
const graceMs = 10_000;

export type RunningWitness = {
  witness: Witness;
  settings: Settings;
  /** Whether this start made the key. */
  created: boolean;
  port: number;
  /** Rejects when the state cannot be written: then the process must end. */
  failure: Promise<never>;
  /**
   * Reads the lists of logs again.
   * @returns sentences over logs that are left out
   * @throws VerifierError `usage`; then nothing has changed
   */
  reload(): Promise<string[]>;
  /** Answers what was asked, and lets go of the state. */
  stop(): Promise<void>;
  /** Answers nothing more, and lets go of the state: for when it cannot be written. */
  abort(): Promise<void>;
};

/** What a test may want otherwise. */
export type WitnessSurroundings = {
  clocks?: Clocks;
  limits?: ServerLimits;
  /** The state is made anew once it is longer than this many bytes. */
  compactAt?: number;
};

/**
 * Starts a witness.
 * @throws VerifierError `usage`, `port_in_use`, `state_locked`, `state_corrupt`, `state_missing`
 */
export async function startWitness(
  flags: WitnessFlags,
  hooks: WitnessHooks,
  { clocks = systemClocks, limits = defaultLimits, compactAt }: WitnessSurroundings = {},
): Promise<RunningWitness> {
  const settings = await readSettings(flags);
  const { logs, skipped } = await readLogs(settings, new Map(), clocks.steadyMs());
  for (const sentence of skipped) hooks.log(sentence);
  const lock = await lockState(settings.state);
  let state: WitnessState | undefined;
  try {
    const opened = await openState(settings, flags.fresh ?? false, { hooks, compactAt });
    state = opened.state;
    const evidenceFolder = join(settings.state, "evidence");
    const witness = new Witness({ ...opened, logs, hooks, clocks, evidenceFolder });
    const { prefix, url } = settings;
    const server = new WitnessServer({ witness, prefix, url, limits });
    const port = await server.listen(settings.host, settings.port);
    const stop = async (): Promise<void> => {
      await server.close(graceMs);
      await witness.state.journal.close();
      await lock.release();
    };
    const abort = async (): Promise<void> => {
      server.abort();
      await lock.release();
    };
    const reload = async (): Promise<string[]> => {
      const again = await readLogs(await readSettings(flags), witness.logs, clocks.steadyMs());
      witness.logs = again.logs;
      return again.skipped;
    };
    const { failure } = witness.state.journal;
    return { witness, settings, created: opened.created, port, failure, reload, stop, abort };
  } catch (error) {
    await state?.journal.close();
    await lock.release();
    throw error;
  }
}

async function lockState(folder: string): Promise<Lock> {
  await openFolder(folder);
  // Two would sign trees that know nothing of each other. Machines that share a folder are not kept apart by it: the
  // journal's own check of its length is what stops the second.
  return lockFolder(folder, { who: "witness", name: "lock" });
}

type Making = { hooks: WitnessHooks; compactAt: number | undefined };
type Opened = { cosigner: Cosigner; state: WitnessState; created: boolean };

/**
 * Key and state belong together: a key that has cosigned, with a state that knows nothing of it, would cosign the
 * opposite. So the state is made first, for a key that is in no file yet.
 */
async function openState(settings: Settings, fresh: boolean, making: Making): Promise<Opened> {
  const { hooks, compactAt } = making;
  const path = join(settings.state, "state");
  const cosigner = await readCosigner(settings.key);
  const known = cosigner === undefined ? undefined : await WitnessState.open(path, cosigner.vkey, hooks, compactAt);
  if (cosigner === undefined) return createBoth(path, settings, making);
  if (settings.name !== undefined && settings.name !== cosigner.vkey.name) {
    await known?.journal.close();
    const names = `${printable(cosigner.vkey.name)}, not of ${printable(settings.name)}`;
    throw new VerifierError("usage", `the key in ${printable(settings.key)} is that of ${names}`);
  }
  if (known !== undefined) return { cosigner, state: known, created: false };
  if (!fresh) {
    const where = `${printable(path)} is not there, and the key in ${printable(settings.key)} is`;
    const advice = "put the state back. If this key has never cosigned anything, start once with --fresh";
    throw new VerifierError("state_missing", `${where}: what it has cosigned is not known; ${advice}`);
  }
  return {
    cosigner,
    state: await writing(path, WitnessState.create(path, cosigner.vkey, hooks, compactAt)),
    created: false,
  };
}

async function createBoth(path: string, settings: Settings, { hooks, compactAt }: Making): Promise<Opened> {
  const { name, key } = settings;
  if (name === undefined) {
    const advice = "name the witness with --name, and a key is made; or say with --key where the key is";
    throw new VerifierError("usage", `there is no key file ${printable(key)}: ${advice}`);
  }
  if ((await WitnessState.cosignedCount(path, hooks)) > 0) {
    const why = `${printable(path)} holds what a witness has cosigned, and its key file ${printable(key)} is not there`;
    throw new VerifierError("state_corrupt", `${why}: put the key back, or name another state folder`);
  }
  const { cosigner, line } = createCosigner(name);
  const state = await writing(path, WitnessState.create(path, cosigner.vkey, hooks, compactAt));
  // CRASH: there is a state in which nothing is, and no key: the next start makes both anew.
  hooks.at("create:state");
  try {
    await writeKeyFile(key, line);
  } catch (error) {
    await state.journal.close();
    throw error;
  }
  // CRASH: key and state are there.
  hooks.at("create:key");
  return { cosigner, state, created: true };
}

async function writing<Result>(path: string, write: Promise<Result>): Promise<Result> {
  try {
    return await write;
  } catch (error) {
    throw pathError(error, `the state ${printable(path)} cannot be written`);
  }
}

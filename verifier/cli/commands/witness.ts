import { setFlagsFromString } from "node:v8";
import { VerifierError } from "../../src/index.ts";
import type { WitnessInvocation } from "../args/witness.ts";
import { printLines } from "../output.ts";
import { printable } from "../printable.ts";
import { defaultHooks, type WitnessHooks } from "../witness/hooks.ts";
import { policyLine } from "../witness/pages.ts";
import { type RunningWitness, startWitness } from "../witness/start.ts";

/**
 * `vitrine-verifier witness`: runs until SIGTERM or SIGINT; SIGHUP reads the lists of logs again.
 * @returns the exit status
 * @throws VerifierError `usage`, `port_in_use`, `state_locked`, `state_corrupt`, `state_missing`, `write_failed`
 */
export async function runWitness({ flags }: WitnessInvocation, hooks: WitnessHooks = defaultHooks): Promise<number> {
  // What a request leaves behind is garbage after milliseconds. V8 would let its heap grow with the load all the same;
  // kept small, it takes about a quarter less memory, at a rate that is far beyond what logs ask for.
  for (const flag of ["--semi-space-growth-factor=1", "--heap-growing-percent=30"]) setFlagsFromString(flag);
  const running = await startWitness(flags, hooks);
  // Before the line that says so is printed: whoever reads it may send a signal.
  const asked = new Promise<void>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolve());
  });
  process.on("SIGHUP", () => void reload(running, hooks));
  printLines(greeting(running));
  try {
    await Promise.race([asked, running.failure]);
    await Promise.race([running.stop(), running.failure]);
  } catch (error) {
    await running.abort();
    throw error;
  }
  return 0;
}

function greeting({ witness, settings, created, port }: RunningWitness): string[] {
  const { vkey } = witness.cosigner;
  const cosigned = [...witness.logs.keys()].filter((origin) => witness.state.log(origin).durable !== undefined);
  const host = settings.host.includes(":") ? `[${settings.host}]` : settings.host;
  return [
    `witness  ${printable(vkey.name)}${created ? `, whose key was made just now: ${printable(settings.key)}` : ""}`,
    `vkey     ${printable(vkey.text)}`,
    `policy   ${printable(policyLine(witness, settings.url))}`,
    witness.logs.size === 0
      ? "logs     none: nothing is cosigned until one is named with --log or --logs"
      : `logs     ${witness.logs.size}, ${cosigned.length} of them cosigned before`,
    `state    ${printable(settings.state)}`,
    `ready at http://${printable(host)}:${port}${settings.prefix}/`,
  ];
}

async function reload({ reload, witness }: RunningWitness, hooks: WitnessHooks): Promise<void> {
  try {
    for (const sentence of await reload()) hooks.log(sentence);
    hooks.log(`the lists were read again: ${witness.logs.size} logs`);
  } catch (error) {
    if (!(error instanceof VerifierError)) throw error;
    hooks.log(`the lists could not be read again, and the logs stay as they were: ${error.message}`);
  }
}

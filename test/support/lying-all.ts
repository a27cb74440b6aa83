/** Every lie by its name, and how it is told. */

import { bundles, proofs } from "./lying-cases-bundle.ts";
import { handovers } from "./lying-cases-key.ts";
import { movedEntries } from "./lying-cases-order.ts";
import { sealsAndKeys } from "./lying-cases-seal.ts";
import { answers, checkpoints } from "./lying-cases-server.ts";
import { forms, sessions } from "./lying-cases-session.ts";
import { changedBytes, forks } from "./lying-cases-tree.ts";
import { evidence, rotated, witnessed } from "./lying-cases-witness.ts";
import type { Honest } from "./lying-honest.ts";
import type { Audience, Heard } from "./lying-runner.ts";

export type Told = (audience: Audience) => Promise<Heard>;

/** @throws Error when two lies have the same name */
export function everyLie(honest: Honest): Map<string, Told> {
  const lies = new Map<string, Told>();
  const add = (name: string, told: Told): void => {
    if (lies.has(name)) throw new Error(`two lies are called: ${name}`);
    lies.set(name, told);
  };
  const groups = [
    changedBytes,
    forks,
    movedEntries,
    sealsAndKeys,
    handovers,
    sessions,
    forms,
    checkpoints,
    answers,
    proofs,
    witnessed,
    rotated,
  ];
  for (const group of groups) for (const lie of group(honest)) add(lie.name, (audience) => audience.hear(lie));
  for (const lie of [...bundles(honest), ...evidence(honest)]) add(lie.name, (audience) => audience.examine(lie));
  return lies;
}

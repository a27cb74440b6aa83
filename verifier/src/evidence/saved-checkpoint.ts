import { cosigners, limitOfWitnesses } from "../audit/conclusion.ts";
import type { LogKeys } from "../formats/key.ts";
import {
  checkpointText,
  checkSigned,
  type EvidenceDemand,
  type EvidenceFacts,
  type EvidenceReport,
  witnessText,
} from "./evidence.ts";
import { Steps, without } from "./steps.ts";

type StepName = "C" | "W";

export type SavedCheckpointReport = EvidenceReport<StepName>;

const texts: Readonly<Record<StepName, string>> = { C: checkpointText, W: witnessText };

/**
 * Steps C1 to C5, and W when witnesses are demanded, over a checkpoint that was saved.
 * @param bytes the note
 * @param key the log's verifier key, had from a trusted place; of several, all must have signed
 * @returns a report, whatever the bytes are; its verdict is NOT PROVEN when only witnesses are missing
 * @throws VerifierError `usage` for keys of several logs
 */
export function verifySavedCheckpoint(
  bytes: Uint8Array,
  key: LogKeys,
  demand: EvidenceDemand = {},
): SavedCheckpointReport {
  const facts: EvidenceFacts = { disclosures: [], sealed: [] };
  const steps = new Steps(demand.witnesses === undefined ? without(texts, "W") : texts);
  checkSigned(bytes, key, demand, facts, steps, "C");
  const whole = { ...facts, ...steps.finish() };
  return { ...whole, conclusion: conclude(whole) };
}

function conclude({ verdict, checkpoint, witnessing }: Omit<SavedCheckpointReport, "conclusion">): string {
  if (checkpoint === undefined) return "This is no checkpoint of the log: nothing is established.";
  const names = cosigners(witnessing);
  const cosigned = names === "" ? "" : `, and ${names} cosigned it as the policy demands`;
  const contradicted = verdict === "FAIL" ? " What it says of its witnesses contradicts itself." : "";
  const limit = verdict === "FAIL" ? "that anybody else has seen this tree" : limitOfWitnesses(witnessing);
  return (
    `Established: the log's key signed a tree of ${checkpoint.size} entries${cosigned}.${contradicted} ` +
    `Not established: ${limit}; that the log still has this tree, and what is in it.`
  );
}

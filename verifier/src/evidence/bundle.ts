import { verifyDisclosures } from "../entries/disclosure.ts";
import { type Entry, parseEntry } from "../entries/entry.ts";
import { sealedValues } from "../entries/sealed.ts";
import { VerifierError } from "../errors.ts";
import type { LogKeys } from "../formats/key.ts";
import { decodeUtf8, encodeUtf8 } from "../formats/text.ts";
import { formatTlogProof, parseTlogProof, type TlogProof } from "../formats/tlog-proof.ts";
import {
  checkInclusion,
  checkpointText,
  checkSigned,
  concludeEvidence,
  type EvidenceDemand,
  type EvidenceFacts,
  type EvidenceReport,
  inclusionText,
  witnessText,
} from "./evidence.ts";
import { type Step, Steps, without } from "./steps.ts";

/** What is in the file of an evidence bundle (spec/proof.md); nothing about it is verified. */
export type Bundle = {
  /** The entry's bytes. */
  entry: Uint8Array;
  proof: TlogProof;
  /** Each base64url. */
  disclosures: string[];
};

export type BundleStep = Step<StepName>;
export type BundleReport = EvidenceReport<StepName>;

type StepName = "B1" | "B2" | "W" | "B3" | "B4" | "B5";

/** A bundle's file is at most this long (spec/proof.md). */
export const maxBundleFileLength = 67108864;

const format = "vitrine/evidence/v1";

/**
 * Step B1.
 * @param bytes the file
 * @throws VerifierError `bundle_malformed`
 */
export function parseEvidenceBundle(bytes: Uint8Array): Bundle {
  if (bytes.length > maxBundleFileLength) throw malformed(`it has more than ${maxBundleFileLength} bytes`);
  const text = decodeUtf8(bytes);
  if (text === undefined) throw malformed("it is not UTF-8");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw malformed("it is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed("it is not an object");
  const members = value as Record<string, unknown>;
  if (members.format !== format) throw malformed(`its format is not ${format}`);
  const entry = textBytes(members.entry, "entry");
  const proof = parseTlogProof(textBytes(members.proof, "proof"));
  const { disclosures } = members;
  if (!Array.isArray(disclosures)) throw malformed("its disclosures are not an array");
  if (!disclosures.every((one) => typeof one === "string")) throw malformed("one of its disclosures is not a string");
  return { entry, proof, disclosures };
}

/** A lone surrogate has no UTF-8: what stands for it would not be the bytes that were meant. */
function textBytes(value: unknown, name: string): Uint8Array {
  if (typeof value !== "string") throw malformed(`its ${name} is not a string`);
  if (/\p{Surrogate}/u.test(value)) throw malformed(`its ${name} has a lone surrogate`);
  return encodeUtf8(value);
}

function malformed(why: string): VerifierError {
  return new VerifierError("bundle_malformed", `this is not an evidence bundle: ${why}`);
}

/** @returns the file's text, ending in a newline, of a bundle whose entry is UTF-8. */
export function formatEvidenceBundle({ entry, proof, disclosures }: Bundle): string {
  const members = { format, entry: decodeUtf8(entry), proof: formatTlogProof(proof), disclosures };
  return `${JSON.stringify(members, null, 2)}\n`;
}

const texts: Readonly<Record<StepName, string>> = {
  B1: "the file has the form of an evidence bundle",
  B2: checkpointText,
  W: witnessText,
  B3: inclusionText,
  B4: "the entry is well formed",
  B5: "each disclosure is the value that the entry has sealed",
};

/**
 * Steps B1 to B5 in this order, with W behind B2 when witnesses are demanded; the first that contradicts ends it. Works
 * offline: all that is needed is in the file.
 * @param bytes the file
 * @param key the log's verifier key, had from a trusted place; of several, all must have signed
 * @returns a report, whatever the bytes are; its verdict is NOT PROVEN when only witnesses are missing
 * @throws VerifierError `usage` for keys of several logs
 */
export function verifyBundle(bytes: Uint8Array, key: LogKeys, demand: EvidenceDemand = {}): BundleReport {
  const report: EvidenceFacts = { disclosures: [], sealed: [] };
  const steps = new Steps(demand.witnesses === undefined ? without(texts, "W") : texts);
  verifySteps(bytes, key, demand, report, steps);
  const whole = { ...report, ...steps.finish() };
  return { ...whole, conclusion: concludeEvidence("bundle", whole) };
}

function verifySteps(
  bytes: Uint8Array,
  key: LogKeys,
  demand: EvidenceDemand,
  report: EvidenceFacts,
  steps: Steps<StepName>,
): void {
  const bundle = steps.run("B1", () => parseEvidenceBundle(bytes));
  if (bundle === undefined) return;
  const checkpoint = checkSigned(bundle.proof.checkpoint, key, demand, report, steps, "B2");
  if (checkpoint === undefined) return;
  if (steps.run("B3", () => checkInclusion(bundle.entry, bundle.proof, checkpoint)) === undefined) return;
  report.index = bundle.proof.index;
  report.entryText = decodeUtf8(bundle.entry)!;
  const entry: Entry | undefined = steps.run("B4", () => parseEntry(bundle.entry));
  if (entry === undefined) return;
  report.entry = entry;
  report.sealed = [...sealedValues(entry).keys()];
  const disclosed = steps.run("B5", () => verifyDisclosures(bundle.disclosures, entry));
  const byName = new Map(disclosed?.map(({ name, value }) => [name, value]));
  report.disclosures = [...byName].map(([name, value]) => ({ name, value }));
}

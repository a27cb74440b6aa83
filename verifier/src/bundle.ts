import { type Checkpoint, verifyCheckpoint } from "./checkpoint.ts";
import { verifyDisclosure } from "./disclosure.ts";
import { type Entry, parseEntry } from "./entry.ts";
import { VerifierError } from "./errors.ts";
import { type Finding, Findings, type Verdict } from "./findings.ts";
import type { VerifierKey } from "./key.ts";
import { leafHash, verifyInclusion } from "./merkle.ts";
import { sealedValues } from "./sealed.ts";
import { decodeUtf8, encodeUtf8 } from "./text.ts";
import { formatTlogProof, parseTlogProof, type TlogProof } from "./tlog-proof.ts";

/** What is in the file of an evidence bundle (spec/proof.md); nothing about it is verified. */
export type Bundle = {
  /** The entry's bytes. */
  entry: Uint8Array;
  proof: TlogProof;
  /** Each base64url. */
  disclosures: string[];
};

export type BundleStep = {
  step: "B1" | "B2" | "B3" | "B4" | "B5";
  /** Undefined when it was not reached. */
  passed: boolean | undefined;
  /** What was established, or what is wrong. */
  text: string;
};

export type BundleReport = {
  verdict: Verdict;
  findings: Finding[];
  steps: BundleStep[];
  /** The entry's index and text, once B3 has passed. */
  index?: number;
  entryText?: string;
  /** The entry, once B4 has passed. */
  entry?: Record<string, unknown>;
  /** Once B2 has passed. */
  checkpoint?: Checkpoint;
  /** The values that are disclosed, each name once; those that B5 has passed. */
  disclosures: { name: string; value: unknown }[];
  /** The names of all sealed values of the entry, disclosed or not. */
  sealed: string[];
  /** What was established, and what was not. */
  conclusion: string;
};

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

const stepTexts = {
  B1: "the file has the form of an evidence bundle",
  B2: "the checkpoint is signed by the log's key",
  B3: "the inclusion proof leads from the entry to the checkpoint's root",
  B4: "the entry is well formed",
  B5: "each disclosure is the value that the entry has sealed",
} as const;

/**
 * Steps B1 to B5, in this order; the first that fails ends it. Works offline: all that is needed is in the file.
 * @param bytes the file
 * @param key the log's verifier key, had from a trusted place
 * @returns a report, whatever the bytes are; its verdict is PASS or FAIL
 */
export function verifyBundle(bytes: Uint8Array, key: VerifierKey): BundleReport {
  const findings = new Findings();
  const report: Omit<BundleReport, "verdict" | "findings" | "conclusion"> = { steps: [], disclosures: [], sealed: [] };
  const run = <Result>(step: BundleStep["step"], check: () => Result): Result | undefined => {
    try {
      const result = check();
      report.steps.push({ step, passed: true, text: stepTexts[step] });
      return result;
    } catch (error) {
      findings.addError(error);
      report.steps.push({ step, passed: false, text: (error as VerifierError).message });
      return undefined;
    }
  };
  verifySteps(bytes, key, report, run);
  for (const step of ["B1", "B2", "B3", "B4", "B5"] as const) {
    if (report.steps.some((one) => one.step === step)) continue;
    report.steps.push({ step, passed: undefined, text: `not reached: whether ${stepTexts[step]}` });
  }
  const whole = { ...report, verdict: findings.verdict, findings: findings.sorted() };
  return { ...whole, conclusion: concludeBundle(whole) };
}

type Run = <Result>(step: BundleStep["step"], check: () => Result) => Result | undefined;

function verifySteps(
  bytes: Uint8Array,
  key: VerifierKey,
  report: Pick<BundleReport, "index" | "entryText" | "entry" | "checkpoint" | "disclosures" | "sealed">,
  run: Run,
): void {
  const bundle = run("B1", () => parseEvidenceBundle(bytes));
  if (bundle === undefined) return;
  const checkpoint = run("B2", () => verifyCheckpoint(bundle.proof.checkpoint, key));
  if (checkpoint === undefined) return;
  report.checkpoint = checkpoint;
  if (run("B3", () => checkInclusion(bundle.entry, bundle.proof, checkpoint)) === undefined) return;
  report.index = bundle.proof.index;
  report.entryText = decodeUtf8(bundle.entry)!;
  const entry: Entry | undefined = run("B4", () => parseEntry(bundle.entry));
  if (entry === undefined) return;
  report.entry = entry;
  report.sealed = [...sealedValues(entry).keys()];
  const disclosed = run("B5", () => bundle.disclosures.map((text) => verifyDisclosure(text, entry)));
  const byName = new Map(disclosed?.map(({ name, value }) => [name, value]));
  report.disclosures = [...byName].map(([name, value]) => ({ name, value }));
}

/**
 * Step B3.
 * @throws VerifierError `inclusion_invalid`
 */
export function checkInclusion(entry: Uint8Array, proof: TlogProof, checkpoint: Checkpoint): true {
  const { index, hashes } = proof;
  if (verifyInclusion(index, checkpoint.size, leafHash(entry), hashes, checkpoint.root)) return true;
  const message = `the proof does not lead from this entry, at index ${index}, to the root of the signed tree of ${checkpoint.size} entries`;
  throw new VerifierError("inclusion_invalid", message, { index });
}

function concludeBundle(report: Omit<BundleReport, "conclusion">): string {
  if (report.verdict !== "PASS") {
    const failed = report.steps.find((step) => step.passed === false);
    return `This bundle proves nothing: step ${failed?.step} failed.`;
  }
  const undisclosed = report.sealed.filter((name) => !report.disclosures.some((one) => one.name === name));
  const hidden = undisclosed.length === 0 ? "" : `; what is sealed as ${undisclosed.join(", ")}`;
  return (
    `Established: the log's key signed a tree of ${report.checkpoint!.size} entries that has this entry at index ${report.index}. ` +
    `Not established: that the log shows this tree to everybody; that nothing was left out of it${hidden}.`
  );
}

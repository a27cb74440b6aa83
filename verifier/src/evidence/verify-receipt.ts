import { finishHead, type HeadOptions, openHead } from "../audit/head.ts";
import { joinKept } from "../audit/kept.ts";
import type { HeadReport } from "../audit/reports.ts";
import { Shapes } from "../entries/entry-shape.ts";
import { VerifierError } from "../errors.ts";
import { Findings } from "../findings.ts";
import { encodeBase64 } from "../formats/base64.ts";
import { listKeys, parseVerifierKey, type VerifierKey } from "../formats/key.ts";
import { equalBytes } from "../formats/merkle.ts";
import { parseNote, verifySignature } from "../formats/note.ts";
import { encodeUtf8 } from "../formats/text.ts";
import { EntryFinder } from "../reading/find-entry.ts";
import type { LogReader } from "../reading/log-reader.ts";
import { SignedTree } from "../reading/signed-tree.ts";
import { parseReceipt, type Receipt } from "./receipt.ts";

export type ReceiptReport = HeadReport & {
  /** Undefined when Q1 failed. */
  receipt: Omit<Receipt, "text" | "signature" | "leaf"> | undefined;
  /** The receipt's leaf hash, base64. */
  leaf: string | undefined;
  /** Where the entry was found, whether it is the receipt's or not. */
  foundAt: number | undefined;
  /** Whether the source's key was given to the verifier. */
  pinned: boolean;
};

export type ReceiptOptions = HeadOptions & {
  /** Keys given for sources, by name. */
  pins?: ReadonlyMap<string, VerifierKey>;
};

/**
 * Steps Q1 to Q7: whether the log holds the entry that a source gave a receipt for.
 * @param bytes the receipt, as the source gave it
 * @param reader the log
 * @throws VerifierError `log_unreachable`; `usage` for keys of several logs
 */
export async function verifyReceipt(
  bytes: Uint8Array,
  reader: LogReader,
  options: ReceiptOptions,
): Promise<ReceiptReport> {
  const findings = new Findings();
  const receipt = open(bytes, options, findings);
  const head = receipt === undefined ? { consistent: false } : await openHead(reader, options, findings);
  let foundAt: number | undefined;
  if (receipt !== undefined && head.checkpoint !== undefined && head.consistent) {
    const { size, root } = head.checkpoint;
    const finder = new EntryFinder(new SignedTree(reader, size, root), size, new Shapes());
    foundAt = await search(receipt, finder, size, findings);
  }
  const report: ReceiptReport = {
    ...finishHead(head, options, findings, joinKept(options.kept)?.audit ?? null),
    receipt: receipt && shown(receipt),
    leaf: receipt && encodeBase64(receipt.leaf),
    foundAt,
    pinned: receipt !== undefined && options.pins?.get(receipt.source) !== undefined,
  };
  report.conclusion = conclude(report);
  return report;
}

/** Steps Q1 to Q3. */
function open(bytes: Uint8Array, options: ReceiptOptions, findings: Findings): Receipt | undefined {
  let receipt: Receipt;
  try {
    receipt = parseReceipt(bytes);
  } catch (error) {
    findings.addError(error);
    return undefined;
  }
  const { origin, source, vkey, epoch, seq } = receipt;
  const place = { source, epoch, seq };
  const [log] = listKeys(options.key);
  // Q2
  if (origin !== log.name) {
    findings.add("receipt_mismatch", `the receipt is of the log ${origin}, the key of ${log.name}`, place);
  }
  let key: VerifierKey;
  try {
    key = parseVerifierKey(vkey);
  } catch (error) {
    if (!(error instanceof VerifierError)) throw error;
    findings.add("receipt_mismatch", `its vkey is malformed: ${error.message}`, place);
    return receipt;
  }
  if (key.name !== source) {
    findings.add("receipt_mismatch", `its vkey is of ${key.name}, and its source is ${source}`, place);
  }
  const pin = options.pins?.get(source);
  if (pin !== undefined && pin.text !== vkey) {
    const message = `the key of its source (${key.id}) is not the one that was given for it (${pin.id})`;
    findings.add("receipt_mismatch", message, place);
  }
  // Q3
  try {
    verifySignature(parseNote(encodeUtf8(`${receipt.text}\n— ${key.name} ${receipt.signature}\n`)), key);
  } catch (error) {
    if (!(error instanceof VerifierError)) throw error;
    findings.add("receipt_signature", `the receipt is not signed by its source: ${error.message}`, place);
  }
  return receipt;
}

/** Steps Q5 to Q7. @returns where the entry of this place stands */
async function search(
  receipt: Receipt,
  finder: EntryFinder,
  size: number,
  findings: Findings,
): Promise<number | undefined> {
  const { source, epoch, seq } = receipt;
  const place = { source, epoch, seq };
  try {
    // Q5
    const hinted = receipt.index === undefined ? undefined : await finder.at(receipt.index, place);
    const found = hinted ?? (await finder.find(place));
    // Q6
    if (found === undefined) {
      const message = `the tree of ${size} entries does not reach to the entry: it has nothing of ${source} at or behind epoch ${epoch}, sequence ${seq}`;
      findings.add("receipt_unpublished", message, place);
      return undefined;
    }
    // Q7
    if (found === "passed") {
      const message = `the log has later entries of ${source}, and none of epoch ${epoch}, sequence ${seq}`;
      findings.add("receipt_broken", message, place);
      return undefined;
    }
    if (!equalBytes(found.leaf, receipt.leaf)) {
      const message = `the log has another entry of ${source} as epoch ${epoch}, sequence ${seq}: its leaf hash is ${encodeBase64(found.leaf)}`;
      findings.add("receipt_broken", message, { ...place, index: found.index });
    }
    return found.index;
  } catch (error) {
    findings.addError(error);
    return undefined;
  }
}

function shown({ origin, source, vkey, epoch, seq, acknowledged, index }: Receipt): ReceiptReport["receipt"] {
  return { origin, source, vkey, epoch, seq, acknowledged, index };
}

function conclude({ verdict, receipt, checkpoint, foundAt, pinned }: ReceiptReport): string {
  if (receipt === undefined) return "The file is no receipt, so nothing is established.";
  if (checkpoint === undefined) return "No checkpoint of this log could be verified, so nothing is established.";
  const { source, epoch, seq } = receipt;
  const entry = `epoch ${epoch}, sequence ${seq}`;
  if (verdict === "FAIL") return "Something contradicts: the findings say what. Keep the receipt and this report.";
  if (verdict === "NOT PROVEN") {
    return `Nothing contradicts, and it is not proven that the log has ${entry} of ${source} as the receipt says. A log publishes within seconds of its acknowledgement; a source submits as soon as it reaches the log.`;
  }
  const whose = pinned ? "" : ` Not established: that the receipt's key is ${source}'s, for none was given (--source).`;
  return `Established: the entry that the receipt is for, ${entry} of ${source}, is in the tree of ${checkpoint.size} entries at index ${foundAt}, unchanged.${whose}`;
}

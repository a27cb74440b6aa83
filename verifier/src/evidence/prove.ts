import { concludeProof } from "../audit/conclusion.ts";
import { finishHead, type HeadOptions, openHead } from "../audit/head.ts";
import { joinKept } from "../audit/kept.ts";
import type { HeadReport } from "../audit/reports.ts";
import { verifyDisclosures } from "../entries/disclosure.ts";
import { type Entry, parseEntry } from "../entries/entry.ts";
import { VerifierError } from "../errors.ts";
import { Findings } from "../findings.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { equalBytes, hashLength, leafHash } from "../formats/merkle.ts";
import { encodeUtf8 } from "../formats/text.ts";
import { tilePath, tileWidth, widthOf } from "../formats/tile.ts";
import type { TlogProof } from "../formats/tlog-proof.ts";
import { type LogReader, readEntries, readHashes } from "../reading/log-reader.ts";
import { TileTree } from "../reading/tree.ts";
import { formatEvidenceBundle, verifyBundle } from "./bundle.ts";
import { checkInclusion } from "./evidence.ts";

export type ProveReport = HeadReport & {
  index: number;
  /** The entry, once its inclusion and its form are verified. */
  entry?: Record<string, unknown>;
  /** The text of an evidence bundle, ending in a newline; only when everything in it was verified. */
  bundle?: string;
};

export type ProveOptions = HeadOptions & {
  /** The entry's index. */
  index: number;
  /** Fetches the disclosures that the bundle is to have, each base64url. What it throws is passed on. */
  disclosures?: (index: number) => Promise<string[]>;
};

/**
 * Makes an evidence bundle for one entry, from the log's tiles alone, and verifies all that is in it: steps C, K and W, T
 * for what is read, the inclusion, E, and the disclosures.
 * @throws VerifierError `log_unreachable`; `usage` when the tree does not reach to the index
 */
export async function proveEntry(reader: LogReader, options: ProveOptions): Promise<ProveReport> {
  const { index, key } = options;
  if (!Number.isSafeInteger(index) || index < 0) throw new VerifierError("usage", `${index} is not an index`);
  const findings = new Findings();
  const head = await openHead(reader, options, findings);
  const proved: Pick<ProveReport, "entry" | "bundle"> = {};
  if (head.checkpoint !== undefined && head.consistent) {
    const { checkpoint } = head;
    if (index >= checkpoint.size) {
      const message = `there is no entry ${index} yet: the log's tree has ${checkpoint.size} entries`;
      throw new VerifierError("usage", message, { index });
    }
    try {
      const bytes = await readEntry(reader, index, checkpoint);
      const proof = await readProof(reader, index, checkpoint);
      checkInclusion(bytes, proof, checkpoint);
      const entry: Entry = parseEntry(bytes);
      proved.entry = entry;
      const disclosures = (await options.disclosures?.(index)) ?? [];
      verifyDisclosures(disclosures, entry);
      proved.bundle = formatEvidenceBundle({ entry: bytes, proof, disclosures });
    } catch (error) {
      findings.addError(error, { index });
    }
  }
  if (proved.bundle !== undefined && verifyBundle(encodeUtf8(proved.bundle), key).verdict !== "PASS") {
    throw new Error("a bundle made of verified parts does not verify");
  }
  const finished = finishHead(head, options, findings, joinKept(options.kept)?.audit ?? null);
  // What witnesses do not vouch for as the policy demands is not handed on as proven.
  if (finished.verdict !== "PASS") delete proved.bundle;
  const report: ProveReport = { ...finished, index, ...proved };
  report.conclusion = concludeProof(report, report);
  return report;
}

/** Steps T1 to T3 for one entry. */
async function readEntry(reader: LogReader, index: number, { size }: Checkpoint): Promise<Uint8Array> {
  const n = Math.floor(index / tileWidth);
  const width = widthOf(size, n);
  const bytes = (await readEntries(reader, n, width))[index % tileWidth]!;
  const at = (index % tileWidth) * hashLength;
  const hashes = await readHashes(reader, 0, n, width);
  if (equalBytes(leafHash(bytes), hashes.subarray(at, at + hashLength))) return bytes;
  const message = "the entry's leaf hash is not the one that the tile has for it";
  throw new VerifierError("leaf_mismatch", message, { index, where: tilePath(0, n, width) });
}

async function readProof(reader: LogReader, index: number, { size, note }: Checkpoint): Promise<TlogProof> {
  return { index, hashes: await new TileTree(reader, size).inclusionProof(index), checkpoint: note };
}

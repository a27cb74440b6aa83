// What a reader takes away to check offline (spec/proof.md, "Evidence bundle").

/** @returns a C2SP tlog-proof: an inclusion proof with the checkpoint that it leads to. */
export function formatProof(index: number, hashes: readonly Uint8Array[], checkpoint: string): string {
  const lines = hashes.map((hash) => `${Buffer.from(hash).toString("base64")}\n`);
  return `c2sp.org/tlog-proof@v1\nindex ${index}\n${lines.join("")}\n${checkpoint}`;
}

/** The JSON object of an evidence bundle. */
export interface EvidenceBundle {
  readonly format: "vitrine/evidence/v1";
  readonly entry: string;
  readonly proof: string;
  /** base64url. */
  readonly disclosures: readonly string[];
}

/**
 * @param entry its bytes, which are UTF-8
 * @param disclosures UTF-8 JSON arrays; empty when they are not to be shown, or were erased
 */
export function evidenceBundle(entry: Buffer, proof: string, disclosures: readonly Buffer[]): EvidenceBundle {
  return {
    format: "vitrine/evidence/v1",
    entry: entry.toString("utf8"),
    proof,
    disclosures: disclosures.map((disclosure) => disclosure.toString("base64url")),
  };
}

import { VerifierError } from "../errors.ts";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { hashLength } from "./merkle.ts";
import { decodeUtf8, encodeUtf8, parseDecimal } from "./text.ts";

/** C2SP tlog-proof, version 1 (spec/proof.md, evidence bundle); nothing about it is verified. */
export type TlogProof = {
  index: number;
  /** The siblings on the way from the leaf up, 32 bytes each. */
  hashes: Uint8Array[];
  /** The checkpoint, verbatim. Whether it is one is step B2. */
  checkpoint: Uint8Array;
};

const format = "c2sp.org/tlog-proof@v1";
const maxHashes = 64;

/**
 * Step B1, the form of the proof.
 * @throws VerifierError `bundle_malformed`
 */
export function parseTlogProof(bytes: Uint8Array): TlogProof {
  const text = decodeUtf8(bytes);
  if (text === undefined) throw malformed("it is not UTF-8");
  // The head has no empty line, so the first one in the text ends it; the checkpoint has one of its own.
  const end = text.indexOf("\n\n");
  if (end < 0) throw malformed("it has no empty line before the checkpoint");
  const lines = text.slice(0, end).split("\n");
  const checkpoint = text.slice(end + 2);
  if (checkpoint === "") throw malformed("it has no checkpoint");
  // A checkpoint has exactly one empty line, the one before its signatures; any other stands before it.
  const inner = checkpoint.indexOf("\n\n");
  const more = checkpoint.startsWith("\n") || (inner >= 0 && checkpoint.indexOf("\n\n", inner + 1) >= 0);
  if (more) throw malformed("it has more than one empty line before the checkpoint");
  if (lines.shift() !== format) throw malformed(`its first line is not ${format}`);
  if (lines[0]?.startsWith("extra ")) {
    const extra = lines.shift()!.slice("extra ".length);
    if (extra === "" || decodeBase64(extra) === undefined) throw malformed("its extra line is not strict base64");
  }
  const indexLine = lines.shift() ?? "";
  const index = indexLine.startsWith("index ") ? parseDecimal(indexLine.slice("index ".length)) : undefined;
  if (index === undefined) throw malformed("it has no line with a canonical index where that should stand");
  if (lines.length > maxHashes) throw malformed(`it has more than ${maxHashes} hashes`);
  return { index, hashes: lines.map(parseHash), checkpoint: encodeUtf8(checkpoint) };
}

function parseHash(line: string, position: number): Uint8Array {
  const hash = decodeBase64(line);
  if (hash?.length !== hashLength) throw malformed(`its hash ${position} is not the strict base64 of 32 bytes`);
  return hash;
}

function malformed(why: string): VerifierError {
  return new VerifierError("bundle_malformed", `this is not a tlog-proof: ${why}`, { where: "proof" });
}

/** @returns the text of a proof whose checkpoint is a verified note, which is UTF-8. */
export function formatTlogProof({ index, hashes, checkpoint }: TlogProof): string {
  const lines = [format, `index ${index}`, ...hashes.map(encodeBase64)];
  return `${lines.join("\n")}\n\n${decodeUtf8(checkpoint)}`;
}

import { VerifierError } from "../errors.ts";
import { decodeBase64 } from "../formats/base64.ts";
import { isKeyName } from "../formats/key.ts";
import { hashLength } from "../formats/merkle.ts";
import { decodeUtf8, isCount } from "../formats/text.ts";

/** A source's receipt for an entry (spec/receipt.md), parsed; nothing about it is verified. */
export type Receipt = {
  origin: string;
  source: string;
  /** The source's verifier key, as it stands there. */
  vkey: string;
  epoch: number;
  seq: number;
  /** The leaf hash, 32 bytes. */
  leaf: Uint8Array;
  /** The text that is signed, with its final newline. */
  text: string;
  /** What stands behind the name in the line of a signed note. */
  signature: string;
  acknowledged: boolean;
  /** Where the log said that the entry is. */
  index: number | undefined;
};

/** Bytes of a file (spec/receipt.md). */
export const maxReceiptLength = 4096;
const format = "vitrine/receipt/v1";

/**
 * Step Q1.
 * @throws VerifierError `receipt_malformed`
 */
export function parseReceipt(bytes: Uint8Array): Receipt {
  // The newline that may stand behind it is not part of it.
  const length = bytes.at(-1) === 0x0a ? bytes.length - 1 : bytes.length;
  if (length > maxReceiptLength) throw malformed(`it has more than ${maxReceiptLength} bytes`);
  const line = decodeUtf8(bytes.subarray(0, length));
  if (line === undefined) throw malformed("it is not UTF-8");
  const value = parseObject(line);
  const { origin, source, vkey, epoch, seq, leaf, signature, acknowledged, index } = value;
  if (value.format !== format) throw malformed(`it does not have the format ${format}`);
  if (typeof origin !== "string" || !isKeyName(origin)) throw malformed("its origin is not the name of a key");
  if (typeof source !== "string" || !isKeyName(source)) throw malformed("its source is not the name of a key");
  if (typeof vkey !== "string") throw malformed("its vkey is not a text");
  if (!isCount(epoch) || epoch < 1) throw malformed("epoch is not an integer from 1");
  if (!isCount(seq)) throw malformed("seq is not an integer from 0");
  const hash = typeof leaf === "string" ? decodeBase64(leaf) : undefined;
  if (hash?.length !== hashLength) throw malformed("leaf is not the strict base64 of 32 bytes");
  if (typeof signature !== "string" || decodeBase64(signature) === undefined)
    throw malformed("signature is not strict base64");
  if (typeof acknowledged !== "boolean") throw malformed("acknowledged is not true or false");
  if (index !== undefined && (!isCount(index) || !acknowledged))
    throw malformed("index is not an integer from 0, or stands without acknowledged");
  const members = { format, origin, source, vkey, epoch, seq, leaf, signature, acknowledged, index };
  // Two readers must not understand one receipt differently.
  if (JSON.stringify(members) !== line) throw malformed("it has other members, another order or white space");
  const text = `${format}\n${origin}\n${source}\n${epoch}\n${seq}\n${leaf}\n`;
  return { origin, source, vkey, epoch, seq, leaf: hash, text, signature, acknowledged, index };
}

function parseObject(line: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw malformed("it is not one line of JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed("it is no object");
  return value as Record<string, unknown>;
}

function malformed(why: string): VerifierError {
  return new VerifierError("receipt_malformed", `this is not a receipt: ${why}`);
}

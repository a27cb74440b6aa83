import type { SigningKey } from "./keys.ts";

/** Which entry a receipt is for. */
export interface ReceiptPlace {
  readonly origin: string;
  readonly epoch: number;
  readonly seq: number;
  /** The leaf hash, as a latin1 string. */
  readonly leaf: string;
  readonly acknowledged: boolean;
  /** Where the log put it, when it has acknowledged it and that is remembered. */
  readonly index: number | undefined;
}

/**
 * A receipt (spec/receipt.md): JSON on one line.
 * @param key the source's key in force
 */
export function receipt(key: SigningKey, { origin, epoch, seq, leaf, acknowledged, index }: ReceiptPlace): string {
  const hash = Buffer.from(leaf, "latin1").toString("base64");
  const text = `vitrine/receipt/v1\n${origin}\n${key.name}\n${epoch}\n${seq}\n${hash}\n`;
  const line = key.signature(text);
  return JSON.stringify({
    format: "vitrine/receipt/v1",
    origin,
    source: key.name,
    vkey: key.vkey,
    epoch,
    seq,
    leaf: hash,
    signature: line.slice(line.lastIndexOf(" ") + 1, -1),
    acknowledged,
    index,
  });
}

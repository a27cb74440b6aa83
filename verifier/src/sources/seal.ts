import { VerifierError } from "../errors.ts";
import { decodeBase64 } from "../formats/base64.ts";
import { isKeyName, type VerifierKey } from "../formats/key.ts";
import { equalBytes, hashLength } from "../formats/merkle.ts";
import { parseNote, signaturesBy, verifySignature } from "../formats/note.ts";
import { encodeUtf8, parseDecimal } from "../formats/text.ts";

/** What a source's seal states about the epoch so far (spec/submission.md, seal). */
export type Seal = {
  /** Of the entry that it is for. */
  kind: "source.seal" | "source.stop";
  source: string;
  epoch: number;
  /** Number of entries covered. */
  next: number;
  /** c(next), 32 bytes. */
  chain: Uint8Array;
  sessions: number;
  statements: number;
  refused: number;
};

/** The first line of the text: what stands in the one kind of entry must not pass in the other. */
const kinds: ReadonlyMap<string, Seal["kind"]> = new Map([
  ["vitrine/seal/v1", "source.seal"],
  ["vitrine/stop/v1", "source.stop"],
]);

/**
 * Step S6: a seal is a signed note by the source's key.
 * @param note the seal, as it stands in the entry
 * @throws VerifierError `seal_invalid`
 */
export function openSeal(note: string, key: VerifierKey): Seal {
  return translated(key, () => {
    const parsed = parseNote(encodeUtf8(note));
    verifySignature(parsed, key);
    return parseSealText(parsed.text);
  });
}

/**
 * Step S6 but for the signature itself (C5): a seal that claims to be by the key, for which {@link openSeal} is called
 * later where that is needed.
 * @throws VerifierError `seal_invalid`
 */
export function readSeal(note: string, key: VerifierKey): Seal {
  return translated(key, () => {
    const parsed = parseNote(encodeUtf8(note));
    signaturesBy(parsed, key);
    return parseSealText(parsed.text);
  });
}

function translated(key: VerifierKey, open: () => Seal): Seal {
  try {
    return open();
  } catch (error) {
    if (!(error instanceof VerifierError)) throw error;
    throw new VerifierError("seal_invalid", `the seal is not one by ${key.name}: ${error.message}`);
  }
}

function parseSealText(text: string): Seal {
  const lines = text.slice(0, -1).split("\n");
  const [first, source, epochText, nextText, chainText, ...countLines] = lines;
  const epoch = parseDecimal(epochText ?? "");
  const next = parseDecimal(nextText ?? "");
  const chain = decodeBase64(chainText ?? "");
  const sessions = parseCount(countLines[0], "sessions ");
  const statements = parseCount(countLines[1], "statements ");
  const refused = parseCount(countLines[2], "refused ");
  const kind = kinds.get(first!);
  if (kind === undefined || source === undefined || !isKeyName(source)) throw badText();
  if (epoch === undefined || next === undefined || chain === undefined || chain.length !== hashLength) throw badText();
  if (sessions === undefined || statements === undefined || refused === undefined) throw badText();
  if (countLines.length !== 3) throw badText();
  return { kind, source, epoch, next, chain, sessions, statements, refused };
}

function parseCount(line: string | undefined, prefix: string): number | undefined {
  return line?.startsWith(prefix) ? parseDecimal(line.slice(prefix.length)) : undefined;
}

function badText(): VerifierError {
  return new VerifierError("seal_invalid", `its text does not have the form ${[...kinds.keys()].join(" or ")}`);
}

/** What was rebuilt from the entries, to hold a seal against. */
export type Rebuilt = Omit<Seal, "chain"> & {
  /** Undefined when entries of the epoch are missing, so that there is no chain value to compare. */
  chain: Uint8Array | undefined;
};

/**
 * Steps S7 and S8: the seal states what was rebuilt.
 * @returns what differs, or undefined
 */
export function compareSeal(seal: Seal, rebuilt: Rebuilt): string | undefined {
  // S7
  if (seal.kind !== rebuilt.kind) return `it is for ${seal.kind}, and stands in ${rebuilt.kind}`;
  if (seal.source !== rebuilt.source) return `it is of source ${seal.source}`;
  if (seal.epoch !== rebuilt.epoch) return `it states epoch ${seal.epoch}, and stands in epoch ${rebuilt.epoch}`;
  if (seal.next !== rebuilt.next) return `it covers ${seal.next} entries, and stands at sequence ${rebuilt.next}`;
  if (rebuilt.chain === undefined) return undefined;
  if (!equalBytes(seal.chain, rebuilt.chain)) return "its chain value is not that of the entries before it";
  // S8
  for (const count of ["sessions", "statements", "refused"] as const) {
    if (seal[count] !== rebuilt[count]) return `it counts ${seal[count]} ${count}, and there are ${rebuilt[count]}`;
  }
  return undefined;
}

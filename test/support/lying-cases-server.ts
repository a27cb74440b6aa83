/** Checkpoints that are not the log's, and answers that are no answers. */
import { gzipSync } from "node:zlib";
import { FAIL, type Honest, type LogLie, NOT_PROVEN } from "./lying-honest.ts";
import { type Answer, entryBundle, tilePath, type View } from "./lying-log.ts";
import { checkpointText, flipped, newSigner, note, signatureLine, signedBy } from "./lying-note.ts";

export function checkpoints(honest: Honest): LogLie[] {
  const { origin, log, tree, at } = honest;
  const thief = newSigner(origin);
  const witness = newSigner("witness.example");
  const root = tree.root().toString("base64");
  const text = checkpointText(origin, at.size, tree.root());
  const elsewhere = checkpointText("other.example/log", at.size, tree.root());
  const lie = (name: string, code: string, checkpoint: Answer): LogLie => ({
    name: `the checkpoint ${name}`,
    show: () => honest.view(honest.entries, { checkpoint }),
    command: "head",
    exit: FAIL,
    codes: [code],
  });
  const signed = (lines: string): string => note(lines, log);
  return [
    lie("is signed by another key under the log's name", "signature_missing", note(text, thief)),
    lie(
      "is signed by another key under the log's name and key id",
      "signature_invalid",
      `${text}\n${signatureLine(origin, log.id, thief.sign(text))}`,
    ),
    lie(
      "is signed by the log's key under another name",
      "signature_missing",
      `${text}\n${signatureLine("other.example/log", log.id, log.sign(text))}`,
    ),
    lie("is signed by a witness alone", "signature_missing", note(text, witness)),
    lie(
      "has a flipped bit in its signature",
      "signature_invalid",
      `${text}\n${signatureLine(origin, log.id, flipped(log.sign(text), 63))}`,
    ),
    lie(
      "has a good signature and a wrong one of the same key",
      "signature_invalid",
      `${signed(text)}${signatureLine(origin, log.id, flipped(log.sign(text)))}`,
    ),
    lie(
      "has a signature of 63 bytes",
      "signature_invalid",
      `${text}\n${signatureLine(origin, log.id, log.sign(text).subarray(0, 63))}`,
    ),
    lie(
      "has the signature of another size",
      "signature_invalid",
      `${text}\n${signedBy(log, checkpointText(origin, at.half, tree.root(at.half)))}`,
    ),
    lie("has no signature", "note_malformed", `${text}\n`),
    lie("has a signature line in free form behind a good one", "note_malformed", `${signed(text)}and more\n`),
    lie("is of another origin, signed by this log's key", "origin_mismatch", signed(elsewhere)),
    lie("is one of another log, in order there", "origin_mismatch", note(elsewhere, newSigner("other.example/log"))),
    lie("has a size with a leading zero", "checkpoint_malformed", signed(`${origin}\n0${at.size}\n${root}\n`)),
    lie(
      "has a root of 31 bytes",
      "checkpoint_malformed",
      signed(checkpointText(origin, at.size, tree.root().subarray(1))),
    ),
    lie("has an empty line behind its root", "checkpoint_malformed", signed(`${text}\n`)),
    lie(
      "is of an empty tree with a root of something",
      "checkpoint_malformed",
      signed(checkpointText(origin, 0, tree.root())),
    ),
    lie("is empty", "note_malformed", ""),
    lie("is longer than 64 KiB", "note_malformed", note(`${text}${"x".repeat(65_536)}\n`, log)),
    lie("never ends", "note_malformed", { endless: Buffer.alloc(65_536, `${text}\n`) }),
    { ...lie("is not there", "data_missing", { missing: true }), exit: NOT_PROVEN },
    {
      ...lie("is a redirect", "data_missing", { status: 302, headers: { location: "/" }, body: "" }),
      exit: NOT_PROVEN,
    },
  ];
}

export function answers(honest: Honest): LogLie[] {
  const { entries, tree, at } = honest;
  const last = Math.floor(at.size / 256);
  const rest = at.size % 256;
  const bundle = entryBundle(entries.slice(256, 512));
  const partial = entryBundle(entries.slice(last * 256));
  const tile = tree.hashes(0, 256, 256)!;
  const partialTile = tree.hashes(0, last * 256, rest)!;
  const paths = {
    bundle: tilePath("entries", 1),
    partial: tilePath("entries", last, rest),
    tile: tilePath(0, 1),
    partialTile: tilePath(0, last, rest),
    level1: tilePath(1, 0, last),
  };
  const lie = (name: string, path: keyof typeof paths, answer: Answer): LogLie => ({
    name,
    show: () => honest.view(entries, { answers: { [paths[path]]: answer } }),
    exit: FAIL,
    codes: ["tile_malformed"],
  });
  const missing = (one: LogLie): LogLie => ({ ...one, exit: NOT_PROVEN, codes: ["data_missing"] });
  /** Its first entry claims more bytes than there are. */
  const overlong = Buffer.from(partial);
  overlong.writeUInt16BE(65_535, partial.length - entries.at(-1)!.length - 2);
  return [
    lie("a bundle is empty", "bundle", ""),
    lie("a bundle is cut off in its last entry", "bundle", bundle.subarray(0, -1)),
    lie("a partial bundle lacks its last entry", "partial", entryBundle(entries.slice(last * 256, -1))),
    lie("an entry's length is beyond its bundle", "partial", overlong),
    lie("a bundle has a byte behind its last entry", "bundle", Buffer.concat([bundle, Buffer.from([0])])),
    lie("a bundle has an entry too many", "bundle", entryBundle(entries.slice(256, 513))),
    lie("a partial bundle has an entry too many", "partial", entryBundle([...entries.slice(last * 256), entries[0]!])),
    lie("a bundle never ends", "bundle", { endless: Buffer.alloc(65_536) }),
    lie("a tile is empty", "tile", ""),
    lie("a tile lacks its last hash", "tile", tile.subarray(0, -32)),
    lie("a tile has a hash too many", "tile", Buffer.concat([tile, tile.subarray(0, 32)])),
    lie("a partial tile has a hash too many", "partialTile", Buffer.concat([partialTile, tile.subarray(0, 32)])),
    lie("a tile of a higher level lacks its last hash", "level1", tree.hashes(1, 0, last - 1)!),
    lie("a tile never ends", "tile", { endless: Buffer.alloc(65_536) }),
    missing(lie("a bundle is missing", "bundle", { missing: true })),
    missing(lie("a partial bundle is missing", "partial", { missing: true })),
    missing(lie("a tile is missing", "tile", { missing: true })),
    missing(lie("a tile of a higher level is missing", "level1", { missing: true })),
    missing(lie("a bundle is a fault of the log", "bundle", { status: 500, headers: {}, body: "{}" })),
    missing(
      lie("a bundle blows up when it is decompressed", "bundle", {
        endless: gzipSync(Buffer.alloc(1_048_576)),
        headers: { "content-encoding": "gzip" },
      }),
    ),
    {
      name: "an entry is changed, and a later bundle is missing: the one does not hide the other",
      show: (): View => {
        const one = entries[at.statement]!;
        const other = Buffer.from(one.toString().replace('"vitrine_test"', '"vitrine_tesu"'));
        return honest.view(entries, {
          entries: entries.with(at.statement, other),
          answers: { [paths.partial]: { missing: true } },
        });
      },
      exit: FAIL,
      codes: ["data_missing", "leaf_mismatch"],
      index: at.statement,
    },
  ];
}

/** A log that gives no answer has no verdict: exit 69. */
export function silences(honest: Honest): LogLie[] {
  const lie = (name: string, path: string, answer: Answer): LogLie => ({
    name,
    show: () => honest.view(honest.entries, { answers: { [path]: answer } }),
    args: ["--timeout", "0.4"],
    exit: 69,
    codes: ["log_unreachable"],
  });
  return [
    lie("the checkpoint breaks off", "/checkpoint", { broken: Buffer.from(honest.checkpoint) }),
    lie("a bundle breaks off", tilePath("entries", 1), { broken: Buffer.alloc(100) }),
    lie("a bundle is never sent", tilePath("entries", 1), { silent: true }),
    lie("a tile trickles, byte by byte", tilePath(0, 1), { trickle: 100 }),
  ];
}

import { verifyCheckpoint } from "../../src/formats/checkpoint.ts";
import { parseVerifierKey } from "../../src/formats/key.ts";
import { type Bytes, bytesOf, checkCases, codeOr, readVectors, toHex } from "../support/vectors.ts";

type Case = { desc: string; note: Bytes; vkey: string; wantErr?: string };

checkCases("checkpoints", readVectors<{ cases: Case[] }>("checkpoints.json").cases, ({ note, vkey }) =>
  codeOr(() => {
    const { origin, size, root } = verifyCheckpoint(bytesOf(note), parseVerifierKey(vkey));
    return { origin, size, root: toHex(root) };
  }),
);

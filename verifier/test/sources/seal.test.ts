import fc from "fast-check";
import t from "tap";
import { VerifierError } from "../../src/errors.ts";
import { parseVerifierKey } from "../../src/formats/key.ts";
import { compareSeal, openSeal } from "../../src/sources/seal.ts";
import { testKey } from "../support/keys.ts";
import { type Bytes, bytesOf, checkCases, codeOr, readVectors } from "../support/vectors.ts";

type Case = {
  desc: string;
  vkey: string;
  kind: "source.seal" | "source.stop";
  source: string;
  epoch: number;
  next: number;
  chain: string;
  sessions: number;
  statements: number;
  refused: number;
  seal: Bytes;
  wantErr?: string;
};

checkCases("seals", readVectors<{ cases: Case[] }>("seals.json").cases, ({ desc, vkey, seal, chain, ...rebuilt }) =>
  codeOr(() => {
    const text = Buffer.from(bytesOf(seal)).toString();
    const opened = openSeal(text, parseVerifierKey(vkey));
    const wrong = compareSeal(opened, { ...rebuilt, chain: Buffer.from(chain, "base64") });
    if (wrong !== undefined) throw new VerifierError("seal_mismatch", wrong);
    return { desc };
  }),
);

t.test("any text by the source's key is a seal or refused as seal_invalid", async (t) => {
  const key = testKey("proxy-a.example");
  const vkey = parseVerifierKey(key.vkey);
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom("vitrine/seal/v1", "proxy-a.example", "1", "sessions 1", "", "x")),
      (lines) => {
        const found = codeOr(() => openSeal(key.note(`${lines.join("\n")}\n`), vkey));
        return "wantErr" in found && found.wantErr === "seal_invalid";
      },
    ),
    { numRuns: 50 },
  );
  fc.assert(
    fc.property(fc.string(), (text) => {
      const found = codeOr(() => openSeal(text, vkey));
      return "wantErr" in found && found.wantErr === "seal_invalid";
    }),
  );
  t.pass();
});

import fc from "fast-check";
import t from "tap";
import { isKeyName, makeVerifierKey, parseVerifierKey } from "../../src/formats/key.ts";
import { testKey } from "../support/keys.ts";
import { checkCases, codeOr, fromHex, readVectors, toHex } from "../support/vectors.ts";

const vectors = readVectors<{
  cases: { desc: string; vkey: string; name?: string; keyId?: string; publicKey?: string; wantErr?: string }[];
  signingKeys: { desc: string; name?: string; seed?: string; vkey?: string; wantErr?: string }[];
}>("vkeys.json");

checkCases("verifier keys", vectors.cases, ({ vkey }) =>
  codeOr(() => {
    const { name, id, publicKey, text } = parseVerifierKey(vkey);
    return { name, keyId: id, publicKey: toHex(publicKey), vkey: text };
  }),
);

// The verifier never reads a signing key; of these cases it can only make the verifier keys.
const made = vectors.signingKeys.filter(({ wantErr }) => wantErr === undefined);
checkCases("verifier keys of signing keys", made, ({ name, seed }) => {
  const { publicKey } = parseVerifierKey(testKey(name!, fromHex(seed!)).vkey);
  return { vkey: makeVerifierKey(name!, publicKey).text };
});

t.test("names of keys", async (t) => {
  for (const name of ["log.example/vitrine", "ß", "\u200b", "\ufeff", "日本", "a\u007f"]) t.ok(isKeyName(name), name);
  for (const name of ["", "a b", "a+b", "a\n", "\u0085", "\u00a0", "\u3000", "\u0000", "\u001f", "\ud800"]) {
    t.notOk(isKeyName(name), JSON.stringify(name));
  }
});

t.test("any text is a key or refused as usage", async (t) => {
  const key = testKey("log.example/vitrine").vkey;
  const nearly = fc.tuple(fc.nat(key.length), fc.nat(2), fc.string({ maxLength: 2 })).map(([at, cut, put]) => {
    return key.slice(0, at) + put + key.slice(at + cut);
  });
  fc.assert(
    fc.property(fc.oneof(fc.string(), nearly), (text) => {
      const found = codeOr(() => parseVerifierKey(text));
      return "wantErr" in found ? found.wantErr === "usage" : found.text === text;
    }),
    { numRuns: 500 },
  );
  t.pass();
});

import fc from "fast-check";
import t from "tap";
import {
  cosignatureLength,
  cosignatureLine,
  cosignatureMessage,
  encodeCosignature,
  verifyCosignature,
} from "../../src/formats/cosignature.ts";
import { makeCosignerKey, parseCosignerKey, parseVerifierKey, type VerifierKey } from "../../src/formats/key.ts";
import { parseNote, verifySignature } from "../../src/formats/note.ts";
import { testCosigner, testKey } from "../support/keys.ts";
import { type Bytes, bytesOf, checkCases, codeOr, fromHex, readVectors, toHex } from "../support/vectors.ts";

const vectors = readVectors<{
  cases: { desc: string; note: Bytes; vkey: string; timestamp?: number | null; wantErr?: string }[];
  messages: { desc: string; vkey: string; text: string; timestamp: number; signature: string }[];
  keys: { desc: string; vkey: string; name?: string; publicKey?: string; wantErr?: string }[];
}>("cosignatures.json");

checkCases("cosigners' keys", vectors.keys, ({ vkey }) =>
  codeOr(() => {
    const { name, id, publicKey } = parseCosignerKey(vkey);
    return { name, keyId: id, publicKey: toHex(publicKey), vkey: makeCosignerKey(name, publicKey).text };
  }),
);

checkCases("cosignatures made", vectors.messages, ({ vkey, text, timestamp, signature }) => ({
  message: Buffer.from(cosignatureMessage(text, timestamp)).toString(),
  line: cosignatureLine(parseCosignerKey(vkey), timestamp, fromHex(signature)),
}));

checkCases("cosignatures verified", vectors.cases, ({ note, vkey }) => {
  const found = verifyCosignature(parseNote(bytesOf(note)), parseCosignerKey(vkey));
  if (found.state === "invalid") return { wantErr: "cosignature_invalid" };
  return { timestamp: found.state === "good" ? found.timestamp : null };
});

t.test("a cosigner's key and a signer's key, of the same name and bytes, accept nothing of each other", async (t) => {
  const name = "both.example";
  const [signer, cosigner] = [testKey(name), testCosigner(name)];
  const text = "log.example/vitrine\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
  t.same(parseVerifierKey(signer.vkey).publicKey, parseCosignerKey(cosigner.vkey).publicKey);
  t.same(
    codeOr(() => parseVerifierKey(cosigner.vkey)),
    { wantErr: "usage" },
  );
  t.same(
    codeOr(() => parseCosignerKey(signer.vkey)),
    { wantErr: "usage" },
  );
  const signed = parseNote(Buffer.from(signer.note(text)));
  const cosigned = parseNote(Buffer.from(`${text}\n${cosigner.line(text, 1763849028)}`));
  t.same(verifyCosignature(signed, parseCosignerKey(cosigner.vkey)), { state: "missing" });
  t.same(
    codeOr(() => verifySignature(cosigned, parseVerifierKey(signer.vkey))),
    { wantErr: "signature_missing" },
  );
  // A program that takes the one key for the other, whatever its types say, still gets nowhere.
  const mistaken = { ...parseCosignerKey(cosigner.vkey), type: 1 } as VerifierKey;
  t.same(
    codeOr(() => verifySignature(cosigned, mistaken)),
    { wantErr: "signature_invalid" },
  );
});

t.test("several lines of one cosigner: all times are told, the latest first", async (t) => {
  const cosigner = testCosigner("witness.example/w1");
  const text = "log.example/vitrine\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
  const note = parseNote(Buffer.from(`${text}\n${[10, 30, 20].map((time) => cosigner.line(text, time)).join("")}`));
  const found = verifyCosignature(note, parseCosignerKey(cosigner.vkey));
  t.same(found, { state: "good", timestamp: 30, timestamps: [30, 20, 10] });
});

t.test("what is made verifies, at every time and over every text", async (t) => {
  const cosigner = testCosigner("witness.example/w1");
  const key = parseCosignerKey(cosigner.vkey);
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.stringMatching(/^[ -~]{1,40}$/), (timestamp, line) => {
      const text = `${line}\n`;
      const signature = cosigner.sign(Buffer.from(cosignatureMessage(text, timestamp)));
      const note = parseNote(Buffer.from(`${text}\n${cosignatureLine(key, timestamp, signature)}`));
      const found = verifyCosignature(note, key);
      return found.state === "good" && found.timestamp === timestamp;
    }),
    { numRuns: 40 },
  );
  t.pass();
});

t.test("any bit changed in a cosignature, and it is missing or invalid", async (t) => {
  const cosigner = testCosigner("witness.example/w1");
  const key = parseCosignerKey(cosigner.vkey);
  const text = "log.example/vitrine\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
  const signature = cosigner.sign(Buffer.from(cosignatureMessage(text, 1763849028)));
  const blob = encodeCosignature(key, 1763849028, signature);
  t.equal(blob.length, cosignatureLength);
  const states: string[] = [];
  for (let at = 0; at < blob.length; at++) {
    const changed = Uint8Array.from(blob);
    changed[at] = changed[at]! ^ (1 << (at % 8));
    const note = parseNote(Buffer.from(`${text}\n\u2014 ${key.name} ${Buffer.from(changed).toString("base64")}\n`));
    states.push(verifyCosignature(note, key).state);
  }
  t.same(states, [...Array(4).fill("missing"), ...Array(72).fill("invalid")]);
});

t.test("what is no time or no signature is a mistake of the caller", async (t) => {
  const key = parseCosignerKey(testCosigner("witness.example/w1").vkey);
  for (const time of [-1, 0.5, 2 ** 53, Number.NaN]) {
    t.throws(() => cosignatureMessage("text\n", time), /not a timestamp/);
    t.throws(() => encodeCosignature(key, time, new Uint8Array(64)), /not a timestamp/);
  }
  t.throws(() => encodeCosignature(key, 1, new Uint8Array(63)), /63 bytes/);
});

import t from "tap";
import { checkCosignature, cosignatureMessage, isBy } from "../../src/formats/cosignature.ts";
import { parseCosignerKey, parseNote, parseSignature, parseVerifierKey } from "../../src/formats/note.ts";
import { makeCosigner } from "../support/cosigner.ts";
import { type Bytes, bytesOf, vectors } from "../support/vectors.ts";

const { cases, keys, messages } = vectors<{
  cases: { desc: string; note: Bytes; vkey: string; timestamp?: number | null; wantErr?: string }[];
  messages: { desc: string; vkey: string; text: string; timestamp: number; message: string; line: string }[];
  keys: { desc: string; vkey: string; wantErr?: string }[];
}>("cosignatures.json");

t.test("cosigners' keys: vectors", async (t) => {
  for (const { desc, vkey, wantErr } of keys) {
    t.equal(parseCosignerKey(vkey)?.vkey, wantErr === undefined ? vkey : undefined, desc);
  }
});

t.test("what is signed: vectors", async (t) => {
  for (const { desc, vkey, text, timestamp, message, line } of messages) {
    t.equal(cosignatureMessage(text, timestamp).toString(), message, desc);
    t.equal(checkCosignature(text, parseSignature(line.trimEnd())!, parseCosignerKey(vkey)!), timestamp, desc);
  }
});

t.test("cosignatures: vectors", async (t) => {
  for (const { desc, note: bytes, vkey, timestamp, wantErr } of cases) {
    const key = parseCosignerKey(vkey)!;
    const note = parseNote(bytesOf(bytes))!;
    const found = note.signatures
      .filter((line) => isBy(line, key))
      .map((line) => checkCosignature(note.text, line, key));
    if (wantErr !== undefined) t.ok(found.includes(undefined), desc);
    else if (timestamp === null) t.same(found, [], desc);
    else t.equal(Math.max(...found.map((each) => each ?? Number.NaN)), timestamp, desc);
  }
});

t.test("a key of one type is none of the other", async (t) => {
  const { vkey, noteVkey } = makeCosigner("w");
  t.equal(parseVerifierKey(vkey), undefined);
  t.equal(parseCosignerKey(noteVkey), undefined);
  t.equal(parseCosignerKey(vkey)!.vkey, vkey);
});

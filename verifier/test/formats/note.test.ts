import fc from "fast-check";
import t from "tap";
import { VerifierError } from "../../src/errors.ts";
import { parseVerifierKey } from "../../src/formats/key.ts";
import { parseNote, verifySignature } from "../../src/formats/note.ts";
import { testKey } from "../support/keys.ts";
import { type Bytes, bytesOf, checkCases, codeOr, readVectors } from "../support/vectors.ts";

type Case = { desc: string; note: Bytes; vkeys: string[]; text?: Bytes; verified?: string[]; wantErr?: string };

/** A reader that knows several keys: each that has a line must verify, and one must have. */
function open({ note, vkeys }: Case): Record<string, unknown> {
  return codeOr(() => {
    const parsed = parseNote(bytesOf(note));
    const verified = vkeys.filter((vkey) => {
      try {
        verifySignature(parsed, parseVerifierKey(vkey));
        return true;
      } catch (error) {
        if (error instanceof VerifierError && error.code === "signature_missing") return false;
        throw error;
      }
    });
    if (verified.length === 0) throw new VerifierError("signature_missing", "none of the keys");
    return { text: Buffer.from(parsed.text).toString("base64"), verified };
  });
}

const { cases } = readVectors<{ cases: Case[] }>("notes.json");
const asBase64 = cases.map((one) =>
  one.text === undefined ? one : { ...one, text: Buffer.from(bytesOf(one.text)).toString("base64") },
);
checkCases("notes", asBase64, open);

t.test("any bytes are a note or refused as note_malformed", async (t) => {
  const note = Buffer.from(testKey("log.example/vitrine").note("text\n"));
  const changed = fc.tuple(fc.nat(note.length - 1), fc.nat(255)).map(([at, byte]) => {
    const bytes = Uint8Array.from(note);
    bytes[at] = byte;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), changed), (bytes) => {
      const found = codeOr(() => parseNote(bytes));
      return !("wantErr" in found) || found.wantErr === "note_malformed";
    }),
    { numRuns: 500 },
  );
  t.pass();
});

t.test("one byte changed: no signature by the key verifies over another text", async (t) => {
  const key = testKey("log.example/vitrine");
  const vkey = parseVerifierKey(key.vkey);
  const text = "text that is signed\n";
  const note = Buffer.from(key.note(text));
  const wrong: number[] = [];
  for (let at = 0; at < note.length; at += 3) {
    const bytes = Uint8Array.from(note);
    bytes[at] = bytes[at]! === 0x41 ? 0x42 : 0x41;
    if (!("wantErr" in codeOr(() => verifySignature(parseNote(bytes), vkey) ?? {}))) wrong.push(at);
  }
  t.same(wrong, []);
  verifySignature(parseNote(note), vkey);
});

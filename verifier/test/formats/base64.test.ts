import fc from "fast-check";
import t from "tap";
import { decodeBase64, decodeBase64url, encodeBase64, encodeBase64url } from "../../src/formats/base64.ts";

t.test("both alphabets, as Node has them", async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      const buffer = Buffer.from(bytes);
      t.equal(encodeBase64(bytes), buffer.toString("base64"));
      t.equal(encodeBase64url(bytes), buffer.toString("base64url"));
      t.ok(buffer.equals(decodeBase64(buffer.toString("base64"))!));
      t.ok(buffer.equals(decodeBase64url(buffer.toString("base64url"))!));
    }),
    { numRuns: 30 },
  );
});

t.test("what is decoded encodes to the same text again, so each value has one spelling", async (t) => {
  const letters = fc.constantFrom(..."ABCDwxyz0189+/-_= \n=");
  let decoded = 0;
  fc.assert(
    fc.property(fc.array(letters, { maxLength: 9 }), (parts) => {
      const text = parts.join("");
      const standard = decodeBase64(text);
      const urlSafe = decodeBase64url(text);
      if (standard !== undefined) decoded++;
      return (
        (standard === undefined || encodeBase64(standard) === text) &&
        (urlSafe === undefined || encodeBase64url(urlSafe) === text)
      );
    }),
    { numRuns: 3000, seed: 1 },
  );
  t.ok(decoded > 0);
});

t.test("refuses what lenient decoders take", async (t) => {
  for (const text of [
    "AA",
    "AA=",
    "AB==",
    "AAB=",
    "A===",
    "AA==\n",
    " AA==",
    "AA==AA==",
    "A-==",
    "====",
    "\u0141A==",
  ]) {
    t.equal(decodeBase64(text), undefined, JSON.stringify(text));
  }
  for (const text of ["A", "AB", "AAB", "AA==", "A+AA", "A/AA", "AA\n"]) {
    t.equal(decodeBase64url(text), undefined, JSON.stringify(text));
  }
});

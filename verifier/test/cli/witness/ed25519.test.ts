import { createPublicKey, randomBytes } from "node:crypto";
import t from "tap";
import { makeSignature, publicKeyObject, signingKey, verifySignature } from "../../../cli/witness/ed25519.ts";
import { verifyEd25519 } from "../../../src/formats/ed25519.ts";
import { parseVerifierKey } from "../../../src/formats/key.ts";
import { parseNote } from "../../../src/formats/note.ts";
import { type Bytes, bytesOf, fromHex, readVectors } from "../../support/vectors.ts";

/** The order of the group, and the order's eight points in their spellings (RFC 8032 section 5.1). */
const order = 2n ** 252n + 27742317777372353535851937790883648493n;
const smallOrder = [
  `01${"00".repeat(31)}`,
  `ec${"ff".repeat(30)}7f`,
  "00".repeat(32),
  `${"00".repeat(31)}80`,
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];

function addOrder(signature: Uint8Array, times = 1n): Uint8Array {
  const bytes = Buffer.from(signature);
  const s = BigInt(`0x${Buffer.from(bytes.subarray(32)).reverse().toString("hex")}`) + times * order;
  if (s >= 2n ** 256n) throw new Error("beyond 256 bits");
  bytes.set(Buffer.from(s.toString(16).padStart(64, "0"), "hex").reverse(), 32);
  return bytes;
}

t.test("Node and the core agree over every signature of the vectors", async (t) => {
  const { cases } = readVectors<{ cases: { note: Bytes; vkeys: string[]; wantErr?: string }[] }>("notes.json");
  const wrong: unknown[] = [];
  let [good, bad] = [0, 0];
  for (const one of cases.filter(({ wantErr }) => wantErr !== "note_malformed")) {
    const note = parseNote(bytesOf(one.note));
    const keys = one.vkeys.map(parseVerifierKey);
    for (const { name, id, signature } of note.signatures) {
      for (const key of keys.filter((known) => known.name === name && known.id === id)) {
        const message = Buffer.from(note.text);
        const core = verifyEd25519(signature, message, key.publicKey);
        if (verifySignature(signature, message, publicKeyObject(key.publicKey)!) !== core) wrong.push(one);
        if (core) good++;
        else bad++;
      }
    }
  }
  t.same(wrong, []);
  t.ok(good >= 10 && bad >= 3, `${good} good, ${bad} bad`);
});

t.test("Node and the core agree over signatures that were changed", async (t) => {
  for (let round = 0; round < 8; round++) {
    const { key, publicKey } = signingKey(randomBytes(32));
    const object = publicKeyObject(publicKey)!;
    const message = randomBytes(round * 30);
    const signature = makeSignature(message, key);
    t.same(signature, makeSignature(message, key), "the same again: RFC 8032");
    const both = (changed: Uint8Array, text: Uint8Array = message): [boolean, boolean] => [
      verifySignature(changed, text, object),
      verifyEd25519(changed, text, publicKey),
    ];
    t.same(both(signature), [true, true]);
    for (const times of [1n, 2n, 7n, 14n]) t.same(both(addOrder(signature, times)), [false, false], "S + L");
    t.same(both(signature.subarray(0, 63)), [false, false]);
    t.same(both(Buffer.concat([signature, Buffer.alloc(1)])), [false, false]);
    t.same(both(signature, Buffer.concat([message, Buffer.alloc(1)])), [false, false]);
    for (const at of [0, 31, 32, 63]) {
      const changed = Buffer.from(signature);
      changed[at]! ^= 1;
      t.same(both(changed), [false, false]);
    }
    for (const hex of smallOrder) {
      t.same(both(Buffer.concat([fromHex(hex), signature.subarray(32)])), [false, false], "R of small order");
      t.same(both(Buffer.concat([fromHex(hex), Buffer.alloc(32)])), [false, false], "R of small order, S = 0");
    }
  }
});

t.test("a key of small order, for which Node would take a signature of nothing, is no key", async (t) => {
  const identity = fromHex(smallOrder[0]!);
  const forged = Buffer.concat([identity, Buffer.alloc(32)]);
  const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), identity]);
  const object = createPublicKey({ key: spki, format: "der", type: "spki" });
  t.ok(verifySignature(forged, Buffer.from("anything"), object), "this is what is to be prevented");
  for (const hex of smallOrder) t.equal(publicKeyObject(fromHex(hex)), undefined, hex);
  for (const hex of ["02".padEnd(64, "0"), `ed${"ff".repeat(30)}7f`, `ee${"ff".repeat(30)}7f`, "ff".repeat(32)])
    t.equal(publicKeyObject(fromHex(hex)), undefined, hex);
  t.equal(publicKeyObject(Buffer.alloc(31)), undefined);
});

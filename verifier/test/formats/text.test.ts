import t from "tap";
import { decodeHex, decodeUtf8, encodeHex, isTimestamp, parseDecimal, timestampMs } from "../../src/formats/text.ts";

t.test("decimals have one spelling and end at 2^53 − 1", async (t) => {
  const good: [string, number][] = [
    ["0", 0],
    ["10", 10],
    ["4294967296", 2 ** 32],
    ["9007199254740991", 2 ** 53 - 1],
  ];
  for (const [text, value] of good) t.equal(parseDecimal(text), value);
  for (const text of [
    "",
    "-1",
    "+1",
    "01",
    "1.0",
    "1e3",
    " 1",
    "1\n",
    "0x1",
    "\u0661",
    "9007199254740992",
    "1".repeat(17),
  ]) {
    t.equal(parseDecimal(text), undefined, JSON.stringify(text));
  }
});

t.test("timestamps", async (t) => {
  t.ok(isTimestamp("2026-11-22T22:10:00.123456Z"));
  t.ok(isTimestamp("0000-02-29T00:00:00.000000Z"));
  t.ok(isTimestamp("2000-02-29T23:59:59.999999Z"));
  for (const text of ["1900-02-29T00:00:00.000000Z", "2026-11-22T22:10:60.000000Z", "2026-11-22t22:10:00.000000Z", 7]) {
    t.notOk(isTimestamp(text), String(text));
  }
  t.equal(timestampMs("2026-11-22T22:10:00.123956Z"), Date.UTC(2026, 10, 22, 22, 10, 0, 123));
});

t.test("hex and UTF-8", async (t) => {
  const all = Uint8Array.from({ length: 256 }, (_, i) => i);
  t.equal(encodeHex(all), Buffer.from(all).toString("hex"));
  t.same(decodeHex(encodeHex(all)), all);
  for (const text of ["0", "0G", "AB", "0x", "é0"]) t.equal(decodeHex(text), undefined, text);
  t.equal(decodeUtf8(Uint8Array.of(0xef, 0xbb, 0xbf, 0x41)), "\ufeffA");
  t.equal(decodeUtf8(Uint8Array.of(0xed, 0xa0, 0x80)), undefined);
  t.equal(decodeUtf8(Uint8Array.of(0xc0, 0xaf)), undefined);
});

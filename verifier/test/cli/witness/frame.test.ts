import fc from "fast-check";
import t from "tap";
import { encodeRecord, frameLength, noCheck, scanRecords } from "../../../cli/witness/frame.ts";

/** @returns the file, and where each record ends */
function fileOf(payloads: readonly Uint8Array[]): { file: Buffer; ends: number[] } {
  const records: Buffer[] = [];
  const ends: number[] = [];
  let check = noCheck;
  let end = 0;
  for (const payload of payloads) {
    const encoded = encodeRecord(check, payload);
    records.push(encoded.record);
    check = encoded.check;
    end += encoded.record.length;
    ends.push(end);
  }
  return { file: Buffer.concat(records), ends };
}

const texts = ["first\n", "", "time 1\nthe second record\n", "third\n"].map((text) => Buffer.from(text));

t.test("records are read as they were written", async (t) => {
  const { file, ends } = fileOf(texts);
  const scan = scanRecords(file);
  t.same(scan.payloads, texts);
  t.same([scan.end, scan.tail, ends.at(-1)], [file.length, "none", file.length]);
  t.equal(
    file.length,
    texts.reduce((sum, text) => sum + text.length + frameLength, 0),
  );
  // What spec/witness.md says, of the first record.
  const lines = file.toString("latin1").split("\n");
  t.match(lines[0], /^0000000006 [0-9a-f]{16}$/);
  t.equal(lines[1], "first");
  t.match(lines[2], /^[0-9a-f]{64}$/);
  t.same(scanRecords(Buffer.alloc(0)), { payloads: [], end: 0, check: noCheck, tail: "none" });
});

t.test("a file cut anywhere has the records before, and is torn", async (t) => {
  const { file, ends } = fileOf(texts);
  const wrong: number[] = [];
  for (let length = 0; length < file.length; length++) {
    const whole = ends.filter((end) => end <= length).length;
    for (const zeros of [0, 1, 500]) {
      // Cut, or never written but for its length.
      const { payloads, end, tail } = scanRecords(Buffer.concat([file.subarray(0, length), Buffer.alloc(zeros)]));
      const expected = zeros === 0 && ends.includes(length) ? "none" : zeros === 0 && length === 0 ? "none" : "torn";
      if (payloads.length !== whole || end !== (ends[whole - 1] ?? 0) || tail !== expected) wrong.push(length);
    }
  }
  t.same(wrong, []);
});

t.test("a byte that changed is damage, wherever it is", async (t) => {
  const { file, ends } = fileOf(texts);
  const wrong: string[] = [];
  for (let at = 0; at < file.length; at++) {
    for (const mask of [1, 0x80]) {
      const changed = Buffer.from(file);
      changed[at]! ^= mask;
      const { payloads, tail } = scanRecords(changed);
      const before = ends.filter((end) => end <= at).length;
      if (tail !== "damaged" || payloads.length !== before) wrong.push(`${at} ${mask} ${tail} ${payloads.length}`);
    }
  }
  t.same(wrong, []);
});

t.test("records that are gone, moved, or from another file are damage", async (t) => {
  const { file, ends } = fileOf(texts);
  const part = (i: number): Buffer => file.subarray(ends[i - 1] ?? 0, ends[i]);
  const other = fileOf([texts[0]!, Buffer.from("x"), texts[2]!, texts[3]!]);
  const cases: [string, Buffer[], number][] = [
    ["one gone", [part(0), part(2), part(3)], 1],
    ["the first gone", [part(1), part(2)], 0],
    ["two exchanged", [part(0), part(2), part(1), part(3)], 1],
    ["one twice", [part(0), part(1), part(1)], 2],
    ["one of another file", [part(0), part(1), other.file.subarray(other.ends[1], other.ends[2])], 2],
    ["one zeroed, and another behind it", [part(0), Buffer.alloc(part(1).length), part(2)], 1],
    ["the last one's check is another's", [part(0), part(1).subarray(0, -65), part(2).subarray(-65)], 1],
    ["something else behind", [part(0), Buffer.from("and more that is no record at all\n")], 1],
    ["one damaged, and zeros behind it", [part(0), Buffer.from(part(1)).fill("x", 40, 44), Buffer.alloc(100)], 1],
  ];
  for (const [name, parts, count] of cases) {
    const { payloads, tail } = scanRecords(Buffer.concat(parts));
    t.same([payloads.length, tail], [count, "damaged"], name);
  }
});

t.test("whatever bytes there are: a scan ends, and finds again what was written", async () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 6 }), fc.uint8Array(), (payloads, more) => {
      const { file } = fileOf(payloads);
      const whole = scanRecords(file);
      if (whole.tail !== "none" || whole.payloads.length !== payloads.length) return false;
      const { payloads: found, end } = scanRecords(Buffer.concat([file, more]));
      return found.length === payloads.length && end === file.length && scanRecords(Buffer.from(more)).end === 0;
    }),
    { numRuns: 200 },
  );
});

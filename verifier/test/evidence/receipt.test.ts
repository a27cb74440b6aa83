import fc from "fast-check";
import t from "tap";
import { VerifierError } from "../../src/errors.ts";
import { parseReceipt } from "../../src/evidence/receipt.ts";
import { type ReceiptOptions, type ReceiptReport, verifyReceipt } from "../../src/evidence/verify-receipt.ts";
import { parseVerifierKey } from "../../src/formats/key.ts";
import { testKey } from "../support/keys.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { naiveLeaf } from "../support/naive-tree.ts";
import { TestSource } from "../support/test-source.ts";

/** Two epochs of a source, between those of another one, with long stretches of either; and what is no entry. */
const source = new TestSource();
source.run(700);
source.start();
source.session(1);
for (let i = 0; i < 40; i++) source.statement(1);
source.seal();
const other = new TestSource("proxy-b.example");
other.run(900);
const honest: Buffer[] = [Buffer.from("an entry without a source")];
for (let i = 0; i < Math.max(source.entries.length, other.entries.length); i += 300) {
  const pieces = [...other.entries.slice(i, i + 300), ...source.entries.slice(i, i + 300)];
  honest.push(...pieces.map((text) => Buffer.from(text)));
}
honest.push(Buffer.from("another"));
const log = new MemoryLog(honest);

type Place = { source: string; epoch: number; seq: number };
const placeOf = (entry: Buffer): Place => JSON.parse(entry.toString()) as Place;
const mine = honest.map((bytes, index) => ({ bytes, index })).filter(({ bytes }) => bytes[0] === 0x7b);

/** As the page says, by hand. */
function makeReceipt(entry: Buffer, members: Record<string, unknown> = {}, signer = source.key): string {
  const { epoch, seq, source: name } = placeOf(entry);
  const leaf = Buffer.from(naiveLeaf(entry)).toString("base64");
  const signed = { origin: log.key.name, source: name, vkey: signer.vkey, epoch, seq, leaf, ...members };
  const text = `vitrine/receipt/v1\n${signed.origin}\n${signed.source}\n${signed.epoch}\n${signed.seq}\n${signed.leaf}\n`;
  const line = signer.line(text);
  const signature = line.slice(line.lastIndexOf(" ") + 1, -1);
  const { acknowledged = false, index, ...rest } = signed as typeof signed & { acknowledged?: boolean; index?: number };
  return JSON.stringify({ format: "vitrine/receipt/v1", ...rest, signature, acknowledged, index });
}

function check(receipt: string, options: Partial<ReceiptOptions> = {}, reader = log): Promise<ReceiptReport> {
  return verifyReceipt(Buffer.from(receipt), reader, { key: parseVerifierKey(log.key.vkey), ...options });
}

const told = ({ verdict, findings }: ReceiptReport): string => [verdict, ...findings.map(({ code }) => code)].join(" ");

const ofSource = mine.filter(({ bytes }) => placeOf(bytes).source === source.key.name);

t.test("every entry of an honest log is found, with a hint, without one, and with a wrong one", async (t) => {
  for (const [i, { bytes, index }] of ofSource.entries()) {
    if (i % 37 !== 0 && i < ofSource.length - 3) continue;
    for (const hint of [{}, { acknowledged: true }, { acknowledged: true, index }, { acknowledged: true, index: 5 }]) {
      const report = await check(`${makeReceipt(bytes, hint)}\n`);
      t.same([told(report), report.foundAt], ["PASS", index], `entry ${i}`);
    }
  }
  const pins = new Map([[source.key.name, parseVerifierKey(source.key.vkey)]]);
  const { bytes } = ofSource[9]!;
  t.match((await check(makeReceipt(bytes))).conclusion, /Not established: that the receipt's key is/);
  const pinned = await check(makeReceipt(bytes), { pins });
  t.equal(pinned.pinned, true);
  t.notMatch(pinned.conclusion, /Not established/);
  const beyond = await check(makeReceipt(bytes, { acknowledged: true, index: 10 ** 9 }));
  t.equal(told(beyond), "PASS", "an index beyond the tree is a wrong hint and no more");
});

t.test("few bundles are read, and each once for a search", async (t) => {
  const reader = new MemoryLog(honest);
  await check(makeReceipt(ofSource[350]!.bytes), {}, reader);
  const bundles = reader.asked.filter((path) => path.includes("entries"));
  t.ok(bundles.length <= 6, bundles.join());
});

t.test("Q1: the form", async (t) => {
  const good = makeReceipt(ofSource[5]!.bytes);
  const change = (members: Record<string, unknown>): string =>
    JSON.stringify({ ...(JSON.parse(good) as object), ...members });
  const cases = [
    ...["", "{", "[]", "null", `${good} `, `\ufeff${good}`, `${good}\n\n`, good.replace(":", ": ")],
    ...[
      change({ more: 1 }),
      change({ format: "vitrine/receipt/v2" }),
      change({ origin: "" }),
      change({ source: "a b" }),
    ],
    ...[
      change({ vkey: 1 }),
      change({ epoch: 0 }),
      change({ epoch: "1" }),
      change({ seq: -1 }),
      change({ seq: 2 ** 53 }),
    ],
    ...[change({ leaf: "AAAA" }), change({ leaf: 1 }), change({ signature: "x" }), change({ acknowledged: 1 })],
    ...[change({ index: 1 }), change({ acknowledged: true, index: -1 }), change({ vkey: "x".repeat(5000) })],
    JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(good) as object).reverse())),
  ];
  for (const text of cases) {
    const report = await check(text);
    t.same([told(report), report.receipt], ["FAIL receipt_malformed", undefined], text.slice(0, 300));
  }
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.uint8Array({ minLength: 0, maxLength: 3 }), (at, put) => {
      const bytes = Buffer.concat([Buffer.from(good).subarray(0, at), put, Buffer.from(good).subarray(at + 1)]);
      try {
        parseReceipt(bytes);
        return true;
      } catch (error) {
        return error instanceof VerifierError && error.code === "receipt_malformed";
      }
    }),
  );
});

t.test("Q2: another log, source or key", async (t) => {
  const { bytes } = ofSource[5]!;
  t.equal(told(await check(makeReceipt(bytes, { origin: "other.example" }))), "FAIL receipt_mismatch");
  t.equal(told(await check(makeReceipt(bytes, { vkey: "x" }))), "FAIL receipt_mismatch");
  const stranger = testKey(source.key.name, Buffer.alloc(32, 7));
  const pins = new Map([[source.key.name, parseVerifierKey(source.key.vkey)]]);
  const forged = makeReceipt(bytes, {}, stranger);
  t.equal(told(await check(forged, { pins })), "FAIL receipt_mismatch");
  t.equal(told(await check(makeReceipt(bytes, {}, other.key))), "FAIL receipt_mismatch", "a key of another name");
});

t.test("Q3: what was not signed", async (t) => {
  const { bytes } = ofSource[5]!;
  const good = makeReceipt(bytes);
  for (const members of [
    { seq: 6 },
    { epoch: 2 },
    { leaf: Buffer.alloc(32).toString("base64") },
    { signature: "AAAAAAAA" },
  ]) {
    const report = await check(JSON.stringify({ ...(JSON.parse(good) as object), ...members }));
    t.match(told(report), /^FAIL .*receipt_signature/);
  }
});

t.test("Q4: the log's own checkpoint", async (t) => {
  const receipt = makeReceipt(ofSource[5]!.bytes);
  const forged = new MemoryLog(honest);
  forged.served.set("checkpoint", forged.note(forged.size, Buffer.alloc(32, 1)));
  t.equal(told(await check(receipt, {}, forged)), "FAIL root_mismatch");
  const stranger = new MemoryLog(honest, testKey("log.example/vitrine", Buffer.alloc(32, 9)));
  t.equal(told(await check(receipt, {}, stranger)), "FAIL signature_missing");
});

t.test("Q6: the log has not come that far", async (t) => {
  const shorter = new MemoryLog(honest.slice(0, 1000));
  const key = parseVerifierKey(shorter.key.vkey);
  const last = makeReceipt(ofSource.at(-1)!.bytes);
  const report = await verifyReceipt(Buffer.from(last), shorter, { key });
  t.equal(told(report), "NOT PROVEN receipt_unpublished");
  const none = new MemoryLog(honest.slice(0, 3));
  t.equal(told(await check(last, {}, none)), "NOT PROVEN receipt_unpublished");
  t.equal(told(await check(last, {}, new MemoryLog([]))), "NOT PROVEN receipt_unpublished", "an empty tree");
});

t.test("Q7: another entry in its place, or none although the log went on", async (t) => {
  const { bytes, index } = ofSource[400]!;
  const receipt = makeReceipt(bytes, { acknowledged: true, index });
  const changed = Buffer.from(bytes.toString().replace(/"time":"20../, '"time":"2031'));
  t.notSame(changed, bytes);
  const replaced = new MemoryLog(honest.with(index, changed));
  const report = await check(receipt, {}, replaced);
  t.same([told(report), report.foundAt, report.findings[0]!.index], ["FAIL receipt_broken", index, index]);
  const left = new MemoryLog(honest.toSpliced(index, 1));
  t.equal(told(await check(receipt, {}, left)), "FAIL receipt_broken");
  t.equal(told(await check(makeReceipt(bytes), {}, left)), "FAIL receipt_broken");
});

t.test("Q5: the log answers with other entries than it signed", async (t) => {
  const { bytes, index } = ofSource[400]!;
  const lying = new MemoryLog(honest);
  const forged = honest.with(index, Buffer.from(bytes.toString().replace("alice", "carol")));
  lying.showInBundles(forged);
  t.match(told(await check(makeReceipt(forged[index]!), {}, lying)), /^FAIL .*(leaf|root)_mismatch/);
});

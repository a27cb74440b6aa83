import fc from "fast-check";
import t from "tap";
import { EntryShapes } from "../../src/entries/entry-shapes.ts";
import { parsePayload, parseSubmission } from "../../src/entries/submission.ts";
import { LogServerError } from "../../src/errors.ts";
import { checkSubmission } from "../../src/intake/check.ts";
import { Sources } from "../../src/intake/sources.ts";
import { frameEntry, frameSubmission, TestSource, TIME } from "../support/source.ts";

const source = new TestSource("fuzz");

t.test("what was framed is found again, byte for byte", async (t) => {
  const item = fc.record({
    bytes: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    disclosures: fc.array(
      fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
      { maxLength: 3 },
    ),
  });
  fc.assert(
    fc.property(fc.array(item, { minLength: 1, maxLength: 20 }), fc.nat(), (items, seq) => {
      const payload = Buffer.concat(items.map(frameEntry));
      const framed = parseSubmission(frameSubmission(source.note("o", seq, items.length, payload), payload));
      const { starts, ends, blockEnds } = parsePayload(framed.payload, framed.announced.count);
      return items.every(
        (each, i) =>
          framed.payload.subarray(starts[i], ends[i]).equals(each.bytes) &&
          framed.payload.subarray(ends[i], blockEnds[i]).equals(frameEntry(each).subarray(2 + each.bytes.length)),
      );
    }),
    { numRuns: 200 },
  );
  t.pass();
});

t.test("any bytes are taken apart or refused, never anything else", async (t) => {
  const refuses = (action: () => unknown): boolean => {
    try {
      action();
      return false;
    } catch (error) {
      if (error instanceof LogServerError && error.code === "bad_submission") return true;
      throw error;
    }
  };
  source.start().fill(5, 20);
  const good = source.submission("o");
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(9000), (bytes, count) => {
      refuses(() => parseSubmission(Buffer.from(bytes)));
      refuses(() => parsePayload(Buffer.from(bytes), count));
    }),
    { numRuns: 500 },
  );
  // One byte of a good one changed, or its end cut off.
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (offset, mask) => {
      const changed = Buffer.from(good);
      changed[offset] = changed[offset]! ^ mask;
      refuses(() => parsePayload(parseSubmission(changed).payload, 6));
      const cut = good.subarray(0, offset);
      return refuses(() => parsePayload(parseSubmission(cut).payload, 6));
    }),
    { numRuns: 500 },
  );
  t.pass();
});

t.test("others get a turn while a submission of long entries is checked", async (t) => {
  const long = new TestSource("long");
  long.start().fill(40, 60_000);
  const sources = new Sources([long.key.vkey]);
  let turns = 0;
  let done = false;
  const turn = (): void => {
    turns += 1;
    if (!done) setImmediate(turn);
  };
  setImmediate(turn);
  const checked = await checkSubmission(parseSubmission(long.submission("o")), "o", sources, new EntryShapes());
  done = true;
  t.equal(checked.count, 41);
  // 2.4 MB, at most 256 KiB at a time.
  t.ok(turns >= 9, `${turns} turns`);
});

t.test("an entry like one before is refused for bytes that are not UTF-8, and for another place", async (t) => {
  const members = {
    session: "1.1",
    actor: { login: "alice", auth: "trust" },
    database: "sh\u00f6p",
    start: TIME,
    duration_us: 5,
    statements: 1,
    failed: 0,
    rows: 1,
    bytes_in: 1,
    bytes_out: 1,
    reason: "shutdown",
  };
  const shapes = new EntryShapes();
  const check = async (change: (bytes: Buffer) => Buffer): Promise<unknown> => {
    const like = new TestSource("like");
    like.start();
    for (let i = 0; i < 3; i += 1) like.add({ ...like.head("session.end"), ...members });
    const last = like.entries.pop()!;
    like.entries.push({ ...last, bytes: change(last.bytes) });
    const framed = parseSubmission(like.submission("o"));
    return checkSubmission(framed, "o", new Sources([like.key.vkey]), shapes);
  };
  const replaced = (one: string, other: string) => (bytes: Buffer) =>
    Buffer.from(bytes.toString("latin1").replace(one, other), "latin1");
  t.match(await check((bytes) => bytes), { count: 4 });
  const refused = { code: "bad_entry", details: { entry: 3 } };
  await t.rejects(check(replaced("\xc3\xb6", "\xc3")), refused, "half a character");
  await t.rejects(check(replaced("\xc3\xb6", "\xed\xa0\x80")), refused, "a surrogate");
  await t.rejects(check(replaced('"seq":3', '"seq":4')), refused);
  await t.rejects(check(replaced('"epoch":1', '"epoch":2')), refused);
  await t.rejects(check(replaced('"source":"like"', '"source":"other"')), refused);
  await t.rejects(check(replaced('"rows":1', '"rows":01')), refused);
  await t.rejects(check(replaced('"shutdown"', '"shut"')), refused);
  await t.rejects(check(replaced('"database"', '"databases"')), refused);
  t.match(await check(replaced('"rows":1', '"rows":12')), { count: 4 });
});

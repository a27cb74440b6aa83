import fc from "fast-check";
import t from "tap";
import { Framer, type FrameSink } from "../../src/wire/framer.ts";
import { frame } from "../../src/wire/write.ts";

/** Notes what it is told; keeps messages whole, by their first bytes, or not at all, depending on the type. */
class Notes implements FrameSink {
  readonly messages: { type: number; size: number; head: string }[] = [];
  passed: Buffer = Buffer.alloc(0);
  begin(type: number, size: number): number {
    return type % 3 === 0 ? size : type % 3 === 1 ? Math.min(size, 7) : 0;
  }
  pass(piece: Buffer): void {
    this.passed = Buffer.concat([this.passed, piece]);
  }
  end(type: number, size: number, head: Buffer): void {
    this.messages.push({ type, size, head: head.toString("hex") });
  }
}

const message = fc.record({ type: fc.integer({ min: 0x30, max: 0x7a }), body: fc.uint8Array({ maxLength: 40 }) });

t.test("messages come out the same however the stream is cut", async () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 12 }), fc.array(fc.nat(30), { maxLength: 60 }), (messages, cuts) => {
      const frames = messages.map(({ type, body }) => frame(type, Buffer.from(body)));
      const stream = Buffer.concat(frames);
      const notes = new Notes();
      const framer = new Framer(notes);
      let at = 0;
      for (const cut of cuts) {
        framer.feed(stream.subarray(at, at + cut));
        at = Math.min(stream.length, at + cut);
      }
      framer.feed(stream.subarray(at));
      const expected = frames.map((bytes) => ({
        type: bytes[0]!,
        size: bytes.length,
        head: bytes.subarray(0, new Notes().begin(bytes[0]!, bytes.length)).toString("hex"),
      }));
      const passed = Buffer.concat(frames.filter((bytes) => new Notes().begin(bytes[0]!, bytes.length) < bytes.length));
      return (
        JSON.stringify(notes.messages) === JSON.stringify(expected) && notes.passed.equals(passed) && framer.atBoundary
      );
    }),
    { numRuns: 500 },
  );
});

t.test("one byte at a time, and the boundary is known at each", async () => {
  const bytes = frame(0x51, Buffer.from("select 1\0"));
  const notes = new Notes();
  const framer = new Framer(notes);
  for (const [i, byte] of [...bytes].entries()) {
    t.equal(framer.atBoundary, i === 0);
    framer.feed(Buffer.from([byte]));
  }
  t.ok(framer.atBoundary);
  t.equal(notes.messages[0]?.head, bytes.toString("hex"));
});

t.test("a length that cannot be is refused before anything is buffered", async () => {
  for (const length of [0, 3, 0x40000000, 0x7fffffff, 0xffffffff]) {
    const header = Buffer.from([0x51, 0, 0, 0, 0]);
    header.writeUInt32BE(length, 1);
    t.throws(() => new Framer(new Notes()).feed(header), { code: "protocol_violation" });
    const split = new Framer(new Notes());
    split.feed(header.subarray(0, 2));
    t.throws(() => split.feed(header.subarray(2)), { code: "protocol_violation" });
  }
});

t.test("a whole message within a chunk is a view of it, not a copy", async () => {
  const chunk = frame(0x51, Buffer.alloc(100));
  let head: Buffer | undefined;
  new Framer({ begin: (_type, size) => size, pass: () => undefined, end: (_t, _s, bytes) => (head = bytes) }).feed(
    chunk,
  );
  t.equal(head?.buffer, chunk.buffer);
});

import fc from "fast-check";
import { parse as parseStream, serialize } from "pg-protocol";
import t from "tap";
import { ProxyError } from "../../src/errors.ts";
import { parseError, parseKeyData, parseTag, rowsOf } from "../../src/wire/backend.ts";
import {
  parseBindNames,
  parseExecute,
  parseFunctionCall,
  parseParameters,
  parseParse,
  parseQuery,
  parseTarget,
} from "../../src/wire/frontend.ts";
import { errorResponse, frame } from "../../src/wire/write.ts";

const name = fc.string({ unit: fc.constantFrom("a", "b", "_", " ", "1"), maxLength: 20 });
const text = fc.string({ maxLength: 60 }).map((s) => s.replaceAll("\0", ""));

t.test("what pg-protocol serializes is read as it was meant", async () => {
  fc.assert(
    fc.property(name, name, text, fc.array(fc.option(text), { maxLength: 6 }), (portal, statement, sql, values) => {
      const query = parseQuery(serialize.query(sql));
      const parsed = parseParse(serialize.parse({ name: statement, text: sql, types: [23, 25] }));
      const bound = serialize.bind({ portal, statement, values });
      const names = parseBindNames(bound);
      const parameters = parseParameters("Bind", bound, names.block, true);
      return (
        query.toString() === sql &&
        parsed.name === statement &&
        parsed.text.toString() === sql &&
        names.portal === portal &&
        names.statement === statement &&
        parameters.json === JSON.stringify(values) &&
        parameters.count === values.length &&
        parameters.bytes === values.reduce((sum, value) => sum + Buffer.byteLength(value ?? ""), 0) &&
        parseExecute(serialize.execute({ portal, rows: 5 })).portal === portal &&
        parseTarget(serialize.describe({ type: "S", name: statement }), "Describe").name === statement &&
        parseTarget(serialize.close({ type: "P", name: portal }), "Close").what === "portal"
      );
    }),
  );
});

t.test("binary parameters and text that is not UTF-8 are shown as base64", async () => {
  const binary = serialize.bind({ values: [Buffer.from([0, 255])] });
  t.equal(parseParameters("Bind", binary, parseBindNames(binary).block, true).json, '[{"base64":"AP8="}]');
  const plain = serialize.bind({ values: ["x"] });
  t.equal(parseParameters("Bind", plain, parseBindNames(plain).block, false).json, '[{"base64":"eA=="}]');
  const cut = serialize.bind({ values: ["ä"] });
  cut[cut.indexOf(0xc3)] = 0x41;
  t.equal(parseParameters("Bind", cut, parseBindNames(cut).block, true).json, '[{"base64":"QaQ="}]');
});

t.test(
  "a disclosure of parameters is what JSON.stringify says of them, whatever stands in them and however long",
  async () => {
    const unit = fc.constantFrom("a", "7", " ", '"', "\\", "\n", "\u001f", "\u007f", "ä", "語", "😀", "\u2028");
    const value = fc.oneof(fc.string({ unit, maxLength: 8 }), fc.string({ unit: "grapheme-ascii", maxLength: 600 }));
    fc.assert(
      fc.property(fc.array(fc.option(value), { maxLength: 4 }), (values) => {
        const bound = serialize.bind({ values });
        return parseParameters("Bind", bound, parseBindNames(bound).block, true).json === JSON.stringify(values);
      }),
    );
  },
);

t.test("a Bind cut short or with a lying count is refused, whatever the byte", async () => {
  const whole = serialize.bind({ portal: "p", statement: "s", values: ["one", null, "three"] });
  for (let end = 7; end < whole.length; end += 1) {
    const cut = whole.subarray(0, end);
    t.throws(() => parseParameters("Bind", cut, parseBindNames(cut).block, true), { code: "protocol_violation" });
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      const message = frame(0x42, Buffer.from(bytes));
      try {
        parseParameters("Bind", message, parseBindNames(message).block, true);
        return true;
      } catch (error) {
        return error instanceof ProxyError && error.code === "protocol_violation";
      }
    }),
  );
});

t.test("text behind the terminating NUL is refused: a reader of C strings would not see it", async () => {
  t.throws(() => parseQuery(frame(0x51, Buffer.from("select 1\0; drop table t\0"))), { code: "protocol_violation" });
  t.throws(() => parseQuery(frame(0x51, Buffer.from("select 1"))), { code: "protocol_violation" });
  t.throws(() => parseQuery(frame(0x51, Buffer.alloc(0))), { code: "protocol_violation" });
  t.throws(() => parseParse(frame(0x50, Buffer.from("\0select 1\0\0\0x"))), { code: "protocol_violation" });
  t.throws(() => parseParse(frame(0x50, Buffer.from("\0select 1"))), { code: "protocol_violation" });
  t.throws(() => parseExecute(frame(0x45, Buffer.from("\0\0\0\0"))), { code: "protocol_violation" });
  t.throws(() => parseTarget(frame(0x44, Buffer.from("Xa\0")), "Describe"), { code: "protocol_violation" });
  t.throws(() => parseFunctionCall(frame(0x46, Buffer.alloc(3))), { code: "protocol_violation" });
});

t.test("our ErrorResponse is what pg-protocol and our own reader expect", async () => {
  const bytes = errorResponse("FATAL", "spool_full", "no room\0hidden", "wait");
  let seen: Record<string, unknown> = {};
  const { PassThrough } = await import("node:stream");
  const stream = new PassThrough();
  const done = parseStream(stream, (message) => {
    seen = message as unknown as Record<string, unknown>;
  });
  stream.end(bytes);
  await done;
  t.match(seen, { severity: "FATAL", code: "57P03", hint: "wait", routine: "vitrine" });
  t.match(parseError(bytes), { severity: "FATAL", sqlstate: "57P03", message: "no roomhidden", hint: "wait" });
});

t.test("an ErrorResponse that is cut off or odd still gives a SQLSTATE", async () => {
  t.equal(parseError(frame(0x45, Buffer.from("SERROR\0C42"))).sqlstate, "XX000");
  t.equal(parseError(frame(0x45, Buffer.alloc(0))).sqlstate, "XX000");
});

t.test("command tags", async () => {
  const tags: [string, number | undefined][] = [
    ["SELECT 5", 5],
    ["INSERT 0 12", 12],
    ["COPY 0", 0],
    ["BEGIN", undefined],
    ["CREATE TABLE", undefined],
    ["MERGE 3", 3],
    ["SELECT 99999999999999999999", undefined],
  ];
  for (const [tag, rows] of tags) {
    t.equal(parseTag(frame(0x43, Buffer.from(`${tag}\0`))), tag);
    t.equal(rowsOf(tag), rows);
  }
});

t.test("cancel keys of protocol 3.0 and 3.2", async () => {
  for (const size of [4, 32]) {
    const body = Buffer.alloc(4 + size, 9);
    body.writeUInt32BE(77, 0);
    t.same(parseKeyData(frame(0x4b, body)), { pid: 77, key: Buffer.alloc(size, 9) });
  }
});

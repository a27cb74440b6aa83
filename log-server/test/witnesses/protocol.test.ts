import fc from "fast-check";
import t from "tap";
import { parseCosignerKey } from "../../src/formats/note.ts";
import { addCheckpointBody, readAnswer, witnessFailures } from "../../src/witnesses/protocol.ts";
import { makeCosigner } from "../support/cosigner.ts";

const signer = makeCosigner("witness.example/w1");
const other = makeCosigner("witness.example/w1");
const key = parseCosignerKey(signer.vkey)!;
const text = `log.example/x\n7\n${Buffer.alloc(32, 5).toString("base64")}\n`;
const candidate = { size: 7, text, note: `${text}\n\u2014 log.example/x AAAAAAA=\n` };
const NOW = 1_790_000_000_000;
const S = NOW / 1000;
const SIZE = "text/x.tlog.size";

interface Said {
  status?: number;
  body?: string | Buffer;
  contentType?: string;
  retryAfter?: string;
}

const read = ({ status = 200, body = "", contentType, retryAfter }: Said, old = 4) =>
  readAnswer({ status, contentType, retryAfter, body: Buffer.from(body) }, old, candidate, key, NOW);

t.test("what is sent", async (t) => {
  t.equal(addCheckpointBody(0, [], candidate).toString(), `old 0\n\n${candidate.note}`);
  const [a, b] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
  t.equal(
    addCheckpointBody(9_007_199_254_740_991, [a, b], candidate).toString(),
    `old 9007199254740991\n${a.toString("base64")}\n${b.toString("base64")}\n\n${candidate.note}`,
  );
  t.throws(() => addCheckpointBody(1, Array<Buffer>(64).fill(a), candidate), /a proof of 64 hashes/);
});

t.test("a cosignature, alone and among lines of others", async (t) => {
  const line = signer.line(text, S);
  t.same(read({ body: line }), { result: "cosigned", line, timestamp: S });
  const unknown = `\u2014 witness.example/pq ${Buffer.alloc(2432).toString("base64")}\n`;
  t.same(read({ body: unknown + line + other.line(text, S) }), { result: "cosigned", line, timestamp: S });
  t.same(read({ body: line + line }), { result: "cosigned", line, timestamp: S });
  for (const time of [S - 3600, S + 300]) t.match(read({ body: signer.line(text, time) }), { timestamp: time });
});

t.test("each answer without one", async (t) => {
  const line = signer.line(text, S);
  const cases: [string, string, Said, number?][] = [
    ["bad_answer", "an empty body", {}],
    ["bad_answer", "no newline", { body: line.trimEnd() }],
    ["bad_answer", "an empty line", { body: `${line}\n` }],
    ["bad_answer", "a whole note", { body: `${candidate.note}${line}` }],
    ["bad_answer", "HTML", { body: "<html>\n" }],
    ["bad_answer", "no UTF-8", { body: Buffer.of(0xff, 0x0a) }],
    ["bad_answer", "202", { status: 202, body: line }],
    ["no_cosignature", "another key of the same name", { body: other.line(text, S) }],
    ["bad_cosignature", "over another size", { body: signer.line(text.replace("\n7\n", "\n8\n"), S) }],
    ["bad_cosignature", "one good, one bad", { body: line + signer.line(`${text}x\n`, S) }],
    ["bad_time", "too old", { body: signer.line(text, S - 3601) }],
    ["bad_time", "of the future", { body: signer.line(text, S + 301) }],
    ["bad_time", "0", { body: signer.line(text, 0) }],
    ["unknown_log", "404", { status: 404 }],
    ["forbidden", "403", { status: 403 }],
    ["refused", "400", { status: 400 }],
    ["refused", "422 from 0: no proof can be wrong", { status: 422 }, 0],
    ["split", "422", { status: 422 }],
    ["split", "409 at the same size, as v1.0.0 has it", { status: 409 }, 7],
    ["split", "409 with that size", { status: 409, contentType: SIZE, body: "7\n" }, 7],
    ["ahead", "409 with more", { status: 409, contentType: SIZE, body: "8\n" }],
    ["ahead", "409 with more, at the same size", { status: 409, contentType: SIZE, body: "8\n" }, 7],
    ["conflict", "409 without a size", { status: 409 }],
    ["conflict", "a size without its type", { status: 409, body: "5\n" }],
    ["conflict", "a size that is none", { status: 409, contentType: SIZE, body: "05\n" }],
    ["conflict", "a size without newline", { status: 409, contentType: SIZE, body: "5" }],
    ["conflict", "a size beyond 2^53 - 1", { status: 409, contentType: SIZE, body: "9007199254740992\n" }],
    ["bad_answer", "the size that was sent", { status: 409, contentType: SIZE, body: "4\n" }],
    ["busy", "429", { status: 429 }],
    ["unavailable", "500", { status: 500 }],
    ["unavailable", "503", { status: 503 }],
    ["redirect", "301", { status: 301 }],
    ["redirect", "304", { status: 304 }],
  ];
  for (const [failure, what, said, old] of cases) t.match(read(said, old), { result: "failed", failure }, what);
});

t.test("a 409 teaches the size", async (t) => {
  for (const contentType of [SIZE, `${SIZE.toUpperCase()}; charset=utf-8`]) {
    t.same(read({ status: 409, contentType, body: "6\n" }), { result: "learned", size: 6 });
  }
  t.same(read({ status: 409, contentType: SIZE, body: "0\n" }), { result: "learned", size: 0 });
});

t.test("Retry-After: seconds or a date, an hour at most", async (t) => {
  const after = (retryAfter: string, status = 429) =>
    (read({ status, retryAfter }) as { retryAfterMs?: number }).retryAfterMs;
  t.equal(after("5"), 5000);
  t.equal(after("7", 503), 7000);
  t.equal(after(new Date(NOW + 9000).toUTCString()), 9000);
  t.equal(after("99999999"), 3_600_000);
  for (const nonsense of ["", "-5", "soon", "1e3", new Date(NOW - 1000).toUTCString()])
    t.equal(after(nonsense), undefined);
});

t.test("any answer is a verdict, and nothing of it is repeated", async () => {
  const word = fc.constantFrom("7\n", "8\n", "\u2014 ", signer.line(text, S), "SECRET", "\u001b[31m");
  fc.assert(
    fc.property(
      fc.integer({ min: 200, max: 599 }),
      fc.oneof(
        fc.array(word).map((words) => words.join("")),
        fc.string(),
      ),
      fc.constantFrom(undefined, SIZE, "text/plain"),
      fc.constantFrom(0, 4, 7),
      (status, body, contentType, old) => {
        const verdict = read({ status, body, ...(contentType === undefined ? {} : { contentType }) }, old);
        if (verdict.result !== "failed") return true;
        return witnessFailures.includes(verdict.failure) && !/SECRET|\u001b/.test(verdict.message);
      },
    ),
    { numRuns: 1000 },
  );
});

import fc from "fast-check";
import t from "tap";
import { parseAddCheckpoint } from "../../../cli/witness/request.ts";
import { VerifierError } from "../../../src/errors.ts";
import { testKey } from "../../support/keys.ts";
import { type Bytes, bytesOf, readVectors } from "../../support/vectors.ts";

/** What is written of a request that was read is the request. */
function format({ old, proof, note }: ReturnType<typeof parseAddCheckpoint>): Buffer {
  const hashes = proof.map((hash) => `${Buffer.from(hash).toString("base64")}\n`).join("");
  const lines = note.signatures.map(({ name, id, signature }) => {
    const blob = Buffer.concat([Buffer.from(id, "hex"), signature]);
    return `\u2014 ${name} ${blob.toString("base64")}\n`;
  });
  return Buffer.from(`old ${old}\n${hashes}\n${note.text}\n${lines.join("")}`);
}

/** @returns whether it is refused in order, or read as what it says and nothing else */
function strict(body: Uint8Array): boolean {
  try {
    return format(parseAddCheckpoint(body)).equals(body);
  } catch (error) {
    return error instanceof VerifierError && /^(note|checkpoint)_malformed$/.test(error.code);
  }
}

const { scenarios } = readVectors<{ scenarios: { steps: { body: Bytes; status: number }[] }[] }>("witness.json");
const good = scenarios
  .flatMap(({ steps }) => steps.filter(({ status }) => status === 200))
  .map(({ body }) => bytesOf(body));

t.test("a request has one form", async (t) => {
  t.ok(good.length > 30);
  for (const body of good) t.ok(format(parseAddCheckpoint(body)).equals(body));
});

t.test("bodies that were changed, cut and put together are refused, or are what they say", async () => {
  const bodies = fc.constantFrom(...good);
  const piece = fc.oneof(
    fc.constantFrom("\n", "\n\n", " ", "\r\n", "\0", "old ", "0", "=", "\u2014 ", "\ufeff", "\u0085", "A".repeat(44)),
    fc.string(),
  );
  const changed = fc
    .tuple(bodies, fc.array(fc.tuple(fc.nat(), fc.nat({ max: 40 }), piece), { minLength: 1, maxLength: 3 }))
    .map(([body, edits]) =>
      edits.reduce((bytes, [at, cut, put]) => {
        const start = at % (bytes.length + 1);
        return Buffer.concat([bytes.subarray(0, start), Buffer.from(put), bytes.subarray(start + cut)]);
      }, Buffer.from(body)),
    );
  fc.assert(fc.property(changed, strict), { numRuns: 1000 });
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), strict), { numRuns: 300 });
  const flipped = fc.tuple(bodies, fc.nat(), fc.nat({ max: 7 })).map(([body, at, bit]) => {
    const bytes = Buffer.from(body);
    bytes[at % bytes.length]! ^= 2 ** bit;
    return bytes;
  });
  fc.assert(fc.property(flipped, strict), { numRuns: 1000 });
});

t.test("requests of any numbers and hashes are read", async () => {
  const key = testKey("log.example");
  const number = fc.nat({ max: Number.MAX_SAFE_INTEGER });
  const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const request = fc.tuple(number, fc.array(hash, { maxLength: 63 }), number, hash);
  fc.assert(
    fc.property(request, ([old, proof, size, root]) => {
      const lines = proof.map((each) => `${Buffer.from(each).toString("base64")}\n`).join("");
      const note = key.note(`log.example\n${size}\n${Buffer.from(root).toString("base64")}\n`);
      const read = parseAddCheckpoint(Buffer.from(`old ${old}\n${lines}\n${note}`));
      return read.old === old && read.proof.length === proof.length && read.head.size === size;
    }),
    { numRuns: 100 },
  );
});

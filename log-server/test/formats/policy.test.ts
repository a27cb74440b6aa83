import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import t from "tap";
import { LogServerError } from "../../src/errors.ts";
import { generateKey } from "../../src/formats/note.ts";
import { type PolicyWitness, parsePolicy, quorumReached, readPolicy } from "../../src/formats/policy.ts";
import { cosignerOf, makeCosigner } from "../support/cosigner.ts";
import { type Bytes, bytesOf, vectors } from "../support/vectors.ts";

const parse = (text: string) => parsePolicy(Buffer.from(text), "p.txt");
const log = generateKey("log.example/x").vkey;
const keys = Array.from({ length: 6 }, (_, i) => makeCosigner(`witness.example/${i}`));
const [X1, X2, X3, Y1, Y2] = keys.map(({ vkey }) => vkey);
const SIX = `# two organizations
log ${log}
witness X1 ${X1} https://x1.example/a
\twitness  X2\t${X2}
witness X3 ${X3}
group X 2 X1 X2 X3

witness Y1 ${Y1}
witness Y2 ${Y2}
  # any of them
group Y any Y1 Y2
group both all X Y
quorum both
`;

t.test("logs, witnesses with and without URL, groups in groups", async (t) => {
  const policy = parse(SIX);
  t.same(
    policy.logs.map(({ vkey }) => vkey),
    [log],
  );
  t.same(
    policy.witnesses.map(({ name, key, url }) => [name, key.vkey, url]),
    [
      ["X1", X1, "https://x1.example/a"],
      ["X2", X2, undefined],
      ["X3", X3, undefined],
      ["Y1", Y1, undefined],
      ["Y2", Y2, undefined],
    ],
  );
  const enough = (...names: string[]): boolean =>
    quorumReached(policy, new Set(policy.witnesses.filter(({ name }) => names.includes(name))));
  t.notOk(enough());
  t.notOk(enough("X1", "X2", "X3"));
  t.notOk(enough("X1", "Y1", "Y2"));
  t.ok(enough("X1", "X3", "Y2"));
  t.ok(enough("X1", "X2", "X3", "Y1", "Y2"));
});

t.test("a single witness, and none", async (t) => {
  const one = parse(`witness a ${X1}\nwitness b ${X2}\nquorum b\n`);
  t.ok(quorumReached(one, new Set([one.witnesses[1]!])));
  t.notOk(quorumReached(one, new Set([one.witnesses[0]!])));
  t.ok(quorumReached(parse("quorum none\n"), new Set<PolicyWitness>()));
});

t.test("policies: vectors", async (t) => {
  interface Case {
    desc: string;
    policy: Bytes;
    logs?: string[];
    witnesses?: string[];
    quorums?: { cosigned: string[]; reached: boolean }[];
    wantErr?: string;
    line?: number;
  }
  for (const { desc, policy: bytes, logs, witnesses, quorums, wantErr, line } of vectors<{ cases: Case[] }>(
    "policies.json",
  ).cases) {
    if (wantErr !== undefined) {
      const at = line === undefined ? /^witnesses: p\.txt\b/ : new RegExp(`^witnesses: p\\.txt:${line}: `);
      t.throws(() => parsePolicy(bytesOf(bytes), "p.txt"), { code: "bad_config", message: at }, desc);
      continue;
    }
    const policy = parsePolicy(bytesOf(bytes), "p.txt");
    t.same(
      policy.logs.map(({ vkey }) => vkey),
      logs,
      desc,
    );
    t.same(
      policy.witnesses.map(({ name }) => name),
      witnesses,
      desc,
    );
    for (const { cosigned, reached } of quorums!) {
      const found = new Set(policy.witnesses.filter(({ name }) => cosigned.includes(name)));
      t.equal(quorumReached(policy, found), reached, `${desc}: ${cosigned}`);
    }
  }
});

t.test("names are octets", async (t) => {
  // U+212A, the Kelvin sign, is not "K"; 0xff is no UTF-8 and still a name.
  const text = Buffer.concat([
    Buffer.from(`witness K ${X1}\nwitness \u212a ${X2}\nwitness `),
    Buffer.of(0xff),
    Buffer.from(` ${X3}\ngroup g 2 K \u212a `),
    Buffer.of(0xff),
    Buffer.from("\nquorum g\n"),
  ]);
  const { witnesses } = parsePolicy(text, "p.txt");
  t.same(
    witnesses.slice(0, 2).map(({ name }) => name),
    ["K", "\u212a"],
  );
});

t.test("each mistake is refused with its line", async (t) => {
  const w = `witness a ${X1}\n`;
  const cases: [string, RegExp][] = [
    ["", /p\.txt has no quorum/],
    [w, /has no quorum/],
    ["quorum none", /:1: the last line has no newline/],
    ["quorum none\nquorum none\n", /:2: this is a second quorum/],
    ["quorum\n", /:1: expected quorum <name>/],
    ["quorum none none\n", /:1: expected quorum <name>/],
    ["quorum a\n", /:1: no witness or group a is defined before/],
    [`quorum a\n${w}`, /:1: no witness or group a/],
    ["quorum none\r\n", /:1: .*carriage return/],
    ["quorum none\0\n", /:1: there is a control character/],
    ["# \u007f\nquorum none\n", /:1: there is a control character/],
    ["witnesses a\n", /:1: a line begins with log, witness, group or quorum, and not with witnesses/],
    ["log\n", /:1: expected log/],
    [`log ${log} https://a b\n`, /:1: expected log/],
    [`log ${X1}\n`, /:1: this is not a log's key/],
    [`log ${log}\nlog ${log}\n`, /:2: a log before has this public key/],
    ["witness a\n", /:1: expected witness/],
    [`witness a ${X1} u v\n`, /:1: expected witness/],
    [`witness a ${log}\n`, /:1: this is not a witness's key/],
    [`witness none ${X1}\n`, /:1: the name "none"/],
    [`${w}witness b ${X1}\n`, /:2: a witness before has this public key/],
    [`${w}witness b ${cosignerOf("other.example", keys[0]!.seed).vkey}\n`, /:2: a witness before has this public key/],
    [`${w}witness a ${X2}\n`, /:2: the name a is defined already/],
    [`${w}group a any a\n`, /:2: the name a is defined already/],
    [`${w}group none any a\n`, /:2: the name "none"/],
    [`${w}group g any\n`, /:2: expected group/],
    [`${w}group g any none\n`, /:2: no witness or group none/],
    [`${w}group g any g\n`, /:2: no witness or group g/],
    [`${w}group g any a a\n`, /:2: a is a member of a group already/],
    [`${w}group g any a\ngroup h any a\n`, /:3: a is a member of a group already/],
    [`${w}group g 0 a\n`, /:2: 0 is neither/],
    [`${w}group g 2 a\n`, /:2: 2 is neither/],
    [`${w}group g 01 a\n`, /:2: 01 is neither/],
    [`${w}group g some a\n`, /:2: some is neither/],
  ];
  for (const [text, message] of cases) {
    t.throws(() => parse(text), { name: "LogServerError", code: "bad_config", message }, JSON.stringify(text));
  }
  t.throws(() => parse(`#${"x".repeat(262_144)}\nquorum none\n`), { message: /more than 262144 bytes/ });
});

t.test("a log's key cannot be a witness's", async (t) => {
  const { seed } = keys[0]!;
  const own = cosignerOf("w", seed);
  t.throws(() => parse(`log ${own.noteVkey}\nwitness w ${own.vkey}\nquorum w\n`), {
    message: /:2: a log and a witness/,
  });
  t.throws(() => parse(`witness w ${own.vkey}\nlog ${own.noteVkey}\nquorum w\n`), {
    message: /:2: a log and a witness/,
  });
});

t.test("any bytes are a policy or bad_config", async () => {
  const word = fc.constantFrom(
    "log",
    "witness",
    "group",
    "quorum",
    "a",
    "b",
    "none",
    "any",
    "all",
    "1",
    "2",
    X1!,
    X2!,
    log,
    "#",
  );
  const line = fc.array(word, { maxLength: 6 }).map((words) => words.join(" "));
  const text = fc.array(line, { maxLength: 8 }).map((lines) => Buffer.from(`${lines.join("\n")}\n`));
  fc.assert(
    fc.property(fc.oneof(text, fc.uint8Array({ maxLength: 200 })), (bytes) => {
      try {
        const policy = parsePolicy(bytes, "p");
        // Monotone: all of them together reach what any of them do.
        return quorumReached(policy, new Set(policy.witnesses)) || !quorumReached(policy, new Set());
      } catch (error) {
        return error instanceof LogServerError && error.code === "bad_config";
      }
    }),
    { numRuns: 2000 },
  );
});

t.test("a file is read, and one that is not there is named", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "vitrine-policy-"));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, "policy");
  await t.rejects(readPolicy(path), { code: "bad_config", message: /policy cannot be read: ENOENT/ });
  await writeFile(path, SIX);
  t.equal((await readPolicy(path)).witnesses.length, 5);
});

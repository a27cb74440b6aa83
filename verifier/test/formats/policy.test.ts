import fc from "fast-check";
import t from "tap";
import { VerifierError } from "../../src/errors.ts";
import { parseVerifierKey } from "../../src/formats/key.ts";
import { keysUnder, type Policy, type PolicyMember, parsePolicy } from "../../src/formats/policy.ts";
import { describeShortfall, isQuorumReached, quorumWitnesses } from "../../src/formats/quorum.ts";
import { testCosigner, testKey } from "../support/keys.ts";
import { type Bytes, bytesOf, checkCases, codeOr, readVectors } from "../support/vectors.ts";

type Case = {
  desc: string;
  policy: Bytes;
  logs?: string[];
  witnesses?: string[];
  quorums?: { cosigned: string[]; reached: boolean }[];
  wantErr?: string;
  line?: number;
};
const { cases } = readVectors<{ cases: Case[] }>("policies.json");

function reached(policy: Policy, names: readonly string[]): boolean {
  const counted = new Set(policy.witnesses.filter(({ name }) => names.includes(name)));
  const result = isQuorumReached(policy, counted);
  // The sentence is there exactly when something is missing, and names somebody who is.
  const sentence = describeShortfall(policy, counted);
  const absent = quorumWitnesses(policy).filter((witness) => !counted.has(witness));
  if (result !== (sentence === undefined)) throw new Error(`shortfall: ${sentence}`);
  if (!result && !absent.some(({ name }) => sentence!.includes(name))) throw new Error(`shortfall: ${sentence}`);
  return result;
}

checkCases("policies", cases, ({ policy: file, quorums }) =>
  codeOr(() => {
    const policy = parsePolicy(bytesOf(file));
    return {
      logs: policy.logs.map(({ key }) => key.text),
      witnesses: policy.witnesses.map(({ name }) => name),
      quorums: quorums?.map(({ cosigned }) => ({ cosigned, reached: reached(policy, cosigned) })),
    };
  }),
);

t.test("what is wrong is said with the number of its line, or without one", async (t) => {
  const wrong: unknown[] = [];
  for (const { desc, policy, wantErr, line } of cases) {
    if (wantErr === undefined) continue;
    try {
      parsePolicy(bytesOf(policy));
    } catch (error) {
      const found = /^this is not a policy: (?:line ([0-9]+): )?\S/.exec((error as Error).message);
      if (found === null || found[1] !== (line === undefined ? undefined : String(line))) wrong.push({ desc, error });
    }
  }
  t.same(wrong, []);
});

const keys = Array.from({ length: 6 }, (_, i) => testCosigner(`witness.example/w${i + 1}`).vkey);

/** A quorum as its author meant it: a witness by its number, or so many of these. */
type Rule = number | { k: number; of: Rule[] };

/** A policy that says the same, and the rule evaluated in another way: over numbers, not over a parsed file. */
function write(rule: Rule): string {
  const lines = keys.map((vkey, i) => `witness W${i} ${vkey}`);
  let groups = 0;
  const nameOf = (one: Rule): string => {
    if (typeof one === "number") return `W${one}`;
    const members = one.of.map(nameOf);
    const name = `G${groups++}`;
    lines.push(`group ${name} ${one.k} ${members.join(" ")}`);
    return name;
  };
  const quorum = nameOf(rule);
  return `${[...lines, `quorum ${quorum}`].join("\n")}\n`;
}

function holds(rule: Rule, cosigned: readonly number[]): boolean {
  if (typeof rule === "number") return cosigned.includes(rule);
  return rule.of.filter((one) => holds(one, cosigned)).length >= rule.k;
}

/** Rules in which each witness stands once at most: the six, cut into groups of groups. */
const rules = fc
  .tuple(
    fc.shuffledSubarray([0, 1, 2, 3, 4, 5], { minLength: 1 }),
    fc.array(fc.nat(1000), { minLength: 20, maxLength: 20 }),
  )
  .map(([numbers, picks]): Rule => {
    const pick = (limit: number): number => picks.pop()! % limit;
    let parts: Rule[] = numbers;
    // Each round makes a group of some and leaves it among the others; of one part alone a group is made as well.
    for (let round = 0; round < 8 && (parts.length > 1 || round === 0); round++) {
      const of = parts.slice(0, 1 + pick(parts.length));
      parts = [...parts.slice(of.length), { k: 1 + pick(of.length), of }];
    }
    return parts.length === 1 ? parts[0]! : { k: parts.length, of: parts };
  });

t.test("a quorum, written as a policy and read again, is reached by the same witnesses", async (t) => {
  const subsets = Array.from({ length: 64 }, (_, bits) => [0, 1, 2, 3, 4, 5].filter((i) => bits & (1 << i)));
  fc.assert(
    fc.property(rules, (rule) => {
      const policy = parsePolicy(Buffer.from(write(rule)));
      return subsets.every(
        (cosigned) =>
          reached(
            policy,
            cosigned.map((i) => `W${i}`),
          ) === holds(rule, cosigned),
      );
    }),
    { numRuns: 100 },
  );
  t.pass();
});

t.test("one witness more never takes a quorum away", async (t) => {
  fc.assert(
    fc.property(rules, fc.subarray([0, 1, 2, 3, 4, 5]), fc.nat(5), (rule, cosigned, more) => {
      const policy = parsePolicy(Buffer.from(write(rule)));
      const names = cosigned.map((i) => `W${i}`);
      return !reached(policy, names) || reached(policy, [...names, `W${more}`]);
    }),
    { numRuns: 200 },
  );
  t.pass();
});

t.test("any bytes are a policy or refused as usage, and quickly", async (t) => {
  const file = Uint8Array.from(bytesOf(cases.find(({ desc }) => desc === "groups of groups")!.policy));
  const changed = fc.tuple(fc.nat(file.length - 1), fc.nat(255)).map(([at, byte]) => {
    const bytes = Uint8Array.from(file);
    bytes[at] = byte;
    return bytes;
  });
  const words = fc.constantFrom(
    "log",
    "witness",
    "group",
    "quorum",
    "none",
    "any",
    "all",
    "1",
    "2",
    "A",
    "B",
    "#",
    ...keys,
  );
  const lines = fc.array(fc.array(words, { maxLength: 5 }), { maxLength: 8 });
  const texts = lines.map((list) => Buffer.from(list.map((items) => `${items.join(" ")}\n`).join("")));
  let accepted = 0;
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), changed, texts), (bytes) => {
      const found = codeOr(() => parsePolicy(bytes));
      if ("wantErr" in found) return found.wantErr === "usage";
      accepted++;
      const names = new Set(found.witnesses.map(({ key }) => Buffer.from(key.publicKey).toString("hex")));
      return names.size === found.witnesses.length && (found.quorum === "none" || depthOf(found.quorum) > 0);
    }),
    { numRuns: 3000 },
  );
  t.ok(accepted > 0);
});

function depthOf(member: PolicyMember): number {
  return "members" in member ? 1 + Math.max(...member.members.map(depthOf)) : 1;
}

t.test("names that are not UTF-8 stay apart, and are fit to be shown", async (t) => {
  const lines = [`witness \\xff ${keys[0]}`, `witness \\xfe ${keys[1]}`, "quorum \\xfe"].map((line) =>
    Buffer.concat(
      line.split(/(\\x..)/).map((part) => Buffer.from(part.replace(/^\\x/, ""), /^\\x/.test(part) ? "hex" : "utf8")),
    ),
  );
  const policy = parsePolicy(Buffer.concat(lines.flatMap((line) => [line, Buffer.from("\n")])));
  t.same(
    policy.witnesses.map(({ name }) => name),
    ["\\xff", "\\xfe"],
  );
  t.equal(isQuorumReached(policy, new Set([policy.witnesses[0]!])), false);
  t.equal(isQuorumReached(policy, new Set([policy.witnesses[1]!])), true);
});

t.test("which key of the log is meant never depends on the policy alone, unless it names one log", async (t) => {
  const log = testKey("log.example/vitrine").vkey;
  const other = testKey("other.example/log").vkey;
  const under = (lines: string[], ...given: string[]): unknown =>
    codeOr(() =>
      keysUnder(parsePolicy(Buffer.from(`${[...lines, "quorum none"].join("\n")}\n`)), given.map(parseVerifierKey)).map(
        ({ text }) => text,
      ),
    );
  t.same(under([`log ${log}`]), [log]);
  t.same(under([`log ${log}`], log), [log]);
  t.same(under([`log ${log}`, `log ${other}`], other), [other]);
  t.same(under([], log), [log]);
  const refused = { wantErr: "usage" };
  t.same(under([]), refused);
  t.same(under([`log ${log}`, `log ${other}`]), refused);
  t.same(under([`log ${other}`], log), refused);
  t.same(under([`log ${log}`], log, other), refused);
  t.throws(() => keysUnder(parsePolicy(Buffer.from("quorum none\n")), []), VerifierError);
});

t.test("the shortfall is told group by group", async (t) => {
  const { policy: file } = cases.find(({ desc }) => desc === "groups of groups")!;
  const policy = parsePolicy(bytesOf(file));
  const named = (...names: string[]) => new Set(policy.witnesses.filter(({ name }) => names.includes(name)));
  t.equal(
    describeShortfall(policy, named("W1")),
    "of both 2 of 2 must have cosigned and 0 have (of X 2 of 3 must have cosigned and 1 has (W2, W3 are missing); of Y 1 of 3 must have cosigned and 0 have (W4, W5, W6 are missing))",
  );
  t.equal(describeShortfall(policy, named("W1", "W2", "W6")), undefined);
});

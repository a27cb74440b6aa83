import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { readCommandLine } from "../../cli/args.ts";
import type { VerifierError } from "../../src/errors.ts";
import { testKey } from "../cli/support/keys.ts";
import { TestLog, vectorLog, vectors } from "../cli/support/log.ts";
import { run, temporaryFolder } from "../cli/support/run.ts";
import { serve } from "../cli/support/server.ts";
import { testCosigner } from "../support/keys.ts";

const cosigners = ["w1", "w2", "w3"].map((name) => testCosigner(`witness.example/${name}`));
const now = Math.floor(Date.now() / 1000);
const witnessLines = cosigners.map(({ vkey }, i) => `witness w${i + 1} ${vkey}\n`).join("");
const twoOfThree = `log ${vectors.vkey}\n${witnessLines}group q 2 w1 w2 w3\nquorum q\n`;

/** Lines of the witnesses by number, each of so many seconds ago. */
type Said = readonly (readonly [number, number])[];

function cosigned(checkpoint: string, said: Said): string {
  const text = checkpoint.slice(0, checkpoint.lastIndexOf("\n\n") + 1);
  return checkpoint + said.map(([witness, ago]) => cosigners[witness - 1]!.line(text, now - ago)).join("");
}

type Test = { teardown(what: () => unknown): void };

/** A log whose checkpoint has these cosignatures, and the arguments of a command over it. */
async function setUp(t: Test, said: Said, policy = twoOfThree) {
  const log = vectorLog();
  const server = await serve(log, (path, response) => {
    if (path !== "/checkpoint") return false;
    response.end(cosigned(log.checkpoint(), said));
    return true;
  });
  t.teardown(() => server.close());
  const folder = temporaryFolder(t);
  const file = join(folder, "our.policy");
  writeFileSync(file, policy);
  const state = join(folder, "state");
  return { log, server, folder, file, state, args: ["--log", server.url, "--state", state, "--policy", file] };
}

t.test("head, audit and prove name each witness, in text and in JSON", async (t) => {
  const { args } = await setUp(t, [
    [1, 5],
    [2, 6],
  ]);
  const witnesses = [
    { name: "w1", state: "cosigned", timestamp: now - 5, inQuorum: true },
    { name: "w2", state: "cosigned", timestamp: now - 6, inQuorum: true },
    { name: "w3", state: "missing", timestamp: null, inQuorum: true },
  ];
  for (const command of [["head"], ["audit", "--wait", "0"], ["prove", "--index", "3"]]) {
    const json = await run([...command, ...args, "--json"]);
    t.equal(json.status, 0, json.stdout);
    t.match(json.json, { verdict: "PASS", vkey: vectors.vkey, vkeys: [vectors.vkey] });
    t.match(json.json.policy, { size: 301, quorum: "q", reached: true, witnesses });
    const text = await run([...command, ...args]);
    const report = command[0] === "prove" ? text.stderr : text.stdout;
    t.match(report, /^Witnesses of the tree of 301 entries$/m);
    t.match(report, /^ {2}quorum +q is reached$/m);
    t.match(report, /^ {2}w1 +cosigned at 20[0-9T:-]+Z \(witness\.example\/w1\+[0-9a-f]{8}\)$/m);
    t.match(report, /^ {2}w3 +missing \(witness\.example\/w3/m);
    t.match(report, /^PASS$/m);
  }
});

t.test("a quorum that is missing is NOT PROVEN, and no bundle is made", async (t) => {
  const { args, folder } = await setUp(t, [[3, 5]]);
  const output = join(folder, "bundle.json");
  for (const command of [["head"], ["audit", "--wait", "0"], ["prove", "--index", "3", "-o", output]]) {
    const result = await run([...command, ...args, "--json"]);
    t.equal(result.status, 2);
    t.match(result.json, { verdict: "NOT PROVEN", findings: [{ code: "quorum_missing", where: "checkpoint" }] });
    t.match(result.json.policy, { reached: false });
  }
  t.notOk(existsSync(output));
  const text = await run(["head", ...args]);
  t.match(text.stdout, /q is NOT reached/);
  t.match(text.stdout, /of q 2 of 3 must have cosigned and 1 has \(w1, w2 are missing\)/);
  t.match(text.stdout, /the policy's quorum q is not reached, so others may be shown another tree/);
});

t.test("not counted, and why: ahead of the clock, too old, not in the quorum", async (t) => {
  const policy = `${witnessLines}group q all w1 w2\nquorum q\n`;
  const { args } = await setUp(
    t,
    [
      [1, -900],
      [2, 7200],
      [3, 0],
    ],
    policy,
  );
  const result = await run(["head", ...args, "--vkey", vectors.vkey, "--max-age", "1h"]);
  t.equal(result.status, 2);
  t.match(result.stdout, /^ {2}w1 +not counted: cosigned at \S+, ahead of this clock/m);
  t.match(result.stdout, /^ {2}w2 +not counted: cosigned at \S+, older than is allowed/m);
  t.match(result.stdout, /^ {2}w3 +cosigned at \S+, not in the quorum/m);
  const json = await run(["head", ...args, "--vkey", vectors.vkey, "--max-age", "3h", "--json"]);
  t.match(json.json, { policy: { witnesses: [{ state: "future" }, { state: "cosigned" }, { state: "cosigned" }] } });
});

t.test("spans of time are read in seconds, minutes, hours and days", async (t) => {
  const seconds = (age: string): unknown => {
    try {
      const invocation = readCommandLine(["verify", "file", "--policy", "file", "--max-age", age]);
      return invocation.command === "verify" && invocation.maxAge;
    } catch (error) {
      return (error as VerifierError).code;
    }
  };
  const good = { 0: 0, 90: 90, "90s": 90, "15m": 900, "24h": 86_400, "7d": 604_800, "999999999d": 86_399_999_913_600 };
  for (const [age, wanted] of Object.entries(good)) t.equal(seconds(age), wanted, age);
  for (const age of ["", "1w", "1.5h", "-1", "01", "1h30m", "1 h", "9999999999", "1e3", "h"]) {
    t.equal(seconds(age), "usage", age);
  }
});

t.test("quorum none demands nobody, and says so", async (t) => {
  const { args } = await setUp(t, [], `log ${vectors.vkey}\nquorum none\n`);
  const result = await run(["head", ...args]);
  t.equal(result.status, 0);
  t.match(result.stdout, /^ {2}quorum +none is demanded$/m);
  t.match(result.stdout, "the policy demands no witnesses (quorum none)");
});

t.test("which log is meant, and what is wrong with a policy", async (t) => {
  const other = testKey("other.example/log").vkey;
  const { args, server, folder, file, state } = await setUp(t, []);
  const cases: [string, string[], RegExp][] = [
    [
      `log ${other}\nquorum none\n`,
      ["--vkey", vectors.vkey],
      /the policy has no log line with the key given, log\.example/,
    ],
    [
      `log ${other}\nlog ${vectors.vkey}\nquorum none\n`,
      [],
      /the policy names 2 logs, so the key of the log must be given/,
    ],
    ["quorum none\n", [], /the policy names 0 logs/],
    ["quorum none", ["--vkey", vectors.vkey], /its last line does not end in a newline/],
    [
      "quorum none\nquorum none\n",
      ["--vkey", vectors.vkey],
      /our\.policy: this is not a policy: line 2: it is a second quorum line/,
    ],
    ["x\u001b[31m\n", ["--vkey", vectors.vkey], /line 1: it has the control character 0x1b/],
    ["\u009b31m none\n", ["--vkey", vectors.vkey], /begins with \\x9b31m/],
    [`# ${"x".repeat(262_144)}\n`, ["--vkey", vectors.vkey], /more than 262144 bytes/],
  ];
  for (const [text, more, message] of cases) {
    writeFileSync(file, text);
    const result = await run(["head", ...args, ...more]);
    t.equal(result.status, 64, String(message));
    t.match(result.stderr, message);
    t.match(result.stderr, /^vitrine-verifier: usage: --policy [^\n]+\n$/);
  }
  t.match((await run(["head", ...args.slice(0, -1), join(folder, "none")])).stderr, /--policy: .*ENOENT/);
  t.match(
    (await run(["head", "--log", server.url, "--vkey", vectors.vkey, "--max-age", "5"])).stderr,
    /needs --policy/,
  );
  t.same(server.paths, [], "the log is not asked");
  t.notOk(existsSync(state));
});

t.test("verify takes a file for what the caller says, and for nothing else", async (t) => {
  const { log, folder, file, args } = await setUp(t, [
    [1, 5],
    [2, 5],
  ]);
  const bundle = join(folder, "bundle.json");
  t.equal((await run(["prove", ...args, "--index", "3", "-o", bundle])).status, 0);
  const content = JSON.parse(readFileSync(bundle, "utf8")) as { entry: string; proof: string };
  const [entry, proof, checkpoint] = ["entry", "3.tlog-proof", "checkpoint"].map((name) => join(folder, name));
  writeFileSync(entry!, content.entry);
  writeFileSync(proof!, content.proof);
  writeFileSync(checkpoint!, cosigned(log.checkpoint(), [[1, 5]]));
  const trust = ["--policy", file];
  const verify = (...given: string[]) => run(["verify", ...given, ...trust, "--json"]);

  const asBundle = await verify(bundle);
  t.equal(asBundle.status, 0, asBundle.stdout);
  t.match(asBundle.json, { form: "bundle", index: 3, policy: { reached: true } });
  const asProof = await verify(proof!, "--entry", entry!);
  t.equal(asProof.status, 0, asProof.stdout);
  t.match(asProof.json, {
    form: "proof",
    index: 3,
    entry: null,
    steps: [{ step: "B1" }, { step: "B2" }, { step: "W" }, { step: "B3" }],
  });
  const asCheckpoint = await verify(checkpoint!, "--checkpoint");
  t.equal(asCheckpoint.status, 2, asCheckpoint.stdout);
  t.match(asCheckpoint.json, {
    form: "checkpoint",
    findings: [{ code: "quorum_missing" }],
    steps: [
      { step: "C", passed: true, code: null },
      { step: "W", passed: false, code: "quorum_missing" },
    ],
  });

  for (const given of [
    [checkpoint!],
    [proof!],
    [bundle, "--entry", entry!],
    [proof!, "--checkpoint"],
    [bundle, "--checkpoint"],
  ]) {
    t.equal((await verify(...given)).status, 1, given.join(" "));
  }
  for (const given of [
    [proof!, "--entry", entry!, "--checkpoint"],
    ["-", "--entry", "-"],
    [proof!, "--entry", join(folder, "none")],
  ]) {
    t.equal((await verify(...given)).status, 64, given.join(" "));
  }
  const text = await run(["verify", checkpoint!, "--checkpoint", ...trust]);
  t.match(text.stdout, /^ {2}C {3}passed {2}the checkpoint is signed by the log's key$/m);
  t.match(text.stdout, /^ {2}W {3}LACKS /m);
  t.match(text.stdout, "NOT PROVEN");
  const plain = await run(["verify", checkpoint!, "--checkpoint", "--vkey", vectors.vkey]);
  t.equal(plain.status, 0);
  t.match(plain.stdout, "no witnesses were asked, so others may be shown another tree");
  const input = await run(["verify", "-", "--entry", entry!, ...trust], { input: content.proof });
  t.equal(input.status, 0);
});

t.test("two keys during a rotation: the state goes from the old one to both, and to the new one alone", async (t) => {
  const old = vectorLog().key;
  const next = testKey(vectors.origin);
  let shown: { size: number; signers: (typeof old)[] };
  const log = vectorLog();
  const note = (): string => {
    const lines = shown.signers.map((key) => new TestLog(key, vectors.entries, shown.size).checkpoint());
    return (
      lines[0]! +
      lines
        .slice(1)
        .map((line) => line.slice(line.lastIndexOf("\n\n") + 2))
        .join("")
    );
  };
  const server = await serve(log, (path, response) => {
    log.size = shown.size;
    if (path !== "/checkpoint") return false;
    response.end(note());
    return true;
  });
  t.teardown(() => server.close());
  const state = join(temporaryFolder(t), "state");
  const audit = (size: number, signers: (typeof old)[], ...keys: (typeof old)[]) => {
    shown = { size, signers };
    const vkeys = keys.flatMap(({ vkey }) => ["--vkey", vkey]);
    return run(["audit", "--log", server.url, "--state", state, "--wait", "0", "--json", ...vkeys]);
  };
  const fileOf = ({ vkey }: typeof old): string =>
    join(state, `${createHash("sha256").update(vkey).digest("hex")}.json`);

  t.match((await audit(100, [old], old)).json, { keptSize: null, from: 0, size: 100 });
  t.same(readdirSync(state).length, 1);
  t.match((await audit(200, [old], old, next)).json, { verdict: "FAIL", findings: [{ code: "signature_missing" }] });
  t.same(readdirSync(state).length, 1, "nothing is kept under a key that has not signed");

  t.match((await audit(200, [old, next], old, next)).json, {
    keptSize: 100,
    from: 100,
    size: 200,
    vkeys: [old.vkey, next.vkey],
  });
  t.ok(existsSync(fileOf(old)) && existsSync(fileOf(next)));
  const kept = readFileSync(fileOf(next), "utf8");
  // What a run leaves that dies when it has kept its state under one key and not yet under the other.
  rmSync(fileOf(next));
  t.match((await audit(200, [old, next], old, next)).json, {
    keptSize: 200,
    from: 200,
    findings: [{ code: "unsealed" }],
  });
  t.equal(readFileSync(fileOf(next), "utf8"), kept);
  const later = await audit(301, [next], next);
  t.equal(later.status, 0);
  t.match(later.json, { verdict: "PASS", keptSize: 200, from: 200, size: 301 });

  t.match((await audit(301, [next], old)).json, { verdict: "FAIL", findings: [{ code: "signature_missing" }] });
  t.match((await audit(301, [old, next], next, old)).json, { verdict: "PASS", keptSize: 301, from: 301 });
  const rolled = await audit(250, [old, next], old, next);
  t.match(rolled.json, { verdict: "FAIL", findings: [{ code: "rolled_back" }] });
  const evidence = JSON.parse(readFileSync(rolled.json.evidence as string, "utf8")) as Record<string, unknown>;
  t.match(evidence, { vkey: old.vkey, vkeys: [old.vkey, next.vkey], found: "rolled_back", seen: note() });
  t.match((await audit(301, [old, next], old, testKey("other.example/log"))).status, 64);
});

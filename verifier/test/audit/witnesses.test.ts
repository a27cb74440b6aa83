import fc from "fast-check";
import t from "tap";
import { auditLog } from "../../src/audit/audit.ts";
import { checkHead } from "../../src/audit/head.ts";
import { timeText, type WitnessDemand } from "../../src/audit/witnesses.ts";
import { verifyBundle } from "../../src/evidence/bundle.ts";
import { verifyProof } from "../../src/evidence/proof-file.ts";
import { proveEntry } from "../../src/evidence/prove.ts";
import { verifySavedCheckpoint } from "../../src/evidence/saved-checkpoint.ts";
import { parseVerifierKey } from "../../src/formats/key.ts";
import { parsePolicy } from "../../src/formats/policy.ts";
import { testCosigner } from "../support/keys.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { epochStart, TestSource } from "../support/test-source.ts";

const source = new TestSource();
source.run(300);
const cosigners = ["w1", "w2", "w3"].map((name) => testCosigner(`witness.example/${name}`));
const key = parseVerifierKey(new MemoryLog().key.vkey);
/** The verifier's clock, in milliseconds; and a time of a cosignature so many seconds before it. */
const now = epochStart + 60_000;
const ago = (seconds: number): number => now / 1000 - seconds;

function demand(quorum = "group q 2 w1 w2 w3\nquorum q\n", maxAge?: number): WitnessDemand {
  const lines = cosigners.map(({ vkey }, i) => `witness w${i + 1} ${vkey}\n`).join("");
  return { policy: parsePolicy(Buffer.from(lines + quorum)), maxAge };
}

/** Who has cosigned, by number, and how many seconds ago. */
type Said = readonly (readonly [witness: 1 | 2 | 3, ago: number])[];

function note(log: MemoryLog, said: Said, size = log.size): Buffer {
  const bare = Buffer.from(log.note(size)).toString();
  const text = bare.slice(0, bare.lastIndexOf("\n\n") + 1);
  return Buffer.from(
    bare + said.map(([witness, seconds]) => cosigners[witness - 1]!.line(text, ago(seconds))).join(""),
  );
}

function newLog(said: Said = []): MemoryLog {
  const log = new MemoryLog(source.entries);
  log.served.set("checkpoint", note(log, said));
  return log;
}

const head = (said: Said, witnesses = demand()) => checkHead(newLog(said), { key, witnesses, now: () => now });

t.test("each witness is in the report with what became of it", async (t) => {
  const report = await head([
    [2, 5],
    [1, -200],
    [1, 7],
  ]);
  t.equal(report.verdict, "PASS");
  t.same(report.witnessing, {
    size: source.entries.length,
    quorum: "q",
    reached: true,
    witnesses: [
      { name: "w1", key: keyName(1), state: "cosigned", timestamp: ago(-200), inQuorum: true },
      { name: "w2", key: keyName(2), state: "cosigned", timestamp: ago(5), inQuorum: true },
      { name: "w3", key: keyName(3), state: "missing", timestamp: null, inQuorum: true },
    ],
  });
  t.match(report.conclusion, /the witnesses w1, w2 cosigned it, as the policy demands/);
  t.match(report.conclusion, /Not established: .*that the witnesses are independent of the log/);
  t.notMatch(report.conclusion, "others may be shown another tree");
});

function keyName(witness: 1 | 2 | 3): string {
  return cosigners[witness - 1]!.vkey.split("+").slice(0, 2).join("+");
}

t.test("without a policy, and with quorum none, the report says that nobody else has vouched", async (t) => {
  const said: Said = [
    [1, 0],
    [2, 0],
  ];
  const without = await checkHead(newLog(said), { key, now: () => now });
  t.same([without.verdict, without.witnessing], ["PASS", undefined]);
  t.match(without.conclusion, "no witnesses were asked, so others may be shown another tree");
  const none = await head(said, demand("quorum none\n"));
  t.match(none.witnessing, {
    quorum: "none",
    reached: true,
    witnesses: [{ inQuorum: false, state: "cosigned" }, {}, {}],
  });
  t.equal(none.verdict, "PASS");
  t.match(none.conclusion, /the policy demands no witnesses \(quorum none\), so others may be shown another tree/);
  t.notMatch(none.conclusion, "cosigned");
});

t.test("the bounds of time, to the second", async (t) => {
  const states = async (said: Said, maxAge?: number): Promise<unknown> => {
    const { verdict, findings, witnessing } = await head(said, demand("quorum w1\n", maxAge));
    return [
      verdict,
      findings.map(({ code }) => code),
      witnessing?.witnesses[0]?.state,
      witnessing?.witnesses[0]?.timestamp,
    ];
  };
  t.same(await states([[1, -300]]), ["PASS", [], "cosigned", ago(-300)]);
  t.same(await states([[1, -301]]), ["NOT PROVEN", ["quorum_missing"], "future", ago(-301)]);
  t.same(await states([[1, 100]], 100), ["PASS", [], "cosigned", ago(100)]);
  t.same(await states([[1, 101]], 100), ["NOT PROVEN", ["cosignature_old"], "old", ago(101)]);
  t.same(await states([[1, now / 1000]]), ["PASS", [], "cosigned", 0], "however old, when no age is given");
  t.same(await states([[1, 0]], 0), ["PASS", [], "cosigned", ago(0)]);
  // Of several, the latest that is not ahead.
  const several: Said = [
    [1, -1000],
    [1, 50],
    [1, 5000],
  ];
  t.same(await states(several, 100), ["PASS", [], "cosigned", ago(50)]);
  t.same(await states([[1, ago(0) - (2 ** 53 - 1)]]), ["NOT PROVEN", ["quorum_missing"], "future", 2 ** 53 - 1]);
});

t.test("what is not counted is said, with why", async (t) => {
  const { findings } = await head(
    [
      [1, 500],
      [2, -4000],
    ],
    demand(undefined, 100),
  );
  t.equal(findings.length, 1);
  t.match(findings[0]!.message, /of q 2 of 3 must have cosigned and 0 have \(w1, w2, w3 are missing\)/);
  t.match(findings[0]!.message, `that of w1 is of ${timeText(ago(500))}, older than is allowed`);
  t.match(findings[0]!.message, `that of w2 is of ${timeText(ago(-4000))}, ahead of this clock`);
  t.equal(timeText(ago(0)), new Date(now).toISOString().replace(".000Z", "Z"));
  t.equal(timeText(2 ** 53 - 1), "second 9007199254740991 since 1970");
});

t.test("verdict and findings over any mixture of cosignatures are those of a count by hand", async (t) => {
  const one = fc.constantFrom("none", "good", "old", "future", "wrong");
  const log = newLog();
  const text = `${Buffer.from(note(log, [])).toString().split("\n\n")[0]!}\n`;
  const seconds = { good: 10, old: 1000, future: -1000 } as const;
  await fc.assert(
    fc.asyncProperty(fc.tuple(one, one, one), fc.integer({ min: 1, max: 3 }), async (said, k) => {
      const lines = said.map((how, i) => {
        if (how === "none") return "";
        if (how === "wrong") return cosigners[i]!.line(`${text}more\n`, ago(10));
        return cosigners[i]!.line(text, ago(seconds[how as keyof typeof seconds]));
      });
      log.served.set("checkpoint", Buffer.from(note(log, []).toString() + lines.join("")));
      const witnesses = demand(`group q ${k} w1 w2 w3\nquorum q\n`, 100);
      const { verdict, findings } = await checkHead(log, { key, witnesses, now: () => now });
      const count = (...hows: string[]): number => said.filter((how) => hows.includes(how)).length;
      const wanted = Array.from({ length: count("wrong") }, () => "cosignature_invalid");
      if (count("good", "wrong") < k)
        wanted.push(count("good", "wrong", "old") < k ? "quorum_missing" : "cosignature_old");
      const verdictWanted = count("wrong") > 0 ? "FAIL" : wanted.length > 0 ? "NOT PROVEN" : "PASS";
      return verdict === verdictWanted && findings.map(({ code }) => code).join() === wanted.join();
    }),
    { numRuns: 60 },
  );
  t.pass();
});

t.test("where no checkpoint verifies, nothing is said of its witnesses", async (t) => {
  const log = newLog();
  const text = `other.example/log\n0\n${Buffer.alloc(32).toString("base64")}\n`;
  log.served.set("checkpoint", Buffer.from(log.key.note(text)));
  const report = await checkHead(log, { key, witnesses: demand(), now: () => now });
  t.match(report, { verdict: "FAIL", findings: [{ code: "checkpoint_malformed" }], witnessing: undefined });
  t.equal(report.findings.length, 1);
});

t.test("a fork is a fork, with witnesses or without: K and W are both told", async (t) => {
  const kept = { checkpoint: (await head([])).checkpoint!, audit: null };
  const forked = new MemoryLog([...source.entries.slice(0, -1), "{}"]);
  forked.served.set("checkpoint", note(forked, [[1, 0]]));
  const report = await checkHead(forked, { key, kept, witnesses: demand(), now: () => now });
  t.same(report.findings.map(({ code }) => code).sort(), ["quorum_missing", "split_view"]);
  t.equal(report.verdict, "FAIL");
  t.equal(report.evidence?.kept, kept.checkpoint);
});

t.test("tiles that cannot be had under a bad cosignature are no fork", async (t) => {
  const small = new MemoryLog(source.entries.slice(0, 100));
  const kept = { checkpoint: (await checkHead(small, { key })).checkpoint!, audit: null };
  const log = newLog();
  const bare = note(log, []).toString();
  log.served.set("checkpoint", Buffer.from(bare + cosigners[0]!.line("another text\n", ago(0))));
  log.served.set("tile/0/000", "missing");
  const report = await checkHead(log, { key, kept, witnesses: demand("quorum none\n"), now: () => now });
  t.same(report.findings.map(({ code }) => code).sort(), ["cosignature_invalid", "data_missing"]);
  t.equal(report.evidence, undefined);
  t.equal(report.keep, undefined);
});

t.test("an audit keeps its progress when only witnesses are missing, and not over a bad cosignature", async (t) => {
  const audit = (log: MemoryLog) => auditLog(log, { key, witnesses: demand(), now: () => now });
  const missing = await audit(newLog([[1, 0]]));
  t.match(missing, {
    verdict: "NOT PROVEN",
    findings: [{ code: "quorum_missing" }],
    checks: ["C", "K", "W", "T", "E", "S", "N"],
  });
  t.equal(missing.keep?.audit?.size, source.entries.length);
  const log = newLog();
  log.served.set(
    "checkpoint",
    Buffer.from(note(log, [[1, 0]]).toString() + cosigners[1]!.line("another text\n", ago(0))),
  );
  const wrong = await audit(log);
  t.match(wrong, { verdict: "FAIL", findings: [{ code: "cosignature_invalid" }] });
  t.equal(wrong.keep?.audit, null);
  t.equal(wrong.keep?.checkpoint.size, source.entries.length);
});

t.test("an audit waits for cosignatures, of this tree or of one that continues it", async (t) => {
  for (const more of [0, 2]) {
    const log = newLog([[1, 0]]);
    const size = log.size;
    let clock = now;
    let waited = 0;
    const report = await auditLog(log, {
      key,
      witnesses: demand(),
      waitMs: 10_000,
      now: () => clock,
      onWait: (_left, what) => t.equal(what, "cosignatures"),
      sleep: async (ms) => {
        clock += ms;
        if (++waited < 3) return;
        const next = new TestSource();
        next.run(300);
        next.start();
        next.stop();
        if (more > 0) log.append(...next.entries.slice(-more));
        const said: Said = [
          [1, 0],
          [3, 0],
        ];
        log.served.set("checkpoint", note(log, said));
      },
    });
    t.match(report, { verdict: "PASS", size, read: size + more });
    t.match(report.witnessing, { size: size + more, reached: true });
    t.match(report.checkpoint?.size, size + more);
    t.equal(waited, 3);
  }
  const log = newLog([[1, 0]]);
  let clock = now;
  const sleep = async (ms: number): Promise<void> => {
    clock += ms;
  };
  const report = await auditLog(log, { key, witnesses: demand(), waitMs: 3000, now: () => clock, sleep });
  t.match(report, { verdict: "NOT PROVEN", findings: [{ code: "quorum_missing" }] });
  t.equal(report.findings.length, 1, "told once, however often it was looked for");
});

t.test("an entry is not handed on as proven when witnesses are missing", async (t) => {
  const prove = (said: Said) => proveEntry(newLog(said), { key, index: 7, witnesses: demand(), now: () => now });
  const lacking = await prove([[2, 0]]);
  t.match(lacking, { verdict: "NOT PROVEN", bundle: undefined });
  t.match(lacking.conclusion, "no bundle was made");
  const enough = await prove([
    [2, 0],
    [3, 0],
  ]);
  t.equal(enough.verdict, "PASS");
  t.match(enough.conclusion, /the witnesses w2, w3 cosigned it, as the policy demands; it has entry 7/);
  const bundle = Buffer.from(enough.bundle!);
  const options = { witnesses: demand(), now: () => now };
  const verified = verifyBundle(bundle, key, options);
  t.equal(verified.verdict, "PASS");
  t.same(
    verified.steps.map(({ step, passed }) => `${step} ${passed}`),
    ["B1 true", "B2 true", "W true", "B3 true", "B4 true", "B5 true"],
  );
  t.match(
    verified.conclusion,
    /at index 7; the witnesses w2, w3 cosigned that tree, as the policy demands\. Not established/,
  );
  const { proof } = JSON.parse(bundle.toString()) as { proof: string };
  const entry = Buffer.from(source.entries[7]!);
  t.match(verifyProof(Buffer.from(proof), entry, key, options), { verdict: "PASS", index: 7 });
  t.match(verifyProof(Buffer.from(proof), Buffer.from("x"), key, options), {
    verdict: "FAIL",
    index: undefined,
    findings: [{ code: "inclusion_invalid" }],
    conclusion: "This proof proves nothing: step B3 failed.",
  });
  t.match(verifySavedCheckpoint(enough.checkpoint!.note, key, options), { verdict: "PASS" });
});

t.test("evidence without enough witnesses is not proven, and the steps behind are carried out", async (t) => {
  const made = await proveEntry(newLog([[1, 0]]), { key, index: 7 });
  const bundle = Buffer.from(made.bundle!);
  const options = { witnesses: demand(), now: () => now };
  const report = verifyBundle(bundle, key, options);
  t.match(report, { verdict: "NOT PROVEN", index: 7, findings: [{ code: "quorum_missing" }] });
  t.match(report.steps[2], { step: "W", passed: false, code: "quorum_missing" });
  t.ok(report.steps.slice(3).every(({ passed }) => passed));
  t.match(report.conclusion, "the policy's quorum q is not reached, so others may be shown another tree");
  t.equal(verifyBundle(bundle, key).verdict, "PASS");
  t.match(verifySavedCheckpoint(made.checkpoint!.note, key, options), {
    verdict: "NOT PROVEN",
    steps: [
      { step: "C", passed: true },
      { step: "W", passed: false },
    ],
  });
  const wrong = Buffer.from(bundle.toString().replace("alice", "mallory"));
  t.match(verifyBundle(wrong, key, options), {
    verdict: "FAIL",
    conclusion: "This bundle proves nothing: step B3 failed.",
  });
});

t.test("any bytes give a report, never a fault", async (t) => {
  const good = Uint8Array.from(note(newLog(), [[1, 0]]));
  const changed = fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, byte]) => {
    const bytes = Uint8Array.from(good);
    bytes[at] = byte;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 100 }), changed), (bytes) => {
      const { verdict, steps, findings, conclusion } = verifySavedCheckpoint(bytes, key, {
        witnesses: demand(),
        now: () => now,
      });
      return verdict !== "PASS" && steps.length === 2 && findings.length > 0 && conclusion !== "";
    }),
    { numRuns: 150 },
  );
  t.pass();
});

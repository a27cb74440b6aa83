import t from "tap";
import { findingVerdicts } from "../src/errors.ts";
import { Findings } from "../src/findings.ts";
import { readSpec } from "./support/vectors.ts";

t.test("the findings are those of the spec's steps, each with its verdict", async (t) => {
  // The last column of the tables of steps; words such as `declared_gap` (NOT PROVEN).
  const rows = ["proof.md", "record.md", "receipt.md"]
    .flatMap((page) => readSpec(page).split("\n"))
    .filter((line) => /^\| [BCEKNQRSTW][0-9]+ \|/.test(line));
  const codes = new Map<string, string>();
  for (const row of rows) {
    const column = row.split("|").at(-2)!;
    for (const [, code, missing] of column.matchAll(/`([a-z_]+)`( \(NOT PROVEN\))?/g)) {
      if (missing !== undefined || !codes.has(code!)) codes.set(code!, missing === undefined ? "FAIL" : "NOT PROVEN");
    }
  }
  t.equal(rows.length, 57);
  t.same(Object.fromEntries([...codes].sort()), Object.fromEntries(Object.entries(findingVerdicts).sort()));
});

t.test("the faults are those of spec/errors.md", async (t) => {
  const section = readSpec("errors.md").split("## Verifier\n")[1]!;
  const codes = [...section.matchAll(/^\| `([a-z_]+)` \|/gm)].map((match) => match[1]);
  // `internal` is what the command calls an error that has no code; the core throws it without one.
  t.same(codes, ["usage", "log_unreachable", "internal"]);
});

t.test("of a ruined log the findings are counted, not all kept", async (t) => {
  const findings = new Findings();
  const more = new Findings();
  for (let index = 0; index < 40; index++) findings.add("unsealed", "", { index });
  t.equal(findings.verdict, "NOT PROVEN");
  for (let index = 0; index < 1000; index++) more.add("entry_malformed", "", { index });
  for (let index = 0; index < 30; index++) more.add("unsealed", "", { index });
  findings.take(more);
  t.equal(findings.verdict, "FAIL");
  t.equal(findings.list.length, 100);
  t.same(findings.omitted, { entry_malformed: 950, unsealed: 20 });
  t.equal(findings.firstBadIndex, 0);
  t.same([more.list, more.verdict], [[], "PASS"]);
});

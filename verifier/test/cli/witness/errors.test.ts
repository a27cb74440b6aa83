import t from "tap";
import { faultStatus } from "../../../cli/exit-status.ts";
import { refusals } from "../../../cli/witness/answers.ts";
import { settingKeys } from "../../../cli/witness/settings.ts";
import { readSpec } from "../../support/vectors.ts";

const exportFaults = ["position_invalid", "collector_unreachable", "collector_refused"] as const;

t.test("the refusals are those of spec/errors.md, with their status", async (t) => {
  const section = readSpec("errors.md").split("## Witness, over HTTP\n")[1]!.split("\n## ")[0]!;
  const rows = [...section.matchAll(/^\| `([a-z_]+)` \| ([0-9]{3}) \|/gm)].map(([, code, status]) => [
    code,
    Number(status),
  ]);
  t.same(rows.sort(), Object.entries(refusals).sort());
  const statuses = rows.map(([, status]) => Number(status));
  t.equal(statuses.length, Object.keys(refusals).length);
});

t.test("the faults at start are those of spec/errors.md, with their exit status", async (t) => {
  const section = readSpec("errors.md").split("## Witness, at start\n")[1]!.split("\n## ")[0]!;
  const rows = [...section.matchAll(/^\| `([a-z_]+)` \| ([0-9]{2}) \|/gm)].map(([, code, status]) => [
    code,
    Number(status),
  ]);
  const elsewhere = new Set(["usage", "log_unreachable", ...exportFaults]);
  t.same(
    rows.sort(),
    Object.entries(faultStatus)
      .filter(([code]) => !elsewhere.has(code))
      .sort(),
  );
});

t.test("the faults of an export are those of spec/errors.md, with their exit status", async (t) => {
  const section = readSpec("errors.md").split("## Export\n")[1]!.split("\n## ")[0]!;
  const rows = [...section.matchAll(/^\| `([a-z_]+)` \| ([0-9]{2}) \|/gm)].map(([, code, status]) => [
    code,
    Number(status),
  ]);
  t.same(
    rows,
    [...exportFaults, "write_failed" as const].map((code) => [code, faultStatus[code]]),
  );
});

t.test("each step of spec/witness.md has a code, and the status that it is answered with", async (t) => {
  const rows = readSpec("witness.md")
    .split("\n")
    .filter((line) => /^\| A[0-9]+ \|/.test(line))
    .map((line) => line.split("|").slice(1, -1));
  t.equal(rows.length, 12);
  const found = new Set<string>();
  for (const [step, , statuses, codes] of rows) {
    const named = [...codes!.matchAll(/`([a-z_]+)`/g)].map(([, code]) => code as keyof typeof refusals);
    for (const code of named) found.add(code);
    t.same(
      named.map((code) => refusals[code]),
      statuses!.split(";").map(Number),
      step!,
    );
  }
  // What is not about the checkpoint is no step of its checks.
  const others = ["not_found", "method_not_allowed", "stopping", "too_busy", "never_cosigned"];
  t.same([...found, ...others].sort(), Object.keys(refusals).sort());
});

t.test("each line of the configuration file is an option in the help", async (t) => {
  const { witnessHelp } = await import("../../../cli/witness/help.ts");
  const named = new Set([...witnessHelp.matchAll(/^ {2}--([a-z]+)/gm)].map(([, name]) => name));
  t.same([...named].sort(), [...Object.keys(settingKeys), "config", "fresh"].sort());
});

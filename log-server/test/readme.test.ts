import { readFileSync } from "node:fs";
import t from "tap";
import { configKeys } from "../src/config/config-keys.ts";
import { exitStatus } from "../src/errors.ts";
import * as api from "../src/index.ts";
import { Metrics } from "../src/metrics.ts";
import { findingCodes } from "../src/tools/findings.ts";
import { witnessFailures } from "../src/witnesses/protocol.ts";

const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");

function rows(section: string): string[][] {
  const text = readme.split("\n## ").find((part) => part.startsWith(`${section}\n`))!;
  const lines = text.split("\n").filter((line) => line.startsWith("| `"));
  return lines.map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

t.test("the configuration table is the configuration", async (t) => {
  const shown = (value: string | number | boolean | undefined): string => {
    if (value === undefined) return "required";
    return value === "" ? "none" : `\`${value}\``;
  };
  t.same(
    rows("Configuration").map((cells) => cells.slice(0, 4)),
    configKeys.map(({ key, type, unit, default: fallback }) => [`\`${key}\``, type, unit, shown(fallback)]),
  );
});

t.test("every start error has its line", async (t) => {
  t.same(
    rows("Start errors")
      .map(([code]) => code!.slice(1, -1))
      .sort(),
    Object.keys(exitStatus).sort(),
  );
});

t.test("every failure of a witness has its line", async (t) => {
  t.same(
    rows("Witnesses").map(([failure]) => failure!.slice(1, -1)),
    [...witnessFailures, "no_url"],
  );
});

t.test("the checks of /healthz, and metrics that there are", async (t) => {
  const health = rows("Health and metrics");
  const names = health.map(([name]) => name!.replaceAll("`", "")).flatMap((name) => name.split(", "));
  const checks = names.filter((name) => !name.startsWith("vitrine_log_"));
  t.same(checks, ["signature", "tree", "edge", "publishing", "writing", "history", "witnesses"]);
  const metrics = new Metrics();
  const witnesses = { quorum: true, of: 0, cosigned: [], missing: [], alarms: [] };
  const zero = (): number => 0;
  metrics.observe({
    treeSize: zero,
    publishedSize: zero,
    indexLag: zero,
    searchLag: zero,
    waitingSubmissions: zero,
    waitingBytes: zero,
    waitingAdds: zero,
    witnesses: () => witnesses,
  });
  const text = await metrics.registry.metrics();
  for (const name of names.slice(checks.length)) t.ok(text.includes(`# HELP ${name} `), name);
});

t.test("every finding of a check has its line", async (t) => {
  t.same(
    rows("Checking a store").map(([code]) => code!.slice(1, -1)),
    findingCodes,
  );
});

t.test("the example imports what there is", async (t) => {
  const names = /import \{ ([^}]+) \} from "@vitrine\/log-server"/.exec(readme)![1]!.split(", ");
  for (const name of names) t.type((api as Record<string, unknown>)[name], "function", name);
});

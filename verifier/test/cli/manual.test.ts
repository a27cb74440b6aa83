import { readFileSync } from "node:fs";
import t from "tap";
import { acknowledgedStatus, faultStatus, internalStatus, verdictStatus } from "../../cli/exit-status.ts";
import { commandHelp, commandNames, generalHelp } from "../../cli/help.ts";

const manual = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");

t.test("the manual has every option that the help has, and no other", (t) => {
  const optionsIn = (text: string): string[] => [...new Set(text.match(/--[a-z]+/g))].sort();
  const start = manual.indexOf("\n## Commands\n");
  const commands = manual.slice(start, manual.indexOf("\n## ", start + 1));
  const helped = optionsIn(Object.values(commandHelp).join("\n"));
  const general = new Set(["--help", "--version", "--output"]);
  t.same(
    optionsIn(commands).filter((option) => !general.has(option)),
    helped.filter((option) => !general.has(option)),
  );
  for (const name of commandNames) t.match(commands, `\n### ${name}\n`);
  t.end();
});

t.test("the manual has every exit status", (t) => {
  const rows = [...manual.matchAll(/^\| ([0-9]+) \| `([^`]+)` \|/gm)].map((row) => [row[2], Number(row[1])]);
  t.same(Object.fromEntries(rows), {
    ...verdictStatus,
    acknowledged: acknowledgedStatus,
    ...faultStatus,
    internal: internalStatus,
  });
  t.end();
});

t.test("every help fits a terminal", (t) => {
  for (const text of [generalHelp, ...Object.values(commandHelp)])
    t.same(
      text.split("\n").filter((line) => line.length > 80),
      [],
    );
  t.end();
});

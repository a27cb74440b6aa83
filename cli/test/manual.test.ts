import { readFileSync } from "node:fs";
import t from "tap";
import { FILES } from "../src/data-folder.ts";
import { EXIT_STATUS } from "../src/errors.ts";
import { COMMAND_HELP, COMMANDS } from "../src/help.ts";

const manual = readFileSync(new URL("../../README.md", import.meta.url), "utf8");

t.test("the manual's table of errors is the list of codes", async (t) => {
  const rows = [...manual.matchAll(/^\| `([a-z_]+)` \| (\d+) \|/gm)].map(([, code, status]) => [code, Number(status)]);
  t.same(Object.fromEntries(rows), EXIT_STATUS);
});

t.test("the manual has every command and every option of the help", async (t) => {
  for (const command of COMMANDS) t.match(manual, new RegExp(`^### .*\`vitrine ${command}\\b`, "m"), command);
  for (const [topic, help] of Object.entries(COMMAND_HELP)) {
    for (const [option] of help.matchAll(/(?<= )--[a-z]+/g)) {
      if (option !== "--help" && option !== "--output")
        t.match(manual, new RegExp(`\`${option}\\b`), `${topic} ${option}`);
    }
  }
});

t.test("the manual has every file of a data folder", async (t) => {
  const passing = ["CREATING", "keys"];
  for (const file of Object.values(FILES)) {
    if (!passing.includes(file)) t.ok(manual.includes(`\`${file}\``) || manual.includes(`\`${file}/\``), file);
  }
});

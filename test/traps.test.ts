// docs/traps.md names a test for every trap: each must be there, and be run by somebody.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { ROOT } from "./support/stack.ts";

interface Row {
  readonly number: number;
  readonly tests: readonly { readonly file: string; readonly name: string }[];
}

const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

function rows(page: string): Row[] {
  return [...page.matchAll(/^\| (\d+) \|.*\| (.*) \|$/gm)].map(([, number, cell]) => ({
    number: Number(number),
    tests: [...cell!.matchAll(/`([^`]+\.test\.ts)` "([^"]+)"/g)].map(([, file, name]) => ({
      file: file!,
      name: name!,
    })),
  }));
}

/** Whether an npm script runs it. */
function isRun(file: string, scripts: string): boolean {
  if (!file.includes("/long/")) return true;
  const compiled = file.replace("/", "/dist/").replace(/\.ts$/, ".js");
  return scripts.includes(compiled) || scripts.includes(compiled.replace(/[^/]+$/, "*.test.js"));
}

t.test("each trap has a test that is there, and is run", async (t) => {
  const all = rows(read("docs/traps.md"));
  const scripts = JSON.stringify(JSON.parse(read("package.json")).scripts);
  t.same(
    all.map(({ number }) => number),
    all.map((_, i) => i + 1),
    "numbered without a gap",
  );
  t.ok(all.length >= 50);
  for (const { number, tests } of all) {
    t.ok(tests.length > 0, `trap ${number} has a test`);
    for (const { file, name } of tests) {
      const there = existsSync(join(ROOT, file)) ? read(file) : undefined;
      if (there === undefined) t.fail(`trap ${number}: there is no ${file}`);
      else if (!there.includes(`"${name}"`)) t.fail(`trap ${number}: ${file} has no "${name}"`);
      else if (!isRun(file, scripts)) t.fail(`trap ${number}: no npm script runs ${file}`);
    }
  }
});

t.test("the check sees what is not there", async (t) => {
  const page = '| 1 | a | b | `test/traps.test.ts` "one"; `no/such.test.ts` "two" |\n| 2 | c | d | nothing |\n';
  t.same(rows(page), [
    {
      number: 1,
      tests: [
        { file: "test/traps.test.ts", name: "one" },
        { file: "no/such.test.ts", name: "two" },
      ],
    },
    { number: 2, tests: [] },
  ]);
  t.ok(isRun("test/traps.test.ts", ""));
  t.notOk(isRun("test/long/traps.test.ts", "test/dist/long/pool.test.js"));
  t.ok(isRun("proxy/test/long/pool.test.ts", "proxy/dist/test/long/*.test.js"));
});

t.end();

// The verifier with one check left out must be taken in by the lie that this check is there for; so the suite of lies
// would notice if a check were lost. spec/kills.md lists them, and is held against what is tried here.
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Postgres } from "@vitrine/cli";
import t from "tap";
import { everyLie, type Told } from "../support/lying-all.ts";
import { Honest } from "../support/lying-honest.ts";
import { recordLog } from "../support/lying-record.ts";
import { Audience, codesOf, inParallel } from "../support/lying-runner.ts";
import { type Mutant, mutants, notes } from "../support/mutants.ts";
import { ROOT, runNode, Stack, startDatabase, temporaryFolder } from "../support/stack.ts";

const AT_ONCE = 3;
const PAGES = ["proof.md", "monitor.md", "record.md", "receipt.md"];

const folder = temporaryFolder("mutants");
let database: Postgres;
let stack: Stack;
let audience: Audience;
let lies: Map<string, Told>;

t.before(async () => {
  database = await startDatabase(folder);
  stack = await Stack.create(database);
  const record = await recordLog(stack, database);
  const honest = new Honest(record, stack.logKey, stack.sourceKey);
  mkdirSync(join(folder, "verifier"));
  audience = new Audience(join(folder, "verifier"), honest);
  await audience.prepare();
  lies = everyLie(honest);
});

t.after(async () => {
  await stack?.destroy();
  await database?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** @returns the folder of a verifier that lacks a check */
function build(mutant: Mutant, number: number): string {
  const place = join(folder, `mutant-${number}`, "verifier");
  mkdirSync(place, { recursive: true });
  for (const part of ["bin", "package.json", "README.md", "dist/src", "dist/cli", "dist/test"]) {
    cpSync(join(ROOT, "verifier", part), join(place, part), { recursive: true });
  }
  for (const part of ["node_modules", "spec"]) symlinkSync(join(ROOT, part), join(place, "..", part));
  const file = join(place, "dist", mutant.file);
  let text = readFileSync(file, "utf8");
  for (const { from, to } of [mutant, mutant.and ?? []].flat()) {
    const parts = text.split(from);
    if (parts.length !== 2) throw new Error(`${mutant.file} has ${parts.length - 1} times: ${from}`);
    text = parts.join(to);
  }
  writeFileSync(file, text);
  return place;
}

/** @returns what became of a lie that the verifier's own tests tell */
async function tested(place: string, { test, lie }: Mutant): Promise<string> {
  const { stdout } = await runNode(join(place, "dist", test!), [], { TAP_TIMEOUT: "200" });
  const lines = stdout.split("\n").filter((line) => line.includes(` - ${lie}`));
  if (lines.length !== 1) return `${lines.length} tests of that name: ${stdout}`;
  return lines[0]!.startsWith("not ok") ? "passes" : "is found all the same";
}

/** @returns what became of a lie that is told to the command */
async function heard(place: string, { lie }: Mutant): Promise<string> {
  const told = lies.get(lie);
  if (told === undefined) return `there is no lie: ${lie}`;
  const truth = await told(audience);
  if (truth.code === 0) return "the whole verifier passes it too";
  const { code, report } = await told(audience.by(join(place, "bin/vitrine-verifier.js")));
  return code === 0 ? "passes" : `${report.verdict ?? `exit ${code}`} ${codesOf(report)}`;
}

t.test("each check is missed when it is left out", async (t) => {
  const outcomes = await inParallel([...mutants.entries()], AT_ONCE, ([number, mutant]) => {
    const place = build(mutant, number);
    return mutant.test === undefined ? heard(place, mutant) : tested(place, mutant);
  });
  for (const [i, { step, without, lie }] of mutants.entries()) {
    t.equal(outcomes[i], "passes", `${step} without ${without}: ${lie}`);
  }
});

t.test("no check is without a lie, and the table has them all", async (t) => {
  const steps = PAGES.flatMap((page) => {
    const text = readFileSync(join(ROOT, "spec", page), "utf8");
    return [...text.matchAll(/^\| ([A-Z][0-9]+) \|/gm)].map(([, step]) => step!);
  });
  t.ok(steps.length > 30, `${steps.length} steps`);
  const tried = new Set(mutants.map(({ step }) => step));
  t.same(
    steps.filter((step) => !tried.has(step) && !notes.includes(step)),
    [],
    "each has a lie",
  );
  t.same(
    [...tried].filter((step) => !steps.includes(step)),
    [],
    "each is a step of the pages",
  );
  const rows = mutants.map(({ step, without, lie }) => `| ${step} | ${without} | ${lie} |`);
  const table = readFileSync(join(ROOT, "spec/kills.md"), "utf8")
    .split("\n")
    .filter((line) => /^\| [A-Z][0-9]+ \|/.test(line));
  t.same(table, rows, "spec/kills.md");
});

t.end();

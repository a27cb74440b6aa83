import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import t from "tap";
import { FolderReader } from "../../cli/folder-reader.ts";
import { auditLog, type FindingCode, findingVerdicts, parseVerifierKey } from "../../src/index.ts";
import { exportTo } from "../cli/support/folder.ts";
import { vectorLog, vectors } from "../cli/support/log.ts";
import { type Result, run, temporaryFolder } from "../cli/support/run.ts";

type Test = { teardown(what: () => void): void };

/** @returns a folder with the log of the vectors, and a run of `audit` over it */
function exported(t: Test, size?: number): { folder: string; audit(...more: string[]): Promise<Result> } {
  const folder = join(temporaryFolder(t), "a log +5bddc72e+");
  const state = temporaryFolder(t);
  exportTo(folder, vectorLog(size));
  const args = ["audit", "--log", folder, "--vkey", vectors.vkey, "--state", state, "--json"];
  return { folder, audit: (...more) => run([...args, ...more]) };
}

t.test("a log is read from its files as over HTTP, and the state carries on", async (t) => {
  const { folder, audit } = exported(t, 200);
  const first = await audit();
  // Cut where it is, its sources have not stopped; nothing contradicts, and nobody waits for a folder.
  t.match(first.json, { verdict: "NOT PROVEN", size: 200, read: 200, entriesSigned: true, log: folder });
  exportTo(folder, vectorLog());
  const state = temporaryFolder(t);
  const forms = [folder, pathToFileURL(folder).href, relative(process.cwd(), folder)];
  for (const log of forms) {
    const result = await run(["audit", "--log", log, "--vkey", vectors.vkey, "--state", state]);
    t.equal(result.status, 0, result.stdout + result.stderr);
    t.match(result.stdout, `Log          ${folder}`);
  }
  const again = await audit();
  t.match(again.json, { verdict: "PASS", from: 200, size: vectors.entries.length, keptSize: 200 });
  t.match(await run(["head", "--log", folder, "--vkey", vectors.vkey, "--state", state]), { status: 0 });
  const proved = await run(["prove", "--log", folder, "--vkey", vectors.vkey, "--state", state, "--index", "7"]);
  t.equal(proved.status, 0);
  t.match(JSON.parse(proved.stdout), { format: "vitrine/evidence/v1", entry: vectors.entries[7] });
  const token = await run([
    "prove",
    "--log",
    folder,
    "--vkey",
    vectors.vkey,
    "--index",
    "7",
    "--token",
    "abc",
    "--reason",
    "x",
  ]);
  t.match(token, { status: 64, stderr: /a folder has no disclosures/ });
});

t.test("what was kept is demanded of a folder too", async (t) => {
  const { folder, audit } = exported(t);
  t.equal((await audit()).status, 0);
  writeFileSync(join(folder, "checkpoint"), vectorLog().checkpoint(100));
  t.match((await audit()).json, { verdict: "FAIL", findings: [{ code: "rolled_back" }] });
});

t.test("a file that is missing, cut, longer, changed, or no file", async (t) => {
  const bundle = "tile/entries/000";
  const instead = (file: string, make: () => void): void => {
    rmSync(file);
    make();
  };
  const cases: [string, (file: string) => void, FindingCode][] = [
    ["it is gone", (file) => rmSync(file), "data_missing"],
    ["it is a folder", (file) => instead(file, () => mkdirSync(file)), "data_missing"],
    ["it is a pipe", (file) => instead(file, () => execFileSync("mkfifo", [file])), "data_missing"],
    ["it has no end", (file) => instead(file, () => symlinkSync("/dev/zero", file)), "data_missing"],
    ["its end is gone", (file) => writeFileSync(file, readFileSync(file).subarray(0, -1)), "tile_malformed"],
    ["it is longer than can be", (file) => appendFileSync(file, Buffer.alloc(20_000_000)), "tile_malformed"],
    [
      "an entry is another",
      (file) => writeFileSync(file, readFileSync(file, "latin1").replace("alice", "carol"), "latin1"),
      "leaf_mismatch",
    ],
  ];
  for (const [name, change, code] of cases) {
    const { folder } = exported(t);
    change(join(folder, bundle));
    const reader = await FolderReader.open(folder);
    const report = await auditLog(reader, { key: parseVerifierKey(vectors.vkey), now: () => 0 });
    t.equal(report.findings[0]?.code, code, name);
    t.equal(report.verdict, findingVerdicts[code]);
  }
});

t.test("links may lead about in the folder, and not out of it", async (t) => {
  const { folder, audit } = exported(t);
  const file = join(folder, "tile/entries/000");
  renameSync(file, join(folder, "tile/first"));
  symlinkSync("../first", file);
  t.equal((await audit()).status, 0);
  const outside = join(temporaryFolder(t), "outside");
  renameSync(join(folder, "tile/first"), outside);
  rmSync(file);
  symlinkSync(outside, file);
  t.match((await audit("--all")).json, {
    verdict: "NOT PROVEN",
    findings: [{ code: "data_missing", message: /leads out of the folder/, where: "tile/entries/000" }],
  });
  // A folder on the way that is such a link; what is in it would do.
  rmSync(file);
  renameSync(outside, file);
  renameSync(join(folder, "tile"), outside);
  symlinkSync(outside, join(folder, "tile"));
  t.match((await audit("--all")).json, { verdict: "NOT PROVEN", findings: [{ code: "data_missing" }] });
});

t.test("what is no folder of this machine", async (t) => {
  const file = join(temporaryFolder(t), "file");
  writeFileSync(file, "");
  const cases = {
    [file]: "it is a file|is a file",
    "file:///nowhere/at/all": "there is no such file or folder",
    "file://elsewhere/log": "is not the URL of a folder on this machine",
    "./nowhere": "there is no such folder",
  };
  for (const [log, message] of Object.entries(cases)) {
    const result = await run(["head", "--log", log, "--vkey", vectors.vkey, "--state", temporaryFolder(t)]);
    t.match(result, { status: 64, stderr: new RegExp(message) }, log);
  }
});

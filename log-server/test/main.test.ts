import { spawn } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { auditLog, published, submit } from "./support/client.ts";
import { makeLogFolder, ORIGIN } from "./support/folder.ts";
import { TestSource } from "./support/source.ts";

const MAIN = new URL("../src/main.js", import.meta.url).pathname;

interface Run {
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly ended: Promise<{ code: number | null; stdout: string; stderr: string }>;
  kill(signal: NodeJS.Signals): void;
}

const run = (...args: string[]): Run => runAs(process.execPath, MAIN, ...args);

/** Where no file can be written: as on a disk that is full. Without the environment: what a test runner puts there writes files. */
const runOnFullDisk = (...args: string[]): Run =>
  runAs("/bin/sh", "-c", 'ulimit -f 0; exec env -i "$@"', "sh", process.execPath, MAIN, ...args);

function runAs(command: string, ...args: string[]): Run {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (data) => {
    stdout += data;
  });
  child.stderr.on("data", (data) => {
    stderr += data;
  });
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
  return { stdout: () => stdout, stderr: () => stderr, ended, kill: (signal) => child.kill(signal) };
}

async function urlOf({ stdout }: Run): Promise<string> {
  for (;;) {
    const url = /http:\/\/[^,]+/.exec(stdout())?.[0];
    if (url !== undefined) return url;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

t.test("it serves until SIGTERM, and what a kill leaves behind is all there at the next start", async (t) => {
  const source = new TestSource("s").start().fill(500);
  const folder = await makeLogFolder();
  t.after(() => folder.remove());
  const path = join(folder.path, "log.yaml");
  await writeFile(path, `listen: 127.0.0.1:0\norigin: ${ORIGIN}\nsources: [${source.key.vkey}]\n`);
  const first = run(path);
  const url = await urlOf(first);
  t.equal((await submit(url, source.submission(ORIGIN, 0, 300))).status, 200);
  first.kill("SIGKILL");
  await first.ended;
  const second = run(path);
  const again = await urlOf(second);
  await published(again, 300);
  t.equal((await submit(again, source.submission(ORIGIN, 250))).status, 200);
  second.kill("SIGTERM");
  t.match(await second.ended, { code: 0, stderr: "" });
  const third = run(path);
  const last = await urlOf(third);
  t.same(
    await auditLog(last, folder.vkey),
    source.entries.map(({ bytes }) => bytes),
  );
  third.kill("SIGINT");
  t.match(await third.ended, { code: 0, stderr: "" });
});

t.test("a start on a full disk says that it is full, and nothing of a damaged store", async (t) => {
  const source = new TestSource("s").start().fill(5);
  const folder = await makeLogFolder();
  t.after(() => folder.remove());
  const path = join(folder.path, "log.yaml");
  await writeFile(path, `listen: 127.0.0.1:0\norigin: ${ORIGIN}\nsources: [${source.key.vkey}]\n`);
  const full =
    /^write_failed: the store [^\n]+ cannot be opened: [^\n]+File too large; free or replace the disk[^\n]+\n$/;
  t.match(await runOnFullDisk(path).ended, { code: 1, stdout: "", stderr: full }, "the first start");
  const first = run(path);
  t.equal((await submit(await urlOf(first), source.submission(ORIGIN))).status, 200);
  first.kill("SIGKILL");
  await first.ended;
  t.match(await runOnFullDisk(path).ended, { code: 1, stdout: "", stderr: full });
  const again = run(path);
  const url = await urlOf(again);
  await published(url, 6);
  t.equal((await auditLog(url, folder.vkey)).length, 6);
  again.kill("SIGTERM");
  t.match(await again.ended, { code: 0, stderr: "" });
});

t.test("SIGHUP: one line says what is in force, or why everything stays as it was", async (t) => {
  const folder = await makeLogFolder();
  t.after(() => folder.remove());
  const path = join(folder.path, "log.yaml");
  const yaml = `listen: 127.0.0.1:0\norigin: ${ORIGIN}\nsources: []\n`;
  await writeFile(path, yaml);
  const log = run(path);
  await urlOf(log);
  const printed = async (what: RegExp): Promise<void> => {
    while (!what.test(log.stdout() + log.stderr())) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  await writeFile(path, `${yaml}witnesses: policy\n`);
  log.kill("SIGHUP");
  await printed(
    /^not reloaded, everything stays as it was: bad_config: witnesses: .*policy cannot be read: ENOENT.*\n/m,
  );
  await writeFile(join(folder.path, "policy"), "quorum none\n");
  await writeFile(path, `${yaml}witnesses: policy\ncheckpoint_interval_ms: 99\n`);
  log.kill("SIGHUP");
  await printed(/^reloaded: 1 key signs, 0 witnesses; not taken: checkpoint_interval_ms, which has .* a restart\n/m);
  log.kill("SIGTERM");
  t.match(await log.ended, { code: 0 });
});

t.test("what keeps it from starting is one line, and a status", async (t) => {
  const folder = await makeLogFolder();
  t.after(() => folder.remove());
  const path = join(folder.path, "log.yaml");
  await writeFile(path, "origin: x\n");
  t.match(await run(path).ended, {
    code: 64,
    stdout: "",
    stderr: /^bad_config: [^\n]+log\.yaml:1:1: the key sources is missing\n$/,
  });
  t.match(await run().ended, { code: 64, stderr: /^bad_config: usage: [^\n]+\n$/ });
  await writeFile(path, `origin: ${ORIGIN}\nsources: []\n`);
  await rm(folder.config().key);
  t.match(await run(path).ended, { code: 1, stdout: "", stderr: /^bad_key: [^\n]+\n$/ });
});

// The README's first screen, command by command, in an empty folder of its own.
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { freePort, ROOT, temporaryFolder } from "./support/stack.ts";

const readme = readFileSync(join(ROOT, "README.md"), "utf8");
const demo = readme.slice(readme.indexOf("## In 60 seconds"), readme.indexOf("## The way of one statement"));
const commands = [...demo.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, text]) => text!.trim());

const folder = temporaryFolder("readme");
const logPort = await freePort();
const proxyPort = await freePort();
let vitrine: ChildProcess | undefined;

/** Only the ports differ from what the README says, so that the test runs beside anything else. */
const here = (command: string): string => command.replaceAll("127.0.0.1:6962", `127.0.0.1:${logPort}`);

interface Outcome {
  readonly code: number;
  readonly output: string;
}

function shell(command: string): Promise<Outcome> {
  return new Promise((resolve) => {
    const env = {
      ...process.env,
      XDG_STATE_HOME: join(folder, "state"),
      PATH: `${ROOT}/node_modules/.bin:${process.env.PATH}`,
    };
    const child = spawn("bash", ["-c", here(command)], { cwd: folder, env });
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += chunk;
    });
    child.stderr.on("data", (chunk) => {
      output += chunk;
    });
    child.once("close", (code) => resolve({ code: code ?? -1, output }));
  });
}

async function start(): Promise<string> {
  const options = ["up", "--log", `127.0.0.1:${logPort}`, "--proxy", `127.0.0.1:${proxyPort}`];
  const child = spawn(process.execPath, [join(ROOT, "cli/bin/vitrine.js"), ...options], { cwd: folder });
  vitrine = child;
  let output = "";
  await new Promise<void>((resolve, reject) => {
    const onData = (chunk: Buffer): void => {
      output += chunk;
      if (/^vitrine: ready$/m.test(output)) resolve();
    };
    child.stdout.on("data", onData);
    child.stderr.on("data", onData);
    child.once("close", () => reject(new Error(output)));
  });
  return output;
}

/** Waits until the log shows an entry with this text: a person takes longer to type the next command than it takes. */
async function recorded(text: string): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const checkpoint = await (await fetch(`http://127.0.0.1:${logPort}/checkpoint`)).text();
    const size = Number(checkpoint.split("\n")[1]);
    if (size > 0) {
      const bundle = await fetch(`http://127.0.0.1:${logPort}/tile/entries/000.p/${size}`);
      if ((await bundle.text()).includes(text)) return;
    }
    if (Date.now() > deadline) throw new Error(`nothing of ${text} in the log: ${checkpoint}`);
    await sleep(100);
  }
}

async function interrupt(): Promise<number | null> {
  const child = vitrine!;
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGINT");
  await ended;
  return child.exitCode;
}

t.teardown(async () => {
  if (vitrine !== undefined && vitrine.exitCode === null) await interrupt();
  rmSync(folder, { recursive: true, force: true });
});

const psql = (await shell("psql --version")).code === 0;

t.test("in 60 seconds", { skip: psql ? false : "psql is not installed", timeout: 280_000 }, async (t) => {
  // npm finds the repository's scripts and packages from where the README is read.
  for (const name of ["package.json", "node_modules", "test"]) symlinkSync(join(ROOT, name), join(folder, name));
  const [install, query, audit, prove, verify, more, tamper, auditAll, tests] = commands;
  t.equal(commands.length, 9);
  t.equal(install, "npm ci && npm start");
  t.equal(tests, "npm ci && npm test");

  const printed = await start();
  t.match(printed, /postgres:\/\/app:\S+@127\.0\.0\.1:\d+\/shop/);
  t.match(printed, /npx vitrine-verifier audit/);

  const answer = await shell(query!);
  t.equal(answer.code, 0, answer.output);
  t.match(answer.output, /@example/);

  await recorded("customers");
  const audited = await shell(audit!);
  t.equal(audited.code, 0, audited.output);
  t.match(audited.output, /SELECT.*customers/);
  t.match(audited.output, /PASS/);

  // When the first seal falls before the query its index is one higher; the README says to look.
  const index = /^\s*(\d+)\b.*customers/m.exec(audited.output)?.[1];
  t.ok(index !== undefined, audited.output);
  const about = (command: string): string => command.replace("--index 3", `--index ${index}`);
  const proven = await shell(about(prove!));
  t.equal(proven.code, 0, proven.output);

  const verified = await shell(verify!);
  t.equal(verified.code, 0, verified.output);
  t.match(verified.output, /SELECT name, email FROM customers WHERE id = 7/);
  t.match(verified.output, /PASS/);

  const moved = await shell(more!);
  t.equal(moved.code, 0, moved.output);
  t.equal(await interrupt(), 0, "Ctrl-C stops everything and exits 0");

  const tampered = await shell(about(tamper!));
  t.equal(tampered.code, 0, tampered.output);
  await start();
  const caught = await shell(auditAll!);
  t.equal(caught.code, 1, caught.output);
  t.match(caught.output, /leaf_mismatch/);
  t.match(caught.output, new RegExp(`entry ${index}\\b`));
  t.match(caught.output, /FAIL/);
  t.equal(await interrupt(), 0);

  // What was taken before still holds: it needs nobody.
  t.equal((await shell(verify!)).code, 0);
});

t.end();

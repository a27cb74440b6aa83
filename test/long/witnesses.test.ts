// A log, three real witnesses, and a verifier that wants two of them. Then what only a witness catches: two copies of
// one log's folder, each with its key, growing apart.
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createKey, type RunningLogServer, readLogServerConfig, startLogServer } from "@vitrine/log-server";
import t from "tap";
import { stringify } from "yaml";
import { ROOT, runNode, temporaryFolder } from "../support/stack.ts";
import { WitnessProcess } from "../support/witness.ts";

const VERIFIER = join(ROOT, "verifier/bin/vitrine-verifier.js");
const ORIGIN = "test.example/witnessed";
const folder = temporaryFolder("witnesses");
const { skey, vkey } = createKey(ORIGIN);
const policyFile = join(folder, "policy");

const NAMES = ["w0.example", "w1.example", "w2.example"];
const witnesses = NAMES.map((name) => new WitnessProcess(join(folder, name), name, ["--log", vkey]));

/** Makes a log's folder, with its key and a configuration. @returns the configuration's path */
function logFolder(name: string): string {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "log.key"), skey, { mode: 0o600 });
  const config = { listen: "127.0.0.1:0", origin: ORIGIN, sources: [], add: true, checkpoint_interval_ms: 20 };
  writeFileSync(join(path, "log.yaml"), stringify({ ...config, witnesses: policyFile, witness_timeout_ms: 5000 }));
  return join(path, "log.yaml");
}

const said: string[] = [];
const start = async (config: string): Promise<RunningLogServer> =>
  startLogServer(await readLogServerConfig(config), { log: (level, line) => said.push(`${level} ${line}`) });

/** Adds an entry. @returns the checkpoint that has it */
async function add(log: RunningLogServer, entry: string): Promise<string> {
  const answer = await fetch(`${log.url}/add`, { method: "POST", body: Buffer.from(entry) });
  const index = Number(await answer.text());
  if (answer.status !== 200) throw new Error(`${answer.status}`);
  for (;;) {
    const note = await (await fetch(`${log.url}/checkpoint`)).text();
    if (Number(note.split("\n")[1]) > index) return note;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const head = (log: RunningLogServer, state: string): ReturnType<typeof runNode> =>
  runNode(VERIFIER, ["head", "--log", log.url, "--vkey", vkey, "--policy", policyFile, "--state", join(folder, state)]);

const logs: RunningLogServer[] = [];

t.before(async () => {
  await Promise.all(witnesses.map((witness) => witness.start()));
  const lines = witnesses.map(({ policyLine }) => `${policyLine}\n`);
  writeFileSync(policyFile, `log ${vkey}\n${lines.join("")}group two 2 ${NAMES.join(" ")}\nquorum two\n`);
});

t.after(async () => {
  for (const log of logs) await log.close();
  for (const witness of witnesses) await witness.end("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

t.test("two of three are enough for a verifier, also when one is killed; one is not", async (t) => {
  const config = logFolder("log");
  const log = await start(config);
  for (const entry of ["one", "two", "three"]) {
    const note = await add(log, entry);
    for (const name of NAMES) t.match(note, `\u2014 ${name} `, entry);
  }
  const all = await head(log, "state");
  t.equal(all.code, 0, all.stdout + all.stderr);
  await witnesses[0]!.end("SIGKILL");
  t.notMatch(await add(log, "four"), "w0.example");
  const two = await head(log, "state");
  t.equal(two.code, 0, two.stdout + two.stderr);
  t.match(two.stdout, /PASS/);
  await witnesses[1]!.end("SIGTERM");
  await add(log, "five");
  const one = await head(log, "state");
  t.not(one.code, 0);
  t.match(one.stdout, /NOT PROVEN/);
  t.match(await (await fetch(`${log.url}/healthz`)).json(), {
    status: "degraded",
    witnesses: { quorum: false, of: 3, cosigned: [{ name: "w2.example" }] },
  });
  await log.close();
});

t.test("two copies of a log grow apart: the witness refuses the second, and that one stops", async (t) => {
  const first = logFolder("log");
  // A copy of everything, taken while the log stands still; nothing on this machine can tell them apart.
  const second = logFolder("copy");
  for (const part of ["log", "guard"]) {
    cpSync(join(folder, "log", part), join(folder, "copy", part), { recursive: true });
  }
  const original = await start(first);
  const copy = await start(second);
  logs.push(original);
  said.length = 0;
  await add(original, "six");
  t.match(await add(original, "seven"), "w2.example");
  const answer = await fetch(`${copy.url}/add`, { method: "POST", body: Buffer.from("another six") });
  t.equal(answer.status, 200, "the copy does not know yet");
  const failure = await copy.failed;
  t.equal(failure.code, "store_behind");
  t.match(await (await fetch(`${copy.url}/checkpoint`)).text(), `${ORIGIN}\n5\n`, "the second history was not shown");
  t.match(failure.message, /the checkpoint that witness w2\.example has cosigned last was signed over 7: .*older copy/);
  t.match(said.join("\n"), /^error store_behind: /m);
  await copy.close();
  // Started again it refuses before it serves.
  await t.rejects(start(second), { code: "store_behind" });
  // The one that the witness knows goes on.
  t.match(await add(original, "eight"), "w2.example");
  t.match(await (await fetch(`${original.url}/healthz`)).json(), { checks: { history: "ok" } });
});

t.test(
  "a copy that has grown further than the witness has seen is refused with a proof that does not fit",
  async (t) => {
    const original = logs[0]!;
    const third = logFolder("third");
    for (const part of ["log", "guard"]) {
      // What was in the copy before it was stopped: another sixth entry.
      cpSync(join(folder, "copy", part), join(folder, "third", part), { recursive: true });
    }
    // Made to grow without witnesses, as whoever has stolen a key would.
    const quiet = await readLogServerConfig(third);
    const { witnesses: _, ...alone } = quiet;
    const forked = await startLogServer(alone, { log: () => {} });
    for (const entry of ["seven", "eight", "nine", "ten"]) await add(forked, entry);
    await forked.close();
    await t.rejects(start(third), { code: "store_disagrees", message: /witness w2\.example/ });
    t.match(await add(original, "nine"), "w2.example");
  },
);
t.end();

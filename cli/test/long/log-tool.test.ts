import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createKey, readLogServerConfig, startLogServer } from "@vitrine/log-server";
import t, { type Test } from "tap";
import { readCommandLine } from "../../src/args/command-line.ts";
import { vitrine } from "../run.ts";

// A log of entries without a source, one of which tries to steer the terminal.

const TEXTS = ["first", "\u001b[2J\u202e\u{e0041}second", '{"a":1}'];

async function stoppedLog(t: Test): Promise<{ dir: string; config: string; vkey: string }> {
  const key = createKey("log.example/tools");
  const yaml = `listen: 127.0.0.1:0\norigin: ${key.vkey.split("+")[0]}\nsources: []\nadd: true\n`;
  const dir = t.testdir({ "log.yaml": yaml });
  writeFileSync(path.join(dir, "log.key"), `${key.skey}\n`, { mode: 0o600 });
  const config = path.join(dir, "log.yaml");
  const log = await startLogServer(await readLogServerConfig(config), { log: () => {} });
  for (const body of TEXTS) await fetch(`${log.url}/add`, { method: "POST", body });
  await log.close();
  return { dir, config, vkey: key.vkey };
}

t.test("fsck says that a log is in order, or what is not", async (t) => {
  const { dir, config } = await stoppedLog(t);
  const good = await vitrine(["log", "fsck", "--config", config]);
  t.match(good, { status: 0, stderr: "" });
  t.match(good.stdout, /^log\.example\/tools: 3 entries, 0 disclosures, root \S+, signed up to 3: in order\n$/);
  const asJson = await vitrine(["log", "fsck", "--config", config, "--json"]);
  t.match(JSON.parse(asJson.stdout), { command: "fsck", inOrder: true, size: 3, signed: 3, findings: [] });

  const guard = path.join(dir, "guard/checkpoint");
  const note = readFileSync(guard, "utf8");
  writeFileSync(guard, note.replace("\n3\n", "\n4\n"));
  const bad = await vitrine(["log", "fsck", "--config", config]);
  t.equal(bad.status, 2);
  t.match(bad.stdout, /^guard: [^\n]*guard\/checkpoint is damaged[^\n]*\nlog\.example\/tools: 3 entries.*: DAMAGED\n$/);
  const badJson = await vitrine(["log", "fsck", "--config", config, "--json"]);
  t.equal(badJson.status, 2);
  t.match(JSON.parse(badJson.stdout), { inOrder: false, findings: [{ code: "guard" }] });
  writeFileSync(guard, note);

  const running = await startLogServer(await readLogServerConfig(config), { log: () => {} });
  t.match(await vitrine(["log", "fsck", "--config", config]), { status: 1, stderr: /^vitrine: store_locked: .*\n$/ });
  await running.close();
});

t.test("export writes a folder, and goes on with it only when told to", async (t) => {
  const { dir, config } = await stoppedLog(t);
  const out = path.join(dir, "out");
  const run = (...args: string[]) => vitrine(["log", "export", "--config", config, "--out", out, ...args]);
  t.match(await run(), { status: 0, stdout: /3 entries; 2 files written to .*out\n$/ });
  t.equal(readFileSync(path.join(out, "checkpoint"), "utf8"), readFileSync(path.join(dir, "guard/checkpoint"), "utf8"));
  t.match(await run(), { status: 1, stderr: /^vitrine: export_exists: .*--resume\n$/ });
  const again = await run("--resume", "--json");
  t.same(JSON.parse(again.stdout), { command: "export", origin: "log.example/tools", size: 3, before: 3, written: 0 });
});

t.test("inspect shows a log that is stopped, and the same one while it runs", async (t) => {
  const { config, vkey } = await stoppedLog(t);
  const stopped = (...args: string[]) => vitrine(["log", "inspect", "--config", config, ...args]);
  const about = await stopped();
  t.match(
    about.stdout,
    /^log +log\.example\/tools\nsigned +3 entries\nroot +\S{44}\nstored +3 entries\nbundles +one of 3\n/,
  );
  const hostile = await stopped("1");
  t.equal(hostile.status, 0);
  t.match(hostile.stdout, "\\u{1b}[2J\\u{202e}\\u{e0041}second\n");
  t.notMatch(hostile.stdout, /[\u001b\u202e]/);
  t.match((await stopped("disclosures", "0")).stdout, "entry 0 has no disclosures\n");
  t.match(await stopped("3"), { status: 1, stderr: /^vitrine: beyond_tree: / });
  t.match(await stopped("source", "nobody"), { status: 1, stderr: /^vitrine: not_found: / });

  const questions = [[], ["0"], ["1"]];
  const answers: object[] = [];
  for (const question of questions) {
    const { stored: _, ...answer } = JSON.parse((await stopped("--json", ...question)).stdout);
    answers.push(answer);
  }
  const log = await startLogServer(await readLogServerConfig(config), { log: () => {} });
  t.teardown(() => log.close());
  t.equal(log.vkey, vkey);
  const running = (...args: string[]) => vitrine(["log", "inspect", "--log", log.url, ...args]);
  for (const [i, question] of questions.entries()) {
    t.same(JSON.parse((await running("--json", ...question)).stdout), answers[i], question.join(" "));
  }
  t.match(await running("3"), { status: 1, stderr: /^vitrine: log_refused: .* 400, bad_parameter: / });
  t.match(await running("disclosures", "0"), { status: 64, stderr: /--reason TEXT is missing/ });
  t.match(await running("disclosures", "0", "--reason", "x"), {
    status: 1,
    stderr: /^vitrine: log_refused: .* 401, unauthorized: .*token/,
  });
  t.match(await running("source", "nobody"), { status: 1, stderr: /^vitrine: log_refused: / });
  await log.close();
  t.match(await running(), { status: 69, stderr: /^vitrine: log_unreachable: .*ECONNREFUSED/ });
});

t.test("a wrong command line is one line", async (t) => {
  const wrong: [string[], RegExp][] = [
    [["fsck"], /--config FILE is missing/],
    [["fsck", "--config", ""], /--config FILE is empty/],
    [["fsck", "--config", "x", "--out", "y"], /'--out'/],
    [["export", "--config", "x"], /--out DIR is missing/],
    [["inspect"], /one of --config FILE and --log URL/],
    [["inspect", "--config", "x", "--log", "http://x"], /one of/],
    [["inspect", "--config", "x", "--token-file", "y"], /--token-file belongs to --log/],
    [["inspect", "--config", "x", "-1"], /-1/],
    [["inspect", "--config", "x", "01"], /"01" is not the index/],
    [["inspect", "--config", "x", "9007199254740992"], /is not the index/],
    [["inspect", "--config", "x", "disclosures"], /not the index/],
    [["inspect", "--config", "x", "source", "a", "b"], /expected INDEX/],
    [["inspect", "--log", "file:///x"], /not the URL of a log/],
    [["inspect", "--log", "http://a:secret@x"], /--log has a user/],
  ];
  for (const [args, message] of wrong) {
    try {
      readCommandLine(["log", ...args]);
      t.fail(`accepted: ${args.join(" ")}`);
    } catch (error) {
      t.match(error, { code: "usage", message }, args.join(" "));
      t.notMatch((error as Error).message, /secret|\n/);
    }
  }
  t.match(await vitrine(["log", "fsck"]), { status: 64, stdout: "", stderr: /^vitrine: usage: [^\n]+\n$/ });
});

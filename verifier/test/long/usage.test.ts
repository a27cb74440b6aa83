import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { vectors } from "../cli/support/log.ts";
import { run, temporaryFolder } from "../cli/support/run.ts";

const { version } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

t.test("help and version", async (t) => {
  t.match(await run(["--version"]), { status: 0, stdout: `vitrine-verifier ${version}\n`, stderr: "" });
  const general = await run(["--help"]);
  t.equal(general.status, 0);
  t.equal((await run(["help"])).stdout, general.stdout);
  for (const command of ["head", "audit", "prove", "verify"]) {
    t.match(general.stdout, `vitrine-verifier ${command}`);
    const help = await run([command, "--help"]);
    t.equal(help.status, 0);
    t.match(help.stdout, `Usage: vitrine-verifier ${command} `);
    t.match(help.stdout, "--vkey");
    t.equal((await run(["help", command])).stdout, help.stdout);
    for (const line of help.stdout.split("\n")) t.ok(line.length <= 86, line);
  }
});

t.test("a command line that is wrong says what is, and where to look", async (t) => {
  const folder = temporaryFolder(t);
  const signing = join(folder, "log.key");
  writeFileSync(signing, `PRIVATE+KEY+${vectors.vkey}\n`);
  const long = join(folder, "long");
  writeFileSync(long, "a".repeat(20_000));
  const log = ["--log", "http://127.0.0.1:9", "--state", folder];
  const good = [...log, "--vkey", vectors.vkey];
  const cases: [string[], RegExp][] = [
    [[], /name a command/],
    [
      ["frobnicate"],
      /there is no command frobnicate; the commands are head, audit, prove, verify, compare, monitor, witness/,
    ],
    [["head"], /--log URL is missing; see vitrine-verifier head --help/],
    [["head", ...log], /--vkey FILE\|KEY is missing/],
    [["head", ...good, "--all"], /'--all'.*see vitrine-verifier head --help/],
    [["head", ...good, "extra"], /'extra'/],
    [["head", ...log, "--vkey", ""], /--vkey FILE\|KEY is empty/],
    [["head", ...log, "--vkey", join(folder, "none")], /there is no such file or folder \(ENOENT\)/],
    [["head", ...log, "--vkey", folder], /EISDIR/],
    [["head", ...log, "--vkey", signing], /holds a signing key; keep it secret/],
    [["head", ...log, "--vkey", long], /too long for a key file/],
    [["head", ...log, "--vkey", vectors.vkey.replace("5bddc72e", "5bddc72f")], /its key id is not that of its name/],
    [["head", "--log", "log.example", "--vkey", vectors.vkey], /does not begin with http/],
    [["head", "--log", "ftp://log.example", "--vkey", vectors.vkey], /does not begin with http/],
    [["head", "--log", "http://me:secret@log.example", "--vkey", vectors.vkey], /has a user or password/],
    [["head", "--log", "http://log.example/?a=b", "--vkey", vectors.vkey], /a query or a fragment/],
    [["head", ...good, "--timeout", "0"], /--timeout 0/],
    [["audit", ...good, "--wait", "soon"], /--wait is not a number of seconds/],
    [["audit", ...good, "--wait", "86400"], /--wait is not a number of seconds from 0 to 3600/],
    [["audit", ...good, "--limit", "1e3"], /--limit is not a whole number/],
    [["audit", ...good, "--since", "yesterday"], /--since is not a point in time/],
    [["audit", ...good, "--since", "2026-11-24", "--until", "2026-11-22"], /--until 2026-11-22.* is not after --since/],
    [["audit", ...good, "--since", "2026-11-22", "--until", "2026-11-22"], /nothing would be listed/],
    [["audit", ...good, "--limit", "-1"], /--limit has no value; one that begins with a dash is --limit=VALUE/],
    [["audit", ...good, "--limit", "--all"], /--limit has no value/],
    [["head", ...log, "--vkey", vectors.vkey, "--state", signing], /there is a file of this name \(EEXIST\)/],
    ...(process.platform === "linux"
      ? ([[["head", ...log, "--vkey", vectors.vkey, "--state", "/proc/none/x"], /state folder .* cannot be used/]] as [
          string[],
          RegExp,
        ][])
      : []),
    [["compare", "127.0.0.1:1", "--vkey", vectors.vkey], /usage: the view 127.0.0.1:1 is not the URL of a log/],
    [["monitor", ...good, "--view", "127.0.0.1:1", "--once"], /usage: the view 127.0.0.1:1 is not the URL of a log/],
    [["audit", ...good, "--until", "2026-02-30"], /--until is not a point in time/],
    [["audit", ...good, "--source", vectors.vkey, "--source", join(folder, "none")], /--source/],
    [["audit", ...good, "--user", ""], /--user is empty/],
    [["prove", ...good], /--index N is missing/],
    [["prove", ...good, "--index", "-1"], /index/],
    [["prove", ...good, "--index", "1", "--token", "x", "--reason", ""], /--reason TEXT is empty/],
    [["audit", ...good, "--token", "two words"], /--token is neither a file nor a token/],
    [["head", ...good, "--token", "x"], /'--token'/],
    [["audit", ...good, "--token", join(folder, "none")], /--token: there is no file .*none/],
    [["audit", ...good, "--token", "test/none"], /--token: there is no file test\/none/],
    [["audit", ...good, "--token", "../none"], /--token: there is no file/],
    [["audit", ...good, "--token", signing], /--token holds a signing key; keep it secret/],
    [["verify", "a", "--vkey", vectors.vkey, "--token", "x"], /--token is for a record/],
    [["prove", ...good, "--index", "1", "--reason", "x"], /--reason belongs to --token/],
    [["prove", ...good, "--index", "1", "--token", "x", "--reason", "a\nb"], /--reason is no reason/],
    [["prove", ...good, "--index", "1", "--token", "x", "--reason", "x".repeat(513)], /--reason is no reason/],
    [["prove", ...good, "--index", "007"], /--index is not a whole number/],
    [["prove", ...good, "--index", "9007199254740992"], /--index is not a whole number/],
    [["verify", "--vkey", vectors.vkey], /FILE, the evidence bundle, is missing/],
    [["verify", join(folder, "none"), "--vkey", vectors.vkey], /ENOENT/],
    [["verify", "a", "b", "--vkey", vectors.vkey], /2 files are named/],
  ];
  for (const [args, message] of cases) {
    const result = await run(args);
    t.equal(result.status, 64, args.join(" "));
    t.match(result.stderr, /^vitrine-verifier: usage: [^\n]+\n$/);
    t.match(result.stderr, message);
    t.notMatch(result.stderr, /secret@/);
    t.equal(result.stdout, "");
  }
});

t.test("with --json the error is an object, even when the command line cannot be read", async (t) => {
  for (const args of [["frobnicate"], ["head", "--nonsense"], ["verify", "none", "--vkey", vectors.vkey]]) {
    const { status, json } = await run([...args, "--json"]);
    t.equal(status, 64);
    t.match(json, { error: { code: "usage", message: String } });
  }
});

t.test("a reader that goes away does not change the exit status", async (t) => {
  const { spawn } = await import("node:child_process");
  const command = new URL("../../../bin/vitrine-verifier.js", import.meta.url).pathname;
  const child = spawn(process.execPath, [command, "audit", "--help"]);
  child.stdout.destroy();
  const status = await new Promise((resolve) => child.on("close", resolve));
  t.equal(status, 0);
});

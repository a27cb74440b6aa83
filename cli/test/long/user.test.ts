import { spawn, spawnSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import t from "tap";
import { BIN, type Ran, vitrine } from "../run.ts";

/** Runs a command with a text on its standard input. */
async function given(input: string, args: readonly string[], cwd: string): Promise<Ran> {
  const child = spawn(process.execPath, [BIN, "proxy", "user", ...args], { cwd });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    stderr += text;
  });
  child.stdin.on("error", () => undefined).end(input);
  const status = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { status, stdout, stderr };
}

t.test("add, list, change and remove", async (t) => {
  const dir = t.testdir({});
  const file = ["--file", "users.txt"];
  const added = await given(
    "correct horse\nnot this\n",
    ["add", "ann", ...file, "--identity", "Ann \u001b[2J", "--group", "a,b", "--group", "c", "--expires", "2020-01-31"],
    dir,
  );
  t.match(added, { status: 64, stderr: /bad_config: the line of "ann" has a value of "identity" that has a control/ });
  const good = await given(
    "correct horse\nnot this\n",
    ["add", "ann", ...file, "--identity", "Ann S", "--group", "a,b", "--group", "c", "--expires", "2020-01-31"],
    dir,
  );
  t.same(good, { status: 0, stdout: "", stderr: "ann added\n" });
  const text = readFileSync(path.join(dir, "users.txt"), "utf8");
  t.notMatch(text, /horse/);
  t.match(text, /^secret=.{44}\n"ann" "SCRAM-SHA-256\$4096:.*" identity="Ann S" groups=a,b,c expires=2020-01-31T/);
  t.equal(statSync(path.join(dir, "users.txt")).mode % 0o1000, 0o600);
  await given("x", ["add", "bea", ...file, "--role", "app", "--iterations", "5000"], dir);
  t.match(await vitrine(["proxy", "user", "add", "ann", ...file, "--keep-password", "--role", "r"], dir), {
    status: 0,
    stderr: "ann changed\n",
  });
  const listed = await vitrine(["proxy", "user", "list", ...file], dir);
  t.equal(
    listed.stdout,
    "ann\tAnn S\ta,b,c\tr\t2020-01-31T00:00:00.000Z (expired)\tSCRAM-SHA-256, 4096 iterations\n" +
      "bea\t-\t-\tapp\tnever\tSCRAM-SHA-256, 5000 iterations\n",
  );
  const json = await vitrine(["proxy", "user", "list", ...file, "--json"], dir);
  t.match(JSON.parse(json.stdout.split("\n")[0]!), { name: "ann", groups: ["a", "b", "c"], expired: true });
  t.notMatch(json.stdout, /SCRAM/);
  t.equal((await vitrine(["proxy", "user", "remove", "bea", ...file], dir)).status, 0);
  t.match(await vitrine(["proxy", "user", "remove", "bea", ...file], dir), {
    status: 64,
    stderr: /usage: users\.txt has no user "bea"/,
  });
});

t.test("what is refused", async (t) => {
  const dir = t.testdir({ "proxy.yaml": "upstream: x\n" });
  const usage = (stderr: RegExp): object => ({ status: 64, stderr });
  t.match(await given("", ["add", "ann", "--file", "u"], dir), usage(/the password is empty/));
  t.match(await given("a\0b", ["add", "ann", "--file", "u"], dir), usage(/zero byte/));
  t.match(await given("a".repeat(5000), ["add", "ann", "--file", "u"], dir), usage(/more than 4096 bytes/));
  t.match(await vitrine(["proxy", "user", "add", "ann"], dir), usage(/--file FILE, or --config/));
  t.match(await vitrine(["proxy", "user", "add", "--file", "u"], dir), usage(/name one user/));
  t.match(await vitrine(["proxy", "user", "show", "--file", "u"], dir), usage(/one of add, list, remove/));
  t.match(await vitrine(["proxy", "user", "add", "a", "--file", "u", "--iterations", "1000"], dir), usage(/4096/));
  writeFileSync(path.join(dir, "open"), "", { mode: 0o644 });
  t.match(await vitrine(["proxy", "user", "list", "--file", "open"], dir), usage(/bad_config: .*chmod 600/));
  t.match(await vitrine(["proxy", "user", "list", "--config", "proxy.yaml"], dir), usage(/bad_config/));
});

const hasScript = process.platform === "linux" && spawnSync("script", ["--version"]).status === 0;

t.test("on a terminal it asks twice, and shows nothing", { skip: hasScript ? false : "no script(1)" }, async (t) => {
  const dir = t.testdir({});
  /** Types each line when it is asked for. */
  const type = async (...answers: string[]): Promise<string> => {
    const command = [process.execPath, BIN, "proxy", "user", "add", "ann", "--file", "users"].join(" ");
    const child = spawn("script", ["-qec", command, "/dev/null"], { cwd: dir, stdio: ["pipe", "pipe", "inherit"] });
    let shown = "";
    let asked = 0;
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      shown += text;
      for (const prompts = shown.split(/: $|: \r?\n/).length - 1; asked < prompts; asked += 1) {
        const answer = answers[asked];
        if (answer !== undefined) child.stdin.write(answer);
      }
    });
    await new Promise((resolve) => child.once("close", resolve));
    return shown;
  };
  t.equal(await type("se\u00e4\u007fcret\r", "secret\r"), "Password for ann: \r\nOnce more: \r\nann added\r\n");
  t.match(await type("wrong\u0015right\r", "right\r"), /\r\nann changed\r\n$/);
  t.match(
    await type("one\r", "two\r"),
    /^Password for ann: \r\nOnce more: \r\nvitrine: usage: the two passwords differ/,
  );
  t.match(await type("one\u0003"), /^Password for ann: \r\nvitrine: usage: no password was given/);
});

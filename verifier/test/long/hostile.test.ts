import t from "tap";
import { testKey } from "../cli/support/keys.ts";
import { TestLog } from "../cli/support/log.ts";
import { run, temporaryFolder } from "../cli/support/run.ts";
import { serve } from "../cli/support/server.ts";
import { TestSource } from "../cli/support/source.ts";

/** Clears the screen, reverses the direction of writing, forges a verdict, hides, and ends in a C1 control. */
const hostile = "a\u001b[2J\u202e\u2066\r\nPASS\n\u0007\u200b\u{e0041}\u009b31m\u2028\u061cz";
const forbidden = /[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

async function hostileLog(t: { teardown(what: () => unknown): void }): Promise<string[]> {
  const source = new TestSource("proxy.example", Date.now());
  source.session(hostile, "1.1", hostile);
  source.statement({
    login: hostile,
    database: hostile,
    operation: hostile,
    relations: [{ schema: hostile, name: hostile, access: "read" }],
    sql: hostile,
    tag: hostile,
    [`member ${hostile}`]: { [hostile]: [hostile] },
  });
  source.refused(hostile, hostile);
  source.write(`kind ${hostile}`, {});
  source.seal();
  const log = new TestLog(testKey("log.example/\u202eaudit"), source.entries);
  const server = await serve(log);
  t.teardown(() => server.close());
  return ["--log", server.url, "--vkey", log.key.vkey, "--state", temporaryFolder(t)];
}

t.test("what a log says never reaches the terminal raw", async (t) => {
  const args = await hostileLog(t);
  const audit = await run(["audit", ...args, "--user", hostile]);
  t.equal(audit.status, 0);
  t.notMatch(audit.stdout, forbidden);
  t.equal(audit.stdout.match(/^PASS$/gm)?.length, 1);
  t.match(audit.stdout, "a\\x1b[2J");
  for (const line of audit.stdout.split("\n").filter((one) => /^ *[0-9]+ {2}2/.test(one))) {
    t.ok(line.length <= 120, "the table fits");
  }
  const plain = await run(["audit", ...args, "--all"]);
  t.notMatch(plain.stdout, forbidden);

  const proof = await run(["prove", ...args, "--index", "2"]);
  t.equal(proof.status, 0);
  t.notMatch(proof.stdout + proof.stderr, forbidden);
  t.equal((JSON.parse(JSON.parse(proof.stdout).entry) as { database: string }).database, hostile);
  const verify = await run(["verify", "-", "--vkey", args[3]!], { input: proof.stdout });
  t.equal(verify.status, 0, verify.stdout);
  t.notMatch(verify.stdout, forbidden);
  t.equal(verify.stdout.match(/^PASS$/gm)?.length, 1);
});

t.test("JSON has the values as they are, and no character that a terminal would obey", async (t) => {
  const args = await hostileLog(t);
  const audit = await run(["audit", ...args, "--all", "--json"]);
  t.notMatch(audit.stdout, forbidden);
  const [statement, refused] = audit.json.entries as { entry: Record<string, unknown> }[];
  t.match(statement!.entry, { database: hostile, operation: hostile, sql: hostile, actor: { login: hostile } });
  t.match(refused!.entry, { kind: "access.refused", error: hostile });
});

t.test("nor does what is given on the command line come back raw", async (t) => {
  for (const args of [
    ["head", "--log", `http://x/${hostile}`, "--vkey", hostile],
    [hostile],
    ["audit", `--${hostile}`],
    ["audit", "--since", hostile],
    ["verify", hostile, "--vkey", hostile],
  ]) {
    const result = await run(args);
    t.equal(result.status, 64);
    t.notMatch(result.stderr.slice(0, -1), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  }
});

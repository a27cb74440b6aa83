import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import path from "node:path";
import t from "tap";
import { parseTime } from "../../src/time.ts";
import { vitrine } from "../run.ts";

const VKEY = "log.example/audit/proxy-1+1af2200e+AadZqV9jow31oOqxFDlFAcPnTzoUEb044w/Zj/lklImi";
const YAML = `origin: log.example/audit\nsources: [${VKEY}]\n`;

t.test("a token is made, listed and revoked", async (t) => {
  const dir = t.testdir({ "log.yaml": `${YAML}tokens: tokens\n` });
  const config = ["--config", path.join(dir, "log.yaml")];
  const token = (...args: string[]) => vitrine(["log", "token", ...args, ...config]);
  const added = await token("add", "--name", "ada", "--role", "auditor,viewer", "--expires", "2027-01-31");
  t.match(added, { status: 0, stdout: /^[A-Za-z0-9_-]{43}\n$/, stderr: /shown this once/ });
  const digest = createHash("sha256").update(added.stdout.trim()).digest("hex");
  const file = path.join(dir, "tokens");
  t.equal(readFileSync(file, "utf8"), `${digest} auditor,viewer 2027-01-31T00:00:00.000000Z ada\n`);
  t.equal(statSync(file).mode & 0o777, 0o600);
  t.equal((await token("add", "--name", "bob", "--role", "admin")).status, 0);
  const listed = await token("list");
  t.match(listed.stdout, /^ada\tauditor,viewer\t2027-01-31T00:00:00\.000000Z( \(expired\))?\nbob\tadmin\tnever\n$/);
  t.notMatch(listed.stdout + listed.stderr, new RegExp(digest));
  t.same(await token("revoke", "--name", "ada"), { status: 0, stdout: "", stderr: "" });
  t.equal((await token("list")).stdout, "bob\tadmin\tnever\n");
  const past = await token("add", "--name", "old", "--role", "viewer", "--expires", "2020-01-01");
  t.match(past, { status: 0, stderr: /shown this once[^\n]*\nIt has expired already, and opens nothing/ });
  t.equal((await token("revoke", "--name", "old")).status, 0);
  const again = await token("revoke", "--name", "ada");
  t.match(again, { status: 64, stderr: /^vitrine: usage: .*no token named "ada".*\n$/ });
  t.match(await token("add", "--name", "bob", "--role", "viewer"), {
    status: 64,
    stderr: /^vitrine: usage: .*a token named "bob" already; choose another name/,
  });
});

t.test("a wrong command line is one line, and changes nothing", async (t) => {
  const dir = t.testdir({ "log.yaml": `${YAML}tokens: tokens\n`, "bare.yaml": YAML });
  const config = ["--config", path.join(dir, "log.yaml")];
  const wrong: [string[], RegExp][] = [
    [["log"], /name a subcommand/],
    [["log", "tokens"], /no subcommand "tokens"/],
    [["log", "token"], /one of add, list, revoke/],
    [["log", "token", "add", "list"], /one of add/],
    [["log", "token", "list"], /--config FILE is missing/],
    [["log", "token", "add", ...config], /--name NAME is missing/],
    [["log", "token", "add", ...config, "--name", "a"], /--role ROLE is missing/],
    [["log", "token", "add", ...config, "--name", "a b", "--role", "viewer"], /--name "a b"/],
    [["log", "token", "add", ...config, "--name", "a", "--role", "root"], /"root" is none of viewer, auditor, admin/],
    [
      ["log", "token", "add", ...config, "--name", "a", "--role", "viewer", "--expires", "soon"],
      /"soon" is not a time/,
    ],
    [["log", "token", "list", ...config, "--role", "viewer"], /belong to vitrine log token add/],
    [["log", "token", "list", "--config", path.join(dir, "bare.yaml")], /has no key "tokens"/],
  ];
  for (const [args, message] of wrong) {
    const { status, stdout, stderr } = await vitrine(args);
    t.equal(status, 64, args.join(" "));
    t.equal(stdout, "");
    t.match(stderr, /^vitrine: usage: [^\n]+\n$/);
    t.match(stderr, message);
  }
  t.throws(() => statSync(path.join(dir, "tokens")));
});

t.test("times as a person writes them", async (t) => {
  t.equal(parseTime("2027-01-31", "--expires"), "2027-01-31T00:00:00.000000Z");
  t.equal(parseTime("2027-01-31T18:30Z", "--expires"), "2027-01-31T18:30:00.000000Z");
  t.equal(parseTime("2027-01-31T18:30:15+01:00", "--expires"), "2027-01-31T17:30:15.000000Z");
  for (const text of [
    "",
    "tomorrow",
    "2027-02-30",
    "2027-13-01",
    "2027-01-31T25:00Z",
    "2027-01-31T18:30",
    "2027-1-1",
  ]) {
    t.throws(() => parseTime(text, "--expires"), { code: "usage" }, text);
  }
});

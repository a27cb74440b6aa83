import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import t from "tap";
import { BIN, vitrine } from "./run.ts";

t.test("every help is printed to standard output, and names every option of its command", async (t) => {
  const options: Record<string, string[]> = {
    "": ["--help", "--version", "up", "log-server", "proxy", "key", "log", "search"],
    up: ["--data", "--proxy", "--log", "--upstream", "--help"],
    "log-server": ["--config", "--example", "--help"],
    proxy: ["--config", "--example", "proxy user", "proxy rules", "proxy rotate-key", "--help"],
    "proxy user": ["add", "list", "remove", "--file", "--identity", "--no-password", "--keep-password", "--json"],
    "proxy rules": ["rules check", "rules test", "--user", "--sql", "--search-path", "--at", "--json", "--help"],
    "proxy rotate-key": ["--config", "--help"],
    key: ["--output", "--help"],
    search: ["--log", "--token-file", "--user", "--table", "--since", "--until", "--limit", "--json", "--help"],
    reconcile: ["--log", "--vkey", "--database", "--since", "--source", "--except", "--pool", "--server-log", "--json"],
    log: ["token", "--config", "--name", "--role", "--expires", "--help"],
  };
  for (const [command, names] of Object.entries(options)) {
    const { status, stdout, stderr } = await vitrine([...command.split(" "), "--help"].filter(Boolean));
    t.equal(status, 0, command);
    t.equal(stderr, "", command);
    for (const name of names) t.ok(stdout.includes(name), `${command} --help names ${name}`);
    t.ok(
      stdout.split("\n").every((line) => line.length <= 80),
      `${command} --help fits a terminal`,
    );
  }
  t.equal((await vitrine(["help", "up"])).stdout, (await vitrine(["up", "--help"])).stdout);
  t.equal((await vitrine(["help", "proxy", "user"])).stdout, (await vitrine(["proxy", "user", "--help"])).stdout);
});

t.test("the version is the package's", async (t) => {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  const ran = await vitrine(["--version"]);
  t.same(ran, { status: 0, stdout: `vitrine ${version}\n`, stderr: "" });
});

t.test("a wrong command line is one line on standard error, and status 64", async (t) => {
  const wrong: [string[], RegExp][] = [
    [[], /name a command/],
    [["down"], /no command "down".*up, log-server, proxy, key, log, search/],
    [["--colour"], /'--colour'.*vitrine --help/],
    [["up", "--colour"], /'--colour'.*vitrine up --help/],
    [["up", "--data"], /--data.*argument missing.*vitrine up --help/],
    [["up", "here"], /'here'.*vitrine up --help/],
    [["up", "--proxy", "6432"], /--proxy "6432" is not HOST:PORT/],
    [
      ["up", "--upstream", "postgres://db:5432/x?channel_binding=require"],
      /upstream_tls.*channel_binding=require.*cannot give/,
    ],
    [["log-server"], /--config FILE is missing/],
    [["proxy", "--config"], /--config.*argument missing/],
    [["key"], /name one key/],
    [["search"], /--log URL is missing/],
    [["search", "--log", "log.example"], /not the URL of a log/],
    [["search", "--log", "ftp://log.example"], /not the URL of a log/],
    [["search", "--log", "http://me:x@log.example"], /without, and a --token-file/],
    [["search", "--log", "http://log.example", "--limit", "0"], /--limit "0" is not a number/],
    [["search", "--log", "http://log.example", "--since", "yesterday"], /--since "yesterday" is not a time/],
    [
      ["search", "--log", "http://log.example", "--since", "2026-11-24", "--until", "2026-11-22"],
      /--until 2026-11-22.* is not after --since 2026-11-24/,
    ],
    [["search", "--log", "http://log.example", "--limit", "-1"], /--limit has no value; .* --limit=VALUE/],
    [["proxy", "--example", "--config", "proxy.yaml"], /--example prints an example, and reads no --config/],
    [["search", "--log", "http://log.example", "--token-file", "/none"], /--token-file cannot be read/],
    [["search", "--log", "http://log.example", "--color"], /'--color'.*vitrine search --help/],
    [["key", "a b"], /"a b" cannot name a key/],
  ];
  for (const [args, message] of wrong) {
    const { status, stdout, stderr } = await vitrine(args);
    t.equal(status, 64, args.join(" "));
    t.equal(stdout, "", args.join(" "));
    t.match(stderr, /^vitrine: (usage|upstream_tls): [^\n]+\n$/, args.join(" "));
    t.match(stderr, message, args.join(" "));
  }
});

t.test("with --json an error is an object too", async (t) => {
  const cases: [string[], number, string][] = [
    [["search", "--json"], 64, "usage"],
    [["search", "--log", "http://127.0.0.1:1", "--json"], 69, "log_unreachable"],
    [["log", "fsck", "--config", "/none", "--json"], 64, "bad_config"],
  ];
  for (const [args, exit, code] of cases) {
    const { status, stdout, stderr } = await vitrine(args);
    const { error } = JSON.parse(stdout) as { error: { code: string; message: string } };
    t.same([status, error.code, stderr], [exit, code, `vitrine: ${code}: ${error.message}\n`]);
  }
});

t.test("output that cannot be written is no success", { skip: !existsSync("/dev/full") }, async (t) => {
  const full = openSync("/dev/full", "w");
  t.teardown(() => closeSync(full));
  const { status, stderr } = spawnSync(process.execPath, [BIN, "proxy", "--example"], {
    stdio: ["ignore", full, "pipe"],
    encoding: "utf8",
  });
  t.equal(status, 74);
  t.match(stderr, /^vitrine: output_failed: standard output does not take any more: ENOSPC.*\n$/);
});

t.test("a password in --upstream is never repeated", async (t) => {
  for (const url of [
    "postgres://me:hush@/x",
    "mysql://me:hush@db/x",
    "postgres://me:hush@db:99999/x",
    "postgres://me:hush@a,b/x",
  ]) {
    const { status, stderr } = await vitrine(["up", "--upstream", url]);
    t.equal(status, 64, url);
    t.notMatch(stderr, /hush/, url);
  }
});

import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { CONFIG_KEYS } from "../../src/config/keys.ts";
import { RELOADED } from "../../src/reload/config.ts";
import { refuseToWrite } from "../audit/disk.ts";
import { until } from "../audit/help.ts";
import { whole } from "../whole.ts";

const RULES = "version: 1\nrules: [{ name: all, action: allow }]\n";

t.test("whatever is wrong with the file, everything stays as it was, and a line says so", async (t) => {
  const all = await whole(t, "limits: { clients: 10 }\n");
  const file = all.config.file;
  const text = (change: (text: string) => string) => (): void => all.rewrite(change);
  const bad: [string, () => void, RegExp][] = [
    ["empty", text(() => ""), /must be a map/],
    ["cut off", text((text) => text.slice(0, text.indexOf("source:"))), /"source.key" is missing/],
    ["a comment", text((text) => text.replace(/^/gm, "#")), /must be a map/],
    ["no map", text(() => "- listen\n"), /must be a map/],
    ["no YAML", text((text) => `${text}limits: [\n`), /:\d+:\d+: /],
    ["tabs", text((text) => `${text}\tx: 1\n`), /:\d+:\d+: /],
    ["two documents", text((text) => `${text}---\n${text}`), /a second document begins/],
    ["nested deeply", text((text) => `${text}auth: ${"[".repeat(20_000)}`), /nested too deeply/],
    ["a key twice", text((text) => `${text}workers: 1\nworkers: 1\n`), /must be unique/],
    ["an unknown key", text((text) => `${text}listn: 1\n`), /no key "listn"/],
    ["an unknown key in a section", text((text) => text.replace("clients", "client")), /no key "limits.client"/],
    ["a section that is none", text((text) => text.replace("{ clients: 10 }", "10")), /"limits" must be a map/],
    ["a required key gone", text((text) => text.replace(/^upstream.*\n/m, "")), /"upstream" is missing/],
    ["a number that is none", text((text) => text.replace("clients: 10", "clients: many")), /must be a whole number/],
    ["a number too small", text((text) => text.replace("clients: 10", "clients: 0")), /at least 1/],
    ["an alias of nothing", text((text) => text.replace("clients: 10", "clients: *x")), /:\d+:\d+: /],
    ["not UTF-8", () => writeFileSync(file, Buffer.from([0x61, 0x3a, 0x20, 0xff])), /not UTF-8/],
    ["far too long", () => writeFileSync(file, " ".repeat(5 * 1024 * 1024)), /5242880 bytes/],
    ["what does not fit together", text((text) => `${text}console: { users: [ops] }\n`), /file of "users"/],
    ["the log's key gone", text((text) => text.replace(/vkey: "[^"]*"/, "vkey: none")), /cannot be read/],
    ["a mode without quotes", text((text) => `${text}unix_socket_mode: 0770\n`), /in quotes/],
    ["gone", () => undefined, /ENOENT/],
    ["a folder", () => mkdirSync(file), /only a restart reads it/],
  ];
  const refused = (): string[] =>
    all.lines
      .map((line) => JSON.parse(line) as { event: string; message: string })
      .flatMap(({ event, message }) => {
        return event === "config.refused" ? [message] : [];
      });
  for (const [i, [name, spoil, message]] of bad.entries()) {
    rmSync(file, { recursive: true, force: true });
    spoil();
    await t.rejects(all.proxy.reload(), { code: "bad_config", message }, name);
    t.equal(refused().length, i + 1, name);
    t.match(refused().at(-1), /^everything stays as it was: /, name);
  }
  rmSync(file, { recursive: true, force: true });
  if (spawnSync("mkfifo", [file]).status === 0) {
    await t.rejects(all.proxy.reload(), { code: "bad_config", message: /only a restart reads it/ }, "a pipe");
    rmSync(file);
  }
  if (process.getuid?.() !== 0) {
    all.rewrite((text) => text);
    chmodSync(file, 0);
    await t.rejects(all.proxy.reload(), { code: "bad_config", message: /EACCES/ }, "not to be read");
    rmSync(file);
  }
  symlinkSync("proxy.yaml", file);
  await t.rejects(all.proxy.reload(), { code: "bad_config", message: /ELOOP/ }, "a link to itself");
  rmSync(file);

  // As editors and configuration tools replace a file.
  all.rewrite((text) => text);
  renameSync(file, `${file}.new`);
  renameSync(`${file}.new`, file);
  t.match(await all.proxy.reload(), new RegExp(`^configuration ${all.config.digest.slice(0, 16)}: unchanged$`));
  t.equal((await all.login("alice")).ended, false, "it serves");
  t.equal(all.log.ofKind("config.change").length, 0);
});

t.test("a reload behind the end of a proxy changes nothing, and is no bug of ours", async (t) => {
  const all = await whole(t, "limits: { clients: 10 }\n");
  await all.proxy.close();
  all.rewrite((text) => text.replace("clients: 10", "clients: 20"));
  await t.rejects(all.proxy.reload(), { code: "shutting_down" });
});

t.test("rules with an error keep the whole of what was in force", async (t) => {
  const all = await whole(t, "rules: rules.yaml\nlimits: { clients: 10 }\n", { "rules.yaml": RULES });
  all.rewrite((text) => text.replace("clients: 10", "clients: 1"));
  writeFileSync(join(all.folder, "rules.yaml"), "version: 2\nrules: []\n");
  await t.rejects(all.proxy.reload(), { code: "bad_config" });
  t.equal((await all.login("alice")).ended, false);
  t.equal((await all.login("bob")).ended, false, "the limit of before");
  writeFileSync(join(all.folder, "rules.yaml"), RULES);
  t.match(await all.proxy.reload(), /: changed limits\.clients/);
  t.equal((await all.login("carol")).refusal, "53300");
});

t.test("each key that needs a restart is named", async (t) => {
  const all = await whole(t, "");
  /** Another value than the one in force, and than the default. */
  const other: Readonly<Record<string, string>> = {
    listen: "127.0.0.1:1",
    unix_socket_mode: '"0700"',
    status: "127.0.0.1:2",
    upstream: "postgres://elsewhere",
    "log.url": "http://elsewhere",
    "log.vkey": "elsewhere+00000000+AQ==",
    "source.key": "elsewhere.key",
    "spool.dir": "elsewhere",
    record: "elsewhere",
    rules: "elsewhere.yaml",
    "durability.reads": "relaxed",
    "durability.others": "relaxed",
    identity: "[{ from: login, pattern: '^(?<user>.+)$' }]",
    users: "elsewhere",
    upstream_passwords: "elsewhere",
    "tls.mode": "disable",
    "tls.cert": "c",
    "tls.key": "k",
    "tls.client_ca": "a",
    "tls.client_crl": "r",
    "tls.client_cert": "optional",
  };
  const waiting = CONFIG_KEYS.filter(({ path }) => !RELOADED.includes(path));
  const written = new Map<string, string>();
  all.rewrite((text) => text);
  const kept = ["log.level", "log.format"].map((path) => [path, path === "log.level" ? "debug" : "json"] as const);
  for (const { path, kind, default: value, minimum = 0 } of waiting) {
    written.set(path, other[path] ?? (kind === "integer" ? String(Number(value) + minimum + 1) : ""));
    t.not(written.get(path), "", `${path} has another value`);
  }
  for (const [path, value] of kept) written.set(path, value);
  all.rewrite(() => [...written].map(([path, value]) => flow(path, value)).join("\n"));
  const said = await all.proxy.reload().catch((error: Error) => error.message);
  t.match(said, /only a restart changes /);
  const named = /only a restart changes (.*)$/.exec(said)?.[1]?.split(", ") ?? [];
  t.same(named.toSorted(), waiting.map(({ path }) => path).toSorted());
  await until("it is told", () => all.lines.some((line) => line.includes("only a restart changes")));
  t.equal((await all.login("alice")).ended, false, "and nothing of it is in force");

  /** A key of a section, as a line of its own would not be valid twice: sections are gathered. */
  function flow(path: string, value: string): string {
    const [section, name] = path.split(".");
    if (name === undefined) return `${path}: ${value}`;
    const all = [...written].filter(([other]) => other.startsWith(`${section}.`));
    if (all[0]?.[0] !== path) return "";
    return `${section}: { ${all.map(([other, text]) => `${other.split(".")[1]}: "${text}"`.replace(/"(\d+)"/, "$1")).join(", ")} }`;
  }
});

t.test("what needs a restart and what does not, where one needs the other", async (t) => {
  const all = await whole(t, "");
  all.rewrite((text) => `${text}users: users\nauth: [{ method: terminate }]\n`);
  await t.rejects(all.proxy.reload(), {
    code: "bad_config",
    message:
      /needs the file of "users".*the file itself is in order, .*keys of it that only a restart changes \(users\)/,
  });
  t.equal((await all.login("alice")).ended, false, "relayed, as before");
});

t.test("a change that cannot be recorded is refused, at once and ever after", async (t) => {
  const all = await whole(t, "rules: rules.yaml\nlimits: { clients: 10 }\n", { "rules.yaml": RULES });
  refuseToWrite(t, "config.change");
  all.rewrite((text) => text.replace("clients: 10", "clients: 20"));
  await t.rejects(all.proxy.reload(), { code: "spool_failed", message: /EIO/ }, "its write failed");
  await t.rejects(all.proxy.reload(), { code: "spool_failed" }, "nothing is written any more");
  writeFileSync(join(all.folder, "rules.yaml"), RULES.replace("allow", "deny"));
  await t.rejects(all.proxy.reload(), { code: "spool_failed" }, "nor that the rules are others");
  t.equal(all.lines.filter((line) => line.includes('"config.refused"')).length, 3);
});

t.test("nor is there a start without saying by which rules", async (t) => {
  refuseToWrite(t, "rules.change");
  await t.rejects(whole(t, "rules: rules.yaml\n", { "rules.yaml": RULES }), { code: "spool_failed", message: /EIO/ });
});

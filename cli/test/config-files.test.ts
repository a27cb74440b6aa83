import { readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import t from "tap";
import { parse } from "yaml";
import { initialLogServerYaml, initialProxyYaml, setInYaml } from "../src/config-files.ts";

t.test("the first files are YAML with the keys that the parts need", async (t) => {
  t.same(parse(initialLogServerYaml("vitrine.local/0123abcd", "vitrine.local/0123abcd/proxy+12345678+AQ==")), {
    listen: "127.0.0.1:6962",
    origin: "vitrine.local/0123abcd",
    key: "keys/log.key",
    acts_key: "keys/acts.key",
    store: "log/store",
    index: "log/index",
    search_index: "log/search",
    guard: "guard/checkpoint",
    sources: ["vitrine.local/0123abcd/proxy+12345678+AQ=="],
    tokens: "tokens",
  });
  t.match(parse(initialProxyYaml()), { source: { key: "keys/source.key" }, spool: { dir: "spool" } });
});

t.test("what comes from options is set, and a person's edits stay", async (t) => {
  const file = path.join(t.testdir(), "proxy.yaml");
  const edited = `${initialProxyYaml()}  max_age_s: 7 # not longer\n\n# mine\ndurability: {reads: relaxed,   window_ms: 50}\n`;
  writeFileSync(file, edited);
  setInYaml(file, { listen: "[::]:7000", upstream: "postgres://127.0.0.1:40123", "log.url": "http://127.0.0.1:7001" });
  const text = readFileSync(file, "utf8");
  t.match(parse(text), {
    listen: "[::]:7000",
    upstream: "postgres://127.0.0.1:40123",
    log: { url: "http://127.0.0.1:7001", vkey: "log.vkey" },
    spool: { dir: "spool", max_age_s: 7 },
    durability: { reads: "relaxed", window_ms: 50 },
  });
  t.ok(text.includes("max_age_s: 7 # not longer"));
  t.ok(text.includes("# mine\ndurability: {reads: relaxed,   window_ms: 50}"));
  const lines = (text: string): string[] => text.split("\n").filter((line) => !/^( *url|listen|upstream):/.test(line));
  t.same(lines(text), lines(edited), "no other line changed");
});

t.test("a key that was taken out is put back", async (t) => {
  const file = path.join(t.testdir({ "a.yaml": "log: { vkey: x }\nspool:\n" }), "a.yaml");
  setInYaml(file, { listen: "[::]:1", "log.url": "http://x" });
  t.same(parse(readFileSync(file, "utf8")), { log: { vkey: "x", url: "http://x" }, spool: null, listen: "[::]:1" });
});

t.test("a file that says it already is not written again", async (t) => {
  const file = path.join(t.testdir({ "a.yaml": "listen:   127.0.0.1:1   # odd spacing\n" }), "a.yaml");
  const { ino } = statSync(file);
  setInYaml(file, { listen: "127.0.0.1:1" });
  t.equal(statSync(file).ino, ino);
  t.equal(readFileSync(file, "utf8"), "listen:   127.0.0.1:1   # odd spacing\n");
});

t.test("a file that is not YAML, or not a mapping, is named with the line", async (t) => {
  const dir = t.testdir({
    "broken.yaml": "listen: [1\nupstream: x\n",
    "list.yaml": "- listen\n",
    "scalar.yaml": "log: 3\n",
  });
  t.throws(() => setInYaml(path.join(dir, "broken.yaml"), { listen: "x" }), {
    code: "bad_config",
    message: /broken\.yaml: .*line \d/,
  });
  t.throws(() => setInYaml(path.join(dir, "list.yaml"), { listen: "x" }), {
    code: "bad_config",
    message: /not a mapping/,
  });
  t.throws(() => setInYaml(path.join(dir, "scalar.yaml"), { "log.url": "x" }), {
    code: "bad_config",
    message: /log is not a mapping/,
  });
});

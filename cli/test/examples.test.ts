import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { readLogServerConfig } from "@vitrine/log-server";
import { CONFIG_KEYS, readProxyConfig } from "@vitrine/proxy";
import t from "tap";
import { vitrine } from "./run.ts";

/** The example with every default written out. */
const uncommented = (example: string): string => example.replace(/^( *)#( *[a-z_]+:)/gm, "$1$2");

t.test("the log-server's example is valid, and so is each default that it shows", async (t) => {
  const { stdout } = await vitrine(["log-server", "--example"]);
  const dir = t.testdir({ "a.yaml": stdout, "b.yaml": uncommented(stdout) });
  // Who may search depends on whether there are tokens.
  const { searchPublic: _, ...defaults } = await readLogServerConfig(path.join(dir, "a.yaml"));
  const {
    searchPublic: __,
    tokens,
    addTokens,
    witnesses,
    ...shown
  } = await readLogServerConfig(path.join(dir, "b.yaml"));
  t.same({ ...shown, moreKeys: [], trustedProxies: [] }, defaults);
  t.same(shown.moreKeys, [path.join(dir, "log-2.key")]);
  t.equal(witnesses, path.join(dir, "witnesses.policy"));
  t.equal(tokens, path.join(dir, "tokens"));
  t.equal(addTokens, path.join(dir, "add.tokens"));
  const table = readFileSync(new URL("../../../log-server/README.md", import.meta.url), "utf8");
  for (const [, key] of table.matchAll(/^\| `([a-z_.]+)` \|.*\|.*\|.*\|.*\|$/gm)) {
    t.match(stdout, new RegExp(`^#? *${(key as string).split(".").at(-1)}:`, "m"), key as string);
  }
});

t.test("the proxy's example is valid, has every key, and shows the defaults", async (t) => {
  const { stdout } = await vitrine(["proxy", "--example"]);
  const dir = t.testdir({ "a.yaml": stdout, "b.yaml": uncommented(stdout) });
  const {
    digest: _,
    file: _file,
    text: _text,
    values: _values,
    ...defaults
  } = await readProxyConfig(path.join(dir, "a.yaml"));
  const {
    digest: __,
    file: __file,
    text: __text,
    values: __values,
    ...shown
  } = await readProxyConfig(path.join(dir, "b.yaml"));
  const { tls, auth } = shown;
  // What has no default is shown by an example.
  const files = { users: undefined, passwords: undefined };
  t.same({ ...shown, status: undefined, rules: undefined, tls: undefined, auth: { ...auth, ...files } }, defaults);
  t.match(tls, { cert: path.join(dir, "proxy.crt"), key: path.join(dir, "proxy.tls.key") });
  t.equal(shown.rules, path.join(dir, "rules.yaml"));
  t.same(shown.status, { host: "127.0.0.1", port: 6433 });
  for (const { path: key } of CONFIG_KEYS) t.match(stdout, new RegExp(`^ *#? *${key.split(".").at(-1)}:`, "m"), key);
});

t.test("what the proxy's example gives as examples is valid", async (t) => {
  const { stdout } = await vitrine(["proxy", "--example"]);
  // Items of lists, which stand in the comment before the key that takes them.
  const example = stdout.replace(/((?:^#.*\n)+)#(auth|identity): \[\]$/gm, (_, comment: string, key: string) => {
    const items = [...comment.matchAll(/^# {3}(- \{.*\})/gm)].map(([, item]) => `  ${item}`);
    t.ok(items.length > 0, key);
    return `${key}:\n${items.join("\n")}`;
  });
  const dir = t.testdir({ "proxy.yaml": `${example}\nusers: ./users\n` });
  const { auth } = await readProxyConfig(path.join(dir, "proxy.yaml"));
  t.match(auth.rules, [{ method: "terminate" }]);
});

t.test("a part that cannot start is one line with its code", async (t) => {
  const dir = t.testdir();
  for (const part of ["log-server", "proxy"]) {
    const missing = await vitrine([part, "--config", path.join(dir, "none.yaml")]);
    t.equal(missing.status, 64);
    t.match(missing.stderr, /^vitrine: bad_config: .*none\.yaml.*\n$/);
    const { stdout } = await vitrine([part, "--example"]);
    writeFileSync(path.join(dir, "example.yaml"), stdout);
    const keyless = await vitrine([part, "--config", path.join(dir, "example.yaml")]);
    t.equal(keyless.status, 1);
    t.match(keyless.stderr, /^vitrine: bad_key: .*\n$/);
  }
});

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { parseProxyConfig, readProxyConfig } from "../../src/config/config.ts";
import { CONFIG_KEYS } from "../../src/config/keys.ts";
import { SQLSTATE, STARTUP_CODES } from "../../src/errors.ts";

const MINIMAL = `
upstream: postgres://db.example
log:
  url: http://log.example/
  vkey: example.com/log+12345678+AQ==
source: { key: source.key }
spool: { dir: spool }
`;

const parse = (text: string): ReturnType<typeof parseProxyConfig> => parseProxyConfig(text, "/etc/vitrine/proxy.yaml");

t.test("defaults, and paths relative to the file", async (t) => {
  const config = await parse(MINIMAL);
  t.match(config, {
    listen: [{ host: "127.0.0.1", port: 6432 }],
    unixSocketMode: 0o777,
    status: undefined,
    upstream: {
      hosts: [{ host: "db.example", port: 5432 }],
      target: "any",
      shuffled: false,
      connectTimeoutMs: undefined,
      parameters: new Map(),
    },
    retry: {
      attempts: 3,
      backoffMs: 50,
      maxBackoffMs: 1000,
      deadlineMs: 10_000,
      budgetPercent: 20,
      reserve: 10,
      readBytes: 65_536,
    },
    breaker: { failures: 5, openMs: 1000, avoidMs: 10_000 },
    log: { url: "http://log.example", vkey: "example.com/log+12345678+AQ==" },
    source: { key: "/etc/vitrine/source.key" },
    spool: { dir: "/etc/vitrine/spool", maxBytes: 268435456, maxAgeMs: 900000 },
    durability: { reads: "before-result", others: "before-execute", windowMs: 200 },
    sealed: ["sql", "params", "error", "client.address"],
  });
  t.ok(Object.isFrozen(config));
});

t.test("the digest follows what is configured", async (t) => {
  const one = await parse(MINIMAL);
  const same = await parse(`# a comment\n${MINIMAL}listen: 127.0.0.1:6432\n`);
  const other = await parse(`${MINIMAL}durability: { others: relaxed }\n`);
  t.match(one.digest, /^[0-9a-f]{64}$/);
  t.equal(one.digest, same.digest);
  t.not(one.digest, other.digest);
});

t.test("a mistake is named with its line and column", async (t) => {
  const wrong: [string, RegExp][] = [
    [`${MINIMAL}pool: { mode: statement }\n`, /"pool\.mode" must be one of session, transaction/],
    [`${MINIMAL}pool: { pin_unknown: 1 }\n`, /"pool\.pin_unknown" must be true or false/],
    [`${MINIMAL}nonsense: 1\n`, /proxy\.yaml:8:1: there is no key "nonsense"/],
    [`${MINIMAL}limits: { clients: 0 }\n`, /:8:11: "limits\.clients" must be a whole number of at least 1/],
    [`${MINIMAL}limits: { clients: 1.5 }\n`, /"limits\.clients" must be a whole number/],
    [`${MINIMAL}listen: 6432\n`, /"listen" must be HOST:PORT/],
    [`${MINIMAL}listen: localhost:70000\n`, /"listen" must be HOST:PORT/],
    [`${MINIMAL}durability: { reads: never }\n`, /"durability\.reads" must be one of before-execute/],
    [`${MINIMAL}sealed: [password]\n`, /"sealed" must be a list of sql/],
    [`${MINIMAL}spool: { dir: other }\n`, /unique|Map keys/i],
    [MINIMAL.replace("postgres://db.example", "http://db.example"), /"upstream" must be postgres:\/\/HOST:PORT/],
    [
      MINIMAL.replace("db.example", "db.example?sslmode=allow"),
      /:\d+:\d+: "upstream" must be with .*allow is not supported/,
    ],
    [MINIMAL.replace("db.example", "db.example?sslmode=verify-full"), /sslrootcert=FILE, or sslrootcert=system/],
    [`${MINIMAL}tls: { mode: require }\n`, /"tls\.cert" and "tls\.key" are needed/],
    [`${MINIMAL}tls: { cert: a, key: b, client_cert: optional }\n`, /"tls\.client_ca" is needed/],
    [`${MINIMAL}tls: { mode: allow }\n`, /"tls\.mode" must be one of disable, prefer, require/],
    [MINIMAL.replace("spool: {", "spol: {"), /proxy\.yaml:\d:1: there is no key "spol"/],
    [MINIMAL.replace("spool: { dir: spool }", ""), /the key "spool\.dir" is missing/],
    [MINIMAL.replace("http://log.example/", "log.example"), /"log\.url" must be an http/],
    ["- a list\n", /must be a map of keys/],
    ["listen: [\n", /proxy\.yaml:\d+:\d+: /],
  ];
  for (const [text, message] of wrong) await t.rejects(parse(text), { code: "bad_config", message });
  await t.rejects(readProxyConfig("/nowhere/proxy.yaml"), { code: "bad_config", message: /cannot be read/ });
});

t.test("a key given by file", async (t) => {
  const dir = t.testdir();
  writeFileSync(join(dir, "log.vkey"), "example.com/log+12345678+AQ==\n");
  const text = MINIMAL.replace("example.com/log+12345678+AQ==", "log.vkey");
  t.equal((await parseProxyConfig(text, join(dir, "proxy.yaml"))).log.vkey, "example.com/log+12345678+AQ==");
  await t.rejects(parse(text), { code: "bad_config", message: /log\.vkey.*cannot be read/ });
});

const page = (path: string): string => readFileSync(new URL(`../../../../${path}`, import.meta.url), "utf8");

t.test("the manual's table has every key with its default", async (t) => {
  const text = page("proxy/README.md");
  const manual = text.slice(text.indexOf("## Configuration"), text.indexOf("### Durability"));
  const rows = [...manual.matchAll(/^\| `([a-z_.]+)` \| [^|]+ \| ([^|]+) \|/gm)].map(([, key, text]) => [key, text]);
  const shown = (value: (typeof CONFIG_KEYS)[number]["default"]): string =>
    value === undefined ? "none" : (Array.isArray(value) ? value : [value]).map((one) => `\`${one}\``).join(", ");
  t.same(
    rows,
    CONFIG_KEYS.map((key) => [key.path, key.required ? "required" : shown(key.default)]),
  );
});

t.test("spec/errors.md has every code, and the SQLSTATE it is sent with", async (t) => {
  const errors = page("spec/errors.md");
  const toClient = errors.slice(errors.indexOf("## Proxy, to the client"), errors.indexOf("## Proxy, at start"));
  const documented = [...toClient.matchAll(/^\| `([a-z_]+)` \| ([0-9A-Z]{5}) \|/gm)].map(([, code, state]) => [
    code,
    state,
  ]);
  t.same(documented, Object.entries(SQLSTATE));
  const start = errors.slice(errors.indexOf("## Proxy, at start"), errors.indexOf("## Witness, over HTTP"));
  const codes = [...start.matchAll(/^\| `([a-z_]+)` \|/gm)].map(([, code]) => code);
  t.same([...new Set([...codes])].sort(), [...new Set([...STARTUP_CODES])].sort());
});

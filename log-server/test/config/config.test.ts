import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { parseLogServerConfig, readLogServerConfig } from "../../src/config/config.ts";
import { createKey } from "../../src/keys/keys.ts";

const { vkey } = createKey("proxy-1");
const LEAST = `origin: log.example/x\nsources: [${vkey}]\n`;
const parse = (text: string) => parseLogServerConfig(text, "/etc/vitrine/log.yaml");

t.test("the least configuration, with every default", async (t) => {
  t.same(parse(LEAST), {
    listen: { host: "127.0.0.1", port: 6962 },
    trustedProxies: [],
    origin: "log.example/x",
    key: "/etc/vitrine/log.key",
    actsKey: "/etc/vitrine/acts.key",
    moreKeys: [],
    store: "/etc/vitrine/log/store",
    index: "/etc/vitrine/log/index",
    searchIndex: "/etc/vitrine/log/search",
    searchPublic: true,
    guard: "/etc/vitrine/guard/checkpoint",
    sources: [vkey],
    publicEntries: true,
    add: false,
    checkpointIntervalMs: 1000,
    witnessTimeoutMs: 1000,
    witnessesRequired: false,
    limits: {
      bodyBytes: 67_108_864,
      waitingSubmissions: 256,
      waitingBytes: 134_217_728,
      waitingAdds: 1024,
      requestsPerSecond: 100,
      requestTimeoutMs: 30_000,
      connections: 4096,
      unreadBytes: 67_108_864,
    },
  });
});

t.test("everything said", async (t) => {
  const config = parse(`
listen: "[::1]:0"
trusted_proxies: [127.0.0.1, 10.0.0.0/8, "fd00::/8"]
origin: log.example/x
key: /run/keys/log.key
acts_key: /run/keys/acts.key
more_keys: [/run/keys/old.key, new.key]
store: ../var/store   # relative to the file
index: ../var/index
search_index: ../var/search
guard: ../guard/checkpoint
sources:
  - ${vkey}
tokens: tokens
public_entries: false
add: true
add_tokens: adders
checkpoint_interval_ms: 250
witnesses: w.policy
witness_timeout_ms: 500
witnesses_required: true
limits:
  body_bytes: 16777216
  waiting_bytes: 33554432
  waiting_adds: 7
  requests_per_second: 5
`);
  t.same(config, {
    listen: { host: "::1", port: 0 },
    trustedProxies: ["127.0.0.1", "10.0.0.0/8", "fd00::/8"],
    origin: "log.example/x",
    key: "/run/keys/log.key",
    actsKey: "/run/keys/acts.key",
    moreKeys: ["/run/keys/old.key", "/etc/vitrine/new.key"],
    store: "/etc/var/store",
    index: "/etc/var/index",
    searchIndex: "/etc/var/search",
    searchPublic: false,
    guard: "/etc/guard/checkpoint",
    sources: [vkey],
    tokens: "/etc/vitrine/tokens",
    publicEntries: false,
    add: true,
    addTokens: "/etc/vitrine/adders",
    checkpointIntervalMs: 250,
    witnesses: "/etc/vitrine/w.policy",
    witnessTimeoutMs: 500,
    witnessesRequired: true,
    limits: {
      bodyBytes: 16_777_216,
      waitingSubmissions: 256,
      waitingBytes: 33_554_432,
      waitingAdds: 7,
      requestsPerSecond: 5,
      requestTimeoutMs: 30_000,
      connections: 4096,
      unreadBytes: 67_108_864,
    },
  });
  t.ok(Object.isFrozen(config) && Object.isFrozen(config.limits) && Object.isFrozen(config.sources));
});

t.test("who has tokens says whether one may search without", async (t) => {
  t.equal(parse(`${LEAST}tokens: tokens\n`).searchPublic, false);
  t.equal(parse(`${LEAST}tokens: tokens\nsearch_public: true\n`).searchPublic, true);
  t.equal(parse(`${LEAST}search_public: false\n`).searchPublic, false);
});

t.test("each mistake is refused with its line and column", async (t) => {
  const cases: [string, string, RegExp][] = [
    [`${LEAST}storre: x\n`, "3:1", /there is no key storre/],
    [`${LEAST}limits:\n  body_byte: 1\n`, "4:3", /there is no key limits\.body_byte/],
    [`${LEAST}limits: 5\n`, "3:1", /limits must be a map/],
    [`${LEAST}limits:\n`, "3:1", /limits must be a map/],
    [`${LEAST}checkpoint_interval_ms: "250"\n`, "3:25", /expected an integer from 10 to 60000/],
    [`${LEAST}checkpoint_interval_ms: 9\n`, "3:25", /expected an integer/],
    [`${LEAST}checkpoint_interval_ms: 10.5\n`, "3:25", /expected an integer/],
    [`${LEAST}limits:\n  body_bytes: 67108865\n`, "4:15", /from 16777216 to 67108864/],
    [`${LEAST}public_entries: "no"\n`, "3:17", /public_entries: expected true or false/],
    [`${LEAST}search_public: yes\n`, "3:16", /search_public: expected true or false/],
    [`${LEAST}more_keys: a\n`, "3:12", /more_keys: expected a list of paths/],
    [`${LEAST}more_keys: [5]\n`, "3:12", /more_keys: expected a text/],
    [`${LEAST}witness_timeout_ms: 49\n`, "3:21", /from 50 to 30000/],
    [`${LEAST}witnesses_required: 1\n`, "3:21", /expected true or false/],
    [`${LEAST}trusted_proxies: [localhost]\n`, "3:18", /item 1 is neither an address nor a network/],
    [`${LEAST}trusted_proxies: [127.0.0.1, 10.0.0.0/33]\n`, "3:18", /item 2 is neither/],
    [`${LEAST}trusted_proxies: 127.0.0.1\n`, "3:18", /expected a list of addresses/],
    [`${LEAST}store: 5\n`, "3:8", /store: expected a text/],
    [`${LEAST}store:\n`, "3:7", /store: expected a text/],
    [`${LEAST}store: {a: 1}\n`, "3:8", /store: expected a text/],
    [`${LEAST}listen: 6962\n`, "3:9", /listen: expected <host>:<port>, such as 127.0.0.1:6962/],
    [`${LEAST}listen: localhost:65536\n`, "3:9", /listen: expected <host>:<port>/],
    [`${LEAST}listen: localhost:080\n`, "3:9", /listen: expected <host>:<port>/],
    [`${LEAST}origin: y\n`, "3:1", /unique/],
    ["sources: []\n", "1:1", /the key origin is missing/],
    ["origin: x\n", "1:1", /the key sources is missing/],
    ["origin: a b\nsources: []\n", "1:9", /without white space/],
    ["origin: x\nsources: [nonsense]\n", "2:10", /item 1 is not a verifier key/],
    [`origin: x\nsources: ${vkey}\n`, "2:10", /expected a list/],
    ["origin: x\n  y: [\n", "1:9", /Nested mappings/],
    ["", "1:1", /must be a map/],
    [`origin: x\nstore: &a x\nguard: *a\nsources: []\n`, "3:8", /guard: expected a text/],
    ["- origin\n", "1:1", /must be a map/],
    ["a: &x 1\norigin: *x\nsources: []\n", "1:1", /there is no key a/],
    ["? [a]\n: 1\n", "1:3", /a key must be a text/],
  ];
  for (const [text, at, message] of cases) {
    try {
      parse(text);
      t.fail(`accepted: ${text}`);
    } catch (error) {
      t.match(error, { code: "bad_config", message }, JSON.stringify(text));
      t.ok(
        (error as Error).message.startsWith(`/etc/vitrine/log.yaml:${at}: `),
        `${at} in: ${(error as Error).message}`,
      );
    }
  }
});

t.test("a file is read, and one that is not there is named", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "vitrine-config-"));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, "log.yaml");
  await t.rejects(readLogServerConfig(path), { code: "bad_config", message: /log\.yaml cannot be read/ });
  await writeFile(path, LEAST);
  t.equal((await readLogServerConfig(path)).store, join(folder, "log/store"));
});

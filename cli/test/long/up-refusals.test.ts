import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import t from "tap";
import { startPostgres } from "../../src/postgres/server.ts";
import { vitrine } from "../run.ts";
import { ANY_PORTS, folder, query, Up } from "../up.ts";

t.setTimeout(300_000);

t.test("a start that cannot succeed is one line, and creates nothing", async (t) => {
  const dir = folder(t);
  const taken = net.createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  t.teardown(() => taken.close());
  const { port } = taken.address() as net.AddressInfo;
  const cases: [string[], RegExp, number?][] = [
    [
      ["--proxy", `127.0.0.1:${port}`, "--log", "127.0.0.1:0"],
      /^vitrine: port_in_use: .*the proxy.*--proxy HOST:PORT\n$/,
    ],
    [
      ["--log", `127.0.0.1:${port}`, "--proxy", "127.0.0.1:0"],
      /^vitrine: port_in_use: .*the log-server.*--log HOST:PORT\n$/,
    ],
    [
      [...ANY_PORTS, "--upstream", "postgres://127.0.0.1:1"],
      /^vitrine: upstream_unreachable: .*127\.0\.0\.1:1 .*\n$/,
      69,
    ],
  ];
  for (const [options, message, exit = 1] of cases) {
    const { status, stdout, stderr } = await vitrine(["up", ...options], dir);
    t.same({ status, stdout }, { status: exit, stdout: "" });
    t.match(stderr, message);
    t.notOk(existsSync(path.join(dir, "vitrine-data")));
  }
});

t.test("before another server, with a part's own complaint, and interrupted", async (t) => {
  const dir = folder(t);
  const server = await startPostgres({
    folder: path.join(dir, "own"),
    passwordFile: path.join(dir, "password"),
    logFile: path.join(dir, "own.log"),
  });
  t.teardown(() => server.stop());
  const upstream = ["--upstream", `postgres://postgres:unused@127.0.0.1:${server.port}/postgres`];
  const up = await new Up(t, dir, upstream).ready();
  t.notMatch(up.output, /unused/);
  const connection = new URL(up.connection);
  t.equal(`${connection.username}${connection.pathname}`, "postgres/postgres");
  connection.password = server.password;
  t.same(await query(connection.href, "SELECT 1 AS one"), [{ one: 1 }]);
  t.notOk(existsSync(path.join(dir, "vitrine-data/postgres")));
  t.equal(await up.stop(), 0);

  const yaml = path.join(dir, "vitrine-data/proxy.yaml");
  const good = readFileSync(yaml, "utf8");
  writeFileSync(yaml, `${good}colour: blue\n`);
  const wrong = new Up(t, dir, upstream);
  t.equal(await wrong.ended, 64);
  t.match(wrong.output, /^vitrine: bad_config: proxy: .*proxy\.yaml:\d+:1: .*colour.*\n$/);
  writeFileSync(yaml, good);

  const key = path.join(dir, "vitrine-data/keys/log.key");
  const keyText = readFileSync(key);
  rmSync(key);
  const keyless = new Up(t, dir, upstream);
  t.equal(await keyless.ended, 1);
  t.match(keyless.output, /^vitrine: bad_key: log-server: .*log\.key.*\n$/);
  writeFileSync(key, keyText, { mode: 0o600 });

  const logYaml = path.join(dir, "vitrine-data/log-server.yaml");
  const logText = readFileSync(logYaml);
  rmSync(logYaml);
  const incomplete = new Up(t, dir, upstream);
  t.equal(await incomplete.ended, 1);
  t.match(incomplete.output, /^vitrine: data_unwritable: .*ENOENT.*log-server\.yaml'; put back what is missing/m);
  writeFileSync(logYaml, logText, { mode: 0o600 });

  const interrupted = new Up(t, dir, upstream);
  while (!existsSync(path.join(dir, "vitrine-data/up.lock"))) await new Promise((resolve) => setTimeout(resolve, 5));
  interrupted.child.kill("SIGINT");
  t.equal(await interrupted.ended, 0, interrupted.output);
  t.notMatch(interrupted.output, /^vitrine: ready/m);
});

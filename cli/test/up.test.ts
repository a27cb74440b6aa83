import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import pg from "pg";
import t, { type Test } from "tap";
import { startPostgres } from "../src/postgres/server.ts";
import { isAlive } from "../src/processes.ts";
import { BIN, vitrine } from "./run.ts";

const ANY_PORTS = ["--proxy", "127.0.0.1:0", "--log", "127.0.0.1:0"];

function folder(t: Test): string {
  const dir = mkdtempSync(path.join(tmpdir(), "vitrine-test-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
  return dir;
}

class Up {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  output = "";

  constructor(t: Test, cwd: string, options: readonly string[] = []) {
    this.child = spawn(process.execPath, [BIN, "up", ...ANY_PORTS, ...options], {
      cwd,
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text) => {
        this.output += text;
      });
    }
    this.ended = new Promise((resolve) => this.child.once("close", (code) => resolve(code)));
    t.teardown(() => this.stop());
  }

  async printed(what: RegExp): Promise<void> {
    let over = false;
    void this.ended.then(() => {
      over = true;
    });
    while (!what.test(this.output)) {
      if (over) throw new Error(`ended without printing ${what}:\n${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async ready(): Promise<this> {
    await this.printed(/^vitrine: ready$/m);
    return this;
  }

  async stop(): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill("SIGINT");
    return this.ended;
  }

  get connection(): string {
    return /^ {2}Connect to +(\S+)$/m.exec(this.output)?.[1] as string;
  }

  get log(): string {
    return /^ {2}Log +(\S+)$/m.exec(this.output)?.[1] as string;
  }
}

async function query(connection: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: connection, ssl: false });
  client.on("error", () => {});
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

/** The log's size: the second line of its checkpoint. */
const logSize = async (url: string): Promise<number> =>
  Number((await (await fetch(`${url}/checkpoint`)).text()).split("\n")[1]);

const lockOf = (dir: string): string[] =>
  readFileSync(path.join(dir, "vitrine-data/up.lock"), "utf8").trim().split("\n");

const pidOf = (identity: string | undefined): number => Number(identity?.split(" ", 1)[0]);

t.test("a first start, a query, a stop, and a start again", async (t) => {
  const dir = folder(t);
  const first = await new Up(t, dir).ready();
  t.match(first.output, /^Created vitrine-data$/m);
  t.match(
    first.output,
    new RegExp(
      `^ {2}Audit it with +npx vitrine-verifier audit --log ${first.log} --vkey vitrine-data/log\\.vkey$`,
      "m",
    ),
  );
  t.same(await query(first.connection, "SELECT count(*)::int AS n FROM payment_cards"), [{ n: 144 }]);
  const token = readFileSync(path.join(dir, "vitrine-data/auditor.token"), "utf8").trim();
  t.equal(
    createHash("sha256").update(token).digest("hex"),
    readFileSync(path.join(dir, "vitrine-data/auditor.tokens"), "utf8").trim(),
  );

  const again = await vitrine(["up", ...ANY_PORTS], dir);
  t.equal(again.status, 1);
  t.match(again.stderr, new RegExp(`^vitrine: data_in_use: .*process ${first.child.pid}\\b.*--data DIR\\n$`));

  const parts = lockOf(dir);
  t.equal(parts.length, 3);
  t.equal(await first.stop(), 0, first.output);
  t.match(
    first.output,
    /vitrine: stopping\n.*everything it recorded is in the log\n.*log-server stopped\n.*PostgreSQL stopped\n$/s,
  );
  for (const part of parts) t.notOk(isAlive(part));
  t.notOk(existsSync(path.join(dir, "vitrine-data/up.lock")));

  appendFileSync(path.join(dir, "vitrine-data/proxy.yaml"), "\nsealed: [params] # by hand\n");
  const second = await new Up(t, dir).ready();
  t.notMatch(second.output, /Created/);
  t.equal(new URL(second.connection).password, new URL(first.connection).password);
  t.match(readFileSync(path.join(dir, "vitrine-data/proxy.yaml"), "utf8"), /^sealed: \[params\] # by hand$/m);
  // Start, session, statement, end, stop of the first epoch; the start of the second.
  t.ok((await logSize(second.log)) >= 5);
  second.child.kill("SIGTERM");
  t.equal(await second.ended, 0, "SIGTERM is as good as Ctrl-C");
});

t.test("a second Ctrl-C says what is waited for, and changes nothing", async (t) => {
  const dir = folder(t);
  const up = await new Up(t, dir).ready();
  const slow = query(up.connection, "SELECT pg_sleep(1.5)");
  const asked = new Promise((resolve) => setTimeout(resolve, 300));
  await asked;
  up.child.kill("SIGINT");
  await up.printed(/vitrine: stopping/);
  up.child.kill("SIGINT");
  await up.printed(/vitrine: still waiting for the proxy to end its sessions/);
  t.equal(await up.ended, 0, up.output);
  t.equal((await slow).length, 1, "the statement under way was let end");
});

t.test("a part that dies is named, and the others are stopped", async (t) => {
  const dir = folder(t);
  const victims: [string, () => number, RegExp][] = [
    ["the log-server", () => pidOf(lockOf(dir)[1]), /proxy stopped.*\n.*PostgreSQL stopped\n$/],
    ["the proxy", () => pidOf(lockOf(dir)[2]), /log-server stopped\n.*PostgreSQL stopped\n$/],
    [
      "PostgreSQL",
      () => Number(readFileSync(path.join(dir, "vitrine-data/postgres/postmaster.pid"), "utf8").split("\n")[0]),
      /proxy stopped.*\n.*log-server stopped\n$/,
    ],
  ];
  for (const [name, pid, rest] of victims) {
    const up = await new Up(t, dir).ready();
    process.kill(pid(), "SIGKILL");
    t.equal(await up.ended, 1, name);
    t.match(up.output, new RegExp(`^vitrine: part_failed: ${name} ended by itself: killed by SIGKILL$`, "m"));
    t.match(up.output, rest, name);
  }
  t.equal(await (await new Up(t, dir).ready()).stop(), 0, "and it starts again");
});

t.test("what a killed `up` leaves running stops in order, and the next start waits for it", async (t) => {
  const dir = folder(t);
  const killed = await new Up(t, dir).ready();
  await query(killed.connection, "SELECT 1");
  const parts = lockOf(dir).slice(1);
  killed.child.kill("SIGKILL");
  await killed.ended;
  const next = await new Up(t, dir).ready();
  t.match(next.output, /stopping the PostgreSQL of an earlier start/);
  for (const part of parts) t.notOk(isAlive(part));
  t.match(
    readFileSync(path.join(dir, "vitrine-data/proxy.log"), "utf8"),
    /^vitrine: proxy stopped$/m,
    "with nothing left to submit",
  );
  t.equal(await next.stop(), 0);
});

t.test("a start that cannot succeed is one line, and creates nothing", async (t) => {
  const dir = folder(t);
  const taken = net.createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  t.teardown(() => taken.close());
  const { port } = taken.address() as net.AddressInfo;
  const cases: [string[], RegExp][] = [
    [
      ["--proxy", `127.0.0.1:${port}`, "--log", "127.0.0.1:0"],
      /^vitrine: port_in_use: .*the proxy.*--proxy HOST:PORT\n$/,
    ],
    [
      ["--log", `127.0.0.1:${port}`, "--proxy", "127.0.0.1:0"],
      /^vitrine: port_in_use: .*the log-server.*--log HOST:PORT\n$/,
    ],
    [[...ANY_PORTS, "--upstream", "postgres://127.0.0.1:1"], /^vitrine: upstream_unreachable: .*127\.0\.0\.1:1 .*\n$/],
  ];
  for (const [options, message] of cases) {
    const { status, stdout, stderr } = await vitrine(["up", ...options], dir);
    t.same({ status, stdout }, { status: 1, stdout: "" });
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

  const interrupted = new Up(t, dir, upstream);
  while (!existsSync(path.join(dir, "vitrine-data/up.lock"))) await new Promise((resolve) => setTimeout(resolve, 5));
  interrupted.child.kill("SIGINT");
  t.equal(await interrupted.ended, 0, interrupted.output);
  t.notMatch(interrupted.output, /ready/);
});

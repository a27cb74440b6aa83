import { spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";
import t, { type Test } from "tap";
import { ensureSample } from "../../src/postgres/sample.ts";
import { type PostgresConfig, startPostgres } from "../../src/postgres/server.ts";
import { freePort } from "../../src/probe.ts";
import { isAlive, processIdentity } from "../../src/processes.ts";

function folder(t: Test): string {
  // Not t.testdir(): that one is under the checkout, which other users may not enter.
  const dir = mkdtempSync(path.join(tmpdir(), "vitrine-test-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

const config = (dir: string): PostgresConfig => ({
  folder: path.join(dir, "postgres"),
  passwordFile: path.join(dir, "superuser.password"),
  logFile: path.join(dir, "postgres.log"),
});

t.test("a cluster is created, filled, stopped and started again", async (t) => {
  const dir = folder(t);
  const appFile = path.join(dir, "app.password");
  const first = await startPostgres(config(dir));
  t.teardown(() => first.stop());
  t.equal(statSync(config(dir).passwordFile).mode & 0o777, 0o600);
  const password = await ensureSample(first, appFile);
  t.equal(await ensureSample(first, appFile), password, "made once");

  const login = { host: "127.0.0.1", port: first.port, user: "app", database: "shop", ssl: false };
  const app = new pg.Client({ ...login, password });
  await app.connect();
  t.teardown(() => app.end());
  const count = async (table: string): Promise<number> =>
    Number((await app.query(`SELECT count(*) FROM ${table}`)).rows[0].count);
  for (const table of ["customers", "products", "orders", "order_items", "payment_cards", "order_totals"]) {
    t.ok((await count(table)) >= 40, `${table} has rows`);
  }
  const settings = await app.query(
    "SELECT current_setting('fsync') AS fsync, current_setting('listen_addresses') AS listen, current_setting('server_encoding') AS encoding, current_setting('is_superuser') AS superuser",
  );
  t.same(settings.rows[0], { fsync: "on", listen: "127.0.0.1", encoding: "UTF8", superuser: "off" });
  await app.query("CREATE TABLE kept AS SELECT 1 AS one");
  await app.end();
  const wrong = new pg.Client({ ...login, password: "wrong" });
  await t.rejects(wrong.connect(), { code: "28P01" });

  await first.stop();
  t.match(await first.ended, /received fast shutdown request/);
  t.match(readFileSync(config(dir).logFile, "utf8"), /received fast shutdown request/);

  const second = await startPostgres(config(dir));
  t.teardown(() => second.stop());
  const admin = await second.connect("shop");
  t.same((await admin.query("SELECT one FROM kept")).rows, [{ one: 1 }]);
  await admin.query("DROP TABLE payment_cards CASCADE");
  t.equal(await ensureSample(second, appFile), password, "what was dropped stays dropped");
  t.same((await admin.query("SELECT to_regclass('payment_cards') AS gone")).rows, [{ gone: null }]);
  await admin.end();
  await second.stop();
});

t.test("a sample that was left unfinished is made anew", async (t) => {
  const dir = folder(t);
  const postgres = await startPostgres(config(dir));
  t.teardown(() => postgres.stop());
  const admin = await postgres.connect("postgres");
  await admin.query("CREATE ROLE app LOGIN PASSWORD 'old'");
  await admin.query("CREATE DATABASE shop_unfinished");
  await admin.end();
  await ensureSample(postgres, path.join(dir, "app.password"));
  rmSync(path.join(dir, "app.password"));
  // CRASH: the database stands, the password's file does not.
  const password = await ensureSample(postgres, path.join(dir, "app.password"));
  const app = new pg.Client({
    host: "127.0.0.1",
    port: postgres.port,
    user: "app",
    password,
    database: "shop",
    ssl: false,
  });
  await app.connect();
  t.same((await app.query("SELECT datname FROM pg_database WHERE datname LIKE 'shop%'")).rows, [{ datname: "shop" }]);
  await app.end();
  await postgres.stop();
});

t.test("a server that outlived its starter is stopped first", async (t) => {
  const dir = folder(t);
  const first = await startPostgres(config(dir));
  const identity = processIdentity(first.pid) as string;
  let told = 0;
  const second = await startPostgres({ ...config(dir), onOrphan: () => told++ });
  t.teardown(() => second.stop());
  t.equal(told, 1);
  t.notOk(isAlive(identity));
  t.not(second.port, first.port);
  await second.stop();
});

t.test("a port that somebody takes before the server listens on it is left to them", async (t) => {
  const taken = createServer((socket) => socket.on("error", () => undefined).end());
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  t.teardown(() => taken.close());
  const { port } = taken.address() as AddressInfo;
  let asked = 0;
  const choose = async (): Promise<number> => (++asked < 3 ? port : freePort());
  const dir = folder(t);
  const postgres = await startPostgres({ ...config(dir), port: choose });
  t.teardown(() => postgres.stop());
  t.equal(asked, 3);
  t.not(postgres.port, port);
  await (await postgres.connect("postgres")).end();
  await postgres.stop();
  await t.rejects(startPostgres({ ...config(dir), port: async () => port }), { code: "postgres_failed" });
});

t.test("a server that cannot start says why in one line", async (t) => {
  const dir = folder(t);
  const first = await startPostgres(config(dir));
  await first.stop();
  rmSync(path.join(dir, "postgres", "global", "pg_control"));
  await t.rejects(startPostgres(config(dir)), {
    code: "postgres_failed",
    message: /did not start: .*pg_control|database system/,
  });
  rmSync(path.join(dir, "postgres", "PG_VERSION"));
  await t.rejects(startPostgres(config(dir)), { code: "postgres_failed", message: /of no known version/ });
});

const isRoot = process.getuid?.() === 0;

t.test("root starts it in a folder that only root may enter", { skip: !isRoot && "not root" }, async (t) => {
  const dir = folder(t);
  t.equal(statSync(dir).mode & 0o777, 0o700);
  const postgres = await startPostgres(config(dir));
  t.teardown(() => postgres.stop());
  t.not(statSync(config(dir).folder).uid, 0);
  const status = readFileSync(`/proc/${postgres.pid}/status`, "utf8");
  t.notMatch(status, /^Uid:\s+0/m, "the server is not root");
  await postgres.stop();
  // As after `cp -r` by root.
  chownSync(config(dir).folder, 0, 0);
  const again = await startPostgres(config(dir));
  t.teardown(() => again.stop());
  await again.stop();
});

t.test("root starts it as a plain user where that user may enter", { skip: !isRoot && "not root" }, async (t) => {
  const dir = folder(t);
  chmodSync(dir, 0o755);
  const postgres = await startPostgres(config(dir));
  t.teardown(() => postgres.stop());
  if (process.platform === "linux") {
    const reachable = spawnSync("test", ["-x", process.execPath], { uid: 65534, gid: 65534 }).status === 0;
    if (reachable)
      t.match(readFileSync(`/proc/${postgres.pid}/status`, "utf8"), /^CapEff:\s+0+$/m, "without capabilities");
  }
  await postgres.stop();
});

t.test("an ordinary user starts it as themselves", { skip: !isRoot && "this whole file runs as one" }, async (t) => {
  const dir = folder(t);
  chownSync(dir, 65534, 65534);
  const program = fileURLToPath(new URL("start-and-stop.js", import.meta.url));
  const probe = spawnSync(process.execPath, ["-e", `require("fs").accessSync(${JSON.stringify(program)})`], {
    uid: 65534,
    gid: 65534,
    cwd: "/",
  });
  if (probe.status !== 0) {
    t.comment("another user cannot read this checkout: nothing to see");
    return;
  }
  // What tap adds to the programs of its tests would write into the checkout.
  const alone = ["-c", 'unset NODE_OPTIONS; exec "$@"', "sh", process.execPath, program, dir];
  const child = spawn("/bin/sh", alone, {
    uid: 65534,
    gid: 65534,
    cwd: "/",
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    output += text;
  });
  const status = await new Promise((resolve) => child.once("close", resolve));
  t.equal(status, 0);
  t.same(JSON.parse(output), { uid: 65534, owner: 65534, orders: 400 });
});

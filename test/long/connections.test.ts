// Where clients come in: Unix sockets that real clients find, and what happens when the system has no files left.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import type { Postgres } from "@vitrine/cli";
import pg from "pg";
import t, { type Test } from "tap";
import { run } from "../support/go.ts";
import { send } from "../support/raw-client.ts";
import { login, pause, trust, until } from "../support/sessions.ts";
import {
  DATABASE,
  type Entry,
  freePort,
  PASSWORD,
  Stack,
  startDatabase,
  statements,
  temporaryFolder,
  USER,
  VITRINE,
} from "../support/stack.ts";

const folder = temporaryFolder("connections");
const PORT = 6432;
const NAME = `.s.PGSQL.${PORT}`;
let database: Postgres;
/** Leads to the database, as its own socket would. */
let relay: Server;

t.before(async () => {
  database = await startDatabase(folder);
  await trust(database, folder);
  relay = createServer({ allowHalfOpen: true }, (client) => {
    const server = connect({ port: database.port, host: "127.0.0.1", allowHalfOpen: true });
    client.pipe(server).pipe(client);
    client.on("error", () => server.destroy());
    server.on("error", () => client.destroy());
  });
  await new Promise<void>((resolve) => relay.listen(join(folder, ".s.PGSQL.5432"), resolve));
});

t.after(async () => {
  relay?.close();
  await database?.stop();
  rmSync(folder, { recursive: true, force: true });
});

let runs = 0;

async function started(t: Test, workers: number): Promise<{ stack: Stack; dir: string }> {
  runs += 1;
  const dir = join(folder, `run-${runs}`);
  mkdirSync(dir);
  const proxyKeys = { listen: [`${dir}:${PORT}`], upstream: `postgres:///?host=${folder}`, sealed: ["sql"] };
  const stack = await (await Stack.create(database, { workers, proxyKeys })).start();
  t.teardown(() => stack.destroy());
  return { stack, dir };
}

const on = (dir: string): pg.ClientConfig => ({ host: dir, port: PORT, user: USER, password: PASSWORD });

async function ask(dir: string): Promise<number> {
  const client = new pg.Client({ ...on(dir), database: DATABASE });
  await client.connect();
  const { rows } = await client.query("SELECT 40 + 2 AS n");
  await client.end();
  return rows[0].n;
}

for (const workers of [1, 2]) {
  t.test(`clients on a Unix socket, ${workers} at work`, async (t) => {
    const { stack, dir } = await started(t, workers);
    t.equal(statSync(join(dir, NAME)).mode & 0o777, 0o777);
    t.same(await Promise.all(Array.from({ length: 6 }, () => ask(dir))), new Array(6).fill(42));
    const query = ["-X", "-At", "-h", dir, "-p", `${PORT}`, "-U", USER, "-c", "SELECT 1 + 1", DATABASE];
    const psql = await run("psql", query, folder, 60_000, { PGPASSWORD: PASSWORD, PGSSLMODE: "require" });
    // libpq does not ask for TLS there, whatever sslmode says.
    if (psql.stderr.includes("ENOENT")) t.comment("there is no psql here");
    else t.same(psql, { code: 0, stdout: "2\n", stderr: "" }, "psql");
    const second = [VITRINE, "proxy", "--config", join(stack.folder, "proxy.yaml")];
    t.not((await run(process.execPath, second, folder, 60_000)).code, 0, "a second one does not take it");
    t.equal(await ask(dir), 42);

    await stack.proxy.end("SIGKILL");
    await until("its workers are gone", async () => {
      const found = await ask(dir).catch((error: NodeJS.ErrnoException) => error.code);
      return found === "ECONNREFUSED" || found === "ENOENT";
    });
    t.equal(existsSync(join(dir, `${NAME}.lock`)), true, "what was killed removes nothing");
    await stack.proxy.start();
    t.equal(await ask(dir), 42, "and is followed by another one");
    t.equal(await stack.proxy.end("SIGTERM"), 0);
    t.same(readdirSync(dir), [], "which removes everything");

    const entries = await stack.settled((all) => all.filter(({ kind }) => kind === "source.stop").length === workers);
    const said = new Set(
      entries.flatMap(({ client }: Entry) => (client as { address?: string } | undefined)?.address ?? []),
    );
    t.same([...said], ["[local]"]);
    t.ok(statements(entries).length >= 8);
    const { code, stdout, stderr } = await stack.verifier("audit");
    t.equal(code === 0 ? "" : stdout + stderr, "");
  });
}

t.test("several workers: a file with an error is told of once, and changes none of them", async (t) => {
  const { stack, dir } = await started(t, 2);
  const file = join(stack.folder, "proxy.yaml");
  const text = readFileSync(file, "utf8");
  const said = (what: RegExp): number => stack.proxy.output.match(new RegExp(what, "g"))?.length ?? 0;
  writeFileSync(file, `${text}limits: { clients: none }\n`);
  process.kill(stack.proxy.pid!, "SIGHUP");
  await until("it is told", () => said(/ config\.refused: /) > 0);
  t.match(
    stack.proxy.output,
    / error config\.refused: everything stays as it was: .*limits\.clients.* code=bad_config/,
  );
  writeFileSync(file, `${text}limits: { clients: 7 }\n`);
  process.kill(stack.proxy.pid!, "SIGHUP");
  await until("each has taken it", () => said(/ config\.changed: .*changed limits\.clients/) === 2);
  t.equal(said(/ config\.refused: /), 1);
  t.equal(await ask(dir), 42);
});

/** A proxy that may open so many files and no more. */
async function limited(t: Test, stack: Stack, files: number): Promise<{ child: ChildProcess; said(): string }> {
  const command = [process.execPath, VITRINE, "proxy", "--config", join(stack.folder, "proxy.yaml")];
  const child = spawn("/bin/sh", ["-c", `ulimit -n ${files}; exec "$@"`, "sh", ...command], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      said += text;
    });
  }
  t.teardown(() => child.kill("SIGKILL"));
  await until("it is ready", async () => said.includes("ready"));
  return { child, said: () => said };
}

/** Seconds of processor time. */
function cpu(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").replace(/^.*\)/s, "").trim().split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

t.test("a crowd takes no file that the spool needs", { skip: process.platform !== "linux" }, async (t) => {
  const status = await freePort();
  const limits = { clients: 500, logins: 500, login_timeout_ms: 60_000 };
  const stack = await Stack.create(database, { limits, proxyKeys: { status: `127.0.0.1:${status}` } });
  t.teardown(() => stack.destroy());
  await stack.log.start();
  const { child, said } = await limited(t, stack, 256);
  await until("it is told", () =>
    /lets this process open 256 files, which is enough for about 64 sessions/.test(said()),
  );
  const first = await login(stack.proxyPort, "first");
  const open = new Set<Socket>();
  const crowd = Array.from({ length: 400 }, () => {
    const socket = connect(stack.proxyPort, "127.0.0.1");
    socket.on("connect", () => open.add(socket)).on("close", () => open.delete(socket));
    return socket.on("error", () => undefined);
  });
  await until("all have connected", () => crowd.every(({ connecting }) => !connecting));
  await until("those are closed for whom there is no room", () => open.size > 0 && open.size < 120);
  const stays = open.size;
  t.ok(stays > 20, `${stays} stay`);
  const used = readdirSync(`/proc/${child.pid}/fd`).length;
  t.ok(used < 256 - 32, `${used} files are open`);
  const before = cpu(child.pid!);
  await pause(1500);
  t.ok(cpu(child.pid!) - before < 0.75, "it does not spin");
  first.write(send.query("SELECT 1"));
  await first.ready();
  const text = await (await fetch(`http://127.0.0.1:${status}/metrics`)).text();
  const refused = Number(/^vitrine_proxy_accept_errors_total\{reason="files"\} (\d+)$/m.exec(text)?.[1]);
  t.ok(refused >= 400 - stays - 1, `${refused} are counted`);
  const lines = said().match(/ warn client\.refused: .*/g) ?? [];
  t.equal(lines.length, 1, "it is said once");
  t.match(lines[0], /closed unheard: nearly all files are open.*code=files/);
  for (const socket of crowd) socket.destroy();
  await until("they have left", async () => readdirSync(`/proc/${child.pid}/fd`).length < 100);
  // More sessions than there are files: some are told, and none takes the spool's.
  const logins = await Promise.allSettled(Array.from({ length: 150 }, (_, i) => login(stack.proxyPort, `many-${i}`)));
  const got = logins.flatMap((one) => (one.status === "fulfilled" && !one.value.closed ? [one.value] : []));
  t.ok(got.length >= 40 && got.length < 150, `${got.length} have sessions`);
  for (const client of got) client.write(send.query("SELECT 2"));
  await Promise.all(got.map((client) => client.ready()));
  for (const client of [first, ...got]) await client.end();
  t.equal(((await (await fetch(`http://127.0.0.1:${status}/healthz`)).json()) as { status: string }).status, "ok");
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  t.equal(await ended, 0);
  const entries = await stack.settled((all) => all.some(({ kind }) => kind === "source.stop"));
  t.equal(statements(entries).length, 1 + got.length);
  const { code, stdout, stderr } = await stack.verifier("audit");
  t.equal(code === 0 ? "" : stdout + stderr, "");
});

t.end();

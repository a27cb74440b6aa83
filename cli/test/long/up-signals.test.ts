// A start that is not wanted any more, at each of its stages: it ends soon and in order, leaves nothing running and
// nothing that the next one stumbles over.

import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import t from "tap";
import { BIN, vitrine } from "../run.ts";
import { folder, lockOf, query, Up } from "../up.ts";

t.setTimeout(580_000);

/** Processes that work on something in the folder. */
function living(dir: string): string[] {
  return readdirSync("/proc").flatMap((pid) => {
    if (!/^[0-9]+$/.test(pid)) return [];
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ");
      const at = readlinkSync(`/proc/${pid}/cwd`);
      return words.includes(dir) || at.startsWith(`${dir}/vitrine-data`) ? [words] : [];
    } catch {
      return []; // it has just ended
    }
  });
}

const linux = process.platform === "linux";

t.test("a signal at each stage of the first start", { skip: !linux }, async (t) => {
  const dir = folder(t);
  const file = (name: string): string => path.join(dir, "vitrine-data", name);
  const parts = (): number => (existsSync(file("up.lock")) ? lockOf(dir).length : 0);
  const stages: [string, () => boolean][] = [
    ["it has just begun", () => true],
    ["the folder is there", () => existsSync(file("VERSION"))],
    ["PostgreSQL makes its cluster", () => existsSync(file("postgres.new/base"))],
    ["PostgreSQL starts", () => existsSync(file("postgres/postmaster.pid"))],
    ["PostgreSQL runs", () => /ready/.test(readFileSync(file("postgres/postmaster.pid"), "latin1"))],
    ["the log-server starts", () => parts() === 2],
    ["the proxy starts", () => parts() === 3],
  ];
  for (const [i, [stage, reached]] of stages.entries()) {
    const signal = i % 2 === 0 ? "SIGTERM" : "SIGINT";
    const up = new Up(t, dir);
    // What is there of an earlier attempt is no sign yet.
    await waitFor(stage, () => reachedSafely(reached) || up.child.exitCode !== null);
    const began = Date.now();
    up.child.kill(signal);
    const status = await up.ended;
    const took = Date.now() - began;
    // Before the first line of the program the system ends it.
    t.ok(status === 0 || (stage === "it has just begun" && up.child.signalCode === signal), `${stage}: ${up.output}`);
    t.ok(took < 30_000, `${stage}: it took ${took} ms`);
    t.same(living(dir), [], stage);
    t.equal(existsSync(file("up.lock")), false, stage);
    t.equal(existsSync(file("postgres.new")), false, stage);
  }
  const up = new Up(t, dir);
  await waitFor("a part starts", () => reachedSafely(() => parts() === 2) || up.child.exitCode !== null);
  up.child.kill("SIGHUP");
  await up.ready();
  t.same(await query(up.connection, "SELECT count(*)::int > 0 AS there FROM orders"), [{ there: true }]);
  // What was to be read again is, as soon as somebody can.
  await up.printed(/^vitrine: log-server: reloaded: /m);
  t.equal(await up.stop(), 0);
});
t.test("a cluster that a killed start was making is made anew", { skip: !linux }, async (t) => {
  const dir = folder(t);
  const up = new Up(t, dir);
  await waitFor("the cluster is begun", () => existsSync(path.join(dir, "vitrine-data/postgres.new/base")));
  up.child.kill("SIGKILL");
  await up.ended;
  const next = await new Up(t, dir).ready();
  t.same(await query(next.connection, "SELECT count(*)::int > 0 AS there FROM orders"), [{ there: true }]);
  t.equal(await next.stop(), 0);
  t.same(living(dir), []);
});

t.test("a proxy whose log does not answer stops at once, and a SIGHUP is no reason to", async (t) => {
  const dir = folder(t);
  const log = createServer((socket) => socket.on("error", () => undefined).resume());
  await new Promise<void>((resolve) => log.listen(0, "127.0.0.1", resolve));
  t.teardown(() => log.close());
  const { port } = log.address() as { port: number };
  await vitrine(["key", "log.example/proxy", "-o", path.join(dir, "source.key")]);
  const config = path.join(dir, "proxy.yaml");
  const vkey = readFileSync(new URL("../../../share/proxy.yaml", import.meta.url), "utf8").match(/vkey: (\S+)/)?.[1];
  writeFileSync(
    config,
    `listen: 127.0.0.1:0\nupstream: postgres://127.0.0.1:1\nlog: {url: "http://127.0.0.1:${port}", vkey: "${vkey}"}\n` +
      "source: {key: source.key}\nspool: {dir: spool}\n",
  );
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    const child = spawn(process.execPath, [BIN, "proxy", "--config", config], { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    child.stdout.setEncoding("utf8").on("data", (text) => (said += text));
    const ended = new Promise((resolve) => child.once("close", resolve));
    await new Promise<void>((resolve) => log.once("connection", () => resolve()));
    child.kill("SIGHUP");
    const began = Date.now();
    child.kill(signal);
    t.equal(await ended, 0, signal);
    t.ok(Date.now() - began < 20_000, `it took ${Date.now() - began} ms`);
    t.equal(said, "vitrine: proxy stopped before it was ready\n");
  }
});

async function waitFor(what: string, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function reachedSafely(reached: () => boolean): boolean {
  try {
    return reached();
  } catch {
    return false; // not there yet
  }
}

import { spawn, spawnSync } from "node:child_process";
import { existsSync, lstatSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import t from "tap";
import { claimSockets } from "../../src/listen/socket-file.ts";
import { tempDir } from "../audit/help.ts";

const PORT = 6432;
const NAME = `.s.PGSQL.${PORT}`;

/** The id of a process that has ended. */
function deadPid(): number {
  return spawnSync(process.execPath, ["-e", ""]).pid;
}

t.test("a claim stands as PostgreSQL's does, and is gone when it is released", async (t) => {
  const dir = await tempDir(t);
  const claim = await claimSockets([
    { host: "127.0.0.1", port: PORT },
    { host: dir, port: PORT },
  ]);
  t.same(readdirSync(dir), [`${NAME}.lock`], "nothing for the address of TCP");
  const [pid, , started, port, folder, end] = readFileSync(join(dir, `${NAME}.lock`), "utf8").split("\n");
  t.same([pid, port, folder, end], [String(process.pid), String(PORT), dir, ""]);
  t.ok(Math.abs(Number(started) - (Date.now() / 1000 - process.uptime())) < 5);
  claim.release();
  t.same(readdirSync(dir), []);
  claim.release();
});

t.test("a link that somebody has laid out leads to nothing of ours", async (t) => {
  const dir = await tempDir(t);
  const other = join(await tempDir(t), "a key");
  writeFileSync(other, "of the proxy");
  symlinkSync(other, join(dir, `${NAME}.lock.${process.pid}`));
  const claim = await claimSockets([{ host: dir, port: PORT }]);
  t.equal(readFileSync(other, "utf8"), "of the proxy");
  t.same(readdirSync(dir), [`${NAME}.lock`]);
  t.equal(lstatSync(join(dir, `${NAME}.lock`)).isFile(), true);
  claim.release();
});

t.test("a socket of a process that lives is left alone", async (t) => {
  const dir = await tempDir(t);
  const lock = join(dir, `${NAME}.lock`);
  // Process 1 always lives, whoever asks.
  writeFileSync(lock, "1\n/var/lib/postgresql\n");
  await t.rejects(claimSockets([{ host: dir, port: PORT }]), { code: "port_in_use", message: /process 1's/ });
  t.equal(readFileSync(lock, "utf8"), "1\n/var/lib/postgresql\n");
  // A single-user server writes its id with a minus.
  writeFileSync(lock, "-1\n");
  await t.rejects(claimSockets([{ host: dir, port: PORT }]), { code: "port_in_use", message: /process 1's/ });
  for (const text of ["", "nobody\n", "12", "0\n"]) {
    writeFileSync(lock, text);
    await t.rejects(
      claimSockets([{ host: dir, port: PORT }]),
      { code: "port_in_use", message: /names no process; remove it/ },
      JSON.stringify(text),
    );
  }
  t.same(readdirSync(dir), [`${NAME}.lock`], "nothing else is left");
});

t.test("one that answers is left alone, also without a lock", async (t) => {
  const dir = await tempDir(t);
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(join(dir, NAME), resolve));
  t.teardown(() => other.close());
  await t.rejects(claimSockets([{ host: dir, port: PORT }]), { code: "port_in_use", message: /answers on it/ });
  t.same(readdirSync(dir), [NAME]);
});

t.test("what a process that was killed left behind is removed", async (t) => {
  const dir = await tempDir(t);
  const code = `require("node:net").createServer().listen(${JSON.stringify(join(dir, NAME))},
    () => process.kill(process.pid, "SIGKILL"))`;
  const { pid } = spawnSync(process.execPath, ["-e", code]);
  writeFileSync(join(dir, `${NAME}.lock`), `${pid}\n/somewhere\n`);
  t.equal(existsSync(join(dir, NAME)), true);
  const claim = await claimSockets([{ host: dir, port: PORT }]);
  t.same(readdirSync(dir), [`${NAME}.lock`]);
  claim.release();
  // In a container each start has the same ids.
  writeFileSync(join(dir, `${NAME}.lock`), `${process.pid}\n`);
  (await claimSockets([{ host: dir, port: PORT }])).release();
});

t.test("of two that start at once one gets it, also over a stale lock", async (t) => {
  const dir = await tempDir(t);
  writeFileSync(join(dir, `${NAME}.lock`), `${deadPid()}\n`);
  const module = new URL("../../src/listen/socket-file.js", import.meta.url).href;
  const code = `
    const { claimSockets } = await import(${JSON.stringify(module)});
    try {
      await claimSockets([{ host: ${JSON.stringify(dir)}, port: ${PORT} }]);
      process.stdout.write("mine\\n");
      await new Promise((resolve) => process.stdin.once("data", resolve));
    } catch (error) { process.stdout.write(error.code + "\\n"); }
    process.exit();`;
  const children = Array.from({ length: 4 }, () =>
    spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["pipe", "pipe", "inherit"] }),
  );
  const words = await Promise.all(
    children.map((child) => new Promise<string>((resolve) => child.stdout.once("data", (text) => resolve(`${text}`)))),
  );
  for (const child of children) child.stdin.on("error", () => undefined).end("done"); // those that lost have gone
  t.same(words.toSorted(), ["mine\n", "port_in_use\n", "port_in_use\n", "port_in_use\n"]);
});

t.test("what cannot be a socket's place is said", async (t) => {
  const dir = await tempDir(t);
  await t.rejects(claimSockets([{ host: join(dir, "none"), port: PORT }]), {
    code: "port_in_use",
    message: /cannot be made \(ENOENT\)/,
  });
  writeFileSync(join(dir, NAME), "a file");
  await t.rejects(claimSockets([{ host: dir, port: PORT }]), { code: "port_in_use", message: /is no socket/ });
  t.same(readdirSync(dir), [NAME], "it stays, and no lock does");
  t.equal(readFileSync(join(dir, NAME), "utf8"), "a file");
});

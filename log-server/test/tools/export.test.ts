import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Level } from "level";
import t, { type Test } from "tap";
import { createKey } from "../../src/keys/keys.ts";
import { startLogServer } from "../../src/start.ts";
import { runKey } from "../../src/store/level-keys.ts";
import { exportLog } from "../../src/tools/export.ts";
import { auditLog, get, send } from "../support/client.ts";
import { makeLogFolder } from "../support/folder.ts";
import { growBy, SIZE, stoppedLog } from "./log.ts";

/** A web server that knows nothing but files. */
async function serveFiles(t: Test, root: string): Promise<string> {
  const server = createServer((request, response) => {
    readFile(join(root, new URL(request.url!, "http://x").pathname)).then(
      (bytes) => response.end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Every file below a folder, with its bytes. */
async function filesOf(root: string): Promise<Map<string, Buffer>> {
  const all = await readdir(root, { recursive: true, withFileTypes: true });
  const files = all.filter((each) => each.isFile()).map((each) => join(each.parentPath, each.name));
  return new Map(
    await Promise.all(files.map(async (file) => [file.slice(root.length + 1), await readFile(file)] as const)),
  );
}

t.test("an export is the log's own surface, file by file", async (t) => {
  const folder = await stoppedLog(t);
  const out = join(folder.path, "deep/in/export");
  const steps: number[] = [];
  const report = await exportLog(folder.config(), { out, resume: false, onProgress: (done) => steps.push(done) });
  t.match(report, { size: SIZE, before: 0, written: 7 });
  t.same(steps, [256, 512, SIZE]);
  const files = await filesOf(out);
  t.same(
    [...files.keys()].sort(),
    [
      "checkpoint",
      "tile/0/000",
      "tile/0/001",
      "tile/0/002.p/188",
      "tile/1/000.p/2",
      "tile/entries/000",
      "tile/entries/001",
      "tile/entries/002.p/188",
    ].sort(),
  );
  t.equal((await readdir(out)).length, 2, "nothing unfinished is left");
  const log = await startLogServer(folder.config(), { log: () => {} });
  for (const [name, bytes] of files) t.ok((await get(log.url, `/${name}`)).body.equals(bytes), name);
  const entries = await auditLog(log.url, folder.vkey);
  await log.close();
  t.same(await auditLog(await serveFiles(t, out), folder.vkey), entries);
});

t.test("an export grows with the log, and what was there stays as it is", async (t) => {
  const folder = await stoppedLog(t);
  const out = join(folder.path, "export");
  await exportLog(folder.config(), { out, resume: false });
  const before = await filesOf(out);
  const old = new Date(0);
  for (const name of before.keys()) await utimes(join(out, name), old, old);
  await t.rejects(exportLog(folder.config(), { out, resume: false }), { code: "export_exists" });
  t.match(await exportLog(folder.config(), { out, resume: true }), { size: SIZE, before: SIZE, written: 0 });
  t.equal((await stat(join(out, "checkpoint"))).mtimeMs, 0, "nothing new: nothing is written");

  const size = await growBy(folder, 400);
  const report = await exportLog(folder.config(), { out, resume: true });
  t.match(report, { size, before: SIZE });
  const after = await filesOf(out);
  for (const [name, bytes] of before) {
    if (name === "checkpoint") continue;
    t.ok(after.get(name)!.equals(bytes), name);
    t.equal((await stat(join(out, name))).mtimeMs, 0, `${name} was not written again`);
  }
  t.equal((await auditLog(await serveFiles(t, out), folder.vkey)).length, size);
  const whole = join(folder.path, "whole");
  await exportLog(folder.config(), { out: whole, resume: false });
  for (const [name, bytes] of await filesOf(whole)) t.ok(after.get(name)?.equals(bytes), `${name} as in a new export`);
});

t.test("an export that was interrupted goes on", async (t) => {
  const folder = await stoppedLog(t);
  const whole = join(folder.path, "whole");
  await exportLog(folder.config(), { out: whole, resume: false });
  const files = await filesOf(whole);
  // Whatever was there when it died: some files, one without its name yet, and no checkpoint, for that comes last.
  for (let kept = 0; kept < files.size; kept += 3) {
    const out = join(folder.path, `part-${kept}`);
    await mkdir(join(out, ".unfinished"), { recursive: true });
    await writeFile(join(out, ".unfinished/9"), "half");
    for (const [name, bytes] of [...files].filter(([name]) => name !== "checkpoint").slice(0, kept)) {
      await mkdir(join(out, name, ".."), { recursive: true });
      await writeFile(join(out, name), bytes);
    }
    const report = await exportLog(folder.config(), { out, resume: true });
    t.match(report, { before: 0, written: files.size - 1 - kept });
    t.same(await filesOf(out), files);
  }
});

t.test("a folder with something else is left alone", async (t) => {
  const folder = await stoppedLog(t);
  const refuse = async (name: string, files: Record<string, string | Buffer>, code: string, message: RegExp) => {
    const out = join(folder.path, name);
    for (const [file, bytes] of Object.entries(files)) {
      await mkdir(join(out, file, ".."), { recursive: true });
      await writeFile(join(out, file), bytes);
    }
    await t.rejects(exportLog(folder.config(), { out, resume: true }), { code, message }, name);
    for (const [file, bytes] of Object.entries(files)) t.same(await readFile(join(out, file)), Buffer.from(bytes));
  };
  await refuse("text", { checkpoint: "hello\n" }, "export_disagrees", /not signed/);
  await refuse(
    "tile",
    { "tile/0/000": Buffer.alloc(8192) },
    "export_disagrees",
    /tile\/0\/000 is there with other bytes/,
  );
  await refuse("bundle", { "tile/entries/002.p/188": "x" }, "export_disagrees", /other bytes/);

  if (process.platform === "linux")
    await t.rejects(exportLog(folder.config(), { out: "/proc/none/out", resume: false }), { code: "write_failed" });
  const other = await stoppedLog(t);
  const foreign = join(folder.path, "foreign");
  await exportLog(other.config(), { out: foreign, resume: false });
  await t.rejects(exportLog(folder.config(), { out: foreign, resume: true }), { code: "export_disagrees" });

  // The same key, another history; and an export that is ahead of the store.
  const key = await readFile(folder.config().key);
  await writeFile(other.config().key, key, { mode: 0o600 });
  await rm(other.config().store, { recursive: true });
  await rm(other.config().guard);
  const forked = await startLogServer(other.config({ add: true }), { log: () => {} });
  t.equal((await send(forked.url, "POST", "/add", {}, Buffer.from("another history"))).status, 200);
  await forked.close();
  const fork = join(folder.path, "fork");
  await exportLog(other.config(), { out: fork, resume: false });
  await t.rejects(exportLog(folder.config(), { out: fork, resume: true }), {
    code: "export_disagrees",
    message: /root/,
  });
  const ahead = join(folder.path, "ahead");
  await exportLog(folder.config(), { out: ahead, resume: false });
  await t.rejects(exportLog(other.config(), { out: ahead, resume: true }), {
    code: "export_disagrees",
    message: /lost entries/,
  });
});

t.test("a checkpoint that was served is exported with its cosignatures, at its own size", async (t) => {
  const folder = await stoppedLog(t);
  const path = join(folder.path, "served");
  const note = await readFile(folder.config().guard, "utf8");
  const cosigned = `${note}\u2014 witness.example ${Buffer.alloc(76, 7).toString("base64")}\n`;
  await writeFile(path, cosigned);
  await growBy(folder, 10);
  const out = join(folder.path, "out");
  t.match(await exportLog(folder.config(), { out, resume: false, checkpoint: path }), { size: SIZE });
  t.equal(await readFile(join(out, "checkpoint"), "utf8"), cosigned);
  t.equal((await auditLog(await serveFiles(t, out), folder.vkey)).length, SIZE);
  // The one of the store comes with the next size only.
  t.match(await exportLog(folder.config(), { out, resume: true }), { size: SIZE + 10 });
  const last = await readFile(join(out, "checkpoint"), "utf8");
  await writeFile(path, `${last}\u2014 witness.example ${Buffer.alloc(76, 8).toString("base64")}\n`);
  await exportLog(folder.config(), { out, resume: true, checkpoint: path });
  await exportLog(folder.config(), { out, resume: true });
  t.equal(await readFile(join(out, "checkpoint"), "utf8"), await readFile(path, "utf8"));
  await writeFile(path, cosigned);
  await t.rejects(exportLog(folder.config(), { out, resume: true, checkpoint: path }), {
    code: "export_disagrees",
    message:
      /has an export of 710 entries, and the checkpoint .* is of 700: name another folder, or a later checkpoint$/,
  });
  for (const text of ["", note.replace(`${SIZE}`, `${SIZE - 1}`), "hello\n"]) {
    await writeFile(path, text);
    const options = { out: join(folder.path, "no"), resume: false, checkpoint: path };
    await t.rejects(exportLog(folder.config(), options), { code: "bad_config" });
  }
  const none = { out: join(folder.path, "no"), resume: false, checkpoint: join(folder.path, "none") };
  await t.rejects(exportLog(folder.config(), none), { code: "bad_config" });
});

t.test("a damaged store is not exported: no checkpoint is written", async (t) => {
  const folder = await stoppedLog(t);
  const config = folder.config();
  const damage = async (key: Buffer, at: number): Promise<void> => {
    const db = new Level<Buffer, Buffer>(config.store, { keyEncoding: "buffer", valueEncoding: "buffer" });
    const value = Buffer.from((await db.get(key))!);
    value[at]! ^= 1;
    await db.put(key, value);
    await db.close();
  };
  const places: [Buffer, number, string][] = [
    [runKey("entries", 100), 4, "store_corrupt"],
    [runKey("entries", 100), 0, "store_corrupt"],
    [runKey(0, 100), 9, "store_corrupt"],
    [runKey(1, 0), 9, "store_disagrees"],
  ];
  for (const [i, [key, at, code]] of places.entries()) {
    await damage(key, at);
    const out = join(folder.path, `out-${i}`);
    await t.rejects(exportLog(config, { out, resume: false }), { code });
    t.notOk((await readdir(out).catch((): string[] => [])).includes("checkpoint"));
    await damage(key, at);
  }
  await writeFile(join(folder.path, "file"), "");
  await t.rejects(exportLog(config, { out: join(folder.path, "file/x"), resume: false }), { code: "write_failed" });
  await exportLog(config, { out: join(folder.path, "out"), resume: false });
});

t.test("an empty log exports its checkpoint alone; one that never signed, nothing", async (t) => {
  const folder = await makeLogFolder();
  t.teardown(() => folder.remove());
  await t.rejects(exportLog(folder.config(), { out: join(folder.path, "x"), resume: false }), {
    code: "store_missing",
  });
  await (await startLogServer(folder.config(), { log: () => {} })).close();
  const out = join(folder.path, "out");
  t.match(await exportLog(folder.config(), { out, resume: false }), { size: 0, written: 0 });
  t.same(await readdir(out), ["checkpoint"]);
  await writeFile(folder.config().key, `${createKey("other.example").skey}\n`);
  await t.rejects(exportLog(folder.config(), { out, resume: true }), { code: "bad_key" });
});

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Level } from "level";
import t from "tap";
import { openLevelStore } from "../../src/store/level-store.ts";
import type { Store } from "../../src/store/store.ts";
import { storeContract, turnOf, turnsIn } from "../support/store-contract.ts";

const folder = await mkdtemp(join(tmpdir(), "vitrine-store-"));
t.after(() => rm(folder, { recursive: true, force: true }));
let count = 0;
function fresh(): string {
  count += 1;
  return join(folder, String(count));
}

const paths = new Map<Store, string>();
async function open(path: string): Promise<Store> {
  const store = (await openLevelStore(path, "origin", true))!;
  paths.set(store, path);
  return store;
}

storeContract(t, {
  open: () => open(fresh()),
  reopen: async (store) => {
    await store.close();
    return open(paths.get(store)!);
  },
});

t.test("a store that is open is locked", async (t) => {
  const path = fresh();
  const store = await open(path);
  await t.rejects(openLevelStore(path, "origin", true), { code: "store_locked" });
  await store.close();
});

t.test("a store of another origin, another layout, or of something else is refused", async (t) => {
  const path = fresh();
  await (await open(path)).close();
  await t.rejects(openLevelStore(path, "other", true), { code: "store_version", message: /origin/ });
  const foreign = fresh();
  const db = new Level(foreign);
  await db.put("a", "b");
  await db.close();
  await t.rejects(openLevelStore(foreign, "origin", true), { code: "store_version" });
});

t.test("a store whose list of files names none is damaged", async (t) => {
  const path = fresh();
  await (await open(path)).close();
  for (const name of ["MANIFEST-999999", "LOCK/x", ".", "x".repeat(300)]) {
    await writeFile(join(path, "CURRENT"), `${name}\n`);
    await t.rejects(openLevelStore(path, "origin", true), { code: "store_corrupt", message: /restore a copy/ }, name);
  }
});

t.test("a store is made only where that is asked for", async (t) => {
  const path = fresh();
  t.equal(await openLevelStore(path, "origin", false), undefined);
  await (await open(path)).close();
  const store = await openLevelStore(path, "origin", false);
  t.ok(store);
  await store!.close();
});

t.test("killed in the middle, it has whole turns, and every one that it had promised", async (t) => {
  const path = fresh();
  const script = fileURLToPath(new URL("../support/store-writer.js", import.meta.url));
  let before = 0;
  for (let kill = 0; kill < 6; kill += 1) {
    const child = spawn(process.execPath, [script, path], { stdio: ["ignore", "pipe", "inherit"] });
    let said = "";
    const enough = before + 5 + kill * 7;
    const reached = new Promise<void>((resolve) => {
      child.stdout.on("data", (chunk) => {
        said += chunk;
        if (Number(said.trimEnd().split("\n").at(-1)) >= enough) resolve();
      });
    });
    await reached;
    child.kill("SIGKILL");
    await once(child, "close");
    const promised = Number(said.slice(0, said.lastIndexOf("\n")).split("\n").at(-1));
    const store = await open(path);
    const faults: string[] = [];
    const found = await turnsIn(store, faults);
    t.same(faults, []);
    t.ok(found >= promised && found <= promised + 2, `${promised} were promised, ${found} are there`);
    await store.close();
    before = found;
  }
});

t.test("no write follows one that failed", async (t) => {
  const path = fresh();
  for (const failing of ["append", "recordCheckpoint"] as const) {
    const store = await open(path);
    const from = await turnsIn(store, []);
    await store.append(turnOf(from));
    // The database fails once, and would take the next write.
    const prototype = Level.prototype as unknown as { batch?: unknown };
    Object.defineProperty(prototype, "batch", {
      configurable: true,
      value: () => {
        Reflect.deleteProperty(prototype, "batch");
        throw new Error("no space left on device");
      },
    });
    const call = failing === "append" ? store.append(turnOf(from + 1)) : store.recordCheckpoint({ note: "n", time: 1 });
    // Already waiting when the other one fails.
    const next = store.append(turnOf(from + 1));
    await t.rejects(call, /no space left/);
    await t.rejects(next, /an earlier write failed: no space left/);
    await t.rejects(store.recordCheckpoint({ note: "n", time: 1 }), /an earlier write failed/);
    await t.rejects(store.append(turnOf(from + 1)), /an earlier write failed/);
    t.equal(await turnsIn(store, []), from + 1, "it can be read");
    await store.close();
    const again = await open(path);
    t.equal(await turnsIn(again, []), from + 1);
    await again.append(turnOf(from + 1));
    await again.close();
  }
});

t.test("erased bytes are in no file, wherever LevelDB had put them", async (t) => {
  const path = fresh();
  const store = await open(path);
  const head = { size: 0, root: Buffer.alloc(32) };
  const none = { runs: [], shared: [], positions: new Map(), accepted: [], head };
  const texts: string[] = [];
  const write = async (count: number): Promise<void> => {
    const disclosures = Array.from({ length: count }, () => {
      texts.push(randomBytes(48).toString("base64url"));
      // Larger than what a file of LevelDB is cut at, all in all, and what stays lies between.
      return { index: texts.length - 1, block: Buffer.concat([Buffer.from(texts.at(-1)!), randomBytes(3000)]) };
    });
    const shared = disclosures.slice(0, 3).map(({ index, block }) => ({
      digest: Buffer.alloc(32, index),
      disclosure: Buffer.concat([Buffer.from("shared"), block]),
    }));
    await store.append({ ...none, disclosures, shared });
  };
  const search = async (): Promise<boolean[]> => {
    // Where a text is interrupted by what compresses, another part of it is not.
    const parts = new Map(texts.flatMap((text, i) => [0, 16, 32, 48].map((at) => [text.slice(at, at + 16), i])));
    const found = texts.map(() => false);
    for (const name of await readdir(path)) {
      const bytes = await readFile(join(path, name), "latin1");
      for (let at = 0; at + 16 <= bytes.length; at += 1) {
        const index = parts.get(bytes.slice(at, at + 16));
        if (index !== undefined) found[index] = true;
      }
    }
    return found;
  };
  let order = 0;
  const erase = async (indexes: readonly number[]): Promise<void> => {
    const record = { scope: { index: 0 }, by: "ada", done: false, scanned: 0, entries: 0, values: 0 };
    await store.erase({ indexes, digests: indexes.map((index) => Buffer.alloc(32, index)), order: order++, record });
  };
  // At the bottom; above it; and still in memory.
  for (let level = 0; level < 3; level += 1) {
    await write(300);
    if (level < 2) await store.purge();
  }
  t.ok((await search()).every(Boolean), "all of it is there");
  const hex = (index: number): string => Buffer.alloc(32, index).toString("hex");
  // Single ones: at the bottom, above it with what is shared, and in memory.
  const single = [5, 301, 650];
  for (const index of single) {
    await erase([index]);
    await store.purge({ indexes: [index, index], digests: [hex(index)] });
  }
  await erase([100, 299]);
  await store.purge({ indexes: [100, 299], digests: "many" });
  single.push(100, 299);
  t.same(
    (await search()).flatMap((there, index) => (there ? [] : [index])),
    single.sort((a, b) => a - b),
  );
  const every = (n: number): number[] => texts.flatMap((_, index) => (index % n === 0 ? [index] : []));
  // Written and erased before any of it reached a file; readers are at work meanwhile.
  await write(100);
  await erase(every(3).filter((index) => index >= 900));
  await erase(every(3));
  const readers = Array.from({ length: 20 }, (_, i) => store.tile("entries", i));
  await store.purge();
  await Promise.all(readers);
  t.same(
    await search(),
    texts.map((_, index) => index % 3 !== 0 && !single.includes(index)),
  );
  await erase(every(1));
  await store.purge();
  t.same((await search()).filter(Boolean), []);
  await store.close();
  t.same((await search()).filter(Boolean), []);
});

t.test("to purge one entry rewrites what stands around it, and not the store", async (t) => {
  const path = fresh();
  const store = await open(path);
  const none = { runs: [], shared: [], positions: new Map(), accepted: [], head: { size: 0, root: Buffer.alloc(32) } };
  const block = (): Buffer => randomBytes(20_000);
  for (let at = 0; at < 1600; at += 100) {
    const disclosures = Array.from({ length: 100 }, (_, i) => ({ index: at + i, block: block() }));
    await store.append({ ...none, disclosures });
  }
  await store.purge();
  const files = async (): Promise<string[]> => (await readdir(path)).filter((name) => name.endsWith(".ldb"));
  const before = await files();
  t.ok(before.length > 10);
  const record = { scope: { index: 800 }, by: "ada", done: false, scanned: 0, entries: 0, values: 0 };
  await store.erase({ indexes: [800], digests: [], order: 0, record });
  await store.purge({ indexes: [800, 800], digests: [] });
  const after = new Set(await files());
  const stayed = before.filter((name) => after.has(name)).length;
  // Of each level the file with the entry is rewritten, and those of the next one that it overlaps with.
  t.ok(stayed > before.length / 4, `${stayed} of ${before.length} files stayed`);
  await store.close();
});

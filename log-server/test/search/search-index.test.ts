import { type ChildProcess, fork } from "node:child_process";
import { cp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Level } from "level";
import t from "tap";
import { searchCrashPoints } from "../../src/hooks.ts";
import type { SearchIndex } from "../../src/search/search-index.ts";
import type { MemoryStore } from "../../src/store/memory-store.ts";
import { growEntries, indexesOf, naive, type Parameters, searchAll, searchBench } from "../support/search-tree.ts";

// Whatever happens to the folder of the index: what it finds is right, or it says that it is not ready.

const SIZE = 2 * 4096 + 300;
const { store, entries } = await growEntries(SIZE);
const QUERIES: readonly Parameters[] = [
  { actor: "rare" },
  { relation: ["history", "part_7"], outcome: "failed" },
  { session: "1.100" },
  { class: "write", since: entries[700].time, until: entries[4200].time },
];

async function follow(index: SearchIndex, size: number = SIZE): Promise<void> {
  index.follow(size);
  await index.settled();
}

/** Every query finds what there is. */
async function finds(index: SearchIndex, size: number = SIZE, from: MemoryStore = store): Promise<boolean> {
  for (const query of QUERIES) {
    const found = indexesOf(await searchAll(index, from, size, query));
    if (JSON.stringify(found) !== JSON.stringify(naive(entries.slice(0, size), query))) return false;
  }
  return true;
}

t.test("it follows the tree in any steps, and goes on where it was", async (t) => {
  const { open, warnings } = await searchBench(t);
  let index = open(store);
  t.throws(() => index.view(), { code: "index_behind" });
  for (const size of [1, 256, 4095, 4097, 8000]) {
    await follow(index, size);
    t.equal(index.position, size);
    t.ok(await finds(index, size), `${size}`);
  }
  await index.close();
  t.equal(index.position, 0);
  index = open(store);
  await follow(index);
  t.ok(await finds(index));
  t.equal(index.position, SIZE);
  await follow(index, 10);
  t.equal(index.position, SIZE, "it never goes back");
  await index.close();
  t.same(warnings, []);
});

t.test("one of another log, of another tree, or ahead of the tree is built again", async (t) => {
  const { open, path, warnings } = await searchBench(t);
  const first = open(store);
  await follow(first);
  await first.close();
  const smaller = open(store);
  await follow(smaller, 5000);
  t.ok(await finds(smaller, 5000));
  await smaller.close();
  t.match(warnings, [/the search index .* is built again: it is not of this tree/]);

  const db = new Level<string, string>(path);
  await db.put("meta", '{"index":"search","layout":0}');
  await db.close();
  const other = open(store);
  await follow(other);
  t.ok(await finds(other));
  await other.close();
  t.equal(warnings.length, 2);
});

t.test("a folder that is in use, or holds something else, stays as it is; and it tries again", async (t) => {
  const { open, path, warnings } = await searchBench(t);
  const db = new Level(path);
  await db.put("somebody's", "data");
  const locked = open(store);
  await follow(locked);
  t.match(warnings, [/is not being written: .*lock/i]);
  t.throws(() => locked.view(), { code: "index_behind" });
  await db.close();
  await follow(locked);
  t.match(warnings.at(-1), /holds something that is not a search index/);
  await db.open();
  t.equal(await db.get("somebody's"), "data");
  await db.close();
  await rm(path, { recursive: true });
  await follow(locked);
  t.ok(await finds(locked));
  await locked.close();
});

t.test("the folder deleted, while it runs and while it does not", async (t) => {
  const { open, path, warnings } = await searchBench(t);
  const index = open(store);
  await follow(index, 5000);
  await rm(path, { recursive: true });
  t.ok(await finds(index, 5000), "what is open can still be read");
  await follow(index);
  t.ok(await finds(index));
  await index.close();
  await rm(path, { recursive: true, force: true });
  const again = open(store);
  await follow(again);
  t.ok(await finds(again));
  t.equal((await readdir(path)).length > 0, true);
  await again.close();
  t.same(warnings, []);
});

t.test("a write that fails: it says so, goes on from what is on disk, and the log knows nothing of it", async (t) => {
  const bench = await searchBench(t);
  let full = true;
  const index = bench.open(store, (point) => {
    if (full && point === "search:chunk-full") throw new Error("no space left on device");
  });
  await follow(index);
  await follow(index);
  t.match(bench.warnings, [/is not being written: no space left on device/], "said once");
  t.throws(() => index.view(), { code: "index_behind" });
  full = false;
  await follow(index);
  t.ok(await finds(index));
  await index.close();
});

/** Damages a file: here and there, or cut in half. */
async function damage(file: string, round: number): Promise<void> {
  const bytes = await readFile(file);
  const step = Math.max(1, Math.floor(bytes.length / 40));
  for (let at = (round * 7919) % step; at < bytes.length; at += step) bytes[at] = bytes[at]! ^ 0x55;
  await writeFile(file, round % 2 === 1 ? bytes.subarray(0, Math.floor(bytes.length / 2)) : bytes);
}

for (const compacted of [true, false]) {
  t.test(`files that are damaged, ${compacted ? "in tables" : "in LevelDB's own log"}`, async (t) => {
    const whole = await searchBench(t);
    const first = whole.open(store);
    await follow(first);
    await first.close();
    if (compacted) {
      // In Node.js, Level is ClassicLevel, which the types of `level` leave out.
      const db = new Level(whole.path) as Level & { compactRange(start: string, end: string): Promise<void> };
      await db.open();
      await db.compactRange("", "\uffff");
      await db.close();
    }
    const names = (await readdir(whole.path)).filter((name) => name !== "LOCK" && !name.startsWith("LOG"));
    const files: string[] = [];
    for (const name of names) if ((await stat(join(whole.path, name))).size > 0) files.push(name);
    let noticed = 0;
    for (const [round, name] of [...files, ...files].entries()) {
      const { open, path, warnings } = await searchBench(t);
      await cp(whole.path, path, { recursive: true });
      await damage(join(path, name), round);
      const index = open(store);
      // What cannot be read at all is thrown away when it fails again.
      for (let tries = 0; tries < 3; tries += 1) await follow(index);
      for (const query of QUERIES) {
        const expected = new Set(naive(entries, query));
        try {
          const found = indexesOf(await searchAll(index, store, SIZE, query));
          const wrong = found.filter((each) => !expected.has(each));
          t.same(wrong, [], `${name}: no hit is wrong`);
        } catch (error) {
          t.match(error, { code: "index_behind" }, name);
        }
      }
      await index.settled();
      if (warnings.length > 0) {
        noticed += 1;
        t.ok(await finds(index), `${name}: it was built again: ${warnings[0]}`);
      }
      await index.close();
    }
    t.ok(noticed >= files.length, `${noticed} of ${2 * files.length} were noticed`);
  });
}

t.test("a chunk that is missing in the middle is noticed at the start", async (t) => {
  const { open, path, warnings } = await searchBench(t);
  const index = open(store);
  await follow(index);
  await index.close();
  const db = new Level<Buffer, Buffer>(path, { keyEncoding: "buffer", valueEncoding: "buffer" });
  // The keys of chunk 0 end in its number.
  const keys = (await db.keys().all()).filter((key) => key.subarray(-6).equals(Buffer.alloc(6)) && key[0] !== 0xf1);
  t.ok(keys.length > 100);
  await db.batch(keys.map((key) => ({ type: "del", key })));
  await db.close();
  const again = open(store);
  await follow(again);
  t.match(warnings, [/built again: it is not of this tree/]);
  t.ok(await finds(again));
  await again.close();
});

t.test("a record that was changed is noticed, and the index built again", async (t) => {
  const { open, path, warnings } = await searchBench(t);
  const index = open(store);
  await follow(index);
  await index.close();
  const db = new Level<Buffer, Buffer>(path, { keyEncoding: "buffer", valueEncoding: "buffer" });
  let changed = 0;
  // Postings, which are read by a search alone (spans are looked at when it is opened): all would take long; every tenth.
  for (const [i, [key, value]] of (await db.iterator().all()).entries()) {
    if (key.toString() === "meta" || key.toString() === "position" || key[0]! >= 0xf0 || i % 10 !== 0) continue;
    value[value.length - 1]! ^= 1;
    await db.put(key, value);
    changed += 1;
  }
  await db.close();
  t.ok(changed > 20);
  const damaged = open(store);
  await follow(damaged);
  await t.rejects(
    searchAll(damaged, store, SIZE, {
      session: entries
        .slice(0, 600)
        .map(({ session }) => session ?? "1.1")
        .filter((session, i, all) => all.indexOf(session) === i),
    }),
    {
      code: "index_behind",
    },
  );
  await damaged.settled();
  t.match(warnings, [/built again: its record [0-9a-f]+ is damaged/]);
  t.ok(await finds(damaged));
  await damaged.close();
});

/** Kills a process at a point of its second chunk. */
async function killAt(path: string, point: string): Promise<void> {
  const child: ChildProcess = fork(new URL("../support/search-process.js", import.meta.url), [path, point], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const exited = new Promise<NodeJS.Signals | null>((resolve) =>
    child.once("exit", (_code, signal) => resolve(signal)),
  );
  await new Promise((resolve) => child.once("message", resolve));
  child.kill("SIGKILL");
  if ((await exited) !== "SIGKILL") throw new Error("it did not get that far");
}

for (const point of searchCrashPoints) {
  t.test(`killed at ${point}, it goes on from there`, async (t) => {
    const { open, path, warnings } = await searchBench(t);
    await killAt(path, point);
    const index = open(store);
    await follow(index);
    t.ok(await finds(index));
    await index.close();
    t.same(warnings, []);
  });
}

t.end();

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Level } from "level";
import t from "tap";
import { openLevelStore } from "../src/level-store.ts";
import type { Store } from "../src/store.ts";
import { storeContract } from "./store-contract.ts";

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

t.test("a store is made only where that is asked for", async (t) => {
  const path = fresh();
  t.equal(await openLevelStore(path, "origin", false), undefined);
  await (await open(path)).close();
  const store = await openLevelStore(path, "origin", false);
  t.ok(store);
  await store!.close();
});

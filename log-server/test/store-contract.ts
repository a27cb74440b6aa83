import type { Test } from "tap";
import { EMPTY_ROOT } from "../src/merkle.ts";
import type { Append, Store } from "../src/store.ts";

// The laws of Store, for any implementation. `reopen` closes the store and opens it again, where that keeps it.

export interface StoreFactory {
  open(): Promise<Store>;
  reopen?(store: Store): Promise<Store>;
}

const root = (fill: number): Buffer => Buffer.alloc(32, fill);
const hashes = (first: number, count: number): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, i) => Buffer.alloc(32, (first + i) % 251)));

function append(changes: Partial<Append>): Append {
  return {
    runs: [],
    disclosures: [],
    shared: [],
    positions: new Map(),
    accepted: [],
    head: { size: 0, root: EMPTY_ROOT },
    ...changes,
  };
}

export function storeContract(t: Test, factory: StoreFactory): void {
  const again = async (store: Store): Promise<Store> => factory.reopen?.(store) ?? store;

  t.test("a new store is empty", async (t) => {
    const store = await factory.open();
    t.same(await store.head(), { size: 0, root: EMPTY_ROOT });
    t.same(await store.tile(0, 0), Buffer.alloc(0));
    t.same(await store.tile("entries", 5), Buffer.alloc(0));
    t.equal(await store.disclosures(0), undefined);
    t.equal(await store.sharedDisclosure(root(0)), undefined);
    t.same(await store.positions(), new Map());
    t.same(await store.accepted("s", 1, 0, 10), []);
    t.equal(await store.checkpoint(), undefined);
    await store.close();
  });

  t.test("an append is there as a whole, and after opening again", async (t) => {
    let store = await factory.open();
    const position = { epoch: 2, next: 2 ** 40, chain: root(7), vkey: "s+00000000+x" };
    await store.append(
      append({
        runs: [
          { level: 0, first: 0, bytes: hashes(0, 3) },
          { level: "entries", first: 0, bytes: Buffer.from("abc") },
        ],
        disclosures: [{ index: 1, block: Buffer.from("block") }],
        shared: [{ digest: root(9), disclosure: Buffer.from("shared") }],
        positions: new Map([["s", position]]),
        accepted: [{ source: "s", epoch: 2, seq: 5, index: 0, count: 3 }],
        head: { size: 3, root: root(1) },
      }),
    );
    for (let round = 0; round < 2; round += 1) {
      t.same(await store.head(), { size: 3, root: root(1) });
      t.same(await store.tile(0, 0), hashes(0, 3));
      t.same(await store.tile("entries", 0), Buffer.from("abc"));
      t.same(await store.disclosures(1), Buffer.from("block"));
      t.equal(await store.disclosures(0), undefined);
      t.same(await store.sharedDisclosure(root(9)), Buffer.from("shared"));
      t.equal(await store.sharedDisclosure(root(8)), undefined);
      t.same(await store.positions(), new Map([["s", position]]));
      t.same(await store.accepted("s", 2, 0, 100), [{ source: "s", epoch: 2, seq: 5, index: 0, count: 3 }]);
      store = await again(store);
    }
    await store.close();
  });

  t.test("runs of a tile read back as one; levels and tiles stay apart", async (t) => {
    const store = await factory.open();
    const large = 2 ** 40;
    await store.append(append({ runs: [{ level: 0, first: 0, bytes: hashes(0, 250) }] }));
    t.same(await store.tile(0, 0), hashes(0, 250));
    await store.append(append({ runs: [{ level: 0, first: 250, bytes: hashes(250, 6) }] }));
    await store.append(
      append({
        runs: [
          { level: 0, first: 256, bytes: hashes(256, 2) },
          { level: 1, first: 0, bytes: hashes(9, 1) },
          { level: "entries", first: large, bytes: Buffer.from("x") },
        ],
      }),
    );
    await store.append(append({ runs: [{ level: 0, first: 258, bytes: hashes(258, 254) }] }));
    await store.append(append({ runs: [{ level: "entries", first: large + 1, bytes: Buffer.from("y") }] }));
    t.same(await store.tile(0, 0), hashes(0, 256));
    t.same(await store.tile(0, 1), hashes(256, 256));
    t.same(await store.tile(1, 0), hashes(9, 1));
    t.same(await store.tile(0, 2), Buffer.alloc(0));
    t.same(await store.tile("entries", large / 256), Buffer.from("xy"));
    await store.close();
  });

  t.test("accepted ranges that touch the sequences asked for, of that source and epoch alone", async (t) => {
    const store = await factory.open();
    const range = (source: string, epoch: number, seq: number, count: number) => ({
      source,
      epoch,
      seq,
      index: seq + 100,
      count,
    });
    const own = [range("s", 1, 0, 4), range("s", 1, 4, 2), range("s", 1, 6, 300)];
    const others = [range("s", 2, 0, 1), range("t", 1, 0, 9), range("s\u0000", 1, 0, 9), range("", 1, 0, 9)];
    await store.append(append({ accepted: [...own.toReversed(), ...others] }));
    t.same(await store.accepted("s", 1, 0, 1000), own);
    t.same(await store.accepted("s", 1, 3, 4), own.slice(0, 1));
    t.same(await store.accepted("s", 1, 3, 5), own.slice(0, 2));
    t.same(await store.accepted("s", 1, 4, 6), own.slice(1, 2));
    t.same(await store.accepted("s", 1, 305, 400), own.slice(2));
    t.same(await store.accepted("s", 1, 306, 400), []);
    t.same(await store.accepted("s", 3, 0, 1), []);
    await store.close();
  });

  t.test("the last checkpoint replaces the one before", async (t) => {
    let store = await factory.open();
    await store.recordCheckpoint({ note: "one", time: 1 });
    await store.recordCheckpoint({ note: "two \u2014\n", time: 2 ** 41 });
    t.same(await store.checkpoint(), { note: "two \u2014\n", time: 2 ** 41 });
    store = await again(store);
    t.same(await store.checkpoint(), { note: "two \u2014\n", time: 2 ** 41 });
    await store.close();
  });

  t.test("a closed store refuses, and can be closed again", async (t) => {
    const store = await factory.open();
    await store.close();
    await store.close();
    await t.rejects(store.head());
    await t.rejects(store.tile(0, 0));
    await t.rejects(store.append(append({})));
    await t.rejects(store.recordCheckpoint({ note: "", time: 0 }));
  });
}

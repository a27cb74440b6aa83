import type { Test } from "tap";
import { EMPTY_ROOT } from "../../src/formats/merkle.ts";
import type { Append, Store } from "../../src/store/store.ts";

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

const TURNS = 300;

/** One entry with everything that a turn can have, so that any part of it that is missing shows. */
export function turnOf(n: number): Append {
  const size = n + 1;
  const entry = Buffer.from(`entry ${n}`);
  return append({
    runs: [
      { level: "entries", first: n, bytes: Buffer.concat([Buffer.of(0, entry.length), entry]) },
      { level: 0, first: n, bytes: hashes(n, 1) },
      ...(size % 256 === 0 ? [{ level: 1, first: size / 256 - 1, bytes: root(size / 256) }] : []),
    ],
    disclosures: [{ index: n, block: Buffer.from(`block ${n}`) }],
    shared: [{ digest: Buffer.from(String(n).padStart(32, "0")), disclosure: Buffer.from(`shared ${n}`) }],
    positions: new Map([["s", { epoch: 1, next: size, chain: root(n % 256), vkey: "v" }]]),
    accepted: [{ source: "s", epoch: 1, seq: n, index: n, count: 1 }],
    head: { size, root: root(n % 256) },
  });
}

/**
 * @param faults gets a line for each part of a turn that is there without the others
 * @returns how many turns of `turnOf` the store has; more may have been written meanwhile
 */
export async function turnsIn(store: Store, faults: string[]): Promise<number> {
  const { size } = await store.head();
  const last = size - 1;
  if (size === 0) return 0;
  const expect = (what: string, right: boolean): void => {
    if (!right) faults.push(`${what} of turn ${last}`);
  };
  const number = Math.floor(last / 256);
  const width = size - number * 256;
  const entries = (await store.tile("entries", number)).toString();
  expect("the entry", entries.includes(`entry ${last}`));
  const tile = await store.tile(0, number);
  const expected = hashes(number * 256, 256);
  expect("the hashes", tile.length >= width * 32 && tile.equals(expected.subarray(0, tile.length)));
  if (size >= 256) expect("level 1", (await store.tile(1, 0)).subarray(0, 32).equals(root(1)));
  expect("the disclosures", String(await store.disclosures(last)) === `block ${last}`);
  const digest = Buffer.from(String(last).padStart(32, "0"));
  expect("the shared disclosure", String(await store.sharedDisclosure(digest)) === `shared ${last}`);
  const position = (await store.positions()).get("s");
  expect(
    "the position",
    position !== undefined && position.next >= size && position.chain.equals(root((position.next - 1) % 256)),
  );
  const [range] = await store.accepted("s", 1, last, last + 1);
  expect("the accepted range", range?.index === last && range.count === 1);
  return size;
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
    t.same(await store.sources(), new Map());
    t.same(await store.erasures(), new Map());
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

  t.test("what is said of sources and erasures replaces what was said before", async (t) => {
    let store = await factory.open();
    const source = { name: "s", vkey: "s+1", former: [], retired: false, registered: true };
    const other = { ...source, name: "t\u00fc" };
    const later = { ...source, vkey: "s+2", former: [{ vkey: "s+1", epoch: 2, seq: 7 }], retired: true };
    const erasure = { scope: { login: "a" }, by: "ada", done: false, scanned: 0, entries: 0, values: 0 };
    const orders = [2 ** 40, 300, 5];
    await store.append(
      append({ sources: [source, other], erasures: new Map(orders.map((order) => [order, erasure])) }),
    );
    await store.append(append({ sources: [later], erasures: new Map([[300, { ...erasure, done: true }]]) }));
    for (let round = 0; round < 2; round += 1) {
      t.same(
        await store.sources(),
        new Map([
          ["s", later],
          ["t\u00fc", other],
        ]),
      );
      const erasures = [...(await store.erasures())];
      t.same(
        erasures.map(([order, { done }]) => [order, done]),
        [
          [5, false],
          [300, true],
          [2 ** 40, false],
        ],
      );
      store = await again(store);
    }
    await store.close();
  });

  t.test("what is erased is gone, alone, and a shared disclosure does not come back", async (t) => {
    let store = await factory.open();
    const shared = [8, 9].map((fill) => ({ digest: root(fill), disclosure: Buffer.from(`shared ${fill}`) }));
    const disclosures = [1, 2, 2 ** 40].map((index) => ({ index, block: Buffer.from(`block ${index}`) }));
    await store.append(append({ disclosures, shared }));
    const record = { scope: { index: 1 }, by: "ada", done: false, scanned: 3, entries: 1, values: 2 };
    await store.erase({ indexes: [1, 2 ** 40, 77], digests: [root(9), root(7)], order: 3, record });
    for (const purge of [false, true]) {
      if (purge) await store.purge();
      t.equal(await store.disclosures(1), undefined);
      t.equal(await store.disclosures(2 ** 40), undefined);
      t.same(await store.disclosures(2), Buffer.from("block 2"));
      t.equal(await store.sharedDisclosure(root(9)), undefined);
      t.same(await store.sharedDisclosure(root(8)), Buffer.from("shared 8"));
      t.same((await store.erasures()).get(3), record);
    }
    store = await again(store);
    const late = [7, 8, 9].map((fill) => ({ digest: root(fill), disclosure: Buffer.from("late") }));
    await store.append(append({ shared: late }));
    t.equal(await store.sharedDisclosure(root(9)), undefined);
    t.equal(await store.sharedDisclosure(root(7)), undefined, "nor one that had not come yet");
    t.same(await store.sharedDisclosure(root(8)), Buffer.from("late"));
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

  t.test("what was written is read, while more is being written; readers see whole turns", async (t) => {
    const store = await factory.open();
    let written = 0;
    let running = true;
    const faults: string[] = [];
    const reader = async (): Promise<void> => {
      while (running) {
        const least = written;
        const { size } = await store.head();
        const known = await turnsIn(store, faults);
        if (size < least || known < least) faults.push(`${least} turns were written, and ${size}, ${known} are there`);
      }
    };
    const readers = [reader(), reader(), reader()];
    for (let n = 0; n < TURNS; n += 1) {
      await store.append(turnOf(n));
      written = n + 1;
      t.equal((await store.head()).size, written);
      if (n % 50 === 0) await store.recordCheckpoint({ note: `${n}`, time: n });
    }
    running = false;
    await Promise.all(readers);
    t.same(faults, []);
    t.equal(await turnsIn(store, faults), TURNS);
    const again2 = await again(store);
    t.equal(await turnsIn(again2, faults), TURNS, "and after opening again");
    t.same(faults, []);
    await again2.close();
  });

  t.test("appends that are not waited for are kept in their order", async (t) => {
    let store = await factory.open();
    await Promise.all(Array.from({ length: 40 }, (_, n) => store.append(turnOf(n))));
    const faults: string[] = [];
    t.equal(await turnsIn(store, faults), 40);
    store = await again(store);
    t.equal(await turnsIn(store, faults), 40);
    t.same(faults, []);
    await store.close();
  });

  t.test("closing waits for the calls under way", async (t) => {
    let store = await factory.open();
    const calls = [store.append(turnOf(0)), store.append(turnOf(1)), store.recordCheckpoint({ note: "n", time: 1 })];
    const closing = [store.close(), store.close()];
    await Promise.all(calls);
    await Promise.all(closing);
    if (factory.reopen === undefined) return;
    store = await again(store);
    t.equal(await turnsIn(store, []), 2);
    t.same(await store.checkpoint(), { note: "n", time: 1 });
    await store.close();
  });

  t.test("a tile of many small runs is one tile, and what is given is not kept as it is", async (t) => {
    const store = await factory.open();
    const bytes = hashes(0, 1);
    for (let i = 0; i < 256; i += 1) {
      bytes.fill(i % 251);
      await store.append(append({ runs: [{ level: 0, first: i, bytes }], head: { size: i + 1, root: root(i) } }));
    }
    bytes.fill(0xff);
    t.same(await store.tile(0, 0), hashes(0, 256));
    const read = await store.tile(0, 0);
    t.equal(read.length, 8192);
    await store.close();
  });

  t.test("a closed store refuses, and can be closed again", async (t) => {
    const store = await factory.open();
    await store.close();
    await store.close();
    await t.rejects(store.head());
    await t.rejects(store.tile(0, 0));
    await t.rejects(store.append(append({})));
    await t.rejects(store.purge());
    await t.rejects(store.sources());
    await t.rejects(store.recordCheckpoint({ note: "", time: 0 }));
    await t.rejects(store.disclosures(0));
    await t.rejects(store.sharedDisclosure(root(0)));
    await t.rejects(store.positions());
    await t.rejects(store.accepted("s", 1, 0, 1));
    await t.rejects(store.checkpoint());
  });
}

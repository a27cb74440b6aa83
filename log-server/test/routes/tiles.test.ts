import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import t from "tap";
import { tilePath } from "../../src/formats/tile.ts";
import { startLogServer } from "../../src/start.ts";
import { openLevelStore } from "../../src/store/level-store.ts";
import { get, published, send } from "../support/client.ts";
import { makeLogFolder, ORIGIN } from "../support/folder.ts";
import { entryBytes, grow, newEdge } from "../support/tree.ts";

// C2SP tlog-tiles at the sizes where something ends or begins: every resource that the size implies is there, with the
// bytes that the text gives it, and none that it does not imply.

const sha256 = (...parts: Uint8Array[]): Buffer => {
  const digest = createHash("sha256");
  for (const part of parts) digest.update(part);
  return digest.digest();
};

const SIZES = [0, 1, 255, 256, 257, 65_536, 65_537];
const MOST = SIZES.at(-1)!;

/** All hashes of each level for the largest size, as the text defines them. */
const levels: Buffer[][] = [Array.from({ length: MOST }, (_, i) => sha256(Buffer.of(0), entryBytes(i)))];
while (levels.at(-1)!.length >= 256) {
  const below = levels.at(-1)!;
  levels.push(
    Array.from({ length: Math.floor(below.length / 256) }, (_, i) => {
      let row = below.slice(i * 256, (i + 1) * 256);
      while (row.length > 1) {
        row = Array.from({ length: row.length / 2 }, (_, j) => sha256(Buffer.of(1), row[2 * j]!, row[2 * j + 1]!));
      }
      return row[0]!;
    }),
  );
}
const framed = (index: number): Buffer => {
  const entry = entryBytes(index);
  return Buffer.concat([Buffer.of(entry.length >> 8, entry.length & 255), entry]);
};
const bundle = (number: number, width: number): Buffer =>
  Buffer.concat(Array.from({ length: width }, (_, i) => framed(number * 256 + i)));

const folder = await makeLogFolder();
t.teardown(() => folder.remove());
const config = folder.config({ checkpointIntervalMs: 10 });
const edge = newEdge();

for (const size of SIZES) {
  t.test(`a log of ${size} entries`, async (t) => {
    const store = (await openLevelStore(config.store, ORIGIN, true))!;
    await grow(store, edge, size, [100, 4096, 1, 255]);
    await store.close();
    const log = await startLogServer(config, { log: () => {} });
    t.teardown(() => log.close());
    t.equal((await published(log.url, size)).size, size);

    const wrong: string[] = [];
    const expect = async (path: string, bytes: Buffer | undefined): Promise<void> => {
      const answer = await get(log.url, `/${path}`);
      const right =
        bytes === undefined
          ? answer.status === 404 &&
            answer.json().error.code === "beyond_tree" &&
            answer.headers["cache-control"] === "no-store"
          : answer.status === 200 &&
            answer.body.equals(bytes) &&
            answer.headers["content-type"] === "application/octet-stream" &&
            answer.headers["cache-control"] === "public, max-age=31536000, immutable";
      if (!right) wrong.push(`${path}: ${answer.status}`);
    };
    for (let level = 0; level <= 3; level += 1) {
      const count = Math.floor(size / 256 ** level);
      const full = Math.floor(count / 256);
      const partial = count % 256;
      const tile = (number: number, width: number): Buffer =>
        Buffer.concat(levels[level]!.slice(number * 256, number * 256 + width));
      for (const number of full < 10 ? [...Array(full).keys()] : [0, 1, full - 2, full - 1]) {
        await expect(tilePath({ level, number, width: 256 }), tile(number, 256));
        for (const width of [1, 128, 255]) await expect(tilePath({ level, number, width }), tile(number, width));
        if (level === 0) await expect(tilePath({ level: "entries", number, width: 256 }), bundle(number, 256));
      }
      await expect(tilePath({ level, number: full, width: 256 }), undefined);
      for (const width of [1, 2, 254, 255]) {
        const bytes = width <= partial ? tile(full, width) : undefined;
        await expect(tilePath({ level, number: full, width }), bytes);
        if (level === 0)
          await expect(tilePath({ level: "entries", number: full, width }), bytes && bundle(full, width));
      }
      if (level === 0) await expect(tilePath({ level: "entries", number: full, width: 256 }), undefined);
      await expect(tilePath({ level, number: full + 1, width: 1 }), undefined);
    }
    t.same(wrong, []);
    for (const path of ["/tile/0/000.p/0", "/tile/0/000.p/256", "/tile/entries/000.p/0", "/tile/entries/000.p/256"]) {
      t.equal((await get(log.url, path)).status, 400, path);
    }
  });

  t.test(`RFC 6962 at the edges of a tree of ${size}`, async (t) => {
    const log = await startLogServer(config, { log: () => {} });
    t.teardown(() => log.close());
    const ask = async (question: string): Promise<[number, unknown]> => {
      const answer = await get(log.url, `/ct/v1/${question}`);
      return [answer.status, answer.status === 200 ? answer.json() : answer.json().error.code];
    };
    const none = [200, { consistency: [] }];
    const beyond = [404, "beyond_tree"];
    const bad = [400, "bad_parameter"];
    t.match(await ask("get-sth"), [200, { tree_size: size }]);
    t.same(await ask("get-sth-consistency?first=0&second=0"), none);
    t.same(await ask(`get-sth-consistency?first=0&second=${size}`), none);
    t.same(await ask(`get-sth-consistency?first=${size}&second=${size}`), none);
    t.same(await ask(`get-sth-consistency?first=0&second=${size + 1}`), beyond);
    t.same(await ask(`get-sth-consistency?first=${size + 1}&second=${size + 1}`), beyond);
    t.same(await ask(`get-sth-consistency?first=${size + 1}&second=${size}`), bad);
    t.same(await ask(`get-entries?start=${size}&end=${size}`), beyond);
    t.same(await ask("get-entries?start=1&end=0"), bad);
    t.same(await ask(`get-entry-and-proof?leaf_index=${size}&tree_size=${size}`), bad);
    t.same(await ask(`get-entry-and-proof?leaf_index=${size}&tree_size=${size + 1}`), beyond);
    const hash = encodeURIComponent(sha256(Buffer.of(0), entryBytes(size)).toString("base64"));
    t.same(await ask(`get-proof-by-hash?hash=${hash}&tree_size=${size + 1}`), beyond);
    if (size === 0) {
      t.same(await ask("get-proof-by-hash?hash=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D&tree_size=0"), [
        404,
        "not_found",
      ]);
      return;
    }
    const [status, last] = await ask(`get-entries?start=${size - 1}&end=${Number.MAX_SAFE_INTEGER}`);
    t.equal(status, 200);
    t.same(last, { entries: [{ leaf_input: entryBytes(size - 1).toString("base64"), extra_data: "" }] });
    const [, { audit_path }] = (await ask(`get-entry-and-proof?leaf_index=${size - 1}&tree_size=${size}`)) as [
      number,
      { audit_path: string[] },
    ];
    // The last leaf's proof is the roots of the perfect subtrees to its left, from the smallest on.
    let root = levels[0]![size - 1]!;
    for (const left of audit_path) root = sha256(Buffer.of(1), Buffer.from(left, "base64"), root);
    t.same(root, (await published(log.url, size)).root);
  });
}

t.test("entry bundles are gzipped for those who accept it, hash tiles never", async (t) => {
  const log = await startLogServer(config, { log: () => {} });
  t.teardown(() => log.close());
  const gzip = { "accept-encoding": "gzip" };
  for (const [path, bytes] of [
    ["/tile/entries/000", bundle(0, 256)],
    ["/tile/entries/255.p/7", bundle(255, 7)],
    ["/tile/entries/256.p/1", bundle(256, 1)],
  ] as const) {
    const packed = await get(log.url, path, gzip);
    t.equal(packed.headers["content-encoding"], "gzip", path);
    t.equal(packed.headers.vary, "accept-encoding");
    t.equal(packed.headers["cache-control"], "public, max-age=31536000, immutable");
    t.equal(packed.headers["content-type"], "application/octet-stream");
    t.ok(gunzipSync(packed.body).equals(bytes), path);
    if (bytes.length > 1000) t.ok(packed.body.length < bytes.length / 2, "and is smaller");
    const head = await send(log.url, "HEAD", path, gzip);
    t.equal(head.headers["content-encoding"], "gzip");
    t.equal(head.headers["content-length"], packed.headers["content-length"]);
    for (const header of ["identity", "gzip;q=0", "br"]) {
      const plain = await get(log.url, path, { "accept-encoding": header });
      t.equal(plain.headers["content-encoding"], undefined, header);
      t.equal(plain.headers.vary, "accept-encoding");
      t.ok(plain.body.equals(bytes));
    }
  }
  for (const path of ["/tile/0/000", "/checkpoint"]) {
    const answer = await get(log.url, path, gzip);
    t.equal(answer.headers["content-encoding"], undefined, path);
    t.equal(answer.headers.vary, undefined);
  }
  const error = await get(log.url, "/tile/entries/300", gzip);
  t.equal(error.status, 404);
  t.equal(error.headers["cache-control"], "no-store");
  for (const header of ["vary", "content-encoding"])
    t.equal(error.headers[header], undefined, `an error has no ${header}`);
});

t.test("a range is answered with the whole", async (t) => {
  const log = await startLogServer(config, { log: () => {} });
  t.teardown(() => log.close());
  for (const range of ["bytes=0-31", "bytes=-1", "bytes=9999999-", "nonsense"]) {
    const answer = await get(log.url, "/tile/0/000", { range });
    t.equal(answer.status, 200, range);
    t.equal(answer.body.length, 8192);
    t.equal(answer.headers["content-range"], undefined);
  }
});

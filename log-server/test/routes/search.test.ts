import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import t from "tap";
import { startLogServer } from "../../src/start.ts";
import { type Answer, get, published, submit } from "../support/client.ts";
import { makeLogFolder, ORIGIN } from "../support/folder.ts";
import { TestSource } from "../support/source.ts";

// The surface: what is refused, who may ask, and what the pages look like.

const source = new TestSource("s.example").start();
for (let i = 1; i < 600; i += 1) {
  const relations = [{ schema: "public", name: "été+1", access: "read" }];
  source.add({ ...source.head("test.event"), database: i % 2 === 0 ? "even" : "odd", relations });
}
const folder = await makeLogFolder([source.key.vkey]);
const log = await startLogServer(folder.config({ checkpointIntervalMs: 10 }), { log: () => {} });
await submit(log.url, source.submission(ORIGIN));
await published(log.url, 600);
await indexed(log.url);

/** A search waits half a second for the index, and a busy disk may take longer. */
async function indexed(url: string): Promise<void> {
  while ((await get(url, "/healthz")).json().search_lag > 0) await new Promise((resolve) => setTimeout(resolve, 5));
}

const search = (query: string): Promise<Answer> => get(log.url, `/api/v1/search${query}`);

t.test("a page has the entries verbatim; the cursor leads through all of them", async (t) => {
  const found: number[] = [];
  let scanned = 0;
  for (let next: string | null = ""; next !== null; ) {
    const answer = await search(`?limit=70&database=even${next === "" ? "" : `&cursor=${next}`}`);
    t.equal(answer.status, 200);
    t.equal(answer.headers["cache-control"], "no-store");
    const page = answer.json();
    t.equal(page.size, 600);
    scanned += page.scanned;
    for (const { index, entry } of page.hits) {
      found.push(index);
      t.equal(entry, source.entries[index]!.bytes.toString());
    }
    next = page.next;
  }
  t.same(
    found,
    Array.from({ length: 299 }, (_, i) => 598 - 2 * i),
  );
  t.equal(scanned, 600);
  t.equal((await search("")).json().hits.length, 50, "without parameters, the newest");
  t.equal((await search(`?relation=${encodeURIComponent("public.été+1")}&limit=1`)).json().hits[0].index, 599);
});

t.test("what is not a search is refused, and the parameter named", async (t) => {
  const { next } = (await search("?limit=1&database=even")).json();
  const cases: [string, string, RegExp?][] = [
    ["?user=x", "user", /no such parameter; there are actor, database/],
    ["?Actor=x", "Actor"],
    ["?actor=", "actor", /empty/],
    [`?actor=${"x".repeat(1025)}`, "actor", /more than 1024/],
    ["?class=wirte", "class", /one of read, write, ddl/],
    ["?class=read&class=wirte", "class"],
    ["?outcome=done", "outcome", /one of completed/],
    ["?session=1", "session"],
    ["?session=01.1", "session"],
    ["?source=a%20b", "source"],
    ["?since=2026-11-22", "since", /2026-11-22T22:10:00.123456Z/],
    ["?until=2026-02-30T00:00:00.000000Z", "until"],
    ["?since=2026-11-22T22:10:00.123456Z&since=2026-11-22T22:10:00.123456Z", "since", /more than once/],
    ["?limit=0", "limit"],
    ["?limit=501", "limit"],
    ["?limit=05", "limit"],
    ["?limit=", "limit"],
    ["?limit=5&limit=5", "limit"],
    ["?cursor=", "cursor"],
    ["?cursor=AQAA", "cursor", /not one that this log gave/],
    [`?cursor=${next}`, "cursor", /another search/],
    [`?cursor=${next}&database=odd`, "cursor", /another search/],
    [`?cursor=${next}&database=even&database=odd`, "cursor", /another search/],
    [`?cursor=${next}&database=even&since=2026-11-22T22:10:00.123456Z`, "cursor", /another search/],
    [`?cursor=${next}=&database=even`, "cursor"],
    [`?${"actor=x&".repeat(65)}`, "request", /more than 64 values/],
  ];
  for (const [query, parameter, message] of cases) {
    const answer = await search(query);
    t.match([answer.status, answer.json().error], [400, { code: "bad_parameter", parameter }], query.slice(0, 80));
    if (message !== undefined) t.match(answer.json().error.message, message);
  }
  t.equal((await search(`?cursor=${next}&limit=3&database=even&database=even`)).status, 200, "the same search");
  const forged = Buffer.from(next, "base64url");
  forged.writeUInt8(1, 8 - 2);
  const beyond = await search(`?cursor=${forged.toString("base64url")}&database=even`);
  t.match([beyond.status, beyond.json().error.parameter], [400, "cursor"], "one of a tree that is not there");
});

t.test("no query and no cursor make it fail", async (t) => {
  const names = ["actor", "relation", "session", "since", "limit", "cursor", "x"];
  const text = fc.oneof(fc.string({ unit: "binary" }), fc.base64String(), fc.constantFrom("1", "1.1", "read"));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.constantFrom(...names), text), { maxLength: 4 }), async (parameters) => {
      const query = parameters.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
      const { status } = await search(`?${query}`);
      t.ok(status === 200 || status === 400, query);
    }),
    { numRuns: 100 },
  );
  const { next } = (await search("?limit=1")).json();
  await fc.assert(
    fc.asyncProperty(fc.nat(24), fc.nat(255), async (at, value) => {
      const bytes = Buffer.from(next, "base64url");
      bytes[at] = value;
      const answer = await search(`?cursor=${bytes.toString("base64url")}`);
      t.ok(answer.status === 400 || (answer.status === 200 && answer.json().size <= 600));
    }),
    { numRuns: 100 },
  );
});

t.test("its metrics", async (t) => {
  const text = (await get(log.url, "/metrics")).body.toString();
  t.match(text, /^vitrine_log_search_lag 0$/m);
  t.match(text, /^vitrine_log_search_seconds_count [1-9]/m);
  t.equal((await get(log.url, "/healthz")).json().search_lag, 0);
});

t.test("who may search", async (t) => {
  await log.close();
  const tokens = join(folder.path, "tokens");
  await writeFile(tokens, `${createHash("sha256").update("token").digest("hex")} viewer - vic\n`);
  const ways = [
    { searchPublic: false, publicEntries: true },
    { searchPublic: true, publicEntries: true },
    { searchPublic: true, publicEntries: false },
  ];
  for (const way of ways) {
    const again = await startLogServer(folder.config({ tokens, ...way }), { log: () => {} });
    await indexed(again.url);
    const status = async (headers?: Record<string, string>): Promise<number> =>
      (await get(again.url, "/api/v1/search?limit=1", headers)).status;
    t.equal(await status(), way.searchPublic && way.publicEntries ? 200 : 401, JSON.stringify(way));
    t.equal(await status({ authorization: "Bearer token" }), 200);
    t.equal(await status({ authorization: "Bearer other" }), 401);
    await again.close();
  }
  await folder.remove();
});

t.test("the index has a folder of its own", async (t) => {
  const other = await makeLogFolder([]);
  t.after(() => other.remove());
  const { store, index } = other.config();
  await t.rejects(startLogServer(other.config({ searchIndex: join(store, "search") })), {
    code: "bad_config",
    message: /search_index .* must not stand in the store's directory/,
  });
  await t.rejects(startLogServer(other.config({ searchIndex: index })), {
    code: "bad_config",
    message: /search_index .* must not stand in the hash index's directory/,
  });
});

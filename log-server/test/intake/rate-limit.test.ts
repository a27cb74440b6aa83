import t from "tap";
import { bucketOf, RateLimiter } from "../../src/intake/rate-limit.ts";
import { startLogServer } from "../../src/start.ts";
import { type Answer, get, published, send, submit } from "../support/client.ts";
import { makeLogFolder, ORIGIN } from "../support/folder.ts";
import { TestSource } from "../support/source.ts";

t.test("a bucket empties, fills again, and never holds more than ten seconds' worth", async (t) => {
  let now = 0;
  const limiter = new RateLimiter(2, () => now);
  const taken = (): number => {
    for (let n = 0; ; n += 1) if (limiter.take("a") > 0) return n;
  };
  t.equal(taken(), 20);
  t.equal(limiter.take("a"), 1);
  t.equal(limiter.take("b"), 0, "another address has its own");
  now = 0.5;
  t.equal(taken(), 1);
  now = 1000;
  t.equal(taken(), 20);
  const slow = new RateLimiter(0.1, () => now);
  t.equal(slow.take("a"), 0);
  t.equal(slow.take("a"), 10, "seconds until there is one");
});

t.test("what is charged afterwards is refused beforehand, and does not go below empty", async (t) => {
  let now = 0;
  const limiter = new RateLimiter(1, () => now);
  for (let i = 0; i < 50; i += 1) limiter.charge("a");
  t.equal(limiter.wait("a"), 1);
  now = 1;
  t.equal(limiter.wait("a"), 0);
  t.equal(limiter.wait("a"), 0, "asking takes none");
});

t.test("0 is no limit, and nothing is remembered", async (t) => {
  const limiter = new RateLimiter(0);
  for (let i = 0; i < 1000; i += 1) t.equal(limiter.take("a"), 0);
  t.equal(limiter.size, 0);
});

t.test("memory is bounded; who was not seen for longest is forgotten", async (t) => {
  const limiter = new RateLimiter(1, () => 0);
  for (let i = 0; i < 10; i += 1) limiter.take("0.0.0.0");
  for (let i = 1; i < 10_000; i += 1) limiter.take(`10.0.${i >> 8}.${i & 255}`);
  t.equal(limiter.wait("0.0.0.0"), 1);
  for (let i = 0; i < 50_000; i += 1) limiter.take(`11.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
  t.equal(limiter.size, 10_000);
});

t.test("IPv6 addresses count by their /64, IPv4 by themselves", async (t) => {
  const cases: [string, string][] = [
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::FFFF:192.0.2.1", "192.0.2.1"],
    ["2001:db8:0:1::1", "2001:db8:0:1"],
    ["2001:0DB8::1:ffff:1:2:3", "2001:db8:0:1"],
    ["2001:db8:0:1:2:3:4:5", "2001:db8:0:1"],
    ["::1", "0:0:0:0"],
    ["::", "0:0:0:0"],
    ["fe80::1%eth0", "fe80:0:0:0"],
    ["64:ff9b::192.0.2.1", "64:ff9b:0:0"],
    ["", ""],
  ];
  for (const [address, bucket] of cases) t.equal(bucketOf(address), bucket, address);
});

/** How many answers have the status before one is 429; tokens come back while this asks. */
async function allowed(ask: () => Promise<Answer>, status: number): Promise<number> {
  for (let n = 0; n < 500; n += 1) {
    const answer = await ask();
    if (answer.status === 429) return n;
    if (answer.status !== status) throw new Error(`${answer.status}: ${answer.body}`);
  }
  throw new Error("there is no limit");
}

/** One answer that is 429: a token may have come back since the last one. */
async function refusedBy(ask: () => Promise<Answer>): Promise<Answer> {
  for (let n = 0; n < 500; n += 1) {
    const answer = await ask();
    if (answer.status === 429) return answer;
  }
  throw new Error("there is no limit");
}

t.test("over HTTP: expensive reads and unsigned submissions, each by address; tiles never", async (t) => {
  const source = new TestSource("s").start().fill(3);
  const folder = await makeLogFolder([source.key.vkey]);
  t.after(() => folder.remove());
  const limits = { ...folder.config().limits, requestsPerSecond: 1 };
  const trustedProxies = ["127.0.0.1"];
  const log = await startLogServer(folder.config({ limits, trustedProxies, checkpointIntervalMs: 10 }), {
    log: () => {},
  });
  t.after(() => log.close());
  const body = source.submission(ORIGIN);
  await submit(log.url, body);
  await published(log.url, 4);
  const from = (address: string): Record<string, string> => ({ "x-forwarded-for": address });
  const proof = "/ct/v1/get-sth-consistency?first=1&second=4";
  t.ok((await allowed(() => get(log.url, proof, from("192.0.2.1")), 200)) >= 10);
  // All that is expensive, together; by the address that the proxy has seen.
  const refused = await refusedBy(() => get(log.url, "/api/v1/search", from("203.0.113.9, 192.0.2.1")));
  t.equal(refused.headers["retry-after"], "1");
  t.match(refused.json(), { error: { code: "too_many_requests", message: /retry after 1 s/ } });
  t.equal((await get(log.url, proof, from("192.0.2.2"))).status, 200, "another address");
  for (const path of ["/checkpoint", "/tile/0/000.p/4", "/healthz", "/api/v1/sources", "/ct/v1/get-sth"]) {
    t.equal((await get(log.url, path, from("192.0.2.1"))).status, 200, path);
  }
  const OCTETS = { "content-type": "application/octet-stream" };
  const post = (address: string, body: Buffer) =>
    send(log.url, "POST", "/api/v1/submissions", { ...OCTETS, ...from(address) }, body);
  const stranger = new TestSource("stranger").start().submission(ORIGIN);
  t.ok((await allowed(() => post("192.0.2.1", stranger), 403)) >= 10);
  // What is a source's as well: who sends it is not looked into any more. It uses up nothing, so a stranger asks before it.
  const sources = await refusedBy(async () => {
    await post("192.0.2.1", stranger);
    return post("192.0.2.1", source.submission(ORIGIN));
  });
  t.match(sources.json(), { error: { code: "too_many_requests" } });
  t.ok((await allowed(() => post("192.0.2.2", Buffer.from("x")), 400)) >= 10);
  t.ok((await allowed(() => post("192.0.2.3", source.submission("another.example")), 403)) >= 10);
  // What a source has signed does not count, whatever is in it.
  const gap = source.fill(5).submission(ORIGIN, 6);
  for (let i = 0; i < 30; i += 1)
    t.equal((await post("192.0.2.4", i % 2 === 0 ? gap : body)).status, i % 2 === 0 ? 409 : 200);
});

t.test("without trusted proxies nobody chooses the address", async (t) => {
  const folder = await makeLogFolder();
  t.after(() => folder.remove());
  const limits = { ...folder.config().limits, requestsPerSecond: 1 };
  const log = await startLogServer(folder.config({ limits }), { log: () => {} });
  t.after(() => log.close());
  let i = 0;
  const ask = () => {
    i += 1;
    return get(log.url, "/ct/v1/get-sth-consistency?first=0&second=0", { "x-forwarded-for": `192.0.2.${i % 256}` });
  };
  t.ok((await allowed(ask, 200)) >= 10);
});

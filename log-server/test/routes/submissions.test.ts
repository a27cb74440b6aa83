import { hash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { type ClientRequest, request } from "node:http";
import { join } from "node:path";
import t from "tap";
import { createKey } from "../../src/keys/keys.ts";
import { startLogServer } from "../../src/start.ts";
import { auditLog, get, published, send, submit } from "../support/client.ts";
import { makeLogFolder, ORIGIN } from "../support/folder.ts";
import { seal, TestSource } from "../support/source.ts";
import { type Bytes, bytesOf, vectors } from "../support/vectors.ts";

const OCTETS = { "content-type": "application/octet-stream" };

t.test("vectors", async (t) => {
  interface Step {
    desc: string;
    body: Bytes;
    status: number;
    answer?: unknown;
    error?: unknown;
    sources: unknown;
  }
  interface File {
    origin: string;
    sources: { vkey: string }[];
    scenarios: { desc: string; steps: Step[] }[];
  }
  const { origin, sources, scenarios } = vectors<File>("submissions.json");
  for (const { desc, steps } of scenarios) {
    const folder = await makeLogFolder(sources.map(({ vkey }) => vkey));
    await writeFile(folder.config().key, createKey(origin).skey);
    const log = await startLogServer(folder.config({ origin }), { log: () => {} });
    for (const step of steps) {
      const answer = await submit(log.url, bytesOf(step.body));
      const label = `${desc}: ${step.desc}`;
      t.equal(answer.status, step.status, label);
      if (step.answer !== undefined) t.same(answer.json(), step.answer, label);
      else {
        const { message: _, ...error } = answer.json().error;
        t.same(error, step.error, label);
      }
      const listed = (await get(log.url, "/api/v1/sources")).json().sources;
      t.same(
        listed
          .filter((each: { epoch: number }) => each.epoch > 0)
          .map(({ vkey: _, retired: __, ...each }: { vkey: string; retired: boolean }) => each),
        step.sources,
        `${label}: where the sources stand`,
      );
    }
    await log.close();
    await folder.remove();
  }
});

t.test("many sources at once: every entry once, in order, where its receipt says", async (t) => {
  const sources = Array.from({ length: 8 }, (_, i) => new TestSource(`s${i}`).start().fill(199));
  const folder = await makeLogFolder(sources.map(({ key }) => key.vkey));
  t.after(() => folder.remove());
  const log = await startLogServer(folder.config({ checkpointIntervalMs: 10 }), { log: () => {} });
  const places = new Map<number, Buffer>();
  await Promise.all(
    sources.map(async (source, i) => {
      for (let seq = 0; seq < 200; seq += 10 + i) {
        const body = source.submission(ORIGIN, seq, Math.min(200, seq + 10 + i));
        // A client that does not know whether its first try arrived.
        const [answer] = await Promise.all([submit(log.url, body), submit(log.url, body)]);
        for (const range of answer.json().ranges) {
          for (let j = 0; j < range.count; j += 1) places.set(range.index + j, source.entries[range.seq + j]!.bytes);
        }
      }
    }),
  );
  await published(log.url, 1600);
  const entries = await auditLog(log.url, log.vkey);
  t.equal(entries.length, 1600);
  t.same(
    entries,
    Array.from({ length: 1600 }, (_, index) => places.get(index)),
  );
  await log.close();
});

t.test("an address that is sealed once is disclosed with every entry that has its digest", async (t) => {
  const source = new TestSource("s").start();
  const address = seal("client.address", "192.0.2.1:5000");
  const sql = [seal("sql", "one"), seal("sql", "two")];
  const client = { address: address.sealed };
  source.add({ ...source.head("test.event"), client }, [address.disclosure, address.disclosure]);
  source.add({ ...source.head("test.event"), client, sql: sql[0]!.sealed }, [sql[0]!.disclosure, sql[0]!.disclosure]);
  source.add({ ...source.head("test.event"), client, sql: sql[1]!.sealed }, [sql[1]!.disclosure, address.disclosure]);
  const other = seal("client.address", "192.0.2.2:5000").sealed;
  source.add({ ...source.head("test.event"), client: { address: other } });
  const folder = await makeLogFolder([source.key.vkey]);
  t.after(() => folder.remove());
  const tokens = join(folder.path, "tokens");
  await writeFile(tokens, `${hash("sha256", "token")} auditor - ada`);
  const log = await startLogServer(folder.config({ tokens, checkpointIntervalMs: 10 }), { log: () => {} });
  t.equal((await submit(log.url, source.submission(ORIGIN))).status, 200);
  await published(log.url, 5);
  const read = async (index: number): Promise<string[]> => {
    const path = `/api/v1/entries/${index}/disclosures?reason=test`;
    const { disclosures } = (await get(log.url, path, { authorization: "Bearer token" })).json();
    return disclosures.map((each: string) => Buffer.from(each, "base64url").toString());
  };
  t.same(await read(0), []);
  t.same(await read(1), [address.disclosure.toString()]);
  t.same(await read(2), [sql[0]!.disclosure.toString(), address.disclosure.toString()]);
  t.same(await read(3), [sql[1]!.disclosure.toString(), address.disclosure.toString()]);
  t.same(await read(4), [], "a sealed value without a disclosure has none");
  await log.close();
});

/** A request of which a part has come. */
function stalled(url: string, announced: number | undefined, sent: number): ClientRequest {
  const { hostname, port } = new URL(url);
  const length = announced === undefined ? { "transfer-encoding": "chunked" } : { "content-length": String(announced) };
  const headers = { ...OCTETS, ...length };
  const req = request({ hostname, port, method: "POST", path: "/api/v1/submissions", headers, agent: false });
  req.on("error", () => {});
  req.write(Buffer.alloc(sent));
  return req;
}

async function until(url: string, metric: string): Promise<void> {
  while (!(await get(url, "/metrics")).body.includes(`\nvitrine_log_waiting_${metric}\n`));
}

t.test("bytes that have come are held to a limit, and the room is given back", async (t) => {
  const source = new TestSource("s").start().fill(100, 1000);
  const folder = await makeLogFolder([source.key.vkey]);
  t.after(() => folder.remove());
  const limits = { ...folder.config().limits, bodyBytes: 200_000, waitingBytes: 300_000 };
  const log = await startLogServer(folder.config({ limits }), { log: () => {} });
  const large = await send(log.url, "POST", "/api/v1/submissions", { ...OCTETS, "content-length": "200001" });
  t.match(large.json(), { error: { code: "body_too_large", limit: 200_000 } });
  const chunked = { ...OCTETS, "transfer-encoding": "chunked" };
  const endless = await send(log.url, "POST", "/api/v1/submissions", chunked, Buffer.alloc(200_001));
  t.match(endless.json(), { error: { code: "body_too_large", limit: 200_000 } });

  const first = stalled(log.url, 200_000, 199_999);
  await until(log.url, "bytes 199999");
  const busy = await submit(log.url, Buffer.alloc(150_000));
  t.equal(busy.status, 429);
  t.equal(busy.headers["retry-after"], "1");
  t.match(busy.json(), { error: { code: "too_busy" } });
  await until(log.url, "bytes 199999");
  const second = stalled(log.url, undefined, 100_001);
  await until(log.url, "bytes 300000");
  t.equal((await submit(log.url, Buffer.alloc(1))).status, 429, "full");
  first.destroy();
  second.destroy();
  await until(log.url, "bytes 0");
  t.equal((await submit(log.url, source.submission(ORIGIN))).status, 200);
  await until(log.url, "bytes 0");
  await log.close();
});

t.test("who announces much and sends little keeps nobody out", async (t) => {
  const source = new TestSource("s").start().fill(100, 1000);
  const folder = await makeLogFolder([source.key.vkey]);
  t.after(() => folder.remove());
  const limits = { ...folder.config().limits, waitingSubmissions: 1, bodyBytes: 200_000, waitingBytes: 200_000 };
  const log = await startLogServer(folder.config({ limits }), { log: () => {} });
  const idle = [stalled(log.url, 200_000, 1), stalled(log.url, undefined, 1), stalled(log.url, 200_000, 1)];
  await until(log.url, "bytes 3");
  t.equal((await submit(log.url, source.submission(ORIGIN))).status, 200);
  for (const req of idle) req.destroy();
  await until(log.url, "bytes 0");
  await log.close();
});

t.test("so many are written at a time, and the others are told to come again", async (t) => {
  const sources = ["a", "b", "c"].map((name) => new TestSource(name).start());
  const folder = await makeLogFolder(sources.map(({ key }) => key.vkey));
  t.after(() => folder.remove());
  let open!: () => void;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const limits = { ...folder.config().limits, waitingSubmissions: 2 };
  const at = (point: string): Promise<void> | undefined => (point === "append:before" ? gate : undefined);
  const log = await startLogServer(folder.config({ limits }), { log: () => {}, at });
  const waiting = [submit(log.url, sources[0]!.submission(ORIGIN)), submit(log.url, sources[1]!.submission(ORIGIN))];
  await until(log.url, "submissions 2");
  t.match((await submit(log.url, sources[2]!.submission(ORIGIN))).json(), { error: { code: "too_busy" } });
  open();
  t.same(
    (await Promise.all(waiting)).map(({ status }) => status),
    [200, 200],
  );
  t.equal((await submit(log.url, sources[2]!.submission(ORIGIN))).status, 200);
  await until(log.url, "submissions 0");
  await log.close();
});

t.test("a request that does not come to its end is given up", async (t) => {
  const folder = await makeLogFolder();
  t.after(() => folder.remove());
  const limits = { ...folder.config().limits, requestTimeoutMs: 300 };
  const log = await startLogServer(folder.config({ limits }), { log: () => {} });
  const { hostname, port } = new URL(log.url);
  const headers = { ...OCTETS, "content-length": "100" };
  const status = await new Promise<number | undefined>((resolve) => {
    const req = request({ hostname, port, method: "POST", path: "/api/v1/submissions", headers, agent: false });
    req.on("response", (res) => {
      res.resume();
      resolve(res.statusCode);
    });
    req.on("error", () => resolve(undefined));
    req.write("x");
  });
  t.equal(status, undefined, "cut off, without an answer that would keep it from being sent again");
  await until(log.url, "bytes 0");
  await log.close();
});

t.test("a closing log finishes what it has taken, and takes no more", async (t) => {
  const sources = [new TestSource("a").start().fill(2000, 100), new TestSource("b").start()];
  const folder = await makeLogFolder(sources.map(({ key }) => key.vkey));
  t.after(() => folder.remove());
  let closing: Promise<void> | undefined;
  const late: Promise<{ status: number; json(): unknown; headers: object }>[] = [];
  const log = await startLogServer(folder.config(), {
    log: () => {},
    at: (point) => {
      if (point !== "append:before") return;
      // While the first submission is being written.
      closing = log.close();
      late.push(submit(log.url, sources[1]!.submission(ORIGIN)));
      return late[0]!.then(() => undefined);
    },
  });
  const answer = await submit(log.url, sources[0]!.submission(ORIGIN));
  t.equal(answer.status, 200);
  const refused = await late[0]!;
  t.equal(refused.status, 503);
  t.match(refused.json(), { error: { code: "stopping" } });
  t.match(refused.headers, { "retry-after": "1" });
  await closing;
  const again = await startLogServer(folder.config(), { log: () => {} });
  t.same(
    await auditLog(again.url, again.vkey),
    sources[0]!.entries.map(({ bytes }) => bytes),
  );
  await again.close();
});

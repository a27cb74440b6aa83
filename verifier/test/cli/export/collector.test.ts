import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import t, { type Test } from "tap";
import { Collector, retryAfter } from "../../../cli/export/otlp/collector.ts";
import { OtlpSink } from "../../../cli/export/otlp/sink.ts";
import { readHeaders } from "../../../cli/export/settings.ts";
import { VerifierError } from "../../../src/errors.ts";
import { vectorLog, vectors } from "../support/log.ts";
import { temporaryFolder } from "../support/run.ts";
import { serve } from "../support/server.ts";
import { type Answer, FakeCollector } from "./support/collector.ts";
import { exportWith } from "./support/export.ts";
import { rowOf } from "./support/rows.ts";

const size = vectors.entries.length;
const all = Array.from({ length: size }, (_, i) => i);

async function place(t: Test, answer?: Answer): Promise<{ collector: FakeCollector; args: string[]; folder: string }> {
  const folder = temporaryFolder(t);
  const server = await serve(vectorLog());
  const collector = await FakeCollector.start(answer);
  t.teardown(async () => {
    await server.close();
    await collector.close();
  });
  const ofLog = ["--log", server.url, "--vkey", vectors.vkey, "--state", join(folder, "state"), "--once"];
  const to = ["--format", "otlp", "--endpoint", collector.url, "--position", join(folder, "position")];
  return { folder, collector, args: [...ofLog, ...to] };
}

/** A sink over a collector, without a log; its pauses are short. */
async function sinkTo(
  t: Test,
  answer: Answer,
  retryMs = 60_000,
  firstPauseMs = 1,
): Promise<{ sink: OtlpSink; collector: FakeCollector; told: string[]; stop: AbortController }> {
  const collector = await FakeCollector.start(answer);
  t.teardown(() => collector.close());
  const told: string[] = [];
  const stop = new AbortController();
  const log = (message: string): void => void told.push(message);
  const options = { headers: {}, timeoutMs: 5000, retryMs, firstPauseMs, signal: stop.signal, log };
  const sink = new OtlpSink(new Collector(collector.url, options), {
    maxRow: 1_000_000,
    hooks: { at: () => undefined, log },
  });
  return { sink, collector, told, stop };
}

const someRows = vectors.entries.slice(0, 10).map((entry, index) => rowOf(entry, index));
/** Within a request the records stand by source. */
const inOrder = (indexes: readonly number[]): number[] => [...indexes].sort((a, b) => a - b);
const ten = all.slice(0, 10);

t.test("a log becomes log records, once, with the headers of a file", async (t) => {
  const { folder, collector, args } = await place(t);
  const headers = join(folder, "headers");
  writeFileSync(headers, "# of the collector\nX-Api-Key: secret one\n");
  const result = await exportWith([...args, "--headers", headers]);
  t.equal(result.status, 0, result.told);
  t.same(inOrder(collector.taken), all);
  t.match(collector.requests[0], {
    path: "/v1/logs",
    headers: { "content-type": "application/json", "x-api-key": "secret one" },
  });
  const count = collector.requests.length;
  t.equal((await exportWith(args)).status, 0);
  t.equal(collector.requests.length, count);
});

t.test("what is not taken now is sent again, and the position waits", async (t) => {
  const { sink, collector, told } = await sinkTo(t, (_, response, nth) => {
    if (nth > 5) return false;
    if (nth === 1) response.writeHead(429, { "retry-after": "0" }).end();
    else if (nth === 5) response.destroy();
    else response.writeHead([502, 503, 504][nth - 2]!).end();
    return true;
  });
  t.equal(await sink.write(someRows), 0);
  t.equal(collector.requests.length, 6);
  t.same(inOrder(collector.taken), ten);
  t.match(told, [/429; it is tried again/, /takes records again/]);
});

t.test("a collector that never takes them ends an export that is to end", async (t) => {
  const { sink } = await sinkTo(
    t,
    (_, response) => Boolean(response.writeHead(503, { "retry-after": "3" }).end()),
    2000,
  );
  await t.rejects(sink.write(someRows), { code: "collector_unreachable", message: /entries 0 to 9: .*503/ });
});

t.test("a collector that asks for no pause is not asked without one", async (t) => {
  const busy: Answer = (_, response) => Boolean(response.writeHead(429, { "retry-after": "0" }).end());
  const { sink, collector } = await sinkTo(t, busy, 10_000, 60_000);
  await t.rejects(sink.write(someRows), { code: "collector_unreachable", message: /429/ });
  t.equal(collector.requests.length, 1);
});

t.test("a page for people is no answer of a collector", async (t) => {
  const page: Answer = (_, response) => {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end("<title>Please log in</title>");
    return true;
  };
  const { sink } = await sinkTo(t, page);
  await t.rejects(sink.write(someRows), { code: "collector_refused", message: /entries 0 to 9: .*200 with a page/ });
});

t.test("being stopped ends the pause", async (t) => {
  const { sink, stop } = await sinkTo(
    t,
    (_, response) => {
      response.writeHead(503, { "retry-after": "3000" }).end();
      setTimeout(() => stop.abort(), 20);
      return true;
    },
    Number.POSITIVE_INFINITY,
  );
  await t.rejects(sink.write(someRows), { name: "AbortError" });
});

t.test("what it refuses for good is named, and nothing is skipped", async (t) => {
  const { folder, collector, args } = await place(t, (_, response) => {
    response.writeHead(401).end('{"code":16,"message":"no \\u001b[31m token"}');
    return true;
  });
  const refused = await exportWith(args);
  t.match(
    [refused.status, refused.told],
    [76, /collector_refused: the entries 0 to .*answers 401: no \\x1b\[31m token/],
  );
  t.equal(collector.requests.length, 1);
  t.notOk(existsSync(join(folder, "position")));
});

t.test("a redirect is not followed", async (t) => {
  const { sink, collector } = await sinkTo(t, (_, response) =>
    Boolean(response.writeHead(307, { location: collector.url }).end()),
  );
  await t.rejects(sink.write(someRows), { code: "collector_refused" });
  t.equal(collector.requests.length, 1);
});

t.test("partial success is told and counted, and not sent again", async (t) => {
  const { folder, collector, args } = await place(t, ({ indexes }, response) => {
    collector.taken.push(...indexes);
    response.end('{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"too old"}}');
    return true;
  });
  const result = await exportWith(args);
  t.match([result.status, result.told], [2, /of the entries 0 to [0-9]+ the collector has rejected 3: too old/]);
  t.match(result.told, new RegExp(`${size} rows written, of which 3 were rejected`));
  t.same(inOrder(collector.taken), all);
  t.match(readFileSync(join(folder, "position"), "utf8"), `"next":${size}`);
});

t.test("a warning with full success is passed on", async (t) => {
  const { sink, told } = await sinkTo(t, (_, response) =>
    Boolean(response.end('{"partialSuccess":{"rejectedLogRecords":0,"errorMessage":"soon full"}}')),
  );
  t.equal(await sink.write(someRows), 0);
  t.match(told, [/says: soon full/]);
});

t.test("what is too large goes in halves, alone, and without disclosures", async (t) => {
  const rows = someRows.map((row) =>
    row.index === 4 ? { ...row, disclosed: new Map([["sql", "x".repeat(50_000)]]) } : row,
  );
  const { sink, collector, told } = await sinkTo(t, ({ body }, response) => {
    if (body.length < 20_000) return false;
    response.writeHead(413).end();
    return true;
  });
  t.equal(await sink.write(rows), 0);
  t.same(inOrder(collector.taken), ten);
  t.same(told, []);
  t.ok(collector.requests.some(({ body }) => body.includes("vitrine.reduced")));

  const strict = await sinkTo(t, ({ indexes }, response) => {
    if (!indexes.includes(4)) return false;
    response.writeHead(413).end();
    return true;
  });
  t.equal(await strict.sink.write(rows), 1);
  t.same(
    inOrder(strict.collector.taken),
    ten.filter((index) => index !== 4),
  );
  t.match(strict.told, [/entry 4 is too large for the collector/]);
});

t.test("an answer without end is not read", async (t) => {
  const { sink } = await sinkTo(t, (_, response) => {
    const more = (): void =>
      void (response.destroyed || response.write(Buffer.alloc(65_536), () => setImmediate(more)));
    more();
    return true;
  });
  t.equal(await sink.write(someRows), 0);
});

t.test("Retry-After in seconds, as a date, and as anything else", async (t) => {
  const now = Date.UTC(2026, 10, 22, 22, 0, 0);
  t.equal(retryAfter("7", now), 7000);
  t.equal(retryAfter("Sun, 22 Nov 2026 22:00:09 GMT", now), 9000);
  t.equal(retryAfter("Sun, 22 Nov 2026 21:00:00 GMT", now), 0);
  t.equal(retryAfter("999999999", now), 3_600_000);
  for (const bad of [null, "soon", ""]) t.equal(retryAfter(bad, now), undefined);
  fc.assert(
    fc.property(fc.string(), (text) => {
      const ms = retryAfter(text, now);
      return ms === undefined || (ms >= 0 && ms <= 3_600_000);
    }),
  );
});

t.test("endpoints and headers that cannot be meant", async (t) => {
  const options = { headers: {}, timeoutMs: 1, retryMs: 1, signal: new AbortController().signal, log: () => undefined };
  for (const url of ["ftp://a", "localhost", "http://u:p@a", "http://a?x", "http://a#x"]) {
    t.throws(() => new Collector(url, options), { code: "usage" }, url);
  }
  const file = join(temporaryFolder(t), "headers");
  for (const text of [
    "a",
    "a b: c",
    "a: b\na: c",
    "content-type: x",
    "host: x",
    "a: \u00e9",
    `a: ${"x".repeat(17_000)}`,
  ]) {
    writeFileSync(file, text);
    await t.rejects(readHeaders(file), { code: "usage" }, text.slice(0, 20));
  }
  writeFileSync(file, "Authorization: Bearer top-secret line\u0001");
  const refused = await readHeaders(file).then(
    () => undefined,
    (error: unknown) => error as VerifierError,
  );
  t.type(refused, VerifierError);
  t.notMatch(refused!.message, /top-secret/);
});

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { access, cp, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { checkNote, parseNote, parseSignerKey, parseVerifierKey } from "../../src/formats/note.ts";
import { Acts, isReason } from "../../src/intake/acts.ts";
import type { CheckedSubmission } from "../../src/intake/check.ts";
import { createKey } from "../../src/keys/keys.ts";
import { startLogServer } from "../../src/start.ts";
import { AUDITOR, actingLog, actsOf, disclosed, entriesOf, type LoggedEntry, secret } from "../support/acting.ts";
import { get, published, send, submit } from "../support/client.ts";
import { makeLogFolder, ORIGIN } from "../support/folder.ts";
import { seal, TestSource } from "../support/source.ts";

const NAME = `${ORIGIN}/acts`;

/** A source with one sealed value, at index 1. */
function sourceWith(value: string): TestSource {
  const source = new TestSource("s").start();
  const { sealed, disclosure } = seal("sql", value);
  return source.add({ ...source.head("test.event"), sql: sealed }, [disclosure]);
}

/** The chain over the entries of one epoch, as they stand in the log. */
function chainOf(entries: readonly LoggedEntry[]): string {
  let chain: Buffer = Buffer.alloc(32);
  for (const { at: _, ...entry } of entries) {
    const leaf = createHash("sha256").update(Buffer.of(0)).update(JSON.stringify(entry)).digest();
    chain = createHash("sha256").update(chain).update(leaf).digest();
  }
  return chain.toString("base64");
}

t.test("a log that did nothing has no entries of its own, and its key all the same", async (t) => {
  const { log, folder, config } = await actingLog(t);
  t.equal((await stat(config.actsKey)).mode & 0o777, 0o600);
  t.same((await get(log.url, "/api/v1/sources")).json().sources, []);
  await log.close();
  const again = await startLogServer(folder.config(), { log: () => {} });
  t.equal((await published(again.url, 0)).size, 0);
  await again.close();
});

t.test("a reading is an entry, durable before anything is given", async (t) => {
  const value = secret();
  const source = sourceWith(value);
  const acting = await actingLog(t, [source.key.vkey]);
  const { log } = acting;
  await submit(log.url, source.submission(ORIGIN));
  await published(log.url, 2);
  t.same(await disclosed(log.url, 1), [["AAAAAAAAAAAAAAAAAAAAAA", "sql", value]]);
  const acts = await actsOf(log.url);
  t.match(acts, [
    { kind: "source.start", epoch: 1, seq: 0, source: NAME, previous: null, software: { name: "vitrine-log-server" } },
    { kind: "log.keys", keys: [log.vkey] },
    { kind: "disclosure.read", seq: 2, reader: "the-auditor", index: 1, names: ["sql"], reason: { bytes: 4 } },
  ]);
  const read = acts[2]!;
  t.match(await disclosed(log.url, read.at), [[/^[A-Za-z0-9_-]{22}$/, "reason", "test"]]);
  t.match((await actsOf(log.url)).at(-1), { kind: "disclosure.read", index: read.at, names: ["reason"] });

  const bundle = await get(log.url, "/api/v1/entries/1/bundle?reason=court", AUDITOR);
  t.equal(bundle.json().disclosures.length, 1);
  t.match((await actsOf(log.url)).at(-1), { kind: "disclosure.read", index: 1, names: ["sql"], reason: { bytes: 5 } });
  const count = (await actsOf(log.url)).length;
  for (const path of ["/api/v1/entries/1/disclosures?reason=x", "/api/v1/entries/1/bundle?reason=x"]) {
    const head = await send(log.url, "HEAD", path, AUDITOR);
    t.equal(head.status, 200);
    t.equal(head.body.length, 0);
  }
  await get(log.url, "/api/v1/entries/1/bundle", { authorization: "Bearer viewer" });
  await get(log.url, "/api/v1/entries/1/disclosures", AUDITOR);
  await get(log.url, "/api/v1/entries/9999/disclosures?reason=x", AUDITOR);
  t.equal((await actsOf(log.url)).length, count, "nothing of this is a reading");
  t.same(await disclosed(log.url, 0), []);
  t.match((await actsOf(log.url)).at(-1), { index: 0, names: [] }, "that there is nothing is an answer too");
  await log.close();
});

t.test("the making of its key that was broken off is made good by the next start", async (t) => {
  const folder = await makeLogFolder();
  t.after(() => folder.remove());
  const { actsKey } = folder.config();
  // As on a disk that is full.
  const code = `import(${JSON.stringify(new URL("../../src/keys/acts-key.js", import.meta.url).href)})
    .then(({ readActsKey }) => readActsKey(${JSON.stringify(actsKey)}, ${JSON.stringify(ORIGIN)}))
    .catch((error) => console.log(error.code + ": " + error.message));`;
  const limited = ["-c", 'ulimit -f 0; exec env -i "$@"', "sh", process.execPath, "-e", code];
  t.match(execFileSync("/bin/sh", limited, { encoding: "utf8" }), /^bad_key: acts_key: .* cannot be made .*EFBIG/);
  const log = await startLogServer(folder.config(), { log: () => {} });
  t.equal((await stat(actsKey)).mode & 0o777, 0o600);
  await log.close();
});

t.test("a start that cannot write says why", async (t) => {
  const source = sourceWith("x");
  const acting = await actingLog(t, [source.key.vkey]);
  await submit(acting.log.url, source.submission(ORIGIN));
  await published(acting.log.url, 2);
  await disclosed(acting.log.url, 1);
  // As it is after a crash: the epoch has no end, and the next start begins another.
  const crashed = join(acting.folder.path, "crashed");
  await cp(acting.config.store, crashed, { recursive: true });
  await cp(acting.config.guard, join(acting.folder.path, "guard-crashed"));
  await acting.log.close();
  const config = { ...acting.config, store: crashed, guard: join(acting.folder.path, "guard-crashed") };
  const at = (point: string): void => {
    if (point === "append:before") throw new Error("no space left on device");
  };
  await t.rejects(startLogServer(config, { log: () => {}, at }), {
    code: "write_failed",
    message: /no space left on device; free or replace the disk/,
  });
});

t.test("what cannot be logged is not given", async (t) => {
  const value = secret();
  const source = sourceWith(value);
  let broken = false;
  const acting = await actingLog(t, [source.key.vkey], {
    at: (point) => {
      if (broken && point === "append:before") throw new Error("no space left on device");
    },
  });
  const { log } = acting;
  await submit(log.url, source.submission(ORIGIN));
  await published(log.url, 2);
  broken = true;
  for (const path of ["disclosures", "bundle"]) {
    const answer = await get(log.url, `/api/v1/entries/1/${path}?reason=x`, AUDITOR);
    t.equal(answer.status, path === "bundle" ? 503 : 500);
    t.notOk(answer.body.includes(Buffer.from(value).toString("base64url").slice(4, 40)));
  }
  t.match(await log.failed, { code: "write_failed" });
  await log.close();
});

t.test("epochs, seals and the end are those of a source", async (t) => {
  const source = sourceWith("x");
  let acting = await actingLog(t, [source.key.vkey]);
  await submit(acting.log.url, source.submission(ORIGIN));
  await published(acting.log.url, 2);
  await disclosed(acting.log.url, 1);
  const { sources } = (await get(acting.log.url, "/api/v1/sources")).json();
  t.match(sources, [{ name: NAME, epoch: 1, next: 3, retired: false }, { name: "s" }]);
  const key = parseVerifierKey(sources[0].vkey)!;
  acting = await acting.restart();
  t.equal((await actsOf(acting.log.url)).length, 4, "a start alone is no act");
  await disclosed(acting.log.url, 1);
  acting = await acting.restart();
  const acts = await actsOf(acting.log.url);
  t.same(
    acts.map(({ epoch, seq, kind }) => [epoch, seq, kind]),
    [
      [1, 0, "source.start"],
      [1, 1, "log.keys"],
      [1, 2, "disclosure.read"],
      [1, 3, "source.stop"],
      [2, 0, "source.start"],
      [2, 1, "log.keys"],
      [2, 2, "disclosure.read"],
      [2, 3, "source.stop"],
    ],
  );
  const first = acts.slice(0, 4);
  t.same(acts[4]!.previous, { epoch: 1, next: 4, chain: chainOf(first), clean: true, spool: "kept" });
  const stop = parseNote(Buffer.from(first[3]!.seal as string))!;
  t.equal(checkNote(stop, key), "good");
  t.equal(
    stop.text,
    `vitrine/stop/v1\n${NAME}\n1\n3\n${chainOf(first.slice(0, 3))}\nsessions 0\nstatements 0\nrefused 0\n`,
  );
  await acting.log.close();
});

t.test("after an end that was none, the next start says so at once", async (t) => {
  const source = sourceWith("x");
  let broken = false;
  const acting = await actingLog(t, [source.key.vkey], {
    at: () => {
      if (broken) throw new Error("killed");
    },
  });
  await submit(acting.log.url, source.submission(ORIGIN));
  await published(acting.log.url, 2);
  await disclosed(acting.log.url, 1);
  await entriesOf(acting.log.url);
  broken = true;
  await submit(acting.log.url, source.fill(1).submission(ORIGIN, 2));
  const next = await acting.restart();
  const acts = await actsOf(next.log.url);
  t.match(acts.slice(3), [
    { kind: "source.start", epoch: 2, previous: { epoch: 1, next: 3, chain: chainOf(acts.slice(0, 3)), clean: false } },
    { kind: "log.keys" },
  ]);
  t.equal(acts.length, 5);
  await next.log.close();
});

t.test("the key of the acts is kept, and nobody else has the name", async (t) => {
  const source = sourceWith("x");
  const acting = await actingLog(t, [source.key.vkey]);
  await submit(acting.log.url, source.submission(ORIGIN));
  await published(acting.log.url, 2);
  await disclosed(acting.log.url, 1);
  const stranger = new TestSource(NAME).start();
  t.match((await submit(acting.log.url, stranger.submission(ORIGIN))).json(), { error: { code: "unknown_source" } });
  await acting.log.close();
  await rm(acting.config.actsKey);
  await t.rejects(startLogServer(acting.config, { log: () => {} }), { code: "bad_key", message: /restore the key/ });
  await t.rejects(access(acting.config.actsKey), "no other key is made in its place");
  const own = { ...acting.config, actsKey: acting.config.key };
  await t.rejects(startLogServer(own, { log: () => {} }), {
    code: "bad_key",
    message: /must be log\.example\/test\/acts's/,
  });
  const folder = await makeLogFolder([createKey(NAME).vkey]);
  t.teardown(() => folder.remove());
  await t.rejects(startLogServer(folder.config(), { log: () => {} }), {
    code: "bad_config",
    message: /the log itself/,
  });
});

t.test("seals come after so many entries, after a while, and when nothing happens", async (t) => {
  const key = parseSignerKey(createKey(NAME).skey)!;
  const written: CheckedSubmission[] = [];
  const acts = new Acts({
    key,
    software: { name: "test", version: "1" },
    config: "0".repeat(64),
    logKeys: () => ["x"],
    position: { epoch: 0, next: 0, chain: Buffer.alloc(32), vkey: key.vkey },
    clean: false,
    submit: async (submission) => {
      written.push(submission);
      return written.length - 1;
    },
    seals: { everyEntries: 5, everyMs: 30, idleMs: 60 },
  });
  const kinds = (): string[] =>
    written.map(({ payload, starts, ends }) => JSON.parse(payload.subarray(starts[0], ends[0]).toString()).kind);
  const until = async (count: number): Promise<void> => {
    while (kinds().filter((kind) => kind === "source.seal").length < count) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };
  await acts.open(false);
  t.same(kinds(), []);
  const done = { ordered: 1, entries: 1, values: 1 };
  await Promise.all([1, 2, 3].map(() => acts.record({ kind: "erasure.done", members: done })));
  await until(1);
  t.same(kinds(), ["source.start", "log.keys", "erasure.done", "erasure.done", "erasure.done", "source.seal"]);
  await until(2);
  await acts.record({ kind: "erasure.done", members: done });
  await until(3);
  t.same(kinds().slice(6), ["source.seal", "erasure.done", "source.seal"]);
  await t.rejects(acts.record({ kind: "erasure.done", members: {} }), /erasure\.done/, "held to its own form");
  await acts.close();
  t.equal(kinds().at(-1), "source.stop");
  await t.rejects(acts.record({ kind: "erasure.done", members: done }), { code: "stopping" });
  await acts.close();
});

t.test("reasons", async (t) => {
  for (const text of ["x", "case 4711, request of 1 November", "ü".repeat(256)]) t.ok(isReason(text));
  for (const text of ["", "a\nb", "\u0000", "\u0085", "\ud800", "x".repeat(513), "ü".repeat(257)])
    t.notOk(isReason(text));
});

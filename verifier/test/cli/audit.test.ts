import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { testKey } from "./support/keys.ts";
import { TestLog, vectorLog, vectors } from "./support/log.ts";
import { run, temporaryFolder } from "./support/run.ts";
import { serve, type TestServer } from "./support/server.ts";
import { TestSource } from "./support/source.ts";

type Entry = Record<string, unknown> & { relations?: { schema?: string; name: string }[]; actor?: { login: string } };
const entries = vectors.entries.map((text) => JSON.parse(text) as Entry);
const listedByDefault = entries.filter(({ kind }) => kind === "statement" || kind === "access.refused");

async function served(
  t: { teardown(what: () => unknown): void },
  log: TestLog,
): Promise<{ server: TestServer; args: string[] }> {
  const server = await serve(log);
  t.teardown(() => server.close());
  return { server, args: ["audit", "--log", server.url, "--vkey", log.key.vkey, "--state", temporaryFolder(t)] };
}

/** The indexes at the beginning of the table's lines. */
function listed(stdout: string): number[] {
  return [...stdout.matchAll(/^ *([0-9]+) {2}[0-9]{4}-[0-9]{2}-[0-9]{2} /gm)].map((match) => Number(match[1]));
}

t.test("all of a good log passes; a second audit carries on; --all reads it again", async (t) => {
  const log = vectorLog(256);
  const { server, args } = await served(t, log);
  log.size = 301;
  const first = await run(args);
  t.equal(first.status, 0, first.stdout + first.stderr);
  t.equal(first.stderr, "");
  t.match(first.stdout, /^PASS\nEstablished: all 301 entries/m);
  const newest = listedByDefault.slice(-50).map((entry) => entries.indexOf(entry));
  t.same(listed(first.stdout), newest);
  t.match(first.stdout, `${listedByDefault.length} entries match; the newest 50 are listed`);
  for (const { name, vkey } of vectors.sources) {
    t.match(first.stdout, `Source ${name}\n  key         ${vkey.split("+")[1]}, learned`);
  }

  server.paths.length = 0;
  const second = await run(args);
  t.equal(second.status, 0);
  t.match(second.stdout, "No new entries.");
  t.match(second.stdout, "Entries 0 to 300 were verified by an earlier audit; --all reads and lists them too.");
  t.notOk(server.paths.includes("/tile/entries/000"), "what was audited is not read again");

  const all = await run([...args, "--all", "--json"]);
  t.equal(all.status, 0);
  t.match(all.json, { verdict: "PASS", from: 0, size: 301, read: 301, keptSize: 301, firstBadIndex: null });
  t.match(all.json, { matched: listedByDefault.length, entriesSigned: true, findings: [], omitted: {} });
  t.same(
    all.json.entries,
    listedByDefault.map((entry) => ({ index: entries.indexOf(entry), entry })),
  );
  t.match(all.json.sources, [
    { name: "proxy-a.example", keyId: "187c2a75", key: "learned", epochs: 2, stopped: true, unsealed: null, gaps: [] },
    { name: "proxy-b.example", keyId: "0874e031", key: "learned", epochs: 2, stopped: true, unsealed: null, gaps: [] },
  ]);
});

t.test("a resumed audit lists what is new, and verifies it with what was carried on", async (t) => {
  const log = vectorLog(100);
  const { args } = await served(t, log);
  const early = await run([...args, "--wait", "0"]);
  t.equal(early.status, 2);
  t.match(early.stdout, /^ {2}unsealed {2}at entry 89, source proxy-a\.example, epoch 1/m);
  t.match(early.stdout, /^NOT PROVEN$/m);
  log.size = 301;
  const late = await run([...args, "--json"]);
  t.equal(late.status, 0);
  t.match(late.json, { from: 100, size: 301, keptSize: 100 });
  const indexes = (late.json.entries as { index: number }[]).map(({ index }) => index);
  t.same(
    indexes,
    listedByDefault
      .map((entry) => entries.indexOf(entry))
      .filter((index) => index >= 100)
      .slice(-50),
  );
});

t.test("filters restrict the list, by every member that they name, and never the verdict", async (t) => {
  const { args } = await served(t, vectorLog());
  const has = (table: string) => (entry: Entry) =>
    entry.relations?.some(({ schema, name }) => name === table || `${schema}.${name}` === table) ?? false;
  const cases: [string[], (entry: Entry) => boolean][] = [
    [["--user", "alice"], (entry) => entry.actor?.login === "alice"],
    [["--database", "shop", "--operation", "update"], (entry) => entry.operation === "UPDATE"],
    [["--operation", "Session.End"], (entry) => entry.kind === "session.end"],
    [["--table", "accounts", "--user", "bob"], (entry) => has("accounts")(entry) && entry.actor?.login === "bob"],
    [["--table", "nosuch"], () => false],
    [["--database", "Shop"], () => false],
    [
      ["--since", "2026-11-22T22:10:00.100300Z", "--until", "2026-11-22T23:10:00.15013+01:00"],
      (entry) =>
        (entry.kind === "statement" || entry.kind === "access.refused") &&
        (entry.time as string) >= "2026-11-22T22:10:00.100300Z" &&
        (entry.time as string) < "2026-11-22T22:10:00.150130Z",
    ],
  ];
  for (const [filter, matches] of cases) {
    const result = await run([...args, "--all", ...filter, "--json"]);
    t.equal(result.status, 0, filter.join(" "));
    const expected = entries.flatMap((entry, index) => (matches(entry) ? [{ index, entry }] : []));
    t.same(result.json.entries, expected, filter.join(" "));
    t.equal(result.json.matched, expected.length);
    t.match(result.json, { verdict: "PASS", size: 301 });
  }
  const limited = await run([...args, "--all", "--user", "alice", "--limit", "3"]);
  const alices = entries.flatMap((entry, index) => (entry.actor?.login === "alice" ? [index] : []));
  t.same(listed(limited.stdout), alices.slice(-3));
  t.match(limited.stdout, `${alices.length - 3} more with --limit ${alices.length}`);
  const none = await run([...args, "--all", "--limit", "0"]);
  t.same(listed(none.stdout), []);
});

t.test("who stands behind a login is found apart from who is only claimed to", async (t) => {
  const source = new TestSource("proxy.example", Date.now());
  source.session("app");
  const claimed = { user: { name: "ann", from: "comment" } };
  source.statement({ actor: { login: "app", auth: "trust", identity: "ann" } });
  source.statement({ claimed });
  source.statement({ actor: { login: "ann", auth: "trust" } });
  source.statement({ claimed: { trace: { id: "4bf92f3577b34da6a3ce929d0e0e4736", span: "00f067aa0ba902b7" } } });
  source.seal();
  const { args } = await served(t, new TestLog(testKey("log.example"), source.entries));
  const found = async (...filter: string[]): Promise<number[]> =>
    listed((await run([...args, "--all", ...filter])).stdout);
  t.same(await found("--identity", "ann"), [2]);
  t.same(await found("--claimed", "ann"), [3]);
  t.same(await found("--user", "ann"), [4]);
  t.same(await found("--identity", "ann", "--claimed", "ann"), []);
  const table = (await run([...args, "--all"])).stdout;
  t.match(table, / app \(ann\) /);
});

t.test("tables are found with and without their schema", async (t) => {
  const source = new TestSource("proxy.example", Date.now());
  source.session("alice");
  const relations = (schema?: string): unknown => [
    { ...(schema === undefined ? {} : { schema }), name: "t", access: "read" },
  ];
  source.statement({ relations: relations("public") });
  source.statement({ relations: relations() });
  source.statement({ relations: relations("other") });
  source.seal();
  const { args } = await served(t, new TestLog(testKey("log.example"), source.entries));
  t.same(listed((await run([...args, "--all", "--table", "t"])).stdout), [2, 3, 4]);
  const qualified = await run([...args, "--all", "--table", "public.t"]);
  t.same(listed(qualified.stdout), [2]);
  t.match(qualified.stdout, /^1 statement names such a table without a schema, and may mean this one/m);
  const counted = await run([...args, "--all", "--table", "public.t", "--json"]);
  t.match(JSON.parse(counted.stdout), { matched: 1, doubtful: 1, incomplete: 0 });
});

t.test("what was bound and not executed does not look like what was", async (t) => {
  const source = new TestSource("proxy.example", Date.now());
  source.session("alice");
  source.statement({ rows: 0, executed: false });
  source.statement({ rows: 3 });
  source.seal();
  const { args } = await served(t, new TestLog(testKey("log.example"), source.entries));
  const { stdout } = await run([...args, "--all"]);
  t.match(stdout, /^ *2 {2}.* completed, bound only +0$/m);
  t.match(stdout, /^ *3 {2}.* completed +3$/m);
});

t.test("what may have reached a table without naming it is counted", async (t) => {
  const source = new TestSource("proxy.example", Date.now());
  source.session("alice");
  const opaque = { complete: false, incomplete: "opaque" };
  source.statement({ relations: [{ name: "t", access: "read" }], ...opaque });
  source.statement({ operation: "DO", ...opaque });
  source.statement({ operation: "DO", ...opaque, login: "bob" });
  source.statement();
  source.seal();
  const { args } = await served(t, new TestLog(testKey("log.example"), source.entries));
  const table = [...args, "--all", "--table", "t"];
  const said = await run(table);
  t.same(listed(said.stdout), [2]);
  t.match(said.stdout, /^2 statements do more than can be read off the text, and may have reached the table/m);
  t.match(JSON.parse((await run([...table, "--json"])).stdout), { matched: 1, doubtful: 0, incomplete: 2 });
  t.match(JSON.parse((await run([...table, "--user", "bob", "--json"])).stdout), { matched: 0, incomplete: 1 });
  t.match(JSON.parse((await run([...args, "--all", "--json"])).stdout), { matched: 4, incomplete: 0 });
});

t.test(
  "a changed entry fails with its place, the state is not advanced, and the list says what it is worth",
  async (t) => {
    const log = vectorLog();
    const forged = Buffer.from(vectors.entries[5]!.replace('"SELECT"', '"DELETE"'));
    const server = await serve(log, (path, response) => {
      if (path !== "/tile/entries/000") return false;
      const bytes = log.file(path)!;
      const at = bytes.indexOf(log.entries[5]!);
      response.end(Buffer.concat([bytes.subarray(0, at), forged, bytes.subarray(at + forged.length)]));
      return true;
    });
    t.teardown(() => server.close());
    const args = ["audit", "--log", server.url, "--vkey", vectors.vkey, "--state", temporaryFolder(t)];
    const result = await run([...args, "--json"]);
    t.equal(result.status, 1);
    t.match(result.json, { verdict: "FAIL", firstBadIndex: 5, entriesSigned: false, evidence: null });
    t.match(result.json.findings, [{ code: "leaf_mismatch", index: 5 }, { code: "root_mismatch" }]);
    const text = await run(args);
    t.equal(text.status, 1);
    t.match(text.stdout, /^ {2}leaf_mismatch {2}at entry 5, tile\/0\/000$/m);
    t.match(text.stdout, "NOT PROVEN TO BE WHAT WAS SIGNED");
    t.match(text.stdout, "Entries 0 to 300 were read.", "the audit begins anew");
  },
);

t.test("entries that have no seal yet are waited for", async (t) => {
  const source = new TestSource("proxy.example", Date.now());
  source.session("alice");
  source.statement();
  const size = source.entries.length;
  source.seal();
  source.statement();
  const log = new TestLog(testKey("log.example"), source.entries, size);
  let asked = 0;
  const server = await serve(log, (path) => {
    if (path === "/checkpoint" && ++asked === 2) log.size = source.entries.length;
    return false;
  });
  t.teardown(() => server.close());
  const args = ["audit", "--log", server.url, "--vkey", log.key.vkey, "--state", temporaryFolder(t)];
  const result = await run(args);
  t.equal(result.status, 0, result.stdout);
  t.match(result.stderr, "waiting for the seals of entries that have none yet");
  t.match(result.stdout, "Those from 3 on came while waiting for seals");
  t.same(listed(result.stdout), [2, 4]);
  const next = await run([...args, "--wait", "0"]);
  t.equal(next.status, 2);
  t.match(next.stdout, /^ {2}unsealed {2}at entry 4/m);
  t.same(listed(next.stdout), [], "no entry is listed twice");
});

t.test("a source's key is learned, or pinned; one that is not the pinned one fails", async (t) => {
  const { args } = await served(t, vectorLog());
  const [a, b] = vectors.sources;
  const file = join(temporaryFolder(t), "b.vkey");
  writeFileSync(file, `${b!.vkey}\n`);
  const pinned = await run([...args, "--source", a!.vkey, "--source", file]);
  t.equal(pinned.status, 0);
  t.match(pinned.stdout, "187c2a75, pinned");
  t.match(pinned.stdout, "0874e031, pinned");
  t.notMatch(pinned.stdout, "learned");
  const wrong = await run([...args, "--all", "--source", testKey(a!.name).vkey, "--json"]);
  t.equal(wrong.status, 1);
  t.match(wrong.json.findings, [{ code: "source_key_mismatch", source: a!.name, index: 0 }]);
  const absent = await run([...args, "--all", "--source", testKey("nobody.example").vkey, "--json"]);
  t.equal(absent.status, 2);
  t.match(absent.json.findings, [{ code: "source_missing", source: "nobody.example" }]);
});

t.test("relaxed durability, declared gaps and epochs that ended uncleanly stand in the report", async (t) => {
  const source = new TestSource("proxy.example", Date.now(), "relaxed");
  source.session("alice");
  source.seal();
  const { args } = await served(t, new TestLog(testKey("log.example"), source.entries));
  const result = await run(args);
  t.equal(result.status, 0, result.stdout);
  t.match(result.stdout, "reads relaxed, others before-execute");
  t.match(result.stdout, "1 epoch, where a crash may lose up to 250 ms");
  t.match(result.stdout, "1: 0 ended in order, 0 did not, the last one goes on");
  t.match(result.stdout, "open        1 session");
});

t.test("a log with nothing in it", async (t) => {
  const { args } = await served(t, vectorLog(0));
  const result = await run(args);
  t.equal(result.status, 0, result.stdout);
  t.match(result.stdout, "No new entries.");
});

t.test("more entries than one thread hashes", async (t) => {
  const source = new TestSource("proxy.example", Date.now() - 20_000_000);
  source.session("alice");
  for (let i = 0; i < 12_000; i++) source.statement();
  source.seal("source.seal");
  const log = new TestLog(testKey("log.example"), source.entries);
  const { args } = await served(t, log);
  const result = await run([...args, "--json"]);
  t.same(
    (result.json.findings as { code: string }[]).map(({ code }) => code),
    ["silent"],
    "its last entry is old",
  );
  t.match(result.json, { read: 12_003, matched: 12_000 });
  t.equal((result.json.entries as unknown[]).length, 50);
});

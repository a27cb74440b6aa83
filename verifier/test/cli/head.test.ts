import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { testKey } from "./support/keys.ts";
import { TestLog, vectorLog, vectors } from "./support/log.ts";
import { run, temporaryFolder } from "./support/run.ts";
import { serve } from "./support/server.ts";

t.test("the first contact passes and says so; the next one is held against it", async (t) => {
  const log = vectorLog(100);
  const server = await serve(log);
  t.teardown(() => server.close());
  const args = ["head", "--log", server.url, "--vkey", vectors.vkey, "--state", join(temporaryFolder(t), "deep", "er")];
  const first = await run(args);
  t.equal(first.status, 0);
  t.equal(first.stderr, "");
  t.match(first.stdout, "100 entries");
  t.match(first.stdout, /^PASS$/m);
  t.match(first.stdout, "this is the first contact");

  const again = await run(args);
  t.equal(again.status, 0);
  t.match(again.stdout, "the tree of 100 entries");
  t.notMatch(again.stdout, "first contact");

  log.size = 301;
  server.paths.length = 0;
  const json = (await run([...args, "--json"])).json;
  t.match(json, { command: "head", verdict: "PASS", findings: [], keptSize: 100, evidence: null, stateError: null });
  t.same(json.checkpoint, {
    origin: vectors.origin,
    size: 301,
    root: Buffer.from(vectors.checkpoints.at(-1)!.root, "hex").toString("base64"),
    note: vectors.checkpoints.at(-1)!.note,
  });
  t.equal(json.vkey, vectors.vkey);
  t.equal(json.log, server.url);
  t.notOk(
    server.paths.some((path) => path.startsWith("/tile/entries/")),
    "the entries are not read",
  );
});

t.test("the state goes to XDG_STATE_HOME, else below the home folder, readable by its owner only", async (t) => {
  const server = await serve(vectorLog());
  t.teardown(() => server.close());
  const home = temporaryFolder(t);
  const args = ["head", "--log", server.url, "--vkey", vectors.vkey];
  t.equal((await run(args, { env: { XDG_STATE_HOME: join(home, "state"), HOME: home } })).status, 0);
  t.match(readdirSync(join(home, "state/vitrine-verifier")), [/^[0-9a-f]{64}\.json$/]);
  t.equal((await run(args, { env: { XDG_STATE_HOME: "not/absolute", HOME: home } })).status, 0);
  t.match(readdirSync(join(home, ".local/state/vitrine-verifier")), [/^[0-9a-f]{64}\.json$/]);
});

t.test("a log that contradicts what it signed fails, both notes are kept, and the state is not advanced", async (t) => {
  const other = vectors.entries.map((entry, index) => (index === 5 ? entry.replace("SELECT", "DELETE") : entry));
  const cases = [
    { code: "rolled_back", log: vectorLog(99) },
    { code: "split_view", log: new TestLog(vectorLog().key, other, 100) },
    { code: "inconsistent", log: new TestLog(vectorLog().key, other, 256) },
  ];
  for (const { code, log } of cases) {
    const folder = temporaryFolder(t);
    let served = vectorLog(100);
    const server = await serve(served, (path, response) => {
      response.statusCode = served.file(path) === undefined ? 404 : 200;
      response.end(served.file(path));
      return true;
    });
    t.teardown(() => server.close());
    const args = ["head", "--log", server.url, "--vkey", vectors.vkey, "--state", folder];
    t.equal((await run(args)).status, 0);
    const [name] = readdirSync(folder);
    const before = readFileSync(join(folder, name!), "utf8");
    const kept = served.checkpoint();
    served = log;

    const result = await run([...args, "--json"]);
    t.equal(result.status, 1, code);
    t.match(result.json, { verdict: "FAIL", findings: [{ code }] });
    t.same(JSON.parse(readFileSync(result.json.evidence as string, "utf8")), {
      format: "vitrine/fork-evidence/v1",
      vkey: vectors.vkey,
      found: code,
      kept,
      seen: log.checkpoint(),
    });
    t.equal(readFileSync(join(folder, name!), "utf8"), before);

    const text = await run(args);
    t.equal(text.status, 1);
    t.match(text.stdout, `Both signed checkpoints are kept in ${result.json.evidence}`);
    t.match(text.stdout, new RegExp(`^  ${code}`, "m"));
    t.match(text.stdout, /^FAIL$/m);
    t.equal(readdirSync(folder).length, 2, "the same fork again is the same file");
    served = vectorLog(256);
    t.equal((await run(args)).status, 0, "the log that was seen first goes on");
  }
});

t.test("a checkpoint that is not this key's fails, and nothing is kept", async (t) => {
  const mallory = testKey(vectors.origin);
  const cases: [string, string][] = [
    ["signature_missing", new TestLog(mallory, vectors.entries).checkpoint()],
    ["signature_invalid", vectorLog().checkpoint().replace("\n301\n", "\n302\n")],
    ["origin_mismatch", new TestLog(testKey("another.example/log"), vectors.entries).checkpoint()],
    ["note_malformed", "<html>It works!</html>\n"],
  ];
  for (const [code, note] of cases) {
    const server = await serve(vectorLog(), (_path, response) => {
      response.end(note);
      return true;
    });
    t.teardown(() => server.close());
    const folder = temporaryFolder(t);
    const result = await run(["head", "--log", server.url, "--vkey", vectors.vkey, "--state", folder, "--json"]);
    t.equal(result.status, 1);
    t.match(result.json, { verdict: "FAIL", findings: [{ code, where: "checkpoint" }], checkpoint: null });
    t.same(readdirSync(folder), []);
  }
});

t.test("a log without a checkpoint is not proven", async (t) => {
  const server = await serve(vectorLog(), (path, response) => {
    if (path !== "/logs/one/checkpoint") return false;
    response.writeHead(410).end();
    return true;
  });
  t.teardown(() => server.close());
  const args = ["head", "--log", `${server.url}/logs/one/`, "--vkey", vectors.vkey, "--state", temporaryFolder(t)];
  const result = await run(args);
  t.equal(result.status, 2);
  t.match(result.stdout, /^ {2}data_missing/m);
  t.match(result.stdout, /^NOT PROVEN$/m);
  t.same(server.paths, ["/logs/one/checkpoint"]);
});

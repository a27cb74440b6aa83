import { readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { State } from "../../cli/state.ts";
import { type Kept, parseVerifierKey } from "../../src/index.ts";
import { TestLog, vectorLog, vectors } from "../cli/support/log.ts";
import { run, temporaryFolder } from "../cli/support/run.ts";
import { serve } from "../cli/support/server.ts";

type Test = { teardown(what: () => unknown): void };

async function kept(t: Test, size = 100): Promise<{ args: string[]; folder: string; file: string; log: TestLog }> {
  const log = vectorLog(size);
  const server = await serve(log);
  t.teardown(() => server.close());
  const folder = temporaryFolder(t);
  const args = ["--log", server.url, "--vkey", vectors.vkey, "--state", folder];
  await run(["audit", ...args, "--wait", "0"]);
  const [name] = readdirSync(folder);
  return { args, folder, file: join(folder, name!), log };
}

t.test("a state that is damaged or foreign is refused, and left as it is", async (t) => {
  const { args, file } = await kept(t);
  const good = readFileSync(file, "utf8");
  t.equal(statSync(file).mode % 0o1000, 0o600);
  const cases = {
    "it is not JSON": good.slice(0, 100),
    "it is not JSON ": "",
    "its format is not": good.replace("verifier-state/v1", "verifier-state/v9"),
    "its digest does not fit": good.replace('"size":100', '"size":101'),
    "not JSON": "\u0000".repeat(good.length),
  };
  for (const [message, damaged] of Object.entries(cases)) {
    writeFileSync(file, damaged);
    for (const command of ["head", "audit"]) {
      const result = await run([command, ...args]);
      t.equal(result.status, 64, message);
      t.match(result.stderr, message.trim());
      t.match(result.stderr, file);
    }
    t.equal(readFileSync(file, "utf8"), damaged);
  }
  writeFileSync(file, good);
  t.match(await run(["head", ...args]), { status: 0 });
});

t.test("what another log's key left here does not matter; under this key's name it is refused", async (t) => {
  const { args, file, folder } = await kept(t);
  const other = await kept(t);
  const foreign = JSON.parse(readFileSync(other.file, "utf8")) as { body: { vkey: string } };
  writeFileSync(join(folder, `${"0".repeat(64)}.json`), "of another key");
  t.match(await run(["head", ...args]), { status: 0 });
  foreign.body.vkey = vectors.sources[0]!.vkey;
  writeFileSync(file, JSON.stringify(foreign));
  t.match(await run(["head", ...args]), { status: 64 });
});

t.test("a state folder that cannot be used is found before the log is asked", async (t) => {
  const server = await serve(vectorLog());
  t.teardown(() => server.close());
  const file = join(temporaryFolder(t), "file");
  writeFileSync(file, "");
  const result = await run(["head", "--log", server.url, "--vkey", vectors.vkey, "--state", join(file, "below")]);
  t.equal(result.status, 64);
  t.match(result.stderr, /the state folder .* cannot be used/);
  t.same(server.paths, []);
});

t.test("a state that cannot be written does not take the verdict away, and is not success", async (t) => {
  const log = vectorLog();
  const folder = temporaryFolder(t);
  const server = await serve(log, (path) => {
    // The folder goes away while the command is at work.
    if (path.startsWith("/tile/entries/001")) import("node:fs").then((fs) => fs.rmSync(folder, { recursive: true }));
    return false;
  });
  t.teardown(() => server.close());
  const args = ["audit", "--log", server.url, "--vkey", vectors.vkey, "--state", folder];
  const result = await run([...args, "--json"]);
  t.equal(result.status, 64);
  t.match(result.json, { verdict: "PASS", stateError: /ENOENT/ });
});

t.test("what is too long to be read again is not kept, and said", async (t) => {
  const { file, folder } = await kept(t);
  const key = parseVerifierKey(vectors.vkey);
  const limit = statSync(file).size + 1000;
  const state = await State.open(folder, key, limit);
  const before = readFileSync(file, "utf8");
  const { checkpoint, audit } = state.kept!;
  const large = (length: number): Kept => ({
    checkpoint,
    audit: { ...audit!, sources: [...audit!.sources, { ...audit!.sources[0]!, name: "x".repeat(length) }] },
  });
  for (const length of [limit, 2 ** 29 - 1000]) {
    await t.rejects(state.save(large(length)), {
      code: "usage",
      message: /more sources and open sessions than can be/,
    });
  }
  t.equal(readFileSync(file, "utf8"), before);
  await State.open(folder, key, limit);
});

t.test("many runs at once leave a whole state, and the furthest one", async (t) => {
  const { args, file, folder, log } = await kept(t, 1);
  const runs: Promise<unknown>[] = [];
  for (const size of [256, 100, 301, 301, 256, 301]) {
    // Each run is served another size; which one that is depends on their order, and all are the same log's.
    log.size = Math.max(log.size, size);
    runs.push(run(runs.length % 2 === 0 ? ["audit", ...args, "--wait", "0"] : ["head", ...args]));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  for (const result of (await Promise.all(runs)) as { status: number; stdout: string }[]) {
    t.ok(result.status === 0 || result.status === 2, result.stdout);
  }
  const state = JSON.parse(readFileSync(file, "utf8")) as { body: { checkpoint: string; audit: { size: number } } };
  t.equal(state.body.checkpoint, log.checkpoint(301));
  t.equal(state.body.audit.size, 301);
  t.same(readdirSync(folder), [file.slice(folder.length + 1)], "no lock and no temporary file is left");
});

t.test("a run that ends late does not take back what another has kept", async (t) => {
  const { args, file, log } = await kept(t);
  // The audit is held up until another run has moved the state on.
  log.size = 256;
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const slow = await serve(log, (path, response) => {
    if (path === "/checkpoint") response.end(log.checkpoint(256));
    else if (path === "/tile/entries/000") held.then(() => response.end(log.file(path)));
    else return false;
    return true;
  });
  t.teardown(() => slow.close());
  const late = run(["audit", ...args, "--log", slow.url, "--wait", "0", "--json"]);
  while (!slow.paths.includes("/tile/entries/000")) await new Promise((resolve) => setTimeout(resolve, 10));
  log.size = 301;
  t.match(await run(["audit", ...args]), { status: 0 });
  const further = readFileSync(file, "utf8");
  release();
  t.match((await late).json, { size: 256, findings: [{ code: "unsealed" }, {}] });
  t.equal(readFileSync(file, "utf8"), further);
});

t.test("a fork between two runs at once is found", async (t) => {
  const { args, file, log } = await kept(t);
  const other = vectors.entries.map((entry, index) => (index === 280 ? entry.replace("alice", "mallory") : entry));
  t.not(other[280], vectors.entries[280]);
  const fork = new TestLog(log.key, other, 301);
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const slow = await serve(fork, (path, response) => {
    if (path !== "/tile/0/001.p/45") return false;
    held.then(() => response.end(fork.file(path)));
    return true;
  });
  t.teardown(() => slow.close());
  const late = run(["head", ...args, "--log", slow.url, "--json"]);
  while (!slow.paths.includes("/tile/0/001.p/45")) await new Promise((resolve) => setTimeout(resolve, 10));
  log.size = 301;
  t.match(await run(["head", ...args]), { status: 0 });
  const before = readFileSync(file, "utf8");
  release();
  const result = await late;
  t.equal(result.status, 1);
  t.match(result.json, { verdict: "FAIL", findings: [{ code: "split_view" }] });
  const evidence = JSON.parse(readFileSync(result.json.evidence as string, "utf8")) as { kept: string; seen: string };
  t.same(new Set([evidence.kept, evidence.seen]), new Set([log.checkpoint(301), fork.checkpoint(301)]));
  t.equal(readFileSync(file, "utf8"), before);
});

t.test("a lock that a run left when it was killed is taken over", async (t) => {
  const { args, file, log } = await kept(t);
  writeFileSync(`${file}.lock`, "");
  const old = Date.now() / 1000 - 60;
  utimesSync(`${file}.lock`, old, old);
  log.size = 301;
  t.match(await run(["head", ...args]), { status: 0 });
  const { body } = JSON.parse(readFileSync(file, "utf8")) as { body: { checkpoint: string } };
  t.equal(body.checkpoint, log.checkpoint(301));
});

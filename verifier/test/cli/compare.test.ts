import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { originFolder } from "../../cli/views.ts";
import { parseVerifierKey } from "../../src/index.ts";
import { exportTo } from "./support/folder.ts";
import { TestLog, vectorLog, vectors } from "./support/log.ts";
import { run, temporaryFolder } from "./support/run.ts";
import { serve } from "./support/server.ts";

const log = vectorLog();
const fork = new TestLog(log.key, vectors.entries.with(200, vectors.entries[201]!));
const hashed = `/${originFolder(parseVerifierKey(vectors.vkey))}`;

t.test("a log, a witness, a mirror, a folder and a note", async (t) => {
  const folder = temporaryFolder(t);
  const server = await serve(log);
  // It serves the log below the hash of its origin only; and one of the two is not polite about anything else.
  const witness = await serve(vectorLog(200), (path, response) => {
    if (path === `${hashed}/checkpoint`) response.end(log.checkpoint(200));
    else response.writeHead(500).end();
    return true;
  });
  const mirror = await serve(log, (path, response) => {
    const body = path.startsWith(hashed) ? vectorLog(256).file(path.slice(hashed.length)) : undefined;
    response.writeHead(body === undefined ? 404 : 200).end(body);
    return true;
  });
  t.teardown(() => Promise.all([server.close(), witness.close(), mirror.close()]));
  exportTo(join(folder, "export"), vectorLog(100));
  exportTo(join(folder, "mirrors", hashed), vectorLog(90));
  writeFileSync(join(folder, "note"), log.checkpoint(7));
  const state = join(folder, "state");
  const args = ["compare", "--vkey", vectors.vkey, "--state", state];
  const views = [witness.url, `${mirror.url}/`, join(folder, "export"), join(folder, "mirrors"), join(folder, "note")];
  const result = await run([...args, "--log", `${server.url}/checkpoint`, ...views, "--json"]);
  t.equal(result.status, 0, result.stdout);
  const sizes = (result.json.views as { checkpoint: { size: number } }[]).map(({ checkpoint }) => checkpoint.size);
  t.same(sizes, [301, 200, 256, 100, 90, 7]);
  t.same(readdirSync(state), [], "what others show is not kept");

  const one = await run([...args, server.url]);
  t.match(one, { status: 64, stderr: /nothing that was kept to compare it with/ });
  t.equal((await run(["head", "--log", server.url, "--vkey", vectors.vkey, "--state", state])).status, 0);
  const kept = await run([...args, "-"].concat(server.url), { input: fork.checkpoint(300) });
  t.equal(kept.status, 1);
  t.match(kept.stdout, /^FAIL\nThe log's key has signed two histories/m);
  const evidence = /Two signed checkpoints are kept in (.*)/.exec(kept.stdout)?.[1];
  t.match(JSON.parse(readFileSync(evidence!, "utf8")), {
    format: "vitrine/fork-evidence/v1",
    vkey: vectors.vkey,
    found: "inconsistent",
    kept: fork.checkpoint(300),
    seen: log.checkpoint(301),
  });
});

t.test("nobody answers; what cannot be read; names are printed with care", async (t) => {
  const server = await serve(log);
  await server.close();
  const folder = temporaryFolder(t);
  const args = ["compare", "--vkey", vectors.vkey, "--state", join(folder, "state")];
  t.match(await run([...args, server.url, server.url]), { status: 69, stderr: /log_unreachable/ });
  const odd = join(folder, "a\u001b[2J\u202enote");
  writeFileSync(odd, "nothing");
  mkdirSync(join(folder, "empty"));
  const result = await run([...args, odd, join(folder, "empty"), server.url]);
  t.equal(result.status, 1);
  t.notMatch(result.stdout, /[\u001b\u202e]/);
  t.match(result.stdout, /note_malformed.*data_missing/s);
  t.match(await run(args), { status: 64, stderr: /VIEW is missing/ });
});

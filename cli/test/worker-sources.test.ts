import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createKey } from "@vitrine/log-server";
import t from "tap";
import { addInYaml } from "../src/config-files.ts";
import { registerWorkers, workersOf } from "../src/worker-sources.ts";
import { vitrine } from "./run.ts";

t.test("an item is added to a list, and a person's layout stays", async (t) => {
  for (const [before, after] of [
    ["# c\nsources:\n    - one # mine\n\ntokens: t\n", "# c\nsources:\n    - one # mine\n    - two\n\ntokens: t\n"],
    ["sources:\n- one", "sources:\n- one\n- two"],
    ["sources: [one]\nx: 1\n", "sources: [ one, two ]\nx: 1\n"],
    ["x: 1\n", "x: 1\nsources:\n  - two\n"],
    ["sources: [one, two]\n", "sources: [one, two]\n"],
  ] as const) {
    const file = path.join(t.testdir(), "a.yaml");
    writeFileSync(file, before);
    addInYaml(file, "sources", "two");
    t.equal(readFileSync(file, "utf8"), after);
  }
  const file = path.join(t.testdir(), "a.yaml");
  writeFileSync(file, "sources: 1\n");
  t.throws(() => addInYaml(file, "sources", "two"), { code: "bad_config" });
});

t.test("each worker has a key, registered once, also after a start that was killed in between", async (t) => {
  const dir = t.testdir({ "proxy.yaml": "workers: 3 # cores\n", "log.yaml": "sources:\n  - a.example/p+00000000+x\n" });
  const log = path.join(dir, "log.yaml");
  const fileOf = (number: number): string => path.join(dir, `source.key.worker-${number}`);
  t.equal(workersOf(path.join(dir, "proxy.yaml")), 3);
  const register = (): void => registerWorkers(3, "a.example/p+00000000+x", log, fileOf, createKey);
  register();
  const text = readFileSync(log, "utf8");
  t.match(
    text,
    /^sources:\n {2}- a\.example\/p\+\S+\n {2}- a\.example\/p\/worker-2\+\S+\n {2}- a\.example\/p\/worker-3\+/,
  );
  register();
  t.equal(readFileSync(log, "utf8"), text);
  // As if it had been killed behind the key, and behind the verifier key.
  writeFileSync(log, "sources:\n  - a.example/p+00000000+x\n");
  register();
  t.equal(readFileSync(log, "utf8"), text);
  rmSync(fileOf(2));
  register();
  t.ok(existsSync(fileOf(2)));
  t.match(readFileSync(log, "utf8"), /worker-2.*\n.*worker-3.*\n.*worker-2/);
  writeFileSync(path.join(dir, "proxy.yaml"), "workers: many\n");
  t.equal(workersOf(path.join(dir, "proxy.yaml")), 1, "what is wrong with it the proxy says");
});

t.test("vitrine key --workers makes what is missing", async (t) => {
  const dir = t.testdir();
  const one = await vitrine(["key", "a.example/p", "-o", "s.key"], dir);
  const more = await vitrine(["key", "a.example/p", "-o", "s.key", "--workers", "3"], dir);
  t.equal(more.status, 0);
  t.match(more.stdout, /^a\.example\/p\/worker-2\+\S+\na\.example\/p\/worker-3\+\S+\n$/);
  t.match(more.stderr, /^s\.key is there, and stays\./);
  t.notMatch(more.stdout, one.stdout);
  t.equal((await vitrine(["key", "a.example/p", "--workers", "0"], dir)).status, 64);
});

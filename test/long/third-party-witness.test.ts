// The witness as other logs see it: Tessera's own, unchanged, which publishes nothing that is not cosigned.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createKey } from "@vitrine/log-server";
import t from "tap";
import { buildTessera, type Run, run } from "../support/go.ts";
import { temporaryFolder } from "../support/stack.ts";
import { WitnessProcess } from "../support/witness.ts";

const folder = temporaryFolder("third-party-witness");
const skip = (await buildTessera(folder, ["./cmd/examples/posix-oneshot"])) ?? false;
t.after(() => rmSync(folder, { recursive: true, force: true }));

const origin = "tessera.example/log";
const { skey, vkey } = createKey(origin);
const hash = createHash("sha256").update(origin).digest("hex");

/** Adds entries to Tessera's log, and waits until a checkpoint over them is published. */
function add(store: string, name: string, count: number, timeout: number): Promise<Run> {
  const entries = join(folder, name);
  mkdirSync(entries);
  for (let i = 0; i < count; i += 1) writeFileSync(join(entries, String(i)), `${name} ${i}`);
  const files = ["-entries", join(entries, "*"), "-private_key", join(folder, "log.key")];
  const program = join(folder, "bin/posix-oneshot");
  const witness = ["-witness_policy_file", join(folder, "policy"), "-witness_timeout", "5s"];
  return run(program, ["-storage_dir", join(folder, store), ...files, ...witness], folder, timeout);
}

t.test(
  "Tessera is cosigned for as it grows, across restarts of the witness, and not after a fork",
  { skip },
  async (t) => {
    const witness = new WitnessProcess(join(folder, "state"), "witness.example/w1", ["--log", vkey]);
    t.teardown(() => witness.end("SIGKILL"));
    await witness.start();
    writeFileSync(join(folder, "log.key"), skey);
    writeFileSync(join(folder, "policy"), `${witness.policyLine}\nquorum witness.example/w1\n`);
    let size = 0;
    for (const [round, count] of [1, 7, 300, 1].entries()) {
      const { code, stderr } = await add("store", `round-${round}`, count, 60_000);
      t.equal(code, 0, code === 0 ? "published" : stderr);
      size += count;
      const published = readFileSync(join(folder, "store/checkpoint"), "utf8");
      t.match(published, new RegExp(`^${origin}\n${size}\n`));
      t.match(published, /\n\u2014 witness.example\/w1 \S+\n/);
      const seen = await (await fetch(`${witness.url}/${hash}/checkpoint`)).text();
      t.equal(seen.split("\n\n")[0], published.split("\n\n")[0]);
      t.same(seen.split("\n").sort(), published.split("\n").sort());
      if (round === 1) {
        await witness.end("SIGTERM");
        await witness.start();
      }
    }
    // Another history under the same key: it cannot be published.
    const { code } = await add("fork", "other", 400, 15_000);
    t.not(code, 0);
    t.throws(() => readFileSync(join(folder, "fork/checkpoint"), "utf8").match(/\u2014 witness[^\n]*/)![0]);
    const seen = await (await fetch(`${witness.url}/${hash}/checkpoint`)).text();
    t.match(seen, new RegExp(`^${origin}\n${size}\n`));
    t.match(
      await (await fetch(`${witness.url}/metrics`)).text(),
      /answers_total\{code="(inconsistent|size_conflict)"\} [1-9]/,
    );
  },
);

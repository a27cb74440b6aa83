// The witness as other logs see it: Tessera's own, unchanged, which publishes nothing that is not cosigned.
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createKey } from "@vitrine/log-server";
import t from "tap";
import { buildTessera, type Run, run } from "../support/go.ts";
import { ROOT, temporaryFolder } from "../support/stack.ts";

const folder = temporaryFolder("third-party-witness");
const skip = (await buildTessera(folder, ["./cmd/examples/posix-oneshot"])) ?? false;
t.after(() => rmSync(folder, { recursive: true, force: true }));

const origin = "tessera.example/log";
const { skey, vkey } = createKey(origin);
const hash = createHash("sha256").update(origin).digest("hex");

async function startWitness(): Promise<{ child: ChildProcess; url: string; policy: string }> {
  const args = ["--listen", "127.0.0.1:0", "--state", join(folder, "state"), "--log", vkey];
  const program = join(ROOT, "verifier/bin/vitrine-verifier.js");
  const child = spawn(process.execPath, [program, "witness", "--name", "witness.example/w1", ...args]);
  return new Promise((resolve, reject) => {
    let output = "";
    const onData = (chunk: Buffer): void => {
      output += chunk;
      const url = /^ready at (\S+)\/$/m.exec(output)?.[1];
      if (url !== undefined) resolve({ child, url, policy: /^policy +(.*)$/m.exec(output)![1]! });
    };
    child.stdout.on("data", onData);
    child.stderr.on("data", onData);
    child.once("exit", () => reject(new Error(output)));
  });
}

function stop(child: ChildProcess): Promise<unknown> {
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  return ended;
}

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
    let witness = await startWitness();
    t.teardown(() => witness.child.kill("SIGKILL"));
    writeFileSync(join(folder, "log.key"), skey);
    // The line that the witness prints, with the address where it is today.
    const usePolicy = (): void =>
      writeFileSync(join(folder, "policy"), `${witness.policy} ${witness.url}\nquorum witness.example/w1\n`);
    usePolicy();
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
        await stop(witness.child);
        witness = await startWitness();
        usePolicy();
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
    await stop(witness.child);
  },
);

// Log, witnesses and verifier together: a log that was set back to an older copy, guard and all, is cosigned no more.
import { createHash } from "node:crypto";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { LoneLog } from "../support/lone-log.ts";
import { ROOT, runNode } from "../support/stack.ts";
import { WitnessProcess } from "../support/witness.ts";

const VERIFIER = join(ROOT, "verifier/bin/vitrine-verifier.js");

t.test("a log, its witnesses, and a verifier that demands both", async (t) => {
  const settings = { witnesses: "./witnesses.policy", witness_timeout_ms: 5000, add: true };
  const log = await LoneLog.create(settings);
  t.teardown(() => log.destroy());
  const names = ["one.example/w", "two.example/w"];
  const witnesses = names.map((name, i) => new WitnessProcess(join(log.folder, `w${i}`), name, ["--log", log.vkey]));
  t.teardown(() => Promise.all(witnesses.map((witness) => witness.end("SIGKILL"))));
  for (const witness of witnesses) await witness.start();
  const policy = join(log.folder, "witnesses.policy");
  const lines = witnesses.map(({ policyLine }) => policyLine);
  writeFileSync(policy, `log ${log.vkey}\n${lines.join("\n")}\ngroup both all ${names.join(" ")}\nquorum both\n`);
  await log.start();

  const head = (state: string): ReturnType<typeof runNode> =>
    runNode(VERIFIER, ["head", "--log", log.url, "--policy", policy, "--state", join(log.folder, state), "--json"]);
  const add = async (text: string, count: number): Promise<void> => {
    for (let i = 0; i < count; i += 1) {
      const { status } = await log.post("/add", Buffer.from(`${text} ${i}`));
      t.equal(status, 200);
    }
  };
  /** Waits until every witness has cosigned a tree of this size. */
  const cosigned = async (size: number): Promise<void> => {
    const hash = createHash("sha256").update(log.origin).digest("hex");
    for (const { url } of witnesses) {
      for (;;) {
        const text = await (await fetch(`${url}/${hash}/checkpoint`)).text();
        if (Number(text.split("\n")[1]) >= size) break;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    await log.published(size);
  };

  await add("first", 3);
  await cosigned(3);
  const first = await head("verifier");
  t.equal(first.code, 0);
  t.match(JSON.parse(first.stdout), { verdict: "PASS" });

  // An older copy of everything that the log has, made in order.
  await log.part.end("SIGTERM");
  const copy = join(log.folder, "copy");
  const parts = ["log", "guard"];
  for (const part of parts) cpSync(join(log.folder, part), join(copy, part), { recursive: true });
  await log.start();
  // One witness is killed in between, and comes back.
  await witnesses[0]!.end("SIGKILL");
  await witnesses[0]!.start();
  await add("second", 4);
  await cosigned(7);
  const second = await head("verifier");
  t.match(JSON.parse(second.stdout), { verdict: "PASS", checkpoint: { size: 7 } });

  await log.part.end("SIGTERM");
  for (const part of parts) {
    rmSync(join(log.folder, part), { recursive: true });
    cpSync(join(copy, part), join(log.folder, part), { recursive: true });
  }
  await t.rejects(log.start(), { message: /store_behind: .* witness (one|two).example\/w has cosigned last/ });
  // An operator who wants it so does not ask them.
  writeFileSync(log.config, readFileSync(log.config, "utf8").replace(/^witnesses: .*\n/m, ""));
  await log.start();
  await add("another history", 6);
  await log.published(9);
  // To somebody who sees the log for the first time it is whole in itself: only the witnesses know better.
  const newcomer = await head("newcomer");
  t.not(newcomer.code, 0);
  t.notMatch(JSON.parse(newcomer.stdout), { verdict: "PASS" });
  const without = await runNode(VERIFIER, [
    "head",
    "--log",
    log.url,
    "--vkey",
    log.vkey,
    "--state",
    join(log.folder, "n2"),
  ]);
  t.equal(without.code, 0);
  const views = witnesses.map(({ url }) => url);
  const common = ["--vkey", log.vkey, "--state", join(log.folder, "comparer"), "--json"];
  const compared = await runNode(VERIFIER, ["compare", "--log", log.url, ...views, ...common]);
  t.equal(compared.code, 1);
  t.match(JSON.parse(compared.stdout), { verdict: "FAIL" });
  for (const { url } of witnesses) t.match(await (await fetch(`${url}/metrics`)).text(), /_size\{[^}]*\} 7\n/);
});
t.end();

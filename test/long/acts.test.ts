// What the log does itself, from outside: a reading, an erasure and a kill, audited by the independent verifier.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { LoneLog } from "../support/lone-log.ts";
import { ROOT, runNode } from "../support/stack.ts";

const VERIFIER = join(ROOT, "verifier/bin/vitrine-verifier.js");

interface Report {
  readonly verdict: string;
  readonly findings: readonly { readonly code: string; readonly index?: number }[];
  readonly sources: readonly { readonly name: string; readonly key: string; readonly epochs: number }[];
}

t.test("a reading, an erasure, a kill", async (t) => {
  const log = await LoneLog.create({ tokens: "tokens" });
  t.teardown(() => log.destroy());
  const token = async (name: string, role: string): Promise<string> => {
    const file = join(log.folder, `${name}.token`);
    const { code, stdout } = await log.vitrine(
      "log",
      "token",
      "add",
      "--config",
      log.config,
      "--name",
      name,
      "--role",
      role,
    );
    t.equal(code, 0);
    writeFileSync(file, stdout);
    return file;
  };
  const auditor = await token("ada", "auditor");
  const admin = await token("root", "admin");
  await log.start();
  log.source.refuse(20);
  log.source.stop();
  await log.submit(0);
  await log.published(22);

  const prove = async (out: string): Promise<Record<string, unknown[]>> => {
    const file = join(log.folder, out);
    const reads = ["--token", auditor, "--reason", "case 1", "-o", file];
    const common = ["--log", log.url, "--vkey", log.vkey, "--state", join(log.folder, "auditor")];
    const { code, stderr } = await runNode(VERIFIER, ["prove", ...common, "--index", "3", ...reads]);
    t.equal(code, 0, stderr);
    return JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown[]>;
  };
  const before = await prove("before.json");
  t.equal(before.disclosures!.length, 2);
  const audited = async (...args: string[]): Promise<Report & { code: number }> => {
    const { code, stdout } = await log.audit(log.url, "--all", "--json", "--wait", "15", ...args);
    return { code, ...(JSON.parse(stdout) as Report) };
  };
  const erased = await log.vitrine(
    ...["log", "erase", "--log", log.url, "--token-file", admin, "--reason", "asked for", "--index", "3"],
  );
  t.match(erased, { code: 0, stdout: /Erased: 2 sealed values, of 1 entry\./ });
  const after = await prove("after.json");
  t.same(after.disclosures, []);
  t.equal(after.entry, before.entry);
  for (const [name, says] of [
    ["before.json", /192\.0\.2\.1:5432/],
    ["after.json", /PASS/],
  ] as const) {
    const verified = await runNode(VERIFIER, ["verify", join(log.folder, name), "--vkey", log.vkey]);
    t.equal(verified.code, 0);
    t.match(verified.stdout, says);
  }
  // The seal over the last act is up to ten seconds away; a stop seals at once.
  await log.part.end("SIGTERM");
  await log.start();
  const acts = `${log.origin}/acts`;
  const listed = (await (await fetch(`${log.url}/api/v1/sources`)).json()) as {
    sources: { name: string; vkey: string }[];
  };
  const key = listed.sources.find(({ name }) => name === acts)!.vkey;
  const report = await audited("--source", key);
  t.match(report, { code: 0, verdict: "PASS", findings: [] });
  t.match(
    report.sources.find(({ name }) => name === acts),
    { key: "pinned", epochs: 1 },
  );
  const list = await log.audit(log.url, "--all", "--operation", "disclosure.read");
  t.equal(list.code, 0, list.stdout);

  await prove("again.json");
  await log.part.end("SIGKILL");
  await log.start();
  await log.part.end("SIGTERM");
  await log.start();
  t.match(await audited(), { code: 0, verdict: "PASS", findings: [] });
});

t.end();

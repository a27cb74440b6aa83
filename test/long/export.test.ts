// A log-server that takes entries while its record is exported, and exporters that are killed at any moment: in the end
// every index is there. And what is sealed, for somebody with a token.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { LoneLog } from "../support/lone-log.ts";
import { ROOT, runNode } from "../support/stack.ts";

const VERIFIER = join(ROOT, "verifier/bin/vitrine-verifier.js");
const ROUNDS = 10;
const EACH = 1500;

interface Row {
  readonly class_uid: number;
  readonly status_detail?: string;
  readonly src_endpoint?: { readonly ip?: string };
  readonly unmapped: { readonly index: number; readonly entry?: { readonly source: string; readonly seq: number } };
}

function rowsIn(folder: string): Row[] {
  const names = readdirSync(folder).filter((name) => /^events\.jsonl(\.[0-9.]+)?$/.test(name));
  const lines = names.flatMap((name) => readFileSync(join(folder, name), "utf8").split("\n"));
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Row);
}

t.test("exporters killed at any moment leave nothing out", async (t) => {
  const log = await (await LoneLog.create()).start();
  t.teardown(() => log.destroy());
  const taken = new Set<number>();
  let busy = 0;
  const collector = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += chunk as string;
    // Now and then it has no time.
    busy += 1;
    if (busy % 5 === 0) return void response.writeHead(503, { "retry-after": "0" }).end();
    for (const [, index] of body.matchAll(/"vitrine\.index","value":\{"intValue":"([0-9]+)"/g))
      taken.add(Number(index));
    response.end("{}");
  });
  await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve));
  t.teardown(() => collector.close());
  const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;

  const common = ["export", "--log", log.url, "--vkey", log.vkey, "--interval", "0.05"];
  const ocsf = ["--format", "ocsf", "--output", join(log.folder, "events.jsonl"), "--rotate", "300K"];
  const otlp = ["--format", "otlp", "--endpoint", endpoint, "--position", join(log.folder, "otlp.position")];
  const ways = [
    [...common, ...ocsf, "--state", join(log.folder, "a")],
    [...common, ...otlp, "--state", join(log.folder, "b")],
  ];
  const outputSize = (): number =>
    readdirSync(log.folder)
      .filter((name) => name.startsWith("events.jsonl") && !name.includes("position"))
      .reduce((sum, name) => sum + (statSync(join(log.folder, name), { throwIfNoEntry: false })?.size ?? 0), 0);
  const marks = [outputSize, () => taken.size];
  await log.submit(0);
  let kills = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const before = marks.map((mark) => mark());
    const running = ways.map((args) => spawn(process.execPath, [VERIFIER, ...args], { stdio: "ignore" }));
    const from = log.source.length;
    log.source.refuse(EACH);
    await log.submit(from);
    for (const [at, child] of running.entries()) {
      // Either as soon as something has arrived, when the position may still be behind it; or at any time after.
      for (let waited = 0; marks[at]!() === before[at] && waited < 4000; waited += 1) await sleep(1);
      if (round % 2 === 0) await sleep(Math.random() * 100);
      child.kill("SIGKILL");
      if (child.exitCode === null) await once(child, "exit");
      kills += 1;
    }
  }
  log.source.stop();
  await log.submit(log.source.length - 1);
  const size = log.source.length;
  await log.published(size);
  for (const args of ways) {
    const last = await runNode(VERIFIER, [...args, "--once"]);
    t.equal(last.code, 0, last.stderr);
  }
  const rows = rowsIn(log.folder);
  t.equal(new Set(rows.map(({ unmapped }) => unmapped.index)).size, size);
  t.equal(taken.size, size);
  t.comment(`${kills} kills, ${size} entries, ${rows.length - size} rows came again`);
});

t.test("what is sealed, with a token; and the log's record of its reading is exported, and ends there", async (t) => {
  const log = await LoneLog.create({ tokens: "tokens" });
  t.teardown(() => log.destroy());
  const adding = ["log", "token", "add", "--config", log.config, "--name", "siem", "--role", "auditor"];
  const { code, stdout } = await log.vitrine(...adding);
  t.equal(code, 0);
  const token = join(log.folder, "siem.token");
  writeFileSync(token, stdout);
  await log.start();
  log.source.refuse(300).stop();
  await log.submit(0);
  await log.published(302);

  const common = ["export", "--log", log.url, "--vkey", log.vkey, "--state", join(log.folder, "state"), "--once"];
  const to = ["--format", "ocsf", "--output", join(log.folder, "events.jsonl")];
  const args = [...common, ...to, "--token", token, "--reason", "all goes to the SIEM"];
  const first = await runNode(VERIFIER, args);
  t.equal(first.code, 0, first.stderr);
  const refused = rowsIn(log.folder).filter(({ class_uid }) => class_uid === 3002);
  t.equal(refused.length, 300);
  t.ok(refused.every(({ status_detail }) => status_detail?.startsWith("password authentication failed")));
  t.ok(refused.every(({ src_endpoint }) => src_endpoint?.ip === "192.0.2.1"));

  // 300 readings, and the start and the keys of the log's own source; nothing asks about those.
  const size = await log.published(302 + 302);
  const second = await runNode(VERIFIER, args);
  t.equal(second.code, 0, second.stderr);
  const acts = rowsIn(log.folder).filter(({ class_uid }) => class_uid === 6003);
  t.equal(acts.length, 300);
  t.ok(acts.every(({ unmapped }) => unmapped.entry!.source === `${log.origin}/acts`));
  t.ok((await log.published(size)) - size < 5, "only seals may have come since");
  t.ok(existsSync(join(log.folder, "events.jsonl.position")));
});

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { readCommandLine } from "../../cli/args.ts";
import { monitorTimes } from "../../cli/monitor/settings.ts";
import { monitorCodes } from "../../src/index.ts";
import { TestLog, vectorLog, vectors } from "../cli/support/log.ts";
import { run, temporaryFolder } from "../cli/support/run.ts";
import { serve } from "../cli/support/server.ts";
import { readSpec } from "../support/vectors.ts";

const command = fileURLToPath(new URL("../../../bin/vitrine-verifier.js", import.meta.url));

t.test("one round, for cron: the exit status says how things stand", async (t) => {
  const log = vectorLog(200);
  const server = await serve(log);
  t.teardown(() => server.close());
  const folder = temporaryFolder(t);
  const status = join(folder, "status");
  const args = ["monitor", "--once", "--log", server.url, "--vkey", vectors.vkey, "--state", folder];
  // At this size the sources have not stopped, and by the clock of today they are silent.
  const first = await run([...args, "--json", "--status", status]);
  t.equal(first.status, 2);
  const alerts = first.stdout.trim().split("\n");
  for (const line of alerts) t.match(JSON.parse(line), { event: "raised", alert: "silent", origin: vectors.origin });
  const shown = JSON.parse(readFileSync(status, "utf8")) as { logs: Record<string, unknown>[] };
  t.match(shown, {
    format: "vitrine/monitor-status/v1",
    verdict: "NOT PROVEN",
    logs: [{ log: server.url, reached: true, audited: 200, checkpoint: { size: 200 }, evidence: [], unsent: 0 }],
  });
  t.equal((shown.logs[0]!.alerts as unknown[]).length, alerts.length);
  const second = await run(args);
  t.match(second, { status: 2, stdout: "" }, "told once, not each time");
  log.size = 301;
  const third = await run(args);
  t.equal(third.status, 0, third.stdout);
  t.match(third.stdout, / {2}resolved {2}NOT PROVEN {2}silent {2}log.example/);
  // The state is that of audit and head as well.
  t.match((await run(["audit", ...args.slice(2), "--json"])).json, { from: 301, verdict: "PASS" });

  const other = await serve(new TestLog(log.key, vectors.entries.with(3, vectors.entries[4]!)));
  t.teardown(() => other.close());
  const fork = await run([...args.with(3, other.url), "--json"]);
  t.equal(fork.status, 1);
  const event = JSON.parse(fork.stdout) as { alert: string; evidence: string };
  t.equal(event.alert, "split_view");
  t.ok(existsSync(event.evidence));
  t.match(await run(args), { status: 1, stdout: "" }, "a fork is not forgotten");
  await server.close();
  t.equal((await run(args)).status, 1);
  const elsewhere = await run([...args, "--state", join(folder, "new")]);
  t.match(elsewhere, { status: 69, stdout: "" });
  t.equal(elsewhere.stderr, `vitrine-verifier: log_unreachable: ${server.url} did not answer in this round\n`);
});

/** Starts the monitor, and gives what it prints, line by line. */
function begin(t: Test, args: string[]): { lines: AsyncIterator<string>; stop(): Promise<number | null> } {
  const child = spawn(process.execPath, [command, "monitor", ...args], { stdio: ["ignore", "pipe", "inherit"] });
  t.teardown(() => child.kill("SIGKILL"));
  async function* read(): AsyncGenerator<string> {
    let rest = "";
    for await (const chunk of child.stdout) {
      const lines = `${rest}${chunk}`.split("\n");
      rest = lines.pop()!;
      yield* lines;
    }
  }
  const exit = once(child, "exit") as Promise<[number | null]>;
  return {
    lines: read(),
    stop: async () => {
      child.kill("SIGTERM");
      return (await exit)[0];
    },
  };
}

t.test("two logs from a file, for good, until it is asked to end", async (t) => {
  const log = vectorLog(256);
  let broken = false;
  const server = await serve(log, (path, response) => {
    if (!broken || path !== "/checkpoint") return false;
    response.end("<html>\u001b[2J");
    return true;
  });
  const silent = await serve(vectorLog(), () => true);
  t.teardown(() => Promise.all([server.close(), silent.close()]));
  const folder = temporaryFolder(t);
  const other = { ...vectors.sources[0]! };
  const config = {
    state: "kept",
    status: "status.json",
    logs: [
      { log: server.url, vkeys: ["log.vkey"], interval_s: 0.1, views: [server.url] },
      { log: silent.url, vkeys: [other.vkey], interval_s: 0.1, timeout_s: 0.3, unreachable_after_s: 0 },
    ],
  };
  writeFileSync(join(folder, "log.vkey"), `${vectors.vkey}\n`);
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  const monitor = begin(t, ["--config", join(folder, "config.json"), "--json"]);
  const next = async (): Promise<Record<string, unknown>> => {
    const { value } = (await monitor.lines.next()) as { value: string };
    return JSON.parse(value) as Record<string, unknown>;
  };
  const until = async (event: string, alert: string): Promise<Record<string, unknown>> => {
    for (;;) {
      const told = await next();
      if (told.event === event && told.alert === alert) return told;
    }
  };
  // Which of the two logs is done first with its first round is chance.
  const raised = new Map<unknown, Record<string, unknown>>();
  while (!raised.has("unreachable") || !raised.has("silent")) {
    const told = await next();
    if (told.event === "raised") raised.set(told.alert, told);
  }
  t.match(raised.get("unreachable"), { log: silent.url, origin: other.name });
  log.size = 301;
  t.match(await until("resolved", "silent"), { log: server.url });
  broken = true;
  t.match(await until("raised", "note_malformed"), { verdict: "FAIL", where: "checkpoint" });
  broken = false;
  await until("resolved", "note_malformed");
  t.equal(await monitor.stop(), 69);
  t.match(JSON.parse(readFileSync(join(folder, "status.json"), "utf8")), {
    logs: [
      { origin: vectors.origin, audited: 301 },
      { reached: false, checkpoint: null },
    ],
  });
});

t.test("a second monitor of the same log is kept off its state, and one of another log is not", async (t) => {
  const server = await serve(vectorLog());
  t.teardown(() => server.close());
  const folder = temporaryFolder(t);
  const args = ["--log", server.url, "--vkey", vectors.vkey, "--state", folder];
  const status = join(folder, "status");
  const first = begin(t, [...args, "--status", status]);
  while (!existsSync(status)) await new Promise((resolve) => setTimeout(resolve, 20));
  const second = await run(["monitor", "--once", ...args]);
  t.match(second, {
    status: 75,
    stdout: "",
    stderr: /state_locked: another monitor of this log uses the state folder/,
  });
  const other = vectors.sources[0]!.vkey;
  t.equal((await run(["monitor", "--once", ...args, "--vkey", other])).status, 64, "a key of another log");
  t.not((await run(["monitor", "--once", ...args.slice(0, 3), other, ...args.slice(4)])).status, 75);
  t.equal((await run(["head", ...args])).status, 0, "what else uses the folder does");
  t.equal(await first.stop(), 0);
  t.equal((await run(["monitor", "--once", ...args])).status, 0);
  const config = join(folder, "logs.json");
  const log = { log: server.url, vkeys: [vectors.vkey] };
  writeFileSync(config, JSON.stringify({ logs: [log, log] }));
  t.match(await run(["monitor", "--once", "--config", config]), { status: 64, stderr: /two logs have the key/ });
});

t.test("what is told to the webhook, and a monitor that ends in the middle of an answer", async (t) => {
  const bodies: string[] = [];
  const hook = await serve(vectorLog(), (_path, response, request) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => {
      body += text;
    });
    request.on("end", () => {
      bodies.push(body);
      response.end();
    });
    return true;
  });
  let asked: () => void;
  const waiting = new Promise<void>((resolve) => {
    asked = resolve;
  });
  const server = await serve(vectorLog(), (path) => {
    if (path === "/tile/0/000") asked();
    return path === "/tile/0/000";
  });
  t.teardown(() => Promise.all([server.close(), hook.close()]));
  const folder = temporaryFolder(t);
  const args = ["--log", server.url, "--vkey", vectors.vkey, "--state", folder, "--webhook", `${hook.url}/x`];
  const slow = begin(t, args);
  await waiting;
  t.equal(await slow.stop(), 0, "nothing is wrong, as far as it came");
  const once = await run(["monitor", ...args, "--once", "--log", `${server.url}/nowhere`, "--json"]);
  t.equal(once.status, 2);
  t.match(once.json, { alert: "data_missing" });
  t.same(
    bodies.map((body) => JSON.parse(body)),
    [once.json],
  );
});

t.test("alerts that nobody reads any more end the monitor, and the next one tells them", async (t) => {
  const args = ["--log", "http://127.0.0.1:9", "--vkey", vectors.vkey, "--state", temporaryFolder(t)];
  const fast = ["--unreachable-after", "0", "--interval", "0.1", "--timeout", "1"];
  // Since when it is so is known from then on, and nothing is told yet.
  t.match(await run(["monitor", "--once", ...args]), { status: 69, stdout: "" });
  const child = spawn(process.execPath, [command, "monitor", ...args, ...fast], { stdio: ["ignore", "pipe", "pipe"] });
  t.teardown(() => child.kill("SIGKILL"));
  child.stdout.destroy();
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  t.same((await once(child, "close"))[0], 74);
  t.match(stderr, /write_failed: standard output does not take any more: .*EPIPE/);
  const next = await run(["monitor", "--once", ...args, ...fast]);
  t.match(next, { status: 69, stdout: /raised {2}NOT PROVEN {2}unreachable/ });
});

t.test("one round whose events the webhook does not take is no success", async (t) => {
  const log = vectorLog(200);
  const server = await serve(log);
  const hook = await serve(vectorLog(), (_path, response) => {
    response.writeHead(500).end();
    return true;
  });
  t.teardown(() => Promise.all([server.close(), hook.close()]));
  const args = ["monitor", "--once", "--log", server.url, "--vkey", vectors.vkey, "--state", temporaryFolder(t)];
  t.equal((await run(args)).status, 2, "sources are silent");
  log.size = 301;
  const second = await run([...args, "--webhook", hook.url]);
  t.match(second, { status: 2, stdout: /resolved .* silent .*raised {2}NOT PROVEN {2}webhook_failed/s });
  t.equal((await run(args)).status, 0);
});

t.test("the command line", async (t) => {
  const log = ["--log", "http://127.0.0.1:9", "--vkey", vectors.vkey];
  const cases: [string[], RegExp][] = [
    [[], /--log URL is missing/],
    [[...log, "--config", "x"], /--log and --config exclude each other/],
    [[...log, "--interval", "0"], /--interval is not a number of seconds from 0.1 to 86400/],
    [[...log, "--stale-after", "1e3"], /--stale-after is not a number of seconds/],
    [[...log, "--max-age", "7"], /--max-age is about cosignatures/],
  ];
  for (const [args, message] of cases) {
    t.throws(() => readCommandLine(["monitor", ...args]), { code: "usage", message }, String(message));
  }
  t.match(await run(["monitor", "--config", "/nowhere"]), { status: 64, stderr: /there is no such file/ });
});

t.test("spec and manual have the codes and the keys", async (t) => {
  const section = readSpec("monitor.md").split("\n## Alerts\n")[1]!;
  const codes = [...section.matchAll(/^\| `([a-z_]+)` \| M/gm)].map(([, code]) => code);
  t.same(codes, monitorCodes);
  const steps = readSpec("monitor.md")
    .split("\n")
    .filter((line) => /^\| M[0-9] \|/.test(line))
    .join("\n");
  for (const code of monitorCodes) t.ok(steps.includes(`\`${code}\``), code);
  const manual = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");
  const rows = [...manual.matchAll(/^\| `--([a-z-]+)`, `([a-z_]+)` \| ([0-9]+) s \|/gm)];
  t.same(
    rows.map(([, option, key, usual]) => [option, key, Number(usual)]),
    Object.entries(monitorTimes).map(([option, time]) => [option, time.key, time.default]),
  );
});

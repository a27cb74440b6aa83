// The source changes its key under load: no statement fails, no session ends, and an audit accepts the log whichever of
// the keys it was given; also when the proxy is killed while the log, which has not heard of it, cannot be reached.
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Postgres } from "@vitrine/cli";
import t, { type Test } from "tap";
import { until } from "../support/sessions.ts";
import { runNode, Stack, startDatabase, statements, temporaryFolder, VITRINE } from "../support/stack.ts";

const folder = temporaryFolder("key");
let database: Postgres;
let stack: Stack;

t.before(async () => {
  database = await startDatabase(folder);
  stack = await (await Stack.create(database)).start();
});

t.after(async () => {
  await stack?.destroy();
  await database?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const key = (suffix = ""): string => join(stack.folder, `source.key${suffix}`);

async function makeNext(t: Test): Promise<string> {
  const made = await runNode(VITRINE, ["proxy", "rotate-key", "--config", join(stack.folder, "proxy.yaml")]);
  t.equal(made.code, 0, made.stderr);
  return made.stdout.trim();
}

async function accepted(t: Test, vkeys: readonly string[]): Promise<void> {
  for (const [i, vkey] of vkeys.entries()) {
    const state = join(stack.folder, `auditor-${vkeys.length}-${i}`);
    const audit = await stack.verifier("audit", "--all", "--source", vkey, "--state", state);
    t.equal(audit.code, 0, audit.stdout + audit.stderr);
  }
}

t.test("while statements run", async (t) => {
  const clients = await Promise.all([1, 2, 3].map(() => stack.client()));
  let going = true;
  let done = 0;
  const work = clients.map(async (client) => {
    for (; going; done++) await client.query("SELECT $1::int", [done]);
  });
  await until("there is load", () => done > 20);
  const old = readFileSync(key(), "utf8");
  const vkey = await makeNext(t);
  const again = await runNode(VITRINE, ["proxy", "rotate-key", "--config", join(stack.folder, "proxy.yaml")]);
  t.equal(again.code, 1);
  t.match(again.stderr, /^vitrine: bad_key: .*source\.key\.next exists/);
  process.kill(stack.proxy.pid!, "SIGHUP");
  await until("the log knows the key", () =>
    stack.proxy.output.includes(`the log knows the source by the key ${vkey}`),
  );
  t.match(stack.proxy.output, `notice: the source's key is ${vkey} from now on\n`);
  const after = done;
  await until("statements go on", () => done > after + 20);
  going = false;
  await Promise.all(work);
  for (const client of clients) await client.end();
  t.not(readFileSync(key(), "utf8"), old);
  t.notOk(existsSync(key(".next")) || existsSync(key(".previous")));
  const entries = await stack.settled((all) => all.filter(({ kind }) => kind === "session.end").length === 3);
  t.equal(statements(entries).length, done);
  t.ok(statements(entries).every(({ outcome }) => outcome === "completed"));
  t.equal(entries.filter(({ kind }) => kind === "source.start").length, 1, "the proxy went on");
  await stack.proxy.end("SIGTERM");
  await accepted(t, [stack.sourceVkey, vkey]);
  await stack.proxy.start();
});

t.test("while the log cannot be reached, and the proxy is killed", async (t) => {
  await stack.log.end("SIGTERM");
  const vkey = await makeNext(t);
  const client = await stack.client();
  process.kill(stack.proxy.pid!, "SIGHUP");
  await until("it has changed", () => stack.proxy.output.includes(`the source's key is ${vkey} from now on`));
  await client.query("SELECT 1");
  t.ok(existsSync(key(".previous")), "kept for what the log does not have yet");
  await stack.proxy.end("SIGKILL");
  await stack.proxy.start();
  const third = await makeNext(t);
  process.kill(stack.proxy.pid!, "SIGHUP");
  await until("it is refused", () => /not complete: bad_key: the log has not acknowledged/.test(stack.proxy.output));
  await stack.log.start();
  await until("the log knows the key", () =>
    stack.proxy.output.includes(`the log knows the source by the key ${vkey}`),
  );
  t.notOk(existsSync(key(".previous")));
  await stack.proxy.end("SIGTERM");
  await stack.proxy.start();
  t.match(stack.proxy.output, `the source's key is ${third} from now on`, "a start takes it up as well");
  await stack.proxy.end("SIGTERM");
  await accepted(t, [stack.sourceVkey, vkey, third]);
  for (const file of ["submitted", "submitted.000001", "submitted.000002"]) {
    const record = await stack.verifier("verify", join(stack.folder, "spool", file), "--log", stack.logUrl);
    t.equal(record.code, 0, `${file}: ${record.stdout}${record.stderr}`);
  }
});
t.end();

// A log that was put back from an older copy must not serve: it would sign a second history.
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Postgres } from "@vitrine/cli";
import { Level } from "level";
import t from "tap";
import { Stack, startDatabase, temporaryFolder } from "../support/stack.ts";
import { tamper } from "../tools/tamper.ts";

const folder = temporaryFolder("restore");
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

async function statements(count: number): Promise<void> {
  const client = await stack.client();
  for (let n = 0; n < count; n += 1) await client.query(`SELECT ${n}`);
  await client.end();
}

const logFolder = (): string => join(stack.folder, "log");
const copy = (): string => join(stack.folder, "older copy");

t.test("the store from an older copy is refused, and the message says what to do", async (t) => {
  await statements(5);
  await stack.stop();
  cpSync(logFolder(), copy(), { recursive: true });
  await stack.start();
  await statements(5);
  t.equal((await stack.verifier("audit")).code, 0);
  await stack.stop();
  rmSync(logFolder(), { recursive: true });
  cpSync(copy(), logFolder(), { recursive: true });
  const { code, output } = await stack.log.run();
  t.equal(code, 1);
  t.match(output, /^vitrine: store_behind: /m);
  t.match(output, /newer/, "what to put back");
  t.match(output, /never delete|do not delete/i, "what not to do");
});

t.test("with the guard restored along, the source that was acknowledged more refuses", async (t) => {
  const guard = join(stack.folder, "guard");
  const kept = join(stack.folder, "newer guard");
  cpSync(guard, kept, { recursive: true });
  rmSync(guard, { recursive: true });
  const withoutGuard = await stack.log.run();
  t.equal(withoutGuard.code, 1);
  t.match(withoutGuard.output, /^vitrine: guard_missing: /m);

  // An operator who goes to all lengths: a guard that says what the old store says.
  const db = new Level<Buffer, Buffer>(join(logFolder(), "store"), { keyEncoding: "buffer", valueEncoding: "buffer" });
  const recorded = await db.get(Buffer.from("c"));
  await db.close();
  const text = recorded!.toString();
  const note = text.slice(text.indexOf(stack.origin)).replace(/[^\n]*$/, "");
  mkdirSync(guard);
  writeFileSync(join(guard, "checkpoint"), note);
  await stack.log.start();
  const proxy = await stack.proxy.run();
  t.equal(proxy.code, 1);
  t.match(proxy.output, /^vitrine: log_rolled_back: /m);
  const head = await stack.verifier("head", "--json");
  t.equal(head.code, 1);
  t.match(head.stdout, /rolled_back/);
  await stack.log.end("SIGTERM");
});

t.test("a byte changed in the stored log: the audit fails and says where", async (t) => {
  const other = await (await Stack.create(database)).start();
  t.teardown(() => other.destroy());
  const client = await other.client();
  for (let n = 0; n < 300; n += 1) await client.query("SELECT 1");
  await client.end();
  await other.stop();
  await tamper(join(other.folder, "log/store"), 42);
  await other.log.start();
  const audit = await other.verifier("audit", "--json", "--wait", "0");
  t.equal(audit.code, 1, audit.stdout + audit.stderr);
  const { findings, firstBadIndex } = JSON.parse(audit.stdout);
  t.equal(findings[0].code, "leaf_mismatch");
  t.equal(firstBadIndex ?? findings[0].index, 42);
  await other.log.end("SIGTERM");

  // In the right edge the log itself notices, at its start.
  await tamper(join(other.folder, "log/store"), 300);
  const { code, output } = await other.log.run();
  t.equal(code, 1);
  t.match(output, /^vitrine: store_corrupt: .*300/m);
});

t.end();

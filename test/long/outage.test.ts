// The log cannot be reached: nothing is lost, nothing runs unrecorded, and when it is back everything is told.
import { rmSync } from "node:fs";
import type { Postgres } from "@vitrine/cli";
import t from "tap";
import { errorField, RawClient, send, startupPacket } from "../support/raw-client.ts";
import { login, RAW, trust, until } from "../support/sessions.ts";
import { DATABASE, type Entry, Stack, startDatabase, statements, temporaryFolder } from "../support/stack.ts";

const folder = temporaryFolder("outage");
let database: Postgres;

t.before(async () => {
  database = await startDatabase(folder);
  await trust(database, folder);
});

t.after(async () => {
  await database?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** The SQLSTATE that a login is refused with, or undefined. */
async function refusal(stack: Stack): Promise<string | undefined> {
  const client = await RawClient.open(stack.proxyPort);
  client.write(startupPacket({ user: RAW, database: DATABASE }));
  const messages = await client.until((seen) => seen.some(({ type }) => type === "Z" || type === "E"));
  client.socket.destroy();
  const error = messages.find(({ type }) => type === "E");
  return error === undefined ? undefined : errorField(error, "C");
}

const refused = (entries: readonly Entry[]): Entry[] =>
  entries.filter(({ kind, sqlstate }) => kind === "access.refused" && sqlstate === "57P03");

async function audited(stack: Stack): Promise<string> {
  await stack.proxy.end("SIGTERM");
  const { code, stdout, stderr } = await stack.verifier("audit");
  return code === 0 ? "" : stdout + stderr;
}

t.test("for a while: sessions go on, and all of it is submitted later", async (t) => {
  const stack = await (await Stack.create(database)).start();
  t.teardown(() => stack.destroy());
  const before = await login(stack.proxyPort, "before");
  await stack.log.end("SIGKILL");
  const during = await login(stack.proxyPort, "during");
  for (const client of [before, during]) {
    for (let n = 0; n < 50; n += 1) {
      client.write(send.query(`SELECT ${n}`), send.query(`SET vitrine.n = ${n}`));
      const answers = await client.ready(2);
      if (answers.some(({ type }) => type === "E")) t.fail("an answer is an error");
    }
    await client.end();
  }
  await stack.log.start();
  const entries = await stack.settled((all) => all.filter(({ kind }) => kind === "session.end").length === 2);
  t.equal(statements(entries).length, 200);
  t.equal(await audited(stack), "");
});

t.test(
  "for too long by the clock: new sessions are refused, then the open ones ended; and then let in again",
  async (t) => {
    const stack = await (await Stack.create(database, { spool: { max_age_s: 20 } })).start();
    t.teardown(() => stack.destroy());
    const open = await login(stack.proxyPort, "open");
    await stack.settled((entries) => entries.length > 1);
    await stack.log.end("SIGKILL");
    const began = Date.now();
    open.write(send.query("SELECT 1"));
    await open.ready();
    await until("new sessions are refused", async () => (await refusal(stack)) === "57P03");
    t.ok(Date.now() - began > 14_000, "not before it is nearly too long");
    open.write(send.query("SELECT 2"));
    t.equal((await open.ready()).at(-1)?.type, "Z", "the open session goes on");
    const last = (await open.until(() => open.closed)).at(-1)!;
    t.equal(errorField(last, "C"), "57P03");
    t.equal(errorField(last, "R"), "vitrine");
    t.ok(Date.now() - began >= 19_900, "at the bound");
    t.equal(await refusal(stack), "57P03");
    await stack.log.start();
    await until("new sessions are let in", async () => (await refusal(stack)) === undefined);
    const entries = await stack.settled(
      (all) => all.some(({ reason }) => reason === "spool-full") && refused(all).length >= 2,
    );
    t.match(refused(entries)[0], { by: "proxy", actor: { login: RAW }, database: DATABASE });
    t.same(
      statements(entries).map(({ outcome }) => outcome),
      ["completed", "completed"],
    );
    t.equal(await audited(stack), "");
  },
);

t.test("for too long by its size: a statement that would not be recorded does not run", async (t) => {
  const stack = await (await Stack.create(database, { spool: { max_bytes: 16_777_216 } })).start();
  t.teardown(() => stack.destroy());
  const owner = await database.connect(DATABASE);
  await owner.query("CREATE TABLE counted (n int, filler text); GRANT ALL ON counted TO raw");
  const [writer, idle] = [await login(stack.proxyPort, "writer"), await login(stack.proxyPort, "idle")];
  await stack.settled((entries) => entries.length > 2);
  await stack.log.end("SIGKILL");
  let answered = 0;
  let restricted = false;
  // Each text stands in the spool as often as it is needed: with its intent, and with its entry.
  const filler = "x".repeat(100_000);
  while (!writer.closed) {
    writer.write(send.query(`INSERT INTO counted VALUES (${answered}, '${filler}')`));
    const messages = await writer.until((seen) => seen.some(({ type }) => type === "Z" || type === "E"));
    if (!messages.some(({ type }) => type === "C")) break;
    answered += 1;
    if (!restricted) restricted = (await refusal(stack)) === "57P03";
    if (answered > 1000) throw new Error("the spool takes more than it has room for");
  }
  t.ok(restricted, "new sessions were refused before that");
  await idle.until(() => idle.closed);
  await writer.until(() => writer.closed);
  await stack.log.start();
  await until("new sessions are let in", async () => (await refusal(stack)) === undefined);
  const entries = await stack.settled((all) => all.filter(({ reason }) => reason === "spool-full").length === 2);
  const inserts = statements(entries).filter(({ operation }) => operation === "INSERT");
  const { rows } = await owner.query("SELECT count(*)::int AS n FROM counted");
  await owner.end();
  t.equal(inserts.filter(({ outcome }) => outcome === "completed").length, rows[0].n, "as many as ran are in the log");
  t.ok(inserts.length - answered <= 1, "and at most one whose answer was not heard");
  t.equal(await audited(stack), "");
});

t.end();

// SHOW vitrine.session and SHOW vitrine.receipt before a real server, by drivers and byte for byte; and what a receipt is
// good for: the log must have the entry. Also, of the same stack, who stands behind a login.
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Postgres } from "@vitrine/cli";
import type pg from "pg";
import t from "tap";
import { type Message, type RawClient, send } from "./support/raw-client.ts";
import { login, recorded, trust } from "./support/sessions.ts";
import { DATABASE, Stack, startDatabase, statements, temporaryFolder } from "./support/stack.ts";

const folder = temporaryFolder("receipts");
let database: Postgres;
let stack: Stack;

t.before(async () => {
  database = await startDatabase(folder);
  await trust(database, folder);
  const identity = [
    { from: "login", pattern: "^(?<user>ali)ce$" },
    { from: "comment", key: "user" },
    { from: "traceparent" },
  ];
  stack = await (await Stack.create(database, { identity })).start();
});

t.after(async () => {
  await stack?.destroy();
  await database?.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Receipt {
  readonly source: string;
  readonly epoch: number;
  readonly seq: number;
  readonly leaf: string;
  readonly acknowledged: boolean;
  readonly index?: number;
}

const RECEIPT = "SHOW vitrine.receipt";
const SESSION = "SHOW vitrine.session";

/** Types of the messages; a row of the proxy's own by the sequence in it. */
function shown(messages: readonly Message[]): string {
  return messages
    .map(({ type, bytes }) => {
      if (type === "Z") return `Z${bytes.toString("latin1", 5)}`;
      const own = type === "D" ? /"seq":([0-9]+)/.exec(bytes.toString()) : null;
      return own === null ? type : `D(${own[1]})`;
    })
    .join(" ");
}

async function ask(client: RawClient, ready: number, ...parts: Buffer[]): Promise<string> {
  client.write(...parts);
  return shown(await client.ready(ready));
}

t.test("a driver asks as it asks anything, and the verifier finds what the receipt is for", async (t) => {
  const client = await stack.client("proxied", { application_name: "driver" });
  t.same((await client.query(RECEIPT)).rows, [{ "vitrine.receipt": null }], "nothing was executed yet");
  const session = JSON.parse((await client.query(SESSION)).rows[0]["vitrine.session"] as string);
  t.match(session, { source: stack.source, epoch: 1, login: "alice", database: DATABASE });
  const receiptOf = async (query: string | pg.QueryConfig): Promise<[string, Receipt]> => {
    await client.query("SELECT 41 + 1");
    const { rows, fields, command } = await client.query(query);
    t.same([fields[0]!.name, fields[0]!.dataTypeID, command], ["vitrine.receipt", 25, "SHOW"]);
    const text = rows[0]["vitrine.receipt"] as string;
    return [text, JSON.parse(text) as Receipt];
  };
  const [text, first] = await receiptOf(RECEIPT);
  // A parameter or a name makes node-postgres use the extended protocol.
  const [, second] = await receiptOf({ text: RECEIPT, name: "named" });
  const [, third] = await receiptOf({ text: RECEIPT, name: "named" });
  t.ok(first.seq < second.seq && second.seq < third.seq);
  await client.end();
  const { all } = await recorded(stack, "driver");
  t.equal(all[0]!.session, session.session);
  t.same(
    statements(all).map(({ seq }) => seq),
    [first.seq, second.seq, third.seq],
    "the questions themselves are not recorded",
  );

  const file = join(stack.folder, "receipt");
  const verify = (content: string) => {
    writeFileSync(file, content);
    const args = [file, "--receipt", "--log", stack.logUrl, "--source", stack.sourceVkey];
    return stack.verifier("verify", ...args, "--state", join(stack.folder, "auditor"));
  };
  const good = await verify(`${text}\n`);
  t.equal(good.code, 0, good.stdout + good.stderr);
  t.match(good.stdout, /^PASS\nEstablished: the entry that the receipt is for, epoch 1, sequence \d+ of test/m);
  const bad = await verify(text.replace(`"seq":${first.seq}`, `"seq":${first.seq + 1}`));
  t.equal(bad.code, 1);
  t.match(bad.stdout, "receipt_signature");
});

t.test("pipelines, transactions, and one that has failed", async (t) => {
  // A seal, ten seconds after the start, has a number as well: so from a start.
  await stack.proxy.end("SIGTERM");
  await stack.proxy.start();
  const client = await login(stack.proxyPort, "raw pipelines");
  const extended = (name = ""): Buffer =>
    Buffer.concat([send.parse(RECEIPT, name), send.bind([], name), send.describe("P"), send.execute()]);
  const before = await ask(client, 2, send.query("SELECT 1"), send.query(RECEIPT));
  const seq = Number(/D\((\d+)\)/.exec(before)![1]);
  t.equal(before, `T D C ZI T D(${seq}) C ZI`);
  t.equal(
    await ask(client, 4, ...["BEGIN", RECEIPT, "SELECT 1/0", RECEIPT].map(send.query)),
    `C ZT T D(${seq + 1}) C ZT E ZE T D(${seq + 2}) C ZE`,
  );
  t.equal(await ask(client, 1, extended(), send.sync()), `1 2 T D(${seq + 2}) C ZE`, "extended, in the failed one");
  t.equal(await ask(client, 1, send.parse(RECEIPT, "kept"), send.describe("S", "kept"), send.sync()), "1 t T ZE");
  t.equal(
    await ask(
      client,
      3,
      send.query("SELECT 1"),
      send.query("ROLLBACK"),
      send.bind([], "kept"),
      send.execute(),
      send.sync(),
    ),
    `E ZE C ZI 2 D(${seq + 4}) C ZI`,
  );
  const one = [send.parse("SELECT 2"), send.bind(), send.execute()];
  t.equal(await ask(client, 1, ...one, extended(), ...one, send.sync()), `1 2 D C 1 2 T D(${seq + 5}) C 1 2 D C ZI`);
  t.equal(
    await ask(client, 2, send.parse("SELECT no"), send.bind(), extended(), send.sync(), extended(), send.sync()),
    `E ZI 1 2 T D(${seq + 7}) C ZI`,
  );
  t.equal(await ask(client, 1, send.parse("SELECT 3", "kept"), send.sync()), "E ZI", "the name is taken");
  t.equal(await ask(client, 1, send.close("S", "kept"), send.parse("SELECT 3", "kept"), send.sync()), "3 1 ZI");
  t.equal(await ask(client, 1, send.bind([], "kept"), send.execute(), send.sync()), "2 D C ZI");
  t.equal(await ask(client, 1, send.query("SHOW vitrine.other")), "E ZI", "any other name is the server's");
  await client.end();
  const { told } = await recorded(stack, "raw pipelines");
  t.notOk(told.some((line) => line.startsWith("SHOW completed")));
});

t.test("who stands behind the login: the log takes it, and the audit knows it", async (t) => {
  const client = await stack.client("proxied", { application_name: "behind", options: "-c work_mem=5MB" });
  const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  await client.query(`SELECT 1 /*user='ann%40example.org',traceparent='${trace}'*/`);
  await client.query("SELECT 2");
  t.match(JSON.parse((await client.query(SESSION)).rows[0]["vitrine.session"] as string), { identity: "ali" });
  await client.end();
  const { all } = await recorded(stack, "behind");
  for (const { kind, actor } of all) t.match(actor, { login: "alice", identity: "ali" }, kind);
  const settings = all[0]!.settings as { name: string; value: string }[];
  t.match(
    settings.find(({ name }) => name === "options"),
    { value: "-c work_mem=5MB" },
  );
  t.same(
    statements(all).map(({ claimed }) => claimed),
    [
      {
        user: { name: "ann@example.org", from: "comment" },
        trace: { id: "4bf92f3577b34da6a3ce929d0e0e4736", span: "00f067aa0ba902b7" },
      },
      undefined,
    ],
  );
  const audit = await stack.verifier("audit", "--wait", "0", "--json");
  t.not(JSON.parse(audit.stdout).verdict, "FAIL", audit.stdout);
});

t.test("a receipt outlives the log's absence and the proxy's sudden death", async (t) => {
  await stack.log.end("SIGTERM");
  const client = await stack.client("proxied", { application_name: "no log" });
  await client.query("SELECT 'not there'");
  const text = (await client.query(RECEIPT)).rows[0]["vitrine.receipt"] as string;
  t.match(JSON.parse(text), { acknowledged: false });
  t.notOk("index" in JSON.parse(text));
  // CRASH: what the client was given a receipt for is on the proxy's disk, and nowhere else.
  await stack.proxy.end("SIGKILL");
  await stack.start();
  const { epoch, seq } = JSON.parse(text) as Receipt;
  await stack.settled((all) => all.some((entry) => entry.kind === "source.start" && entry.epoch === epoch + 1));
  const file = join(stack.folder, "late");
  writeFileSync(file, text);
  const args = [file, "--receipt", "--log", stack.logUrl, "--state", join(stack.folder, "auditor"), "--json"];
  const late = await stack.verifier("verify", ...args);
  t.match(JSON.parse(late.stdout), { verdict: "PASS", receipt: { acknowledged: false, seq }, pinned: false });
});
t.end();

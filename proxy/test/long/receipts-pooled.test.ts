// SHOW vitrine.receipt where the server's connection is lent: the pool neither sees it nor gives a connection away for it
// that belongs to a transaction.
import t from "tap";
import { type Message, type Postgres, poolRig, postgres, rowsOf, type Wire } from "../pool/help.ts";
import { F } from "../session/stage.ts";

const started = await postgres();
if (typeof started === "string") {
  t.pass(`skipped: ${started}`);
  process.exit(0);
}
const database: Postgres = started;
t.teardown(() => database.stop());

const RECEIPT = "SHOW vitrine.receipt";
const types = (messages: readonly Message[]): string => messages.map(({ type }) => type).join("");
const seq = (messages: readonly Message[]): number | undefined => {
  const own = rowsOf(messages)
    .flat()
    .find((text) => text?.includes("vitrine/receipt/v1"));
  return own === undefined || own === null ? undefined : (JSON.parse(own) as { seq: number }).seq;
};

async function exchange(client: Wire, ready: number, ...messages: Buffer[]): Promise<Message[]> {
  client.messages = [];
  client.socket.write(Buffer.concat(messages));
  await client.until(() => client.messages.filter(({ type }) => type === "Z").length === ready);
  return client.messages;
}

const ask = (client: Wire, sql: string): Promise<Message[]> => exchange(client, 1, F.query(sql));

for (const mode of ["session", "transaction"] as const) {
  t.test(`pools that lend for a ${mode}`, async (t) => {
    const rig = await poolRig(t, database.server, { mode, size: 2 });
    const client = await rig.client();
    const other = await rig.client();
    t.same(rowsOf(await ask(client, RECEIPT)), [[null]]);
    await ask(client, "SELECT 1");
    const first = seq(await ask(client, RECEIPT))!;
    t.ok(first > 0);
    const own = [F.parse(RECEIPT, "r"), F.describe("S", "r"), F.bind("r"), F.describe("P"), F.execute()];
    const all = await exchange(
      client,
      1,
      ...own,
      F.parse("SELECT 2"),
      F.bind(),
      F.execute(),
      F.bind("r"),
      F.execute(),
      F.sync(),
    );
    t.equal(types(all), "1tT2TDC12DC2DCZ");
    t.equal(seq(all), first, "of what stands before it");
    await ask(client, "BEGIN");
    await ask(client, "SELECT 1/0");
    t.equal(types(await ask(client, RECEIPT)), "TDCZ", "in a transaction that has failed");
    t.equal(types(await exchange(client, 1, F.bind("r"), F.execute(), F.sync())), "2DCZ");
    await ask(other, "SELECT 3");
    t.ok(seq(await ask(other, RECEIPT))! > first, "each session has its own");
    await ask(client, "ROLLBACK");
    t.equal(types(await exchange(client, 1, F.bind("r"), F.execute(), F.sync())), "2DCZ", "a name that is kept");
    await client.end();
    await other.end();
    const entries = await rig.stop();
    t.notOk(entries.some(({ operation }) => operation === "SHOW"));
  });
}

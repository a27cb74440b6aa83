// Transaction pooling, with a real PostgreSQL: who has a server connection when, and that nobody notices.
import t from "tap";
import { F } from "../session/stage.ts";
import { ask, givenBack, type Postgres, poolRig, postgres, rowsOf, value, type Wire } from "./help.ts";

const started = await postgres();
if (typeof started === "string") {
  t.pass(`skipped: ${started}`);
  process.exit(0);
}
const database: Postgres = started;
t.teardown(() => database.stop());

const pid = (wire: Wire): Promise<string | null> => value(wire, "SELECT pg_backend_pid()");

t.test("thirty clients on three servers", async (t) => {
  const rig = await poolRig(t, database.server, { mode: "transaction", size: 3 });
  const clients = await Promise.all(Array.from({ length: 30 }, () => rig.client()));
  const pids = new Set<string | null>();
  let right = 0;
  await Promise.all(
    clients.map(async (client, i) => {
      for (let n = 0; n < 2; n += 1) {
        pids.add(await pid(client));
        await ask(client, "BEGIN");
        if ((await value(client, `SELECT ${i}`)) === String(i)) right += 1;
        await ask(client, "COMMIT");
      }
    }),
  );
  t.equal(right, 60);
  t.ok(pids.size <= 3, `${pids.size} servers`);
  await givenBack(t, rig, clients, { used: pids.size, size: 3 });
});

t.test("prepared statements work on every server", async (t) => {
  const rig = await poolRig(t, database.server, { mode: "transaction", size: 2 });
  const [a, b] = [await rig.client(), await rig.client()];
  a.socket.write(Buffer.concat([F.parse("SELECT 'a' || $1", "s"), F.sync()]));
  b.socket.write(Buffer.concat([F.parse("SELECT 'b' || $1", "s"), F.sync()]));
  t.equal((await a.ready()).map(({ type }) => type).join(""), "1Z");
  await b.ready();
  // Both servers in use in turn.
  for (let i = 0; i < 6; i += 1) {
    await ask(i % 2 === 0 ? a : b, "BEGIN");
    const other = i % 2 === 0 ? b : a;
    other.socket.write(Buffer.concat([F.bind("s", "", [String(i)]), F.execute(), F.sync()]));
    const messages = await other.ready();
    t.same(rowsOf(messages), [[`${i % 2 === 0 ? "b" : "a"}${i}`]]);
    t.equal(messages.map(({ type }) => type).join(""), "2DCZ");
    await ask(i % 2 === 0 ? a : b, "COMMIT");
  }
});

t.test(
  "a temporary table that goes with its transaction takes all with it, and keeps nobody's connection",
  async (t) => {
    const rig = await poolRig(t, database.server, { mode: "transaction", size: 1 });
    const [a, b] = [await rig.client(), await rig.client()];
    await ask(a, "BEGIN");
    await ask(a, "CREATE TEMP TABLE mine (id serial, a int) ON COMMIT DROP");
    await ask(a, "CREATE VIEW seen AS SELECT a FROM mine");
    await ask(a, "INSERT INTO mine (a) VALUES (7)");
    t.equal(await value(a, "SELECT a FROM seen"), "7");
    await ask(a, "COMMIT");
    const left = "SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relnamespace = pg_my_temp_schema()";
    t.equal(await value(b, left), "0");
    t.equal(await value(b, "SELECT to_regclass('seen')::text"), null);
    t.same(
      rig.pools.clientStats().map(({ pins }) => pins ?? []),
      [[], []],
    );
  },
);

t.end();

// Random programs of several sessions, through a pool that they share and each on a connection of its own: the same
// answers, message for message.
import fc from "fast-check";
import t from "tap";
import { type Message, type Postgres, poolRig, postgres, rowsOf, type Wire } from "../pool/help.ts";
import { F } from "../session/stage.ts";

const RUNS = Number(process.env.RUNS ?? 300);
const CLIENTS = 3;

const started = await postgres();
if (typeof started === "string") {
  t.pass(`skipped: ${started}`);
  process.exit(0);
}
const database: Postgres = started;
t.setTimeout(600_000);
t.teardown(() => database.stop());

interface Step {
  readonly client: number;
  readonly what: string;
  readonly bytes: (key: number) => Buffer;
  readonly readies: number;
}

const SEE = `SELECT current_setting('work_mem'), current_setting('search_path'), current_user, session_user,
  current_setting('DateStyle'), current_setting('default_transaction_read_only'), current_setting('default_transaction_isolation'),
  current_setting('application_name')`;

/** `$c` stands for the client's number: what is the database's, and not the session's, is not shared. */
const QUERIES = [
  "BEGIN",
  "COMMIT",
  "ROLLBACK",
  "COMMIT AND CHAIN",
  "SAVEPOINT s",
  "ROLLBACK TO s",
  "RELEASE s",
  "SET work_mem = '5MB'",
  "SET work_mem TO '6MB'",
  "SET LOCAL work_mem = '7MB'",
  "SET work_mem TO DEFAULT",
  "RESET work_mem",
  "RESET ALL",
  'SET search_path = pg_catalog, "Odd one"',
  "SET search_path = public",
  "SET LOCAL search_path = pg_catalog",
  "SET search_path = pg_temp, public",
  "SELECT set_config('search_path', 'pg_temp', true)",
  "BEGIN; SET LOCAL search_path = pg_temp; CREATE TABLE IF NOT EXISTS t AS SELECT 1 AS a; COMMIT -- somewhere",
  "SET work_mem = '15MB' -- to the end of the line",
  "SET DateStyle = 'ISO'",
  "SET DateStyle = 'DMY'",
  "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
  "SET transaction_read_only = on",
  "UPDATE pg_settings SET setting = '9000' WHERE name = 'work_mem'",
  "DECLARE c CURSOR FOR SELECT set_config('work_mem', '16MB', false)",
  "DISCARD TEMP; SELECT 1/0",
  "UNLISTEN *; SELECT 1/0",
  "SELECT pg_advisory_unlock_all() WHERE false",
  "SET DateStyle = 'German'",
  "SET application_name = 'x$c'",
  "SET ROLE helper",
  "RESET ROLE",
  "SET SESSION AUTHORIZATION DEFAULT",
  "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
  "RESET default_transaction_read_only",
  "SELECT set_config('work_mem', '8MB', true)",
  "SELECT set_config('work_mem', '9MB', false)",
  "SET work_mem = '10MB'; SET DateStyle = 'SQL'",
  "SET work_mem = '11MB'; SELECT 1/0",
  "BEGIN; SET work_mem = '12MB'; COMMIT; SET work_mem = '13MB'; SELECT 1/0",
  "SET no_such_thing = 1",
  SEE,
  SEE,
  "SELECT 1/0",
  "SELECT 1; SELECT 2",
  "",
  "not sql",
  "CREATE TEMP TABLE t (a int)",
  "CREATE TEMP TABLE IF NOT EXISTS t AS SELECT 1 AS a",
  "SELECT count(*) FROM t",
  "INSERT INTO t VALUES (1)",
  "DROP TABLE t",
  "DISCARD TEMP",
  "PREPARE p AS SELECT 'p$c'",
  "EXECUTE p",
  "DEALLOCATE p",
  "DEALLOCATE ALL",
  "DEALLOCATE a",
  "DISCARD ALL",
  "DECLARE c CURSOR FOR SELECT generate_series(1, 5)",
  "DECLARE h CURSOR WITH HOLD FOR SELECT generate_series(1, 5)",
  "FETCH 2 FROM c",
  "FETCH 2 FROM h",
  "CLOSE c",
  "CLOSE ALL",
  "LISTEN chan$c",
  "UNLISTEN *",
  "SELECT count(*) FROM pg_listening_channels()",
  "SELECT pg_try_advisory_lock($k)",
  "SELECT pg_advisory_unlock_all()",
  "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
  "COPY (SELECT generate_series(1, 3)) TO STDOUT",
] as const;

const TEXTS = [
  "SELECT 'one'",
  "SELECT $1::text || 'two'",
  "SET work_mem = '14MB'",
  "BEGIN",
  "COMMIT",
  "ROLLBACK",
  "SELECT 1/0",
  "not sql",
  "",
  SEE,
  "SELECT generate_series(1, 4)",
  "SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()",
  "SELECT pg_try_advisory_lock($k)",
  "DISCARD ALL",
] as const;

const NAMES = ["", "", "a", "b"] as const;

const message = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("P" as const),
      name: fc.constantFrom(...NAMES),
      text: fc.constantFrom(...TEXTS),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("B" as const),
      name: fc.constantFrom(...NAMES),
      portal: fc.constantFrom("", "q"),
      values: fc.constantFrom(0, 0, 1),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("E" as const),
      portal: fc.constantFrom("", "q"),
      rows: fc.constantFrom(0, 0, 2),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("D" as const),
      what: fc.constantFrom("S" as const, "P" as const),
      name: fc.constantFrom("", "a", "b", "q"),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("C" as const),
      what: fc.constantFrom("S" as const, "P" as const),
      name: fc.constantFrom("", "a", "b", "q"),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ kind: "S" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "H" as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("Q" as const), text: fc.constantFrom(...QUERIES) }) },
);

/** `$k` is nobody else's: a lock that an earlier run has left for a moment is another. */
function bytesOf(m: typeof message extends fc.Arbitrary<infer T> ? T : never, client: number, key: number): Buffer {
  const text = (sql: string): string => sql.replaceAll("$c", String(client)).replaceAll("$k", String(key));
  switch (m.kind) {
    case "P":
      return F.parse(text(m.text), m.name);
    case "B":
      return F.bind(m.name, m.portal, m.values === 1 ? ["v"] : []);
    case "E":
      return F.execute(m.portal, m.rows);
    case "D":
      return F.describe(m.what, m.name);
    case "C":
      return F.close(m.what, m.name);
    case "S":
      return F.sync();
    case "H":
      return F.flush();
    case "Q":
      return F.query(text(m.text));
  }
}

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ client: fc.nat(CLIENTS - 1), sql: fc.constantFrom(...QUERIES) }).map(({ client, sql }) => ({
    client,
    what: sql,
    bytes: (key: number) => bytesOf({ kind: "Q", text: sql }, client, key),
    readies: 1,
  })),
  fc
    .record({ client: fc.nat(CLIENTS - 1), messages: fc.array(message, { minLength: 1, maxLength: 12 }) })
    .map(({ client, messages }) => {
      // What stands behind an error is skipped, a Query as well; each Sync, and a Query behind one, is answered for certain.
      const all = messages.flatMap((m, i) => {
        const behind = messages[i - 1]?.kind ?? "S";
        return m.kind === "Q" && behind !== "S" && behind !== "Q" ? [{ kind: "S" as const }, m] : [m];
      });
      all.push({ kind: "S" });
      return {
        client,
        what: JSON.stringify(all),
        bytes: (key: number) => Buffer.concat(all.map((m) => bytesOf(m, client, key))),
        readies: all.filter(({ kind }) => kind === "S" || kind === "Q").length,
      };
    }),
);

/** Ends what was begun. @returns the server's process, and how many statements of the pool's it has */
async function ask(wire: Wire): Promise<Message[]> {
  wire.socket.write(Buffer.concat([F.sync(), F.query("ROLLBACK"), F.query(PREPARED)]));
  return wire.ready(3);
}

const PREPARED = "SELECT pg_backend_pid(), count(*) FROM pg_prepared_statements WHERE name LIKE 'vitrine%'";

async function run(wire: Wire, { bytes, readies }: Step, key: number): Promise<string[]> {
  wire.socket.write(bytes(key));
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end to it: ${types(wire.messages)} of ${readies}`)), 20_000);
  });
  const messages = await Promise.race([wire.ready(readies), late]);
  clearTimeout(timer);
  return shown(messages);
}

const types = (messages: readonly Message[]): string => messages.map(({ type }) => type).join("");

function shown(messages: readonly Message[]): string[] {
  return messages
    .filter(({ type }) => type !== "S" && type !== "N" && type !== "T" && type !== "t")
    .map(({ type, body }) => {
      if (type !== "E") return `${type} ${body.toString("latin1")}`;
      const fields = body.toString("utf8").split("\0");
      return `E ${fields.filter((field) => /^[CM]/.test(field)).join(" ")}`;
    });
}

t.test("as if everybody had a connection of their own", async (t) => {
  const rig = await poolRig(t, database.server, { mode: "transaction", size: CLIENTS, preparedStatements: 2 });
  let steps = 0;
  let keys = 1000;
  let deaths = 0;
  let witness = await database.direct();
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 25 }), async (program) => {
      try {
        await follow(program);
      } catch (error) {
        // Once in some thousand programs PostgreSQL itself dies of one (a segmentation fault), and takes everybody along.
        for (let i = 0; i < 50 && !witness.closed; i += 1) await new Promise((resolve) => setTimeout(resolve, 20));
        if (!witness.closed || deaths >= 3) throw error;
        deaths += 1;
        witness = await comeBack();
      }
    }),
    { numRuns: RUNS, path: process.env.AT ?? "" },
  );
  t.comment(`${steps} steps; PostgreSQL died ${deaths} times`);

  async function follow(program: readonly Step[]): Promise<void> {
    keys += 2 * CLIENTS;
    const pooled = await Promise.all(Array.from({ length: CLIENTS }, () => rig.client()));
    const direct = await Promise.all(Array.from({ length: CLIENTS }, () => database.direct()));
    try {
      for (const [i, one] of program.entries()) {
        steps += 1;
        const named =
          (side: string) =>
          (error: Error): never => {
            throw new Error(`step ${i}, client ${one.client}, ${side}: ${one.what}: ${error.message}`);
          };
        const wanted = await run(direct[one.client]!, one, keys - 2 * one.client).catch(named("direct"));
        const got = await run(pooled[one.client]!, one, keys - 2 * one.client - 1).catch(named("pooled"));
        if (JSON.stringify(got) !== JSON.stringify(wanted)) {
          throw new Error(
            `step ${i}, client ${one.client}: ${one.what}\nwanted ${JSON.stringify(wanted)}\ngot    ${JSON.stringify(got)}`,
          );
        }
        for (const name of ["search_path", "DateStyle", "application_name", "default_transaction_read_only"]) {
          const [is, should] = [pooled, direct].map((wires) => wires[one.client]!.parameters.get(name));
          if (is !== should) throw new Error(`step ${i}: ${one.what}: ${name} is ${is}, and should be ${should}`);
        }
      }
      const [see] = rowsOf(await ask(pooled[0]!));
      const server = rig.pools.serverStats().find(({ pid }) => pid === Number(see?.[0]));
      if (see?.[1] !== String(server?.preparedStatements)) {
        throw new Error(`there are ${see?.[1]} statements on a server that has ${server?.preparedStatements}`);
      }
    } finally {
      for (const wire of [...pooled, ...direct]) wire.socket.destroy();
    }
  }
});

/** Behind a crash the server lets nobody in for a while. */
async function comeBack(): Promise<Wire> {
  for (let i = 0; ; i += 1) {
    try {
      return await database.direct();
    } catch (error) {
      if (i === 1200) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

t.end();

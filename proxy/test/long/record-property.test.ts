// Random programs, cut anywhere on their way: what a client was answered is what is recorded of it, in the same order; what
// the server ran is what the rows of the record say; and every text and parameter stands with its own outcome.
import fc from "fast-check";
import t from "tap";
import { until } from "../audit/help.ts";
import type { LoggedEntry } from "../audit/log.ts";
import { errorOf, type Message, type Postgres, postgres, Q, value, type Wire } from "../pool/help.ts";
import { F } from "../session/stage.ts";
import { bridged, enter, WAYS, type Way, way } from "../ways.ts";

const RUNS = Number(process.env.RUNS ?? 60);
const CLIENTS = 2;

const started = await postgres();
if (typeof started === "string") {
  t.pass(`skipped: ${started}`);
  process.exit(0);
}
const database: Postgres = started;
t.setTimeout(900_000);
t.teardown(() => database.stop());

/** `plan` runs when it is planned; `deferred` fails at the end of its transaction. */
const SETUP = `CREATE SEQUENCE runs; CREATE SEQUENCE plans; CREATE TABLE copied (a int); CREATE TABLE keyed (a int PRIMARY KEY);
  CREATE TABLE deferred (a int REFERENCES keyed DEFERRABLE INITIALLY DEFERRED);
  CREATE FUNCTION plan(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM nextval(''plans''); RETURN 1; END';
  SELECT nextval('runs'), nextval('plans')`;

/** A number in a comment is how many rows it returns, or counts. */
const QUERIES = [
  ...["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a", "ROLLBACK TO a", "COMMIT AND CHAIN", "CLOSE ALL", "CLOSE p"],
  ...["SELECT /*2*/ generate_series(1, 2)", "SELECT nextval('runs') FROM generate_series(1, 3)", "", ";;", "SELEC"],
  ...["SELECT 1/0", "SELECT nextval('runs') / (3 - i) FROM generate_series(1, 5) i", "SELECT plan(1)"],
  ...[
    "INSERT INTO deferred VALUES (1)",
    "SET CONSTRAINTS ALL IMMEDIATE",
    "SELECT /*1*/ 1; SELECT /*3*/ 2, generate_series(1, 3)",
  ],
  ...[
    "INSERT INTO copied VALUES (1); SELECT 1/0; SELECT 'never'",
    "BEGIN; SELECT /*1*/ 1; COMMIT; SELECT nextval('runs')",
  ],
  ...[
    "DEALLOCATE ALL",
    "DEALLOCATE s",
    "DEALLOCATE x",
    "PREPARE x AS SELECT /*0*/ nextval('runs')",
    "EXECUTE x",
    "DISCARD ALL",
    "RESET ALL",
  ],
  ...["DECLARE p CURSOR FOR SELECT nextval('runs') FROM generate_series(1, 9)", "FETCH 2 FROM p", "MOVE 1 IN p"],
  ...["COPY (SELECT nextval('runs') FROM generate_series(1, 4)) TO STDOUT", "DO $$ BEGIN PERFORM 1; END $$"],
] as const;

const TEXTS = [
  ...[
    "SELECT nextval('runs') FROM generate_series(1, 7)",
    "SELECT /*5*/ generate_series(1, 5)",
    "SELECT generate_series(1, $1::int)",
  ],
  ...["SELECT nextval('runs') / (3 - i) FROM generate_series(1, 5) i", "SELECT 1/0", "SELECT plan(1)", "", "SELEC"],
  ...[
    "INSERT INTO deferred VALUES (1)",
    "INSERT INTO copied SELECT generate_series(1, $1::int) RETURNING a",
    "BEGIN",
    "COMMIT",
  ],
  ...["ROLLBACK", "SAVEPOINT a", "ROLLBACK TO a", "CLOSE ALL", "DEALLOCATE ALL", "SET CONSTRAINTS ALL IMMEDIATE"],
] as const;

const statement = fc.constantFrom("", "", "s", "u");
const portal = fc.constantFrom("", "", "p", "q");
const rows = fc.constantFrom(0, 0, 1, 2, 3);
const copy = (text: string): Buffer[] => [F.parse(text, "copy"), F.bind("copy", "copy"), F.execute("copy")];

/** COPY with all that belongs to it: in another state than COPY its data is ignored. */
const copies = fc
  .record({
    text: fc.constantFrom("COPY copied FROM STDIN", "COPY copied FROM STDIN (FREEZE)", "COPY no_such FROM STDIN"),
    extended: fc.boolean(),
    syncs: fc.nat(2),
    data: fc.array(fc.constantFrom("1\n", "2\n3\n", "no number\n"), { maxLength: 3 }),
    late: fc.nat(1),
    end: fc.constantFrom(F.copyDone(), F.copyDone(), F.copyFail()),
  })
  .map(({ text, extended, syncs, data, late, end }) => [
    ...(extended ? copy(text) : [Q(text)]),
    ...Array.from({ length: syncs }, F.sync),
    ...data.map(F.copyData),
    ...Array.from({ length: late }, F.sync),
    end,
    F.sync(),
    // Executed once more, without its data, it would take whatever comes for that.
    ...[F.close("S", "copy"), F.close("P", "copy")],
  ]);

const one = (made: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer[]> => made.map((message) => [message]);
const messages = fc.oneof(
  { weight: 3, arbitrary: one(fc.constantFrom(...QUERIES).map(Q)) },
  {
    weight: 8,
    arbitrary: one(fc.tuple(fc.constantFrom(...TEXTS), statement).map(([text, name]) => F.parse(text, name))),
  },
  {
    weight: 8,
    arbitrary: one(
      fc.tuple(statement, portal, fc.nat(3)).map(([name, to, n]) => F.bind(name, to, n > 1 ? [`${n}`] : [])),
    ),
  },
  { weight: 10, arbitrary: one(fc.tuple(portal, rows).map(([name, limit]) => F.execute(name, limit))) },
  {
    weight: 6,
    arbitrary: fc
      .tuple(fc.constantFrom(...TEXTS), portal, rows)
      .map(([text, to, limit]) => [
        F.parse(text),
        F.bind("", to, text.includes("$1") ? ["2"] : []),
        F.execute(to, limit),
      ]),
  },
  {
    weight: 2,
    arbitrary: one(
      fc.tuple(fc.constantFrom("S" as const, "P" as const), portal).map(([what, name]) => F.describe(what, name)),
    ),
  },
  {
    weight: 2,
    arbitrary: one(
      fc.tuple(fc.constantFrom("S" as const, "P" as const), portal).map(([what, name]) => F.close(what, name)),
    ),
  },
  { weight: 6, arbitrary: one(fc.constant(F.sync())) },
  {
    weight: 1,
    arbitrary: one(
      fc.constantFrom(F.flush(), F.copyData("9\n"), F.functionCall(177, "4", "2"), F.functionCall(177, "4", "x")),
    ),
  },
  { weight: 2, arbitrary: copies },
);

interface Round {
  readonly client: number;
  readonly messages: readonly Buffer[][];
  /** Where it is cut, in thousandths. */
  readonly cuts: readonly number[];
}

const round: fc.Arbitrary<Round> = fc.record({
  client: fc.nat(CLIENTS - 1),
  messages: fc.array(messages, { minLength: 1, maxLength: 12 }),
  cuts: fc.array(fc.nat(1000), { maxLength: 3 }),
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Sends it, and what ends whatever it has begun. @returns all that was answered */
async function play(wire: Wire, { messages: sent, cuts }: Round, mark: string): Promise<Message[]> {
  // Behind a Query where a Sync was due PostgreSQL may refuse one statement (XX000).
  const end = [F.copyFail(), F.sync(), Q("ROLLBACK"), Q(`ROLLBACK; SELECT '${mark}'`)];
  const bytes = Buffer.concat([...sent.flat(), ...end]);
  let at = 0;
  for (const cut of [...cuts.map((n) => Math.floor((n * bytes.length) / 1000)).sort((a, b) => a - b), bytes.length]) {
    if (cut > at) wire.socket.write(bytes.subarray(at, cut));
    at = Math.max(at, cut);
    await turn();
  }
  const over = (): boolean => {
    const at = wire.messages.findLastIndex(({ type, body }) => type === "D" && body.includes(mark));
    return at >= 0 && wire.messages.slice(at).some(({ type }) => type === "Z");
  };
  await until(`${mark} is answered: ${wire.types}`, () => over() || wire.closed);
  if (wire.closed) throw new Error(`the session was ended: ${wire.lastError}`);
  const heard = wire.messages;
  wire.messages = [];
  return heard;
}

/** What a client is told of executions, and ReadyForQuery. */
function told(heard: readonly Message[]): string[] {
  return heard.flatMap((message) => {
    const { type, body } = message;
    if (type === "C") return [`C ${body.toString("latin1", 0, body.length - 1)}`];
    if (type === "E") return [`E ${errorOf(message).slice(0, 5)}`];
    return type === "V" ? ["V"] : type === "Z" ? ["Z"] : [];
  });
}

/** The same by the record; of what came to its end unnoticed nothing. */
function recorded({ json }: LoggedEntry): string[] {
  const { outcome, tag, sqlstate, protocol } = json;
  if (outcome === "unknown" || outcome === "denied") return [`${outcome}`];
  if (outcome === "completed") return tag !== undefined ? [`C ${tag}`] : protocol === "function" ? ["V"] : [];
  return (outcome === "cancelled") === (sqlstate === "57014") ? [`E ${sqlstate}`] : ["the wrong outcome"];
}

const disclosed = ({ disclosures }: LoggedEntry, name: string): unknown =>
  disclosures.map((text) => JSON.parse(text) as [string, string, unknown]).find(([, found]) => found === name)?.[2];

/** What an entry says that cannot be so. */
function wrong(entry: LoggedEntry): string | undefined {
  const { outcome, tag, rows: counted, executed } = entry.json;
  const sql = String(disclosed(entry, "sql") ?? "");
  if (executed === false && (outcome !== "completed" || tag !== undefined || counted !== 0)) return `executed: ${sql}`;
  if (outcome !== "completed" || tag === undefined) return undefined;
  const params = disclosed(entry, "params") as string[] | undefined;
  const expected = sql.includes("$1") ? Number(params?.[0]) : Number(/\/\*(\d)\*\//.exec(sql)?.[1] ?? Number.NaN);
  // A portal that is executed again at its end returns nothing.
  if (!Number.isNaN(expected) && sql.startsWith("SELECT") && counted !== expected && counted !== 0)
    return `${counted} rows: ${sql}`;
  const command = sql.trim().split(/\W/)[0]!.toUpperCase();
  const fits = String(tag).startsWith(command) || (command === "COMMIT" && tag === "ROLLBACK");
  return fits || command === "EXECUTE" || command === "" ? undefined : `${tag}: ${sql}`;
}

const runs = async (wire: Wire, of: "runs" | "plans"): Promise<number> =>
  Number(await value(wire, `SELECT last_value FROM ${of}`));

async function hold(one: Way, program: readonly Round[], number: number, beside: Wire): Promise<void> {
  const { recorder, bench } = one.rig!;
  const names = Array.from({ length: CLIENTS }, (_, i) => `${one.name} ${number} ${i}`);
  const before = { runs: await runs(beside, "runs"), plans: await runs(beside, "plans") };
  const wires = await Promise.all(names.map((name) => enter(one, { application_name: name })));
  const heard = names.map((): string[] => []);
  try {
    await Promise.all(
      wires.map(async (wire, client) => {
        for (const [i, each] of program.entries()) {
          if (each.client === client) heard[client]!.push(...told(await play(wire, each, `mark ${number} ${i}.`)));
        }
      }),
    );
  } finally {
    await Promise.all(wires.map((wire) => wire.end()));
  }
  const ended = (): LoggedEntry[] => bench.log.ofKind("session.end").slice(-CLIENTS);
  const sessions = (): unknown[] =>
    names.map(
      (name) =>
        bench.log
          .ofKind("session.start")
          .find(({ json }) => (json.client as { application?: string }).application === name)?.json.session,
    );
  await until("the log has it", () => {
    const all = sessions();
    return all.every((session) => session !== undefined && ended().some(({ json }) => json.session === session));
  });
  const entries = sessions().map((session) =>
    bench.log.ofKind("statement").filter(({ json }) => json.session === session),
  );
  for (const [client, own] of entries.entries()) {
    const [said, wanted] = [own.flatMap(recorded), heard[client]!.filter((line) => line !== "Z")];
    if (JSON.stringify(said) !== JSON.stringify(wanted)) {
      throw new Error(`client ${client} was told ${JSON.stringify(wanted)}\nand recorded is ${JSON.stringify(said)}`);
    }
    const fault = own.map(wrong).find((found) => found !== undefined);
    if (fault !== undefined) throw new Error(`client ${client}: ${fault}`);
  }
  const texts = entries.flat().map((entry) => ({ sql: String(disclosed(entry, "sql") ?? ""), json: entry.json }));
  let ran = 0;
  // What a name stands for, that the protocol or SQL may have given, its text does not say.
  let perhaps = 0;
  for (const { sql, json } of texts) {
    if (/^(EXECUTE|FETCH|MOVE)/.test(sql)) perhaps += Number(json.rows);
    if (!sql.includes("'runs'")) continue;
    if (json.operation === "DECLARE CURSOR" || json.operation === "PREPARE") continue;
    ran += Number(json.rows) + (json.sqlstate === "22012" ? 1 : 0);
  }
  const [did, planned] = [(await runs(beside, "runs")) - before.runs, (await runs(beside, "plans")) - before.plans];
  if (did < ran || did > ran + perhaps) throw new Error(`${did} rows were made, and ${ran} are recorded`);
  if (planned > 0 && !texts.some(({ sql }) => sql.includes("plan(")))
    throw new Error("a function ran, and nothing tells of it");
  if (recorder.stats().openIntents !== 0) throw new Error(`${recorder.stats().openIntents} intents are open`);
}

/** What was found once: the server may come to the first Sync or not, and the pool answers a Close of its own at once. */
const failsEarly = [
  ...copy("COPY copied FROM STDIN"),
  ...[F.copyData("no number\n"), F.sync(), F.copyDone(), F.sync(), F.close("S", "copy"), F.close("P", "copy")],
];
const examples: [Round[]][] = Array.from({ length: 5 }, () => [
  [0, 0, 1].map((client) => ({ client, cuts: [], messages: [failsEarly, [F.describe("S", "")]] })),
]);

t.test("what was answered, and what was done, is what is recorded", async (t) => {
  const destination = await bridged(t, database);
  const beside = await database.direct();
  beside.socket.write(Q(SETUP));
  await beside.ready();
  for (const name of WAYS) {
    const through = await way(t, name, destination, { size: CLIENTS });
    let number = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 6 }), async (program) => {
        number += 1;
        await hold(through, program, number, beside);
      }),
      // Again and again, for a pool has the text by then.
      { numRuns: RUNS, path: process.env.AT ?? "", ...(process.env.AT === undefined ? { examples } : {}) },
    );
    t.pass(`${name}: ${number} programs`);
  }
  await beside.end();
});

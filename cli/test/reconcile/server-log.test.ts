import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { readServerLog, type ServerEvent } from "../../src/reconcile/server-log.ts";

async function read(dir: string, text: string): Promise<ServerEvent[]> {
  const file = join(dir, "server.log");
  writeFileSync(file, text);
  const events: ServerEvent[] = [];
  for await (const event of readServerLog(file)) events.push(event);
  return events;
}

const time = Date.parse("2026-11-22T22:10:00.123Z");
const connection = { kind: "connection", time, pid: 42, user: "ann", database: "shop" };

t.test("plain, with the default prefix", async (t) => {
  const lines = [
    "2026-11-22 22:09:59.000 UTC [7] LOG:  checkpoint starting: time",
    "2026-11-22 22:10:00.123 UTC [42] LOG:  connection received: host=127.0.0.1 port=5000",
    "2026-11-22 22:10:00.123 UTC [42] LOG:  connection authorized: user=ann database=shop application_name=psql x",
    "2026-11-23 00:10:00.123 +02 [43] LOG:  connection authorized: user=ann database=shop SSL enabled (protocol=TLSv1.3)",
    "2026-11-22 22:10:00.123 GMT [42] LOG:  statement: SELECT 1",
    "\tFROM nowhere",
    "2026-11-22 22:10:00.123 UTC [42] LOG:  AUDIT: SESSION,1,1,READ,SELECT,,,SELECT 2,<none>",
    "2026-11-22 22:10:00.123 UTC [42] LOG:  duration: 0.1 ms  execute <unnamed>: SELECT 3",
    "2026-11-22 22:10:00.123 UTC [42] ERROR:  relation does not exist",
    "2026-11-22 22:10:00.123 UTC [42] LOG:  statement: a line that is being writ",
  ];
  const events = await read(t.testdir(), lines.join("\n"));
  t.match(events.slice(0, 2), [connection, { ...connection, pid: 43 }]);
  t.same(
    events.slice(2).map(({ kind, user, text }) => [kind, user, text.slice(0, 12)]),
    [
      ["statement", undefined, "statement: S"],
      ["statement", undefined, "AUDIT: SESSI"],
      ["statement", undefined, "duration: 0."],
    ],
    "the last line has no end yet",
  );
});

t.test("plain, with who and where behind the process", async (t) => {
  const lines = [
    "2026-11-22 22:10:00.123 UTC [42] [unknown]@[unknown] LOG:  connection received: host=127.0.0.1 port=5000",
    "2026-11-22 22:10:00.123 UTC [42] ann@shop LOG:  statement: SELECT 1",
    "2026-11-22 22:10:00.123 UTC [42] ann@corp@shop LOG:  statement: SELECT 'a@b LOG:  statement: x'",
    "2026-11-22 22:10:00.123 UTC [42] [unknown]@[unknown] LOG:  replication connection authorized: user=ann",
    "",
  ];
  t.match(await read(t.testdir(), lines.join("\n")), [
    { kind: "statement", user: "ann", database: "shop", text: "statement: SELECT 1" },
    { kind: "statement", user: "ann@corp", database: "shop" },
    { kind: "connection", user: "ann", database: undefined },
  ]);
});

t.test("jsonlog", async (t) => {
  const common = { timestamp: "2026-11-22 22:10:00.123 UTC", pid: 42, user: "ann", dbname: "shop" };
  const lines = [
    { ...common, backend_type: "client backend", message: "connection authorized: user=ann database=shop" },
    { ...common, backend_type: "client backend", message: "execute q: SELECT 1" },
    { ...common, backend_type: "client backend", message: "could not receive data" },
    { ...common, backend_type: "autovacuum worker", message: "statement: x" },
    { ...common, backend_type: "walsender", message: "replication connection authorized: user=ann" },
  ];
  const events = await read(t.testdir(), `${lines.map((one) => JSON.stringify(one)).join("\n")}\n`);
  t.match(events, [connection, { kind: "statement", pid: 42, user: "ann", database: "shop" }, connection]);
  t.equal(events.length, 3);
  await t.rejects(read(t.testdir(), '{"a":1}\nnot JSON\n'), { code: "usage", message: /:2 is not one line of JSON/ });
});

t.test("csvlog, with quotes and line ends in fields", async (t) => {
  const row = (message: string, type = "client backend"): string => {
    const fields = Array.from({ length: 26 }, () => "");
    fields[0] = "2026-11-22 22:10:00.123 UTC";
    fields[1] = '"ann"';
    fields[2] = '"shop"';
    fields[3] = "42";
    fields[11] = "LOG";
    fields[13] = `"${message.replaceAll('"', '""')}"`;
    fields[23] = `"${type}"`;
    return fields.join(",");
  };
  const text = [
    row("connection authorized: user=ann database=shop"),
    row('statement: SELECT "a",\n\'""\'\nFROM t'),
    row("statement: SELECT 1", "parallel worker"),
    row("statement: SELECT 2"),
  ].join("\n");
  const events = await read(t.testdir(), `${text}\n`);
  t.match(events, [connection, { text: 'statement: SELECT "a",\n\'""\'\nFROM t' }, { text: "statement: SELECT 2" }]);
  t.equal(events.length, 3);
});

t.test("what cannot be read is said", async (t) => {
  const dir = t.testdir();
  await t.rejects(read(dir, "hello\n"), { code: "usage", message: /is neither csvlog, jsonlog, nor plain/ });
  const zone = "2026-11-22 22:10:00.123 CEST [42] LOG:  statement: SELECT 1\n";
  await t.rejects(read(dir, zone), { code: "usage", message: /whose zone is not UTC; set log_timezone to UTC/ });
  const none = readServerLog(join(dir, "none"));
  await t.rejects(none.next(), { code: "usage", message: /cannot be read: ENOENT/ });
  t.same(await read(dir, ""), []);
});

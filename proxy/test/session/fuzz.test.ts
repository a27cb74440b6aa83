// Whatever either side sends, and however it is cut: no error but ProxyError, and every intent ends.
import fc from "fast-check";
import t from "tap";
import { ProxyError } from "../../src/errors.ts";
import { frame } from "../../src/wire/write.ts";
import { B, F, Stage } from "./stage.ts";

const TEXTS = [
  "SELECT 1",
  "",
  "INSERT INTO t VALUES (1)",
  "SELECT 1; DELETE FROM t; SELECT 2",
  "COPY t FROM STDIN",
  "COPY t TO STDOUT",
  "BEGIN",
  "ROLLBACK",
  "DEALLOCATE ALL",
  "PREPARE a AS SELECT 1",
  "nonsense",
  "SET client_encoding = 'LATIN1'",
];
const sql = fc.constantFrom(...TEXTS);
const name = fc.constantFrom("", "a", "b");
const side = fc.constantFrom("S" as const, "P" as const);

const frontend = fc.oneof(
  { weight: 30, arbitrary: sql.map(F.query) },
  { weight: 30, arbitrary: fc.tuple(sql, name).map(([text, as]) => F.parse(text, as)) },
  { weight: 30, arbitrary: fc.tuple(name, name).map(([statement, portal]) => F.bind(statement, portal, ["v"])) },
  { weight: 50, arbitrary: fc.tuple(name, fc.nat(2)).map(([portal, rows]) => F.execute(portal, rows)) },
  { weight: 40, arbitrary: fc.constant(F.sync()) },
  { weight: 10, arbitrary: fc.tuple(side, name).map(([what, of]) => F.describe(what, of)) },
  { weight: 10, arbitrary: fc.tuple(side, name).map(([what, of]) => F.close(what, of)) },
  {
    weight: 3,
    arbitrary: fc.constantFrom(F.flush(), F.copyData("1\n"), F.copyDone(), F.copyFail(), F.functionCall(177, "1")),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 12 }).map((body) => frame(0x42, Buffer.from(body))) },
);

const ERRORS = [B.error("22012"), B.error("57014"), B.error("57P01", "FATAL")];
const ANSWERS = [
  B.complete("SELECT 1"),
  B.complete("DELETE 2"),
  B.row(),
  B.rowDescription(),
  B.parsed(),
  B.bound(),
  B.closed(),
  B.noData(),
  B.empty(),
  B.suspended(),
  B.copyIn(),
  B.copyOut(),
  B.copyData("1\n"),
  B.copyDone(),
  B.functionResult("3"),
  B.status("client_encoding", "LATIN1"),
  B.status("session_authorization", "bob"),
  B.ready("I"),
  B.ready("T"),
  B.ready("E"),
  ...ERRORS,
];

type Step =
  | { readonly from: "client"; readonly bytes: Buffer }
  | { readonly from: "server"; readonly bytes: Buffer }
  | { readonly from: "disk" }
  | { readonly from: "answer"; readonly pick: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 60, arbitrary: frontend.map((bytes) => ({ from: "client" as const, bytes })) },
  // An answer that fits what is asked, most of the time.
  { weight: 90, arbitrary: fc.nat(999).map((pick) => ({ from: "answer" as const, pick })) },
  { weight: 1, arbitrary: fc.constantFrom(...ANSWERS).map((bytes) => ({ from: "server" as const, bytes })) },
  { weight: 15, arbitrary: fc.constant({ from: "disk" as const }) },
);

/** Does it, and says whether the session goes on. */
function survives(work: () => unknown): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    return false;
  }
}

function invariants(stage: Stage): void {
  stage.session.end("client-closed");
  const { spool } = stage;
  if (spool.open.size > 0) throw new Error(`${spool.open.size} intents are open`);
  spool.statements().forEach(({ n }, i) => {
    if (n !== i + 1) throw new Error(`entry ${i} has the number ${n}`);
  });
  const end = spool.entries.at(-1)!;
  if (end.kind !== "session.end") throw new Error(`the last entry is a ${end.kind}`);
  if (end.statements !== spool.statements().length) throw new Error("the totals are wrong");
}

/** A server that keeps more or less to the protocol, so that a session gets far. */
function answers(stage: Stage, pick: number): Buffer {
  const asked = waiting(stage);
  const fitting: Record<string, readonly Buffer[]> = {
    Q: [B.complete("SELECT 1"), B.rowDescription(), B.row(), B.ready("I"), B.ready("T"), B.copyIn(), ...ERRORS],
    P: [B.parsed(), B.parsed(), B.parsed(), B.error("42601")],
    B: [B.bound(), B.bound(), B.bound(), B.error("26000")],
    E: [
      B.row(),
      B.suspended(),
      B.complete("SELECT 1"),
      B.complete("DELETE 2"),
      B.copyIn(),
      B.empty(),
      B.error("22012"),
    ],
    D: [B.noData(), B.rowDescription(), B.error("26000")],
    C: [B.closed()],
    S: [B.ready("I"), B.ready("T"), B.ready("I"), B.error("23503")],
    F: [B.functionResult("3"), B.ready("I"), B.error("22012")],
    "": [B.status("application_name", "x"), B.error("57P01", "FATAL")],
  };
  const choice = fitting[asked] ?? fitting[""]!;
  return choice[pick % choice.length]!;
}

/** The type of the oldest message that was not answered, by what an out-of-step answer is said to be for. */
function waiting(stage: Stage): string {
  const kinds: Record<string, string> = {
    query: "Q",
    parse: "P",
    bind: "B",
    execute: "E",
    describe: "D",
    close: "C",
    sync: "S",
    function: "F",
  };
  return kinds[stage.session.tracker.asked ?? ""] ?? "";
}

t.test("conversations", async (t) => {
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: "max" }), fc.boolean(), (steps, instant) => {
      const stage = new Stage();
      stage.spool.instant = instant;
      for (const one of steps) {
        const goesOn =
          one.from === "disk"
            ? survives(() => stage.spool.sync())
            : one.from === "client"
              ? survives(() => stage.client(one.bytes))
              : one.from === "server"
                ? survives(() => stage.server(one.bytes))
                : survives(() => stage.server(answers(stage, one.pick)));
        if (!goesOn) break;
      }
      invariants(stage);
      for (const line of stage.spool.told()) seen.set(line, (seen.get(line) ?? 0) + 1);
    }),
    { numRuns: 2500 },
  );
  // The conversations got somewhere.
  for (const outcome of ["completed", "failed 22012", "cancelled 57014", "unknown"]) {
    t.ok(
      [...seen.keys()].some((line) => line.endsWith(outcome)),
      outcome,
    );
  }
});

t.test("byte streams, valid, damaged and cut anywhere", async (t) => {
  const stream = (messages: fc.Arbitrary<Buffer>): fc.Arbitrary<{ bytes: Buffer; cuts: number[] }> =>
    fc
      .tuple(
        fc.array(
          fc.oneof(
            { weight: 12, arbitrary: messages },
            fc.uint8Array({ maxLength: 30 }).map((b) => Buffer.from(b)),
          ),
        ),
        fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 1 }),
        fc.array(fc.nat(40), { maxLength: 50 }),
      )
      .map(([parts, damage, cuts]) => {
        const bytes = Buffer.concat(parts);
        for (const [at, value] of damage) if (at < bytes.length) bytes[at] = value;
        return { bytes, cuts };
      });
  const feed = ({ bytes, cuts }: { bytes: Buffer; cuts: number[] }, to: (piece: Buffer) => unknown): boolean => {
    let at = 0;
    for (const cut of [...cuts, bytes.length]) {
      const piece = bytes.subarray(at, at + cut);
      if (piece.length > 0 && !survives(() => to(piece))) return false;
      at = Math.min(bytes.length, at + cut);
    }
    return true;
  };
  fc.assert(
    fc.property(
      stream(frontend),
      stream(fc.constantFrom(...ANSWERS)),
      fc.boolean(),
      fc.boolean(),
      (client, server, clientFirst, loggedIn) => {
        const stage = new Stage(loggedIn ? {} : { loggedIn: false });
        const fromClient = (): boolean => feed(client, (piece) => stage.client(piece));
        const fromServer = (): boolean => feed(server, (piece) => stage.server(piece));
        if (clientFirst) fromClient() && fromServer();
        else fromServer() && fromClient();
        if (stage.session.phase === "ready") invariants(stage);
        else stage.session.end("client-closed");
      },
    ),
    { numRuns: 4000 },
  );
  t.pass("4,000 times");
});

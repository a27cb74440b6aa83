// SHOW vitrine.session and SHOW vitrine.receipt as messages: what stands for them on the server, what the client is sent
// in its turn, and that the client is never ahead of what is durable.
import t from "tap";
import { until } from "../audit/help.ts";
import { rig } from "../help.ts";
import { B, F, Stage } from "../session/stage.ts";

const RECEIPT = "SHOW vitrine.receipt";
const RULES = "version: 1\nrules:\n  - {name: reads, action: allow, what: {class: read}}\n";

/** Types of messages, a DataRow with its value, a RowDescription with the format asked for. */
function shown(bytes: Buffer): string {
  const told: string[] = [];
  for (let at = 0; at < bytes.length; at += 1 + bytes.readUInt32BE(at + 1)) {
    const type = String.fromCharCode(bytes[at]!);
    const body = bytes.subarray(at + 5, at + 1 + bytes.readUInt32BE(at + 1));
    if (type === "D") told.push(`D(${body.readInt32BE(2) < 0 ? "null" : body.toString("utf8", 6)})`);
    else if (type === "T") told.push(`T${body.length > 2 ? body.readInt16BE(body.length - 2) : ""}`);
    else told.push(type === "Z" ? `Z${body}` : type);
  }
  return told.join(" ");
}

const sent = (stage: Stage): string => shown(Buffer.concat(stage.splice!.take().map(({ bytes }) => bytes)));

/** What went to the server for these. */
function forwarded(stage: Stage, ...messages: Buffer[]): string {
  const before = stage.forwarded.length;
  stage.client(...messages);
  return stage.forwarded
    .slice(before)
    .map(({ bytes }) => bytes.toString("latin1").replaceAll(/\0+/g, "_"))
    .join(" ");
}

function staged(rules?: string): Stage {
  const stage = new Stage(rules === undefined ? { shows: true } : { rules });
  stage.splice!.take();
  return stage;
}

t.test("a Query: before there is a statement, behind one, and in a failed transaction", async (t) => {
  const stage = staged();
  t.equal(forwarded(stage, F.query(`  ${RECEIPT} ; `)), "Q_\u0005_", "the server gets empty text");
  stage.server(B.empty(), B.ready());
  t.equal(sent(stage), "T0 D(null) C ZI");
  stage.client(F.query("SELECT 1"), F.query(RECEIPT), F.query("SHOW Vitrine.Receipt"));
  stage.server(B.complete("SELECT 1"), B.ready());
  stage.server(B.empty(), B.ready(), B.empty(), B.ready());
  t.equal(sent(stage), "C ZI T0 D(1 SELECT completed) C ZI T0 D(1 SELECT completed) C ZI");
  stage.client(F.query("SELECT broken"), F.query("SHOW vitrine.session"), F.query(RECEIPT));
  stage.server(B.error("42703"), B.ready("E"), B.empty(), B.ready("E"), B.empty(), B.ready("E"));
  const session = '{"session":"1.1","source":"test.example/source","epoch":1,"login":"alice","database":"alice"}';
  t.equal(sent(stage), `E ZE T0 D(${session}) C ZE T0 D(2 SELECT failed) C ZE`);
  t.same(stage.end(), ["SELECT completed", "SELECT failed 42703"], "what was shown is no statement");
});

t.test("text that asks for more than that, or for another setting, is the server's", async (t) => {
  const stage = staged();
  for (const sql of [
    "SHOW vitrine.other",
    `SELECT 1; ${RECEIPT}`,
    "SHOW server_version",
    "SET vitrine.receipt = 'x'",
  ]) {
    t.match(forwarded(stage, F.query(sql)), sql);
    stage.server(B.error("42704"), B.ready());
    sent(stage);
  }
});

t.test("Parse, Bind, Describe, Execute, Close: each answered in its turn, in the middle of a pipeline", async (t) => {
  const stage = staged();
  const messages = [F.parse("SELECT 1"), F.bind(), F.execute(), F.parse(RECEIPT, "r"), F.describe("S", "r")];
  const own = [
    F.bind("r", "p"),
    F.describe("P", "p"),
    F.execute("p"),
    F.execute("p"),
    F.close("P", "p"),
    F.close("S", "r"),
  ];
  t.equal(
    forwarded(stage, ...messages, ...own, F.parse("SELECT 2"), F.bind(), F.execute(), F.sync()).replaceAll(/_./g, "_"),
    forwarded(
      staged(),
      ...[F.parse("SELECT 1"), F.bind(), F.execute(), F.parse("", "r"), F.describe("S", "r")],
      ...[F.close("P", "p"), F.close("P", "vitrine.show"), F.close("P", "vitrine.show"), F.close("P", "vitrine.show")],
      ...[F.close("P", "p"), F.close("S", "r"), F.parse("SELECT 2"), F.bind(), F.execute(), F.sync()],
    ).replaceAll(/_./g, "_"),
  );
  stage.server(B.parsed(), B.bound(), B.row("1"), B.complete("SELECT 1"), B.parsed(), B.noData());
  stage.server(...Array.from({ length: 6 }, B.closed));
  stage.server(B.parsed(), B.bound(), B.row("2"), B.complete("SELECT 1"), B.ready());
  t.equal(sent(stage), "1 2 D(1) C 1 T0 2 T0 D(1 SELECT completed) C C 3 3 1 2 D(2) C ZI");
  t.same(stage.end(), ["SELECT completed", "SELECT completed"]);
});

t.test("behind an error it is skipped like anything else, and what comes next is answered", async (t) => {
  const stage = staged();
  stage.client(F.parse("SELECT no"), F.bind(), F.execute(), F.parse(RECEIPT), F.bind(), F.execute(), F.sync());
  stage.server(B.parsed(), B.error("42703"), B.ready());
  stage.client(F.parse(RECEIPT), F.bind(), F.execute(), F.sync());
  stage.server(B.parsed(), B.closed(), B.closed(), B.ready());
  t.equal(sent(stage), "1 E ZI 1 2 D(1 SELECT failed) C ZI");
});

t.test("the result's format is described as it was asked for, and parameters are the server's to refuse", async (t) => {
  const stage = staged();
  const binary = Buffer.from(F.bind("r"));
  const bind = Buffer.concat([binary.subarray(0, -2), Buffer.from([0, 1, 0, 1])]);
  bind.writeUInt32BE(bind.length - 1, 1);
  stage.client(F.parse(RECEIPT, "r"), bind, F.describe("P"), F.execute(), F.sync());
  stage.server(B.parsed(), B.closed(), B.closed(), B.closed(), B.ready());
  t.equal(sent(stage), "1 2 T1 D(null) C ZI");
  t.match(forwarded(stage, F.bind("r", "", ["1"])), /^B_/);
});

t.test("access rules are not asked: nothing is executed", async (t) => {
  const stage = staged(RULES);
  stage.client(F.query("SHOW work_mem"), F.query(RECEIPT), F.parse(RECEIPT), F.bind(), F.execute(), F.sync());
  stage.server(B.error("42601"), B.ready(), B.empty(), B.ready(), B.parsed(), B.closed(), B.closed(), B.ready());
  t.equal(sent(stage), "E ZI T0 D(1 SHOW denied) C ZI 1 2 D(1 SHOW denied) C ZI");
});

t.test("the client is sent the same however the server's bytes are cut", async (t) => {
  const answers = Buffer.concat([
    ...[B.row("1"), B.complete("SELECT 1"), B.ready(), B.empty(), B.ready()],
    ...[B.parsed(), B.noData(), B.closed(), B.closed(), B.ready(), B.row("2"), B.complete("SELECT 1"), B.ready()],
  ]);
  const run = (cut: number): string => {
    const stage = staged();
    stage.client(F.query("SELECT 1"), F.query(RECEIPT));
    stage.client(F.parse(RECEIPT), F.describe("S"), F.bind(), F.execute(), F.sync(), F.query("SELECT 2"));
    stage.server(answers.subarray(0, cut)).server(answers.subarray(cut));
    return sent(stage);
  };
  const whole = run(answers.length);
  t.equal(whole, "D(1) C ZI T0 D(1 SELECT completed) C ZI 1 T0 2 D(1 SELECT completed) C ZI D(2) C ZI");
  for (let cut = 1; cut < answers.length; cut++) if (run(cut) !== whole) t.equal(run(cut), whole, `cut at ${cut}`);
});

t.test("asked in the middle of a message of the server's, wherever that is cut", async (t) => {
  const all = await rig(t);
  const row = Buffer.concat([B.row("x".repeat(100)), B.complete("SELECT 1"), B.ready()]);
  const ends = [B.empty(), B.ready()];
  for (const cut of [1, 3, 5, 60, 110, 118, row.length - 3]) {
    const client = await all.session();
    const backend = all.upstream.last;
    client.socket.write(F.query("SELECT 1"));
    await until("the statement is there", () => backend.received.length > 0);
    backend.send(row.subarray(0, cut));
    await until("its first bytes are with the client", () => client.received.length === cut);
    client.socket.write(F.query(RECEIPT));
    await until("so is the question", () => backend.received.includes("Q\0\0\0\u0005\0"));
    backend.send(row.subarray(cut), ...ends);
    const answered = (): number => client.received.toString("latin1").split("Z\0\0\0\u0005I").length - 1;
    await until("both are answered", () => answered() === 2);
    const told = shown(client.received);
    t.match(told, /^D\(x{100}\) C ZI T0 D\(\{"format":"vitrine\/receipt\/v1",.*\}\) C ZI$/, `cut at ${cut}`);
    client.socket.destroy();
  }
});

t.test("a receipt is not seen before its entry is on disk", async (t) => {
  const all = await rig(t);
  const client = await all.session();
  const backend = all.upstream.last;
  client.socket.write(F.query("SELECT 1"));
  await until("the statement is there", () => backend.received.length > 0);
  backend.received = Buffer.alloc(0);
  // From here on nothing becomes durable.
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  await until("its intent is on disk", () => all.recorder.stats().openIntents === 1);
  client.socket.write(F.query(RECEIPT));
  await until("the question is there", () => backend.received.length > 0);
  all.disk.hold = held;
  backend.send(B.complete("SELECT 1"), B.ready(), B.empty(), B.ready());
  await new Promise((resolve) => setTimeout(resolve, 60));
  t.notMatch(client.received.toString(), "vitrine/receipt");
  all.disk.hold = undefined;
  release();
  await until("the receipt is here", () => client.received.includes("vitrine/receipt/v1"));
  t.ok(all.disk.writes.some(({ bytes }) => bytes.includes('"outcome":"completed"')));
});

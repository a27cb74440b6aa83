// Messages that are none, or not what they say: no server sees a byte of them, and the client is told.
import t from "tap";
import { FRONTEND_NAMES } from "../../src/wire/messages.ts";
import { frame } from "../../src/wire/write.ts";
import { until } from "../audit/help.ts";
import { B, F } from "../session/stage.ts";
import { connected, frames, played, WAYS, type Way, way } from "../ways.ts";

t.setTimeout(300_000);
/** Sends it in a session of its own. @returns the refusal, and what the server got behind its login */
async function send(
  one: Way,
  there: Awaited<ReturnType<typeof played>>,
  bytes: Buffer,
): Promise<[string | undefined, string]> {
  const client = await connected(one, { user: "alice" });
  client.socket.write(bytes);
  await until("the connection ends", () => client.ended);
  const heard = there.fake.backends.map(({ received }) => received.toString("latin1")).join("");
  client.socket.destroy();
  await until("it is gone", () => one.rig!.proxy.clients === 0);
  for (const { socket } of there.fake.backends.splice(0)) socket.destroy();
  return [client.refusal, heard.replaceAll("X\0\0\0\u0004", "")];
}

t.test("every type that is none of the protocol's is refused, and none is passed on", async (t) => {
  const there = await played(t);
  const one = await way(t, "relayed", there);
  const wrong: unknown[] = [];
  for (let type = 0; type < 256; type += 1) {
    if (FRONTEND_NAMES[type] !== undefined) continue;
    const [refusal, heard] = await send(one, there, frame(type, Buffer.from("SELECT 1\0")));
    if (refusal !== "08P01" || heard !== "") wrong.push([type, refusal, heard]);
  }
  t.same(wrong, []);
  await one.rig!.stop();
  const ends = one.rig!.bench.log.ofKind("session.end");
  t.equal(ends.length, 256 - FRONTEND_NAMES.filter(Boolean).length);
  t.ok(ends.every(({ json }) => json.reason === "protocol-error"));
});

t.test("a length that cannot be, or that this message cannot have, is refused at its header", async (t) => {
  const there = await played(t);
  const one = await way(t, "relayed", there);
  const small = ["C", "D", "E", "H", "S", "X", "c", "f"];
  const cases: [string, number, string][] = [..."QPBCDEFHSXcdf"].flatMap((type) => [
    [type, 0, "08P01"],
    [type, 3, "08P01"],
    [type, 0x40000000, "08P01"],
    [type, 0xffffffff, "08P01"],
  ]);
  for (const type of small) cases.push([type, 10_001, "08P01"]);
  // The proxy's own limit, which rig sets to 1 MiB: recorded as a statement that was denied.
  for (const type of ["Q", "P"]) cases.push([type, 1 << 20, "54000"]);
  for (const [type, length, expected] of cases) {
    const header = Buffer.from([type.charCodeAt(0), 0, 0, 0, 0]);
    header.writeUInt32BE(length, 1);
    const [refusal, heard] = await send(one, there, header);
    if (refusal !== expected || heard !== "") t.fail(`${type} of ${length}: ${refusal}, and the server got ${heard}`);
  }
  await one.rig!.stop();
  t.equal(one.rig!.bench.log.ofKind("session.end").length, cases.length);
  t.same(
    one.rig!.bench.log.ofKind("statement").map(({ json }) => [json.outcome, json.sqlstate]),
    new Array(2).fill(["denied", "54000"]),
  );
});

t.test("bytes that a reader of C strings would not see, and the server might, are not passed on", async (t) => {
  const nul = (type: string, body: string): Buffer => frame(type.charCodeAt(0), Buffer.from(body, "latin1"));
  const cases: Record<string, Buffer> = {
    "a Query with a second text": nul("Q", "SELECT 1\0; DROP TABLE t\0"),
    "a Query with a second NUL": nul("Q", "SELECT 1\0\0"),
    "a Query without a NUL": nul("Q", "SELECT 1"),
    "a Query without anything": nul("Q", ""),
    "a Parse with bytes behind its types": nul("P", "\0SELECT 1\0\0\0; DROP TABLE t\0"),
    "a Parse that promises types": nul("P", "\0SELECT 1\0\0\u0001"),
    "a Parse without a NUL": nul("P", "\0SELECT 1"),
    "a Bind with bytes behind its formats": nul("B", "\0\0\0\0\0\0\0\0x"),
    "a Bind with a value longer than it": nul("B", "\0\0\0\0\0\u0001\0\0\0\u0009x\0\0"),
    "an Execute with bytes behind it": nul("E", "\0\0\0\0\0x"),
    "a Describe of neither": nul("D", "Xs\0"),
    "a Describe with bytes behind it": nul("D", "Ss\0x"),
    "a Close with bytes behind it": nul("C", "Ss\0x"),
    "a FunctionCall with bytes behind it": nul("F", "\0\0\0\u0001\0\0\0\0\0\0x"),
  };
  for (const name of WAYS) {
    const there = await played(t);
    const one = await way(t, name, there);
    for (const [what, bytes] of Object.entries(cases))
      t.same(await send(one, there, bytes), ["08P01", ""], `${name}: ${what}`);
  }
});

t.test(
  "whatever a server may say at any time passes where it stands, in a login and between any two messages",
  async (t) => {
    const asynchronous = [
      frame(0x4e, Buffer.from("SNOTICE\0VNOTICE\0C00000\0Mhere\0\0")),
      B.status("TimeZone", "Somewhere"),
      frame(0x41, Buffer.from("\0\0\0\u0007channel\0payload\0", "latin1")),
    ];
    const asked = Buffer.concat([
      ...[F.parse("SELECT 1"), F.bind(), F.describe("P"), F.execute("", 1), F.execute(), F.sync()],
      ...[F.query("SELECT 1; DELETE FROM t"), F.query("COPY t TO STDOUT"), F.query("")],
      ...[
        F.parse("SELEC"),
        F.bind(),
        F.execute(),
        F.sync(),
        F.query("COPY t FROM STDIN"),
        F.copyData("1\n"),
        F.copyDone(),
      ],
    ]);
    const answers = [
      ...[
        B.parsed(),
        B.bound(),
        B.rowDescription(),
        B.row(),
        B.suspended(),
        B.row(),
        B.complete("SELECT 1"),
        B.ready(),
      ],
      ...[B.rowDescription(), B.row(), B.complete("SELECT 1"), B.complete("DELETE 3"), B.ready()],
      ...[B.copyOut(), B.copyData("1\n"), B.copyDone(), B.complete("COPY 1"), B.ready(), B.empty(), B.ready()],
      ...[B.error("42601"), B.ready(), B.copyIn(), B.complete("COPY 1"), B.ready()],
    ];
    const login = [B.auth(0), B.status("server_version", "18.1"), B.key(77), B.ready()];
    const entries = ["SELECT completed 2", "SELECT completed 1", "DELETE completed 3", "COPY completed 1"];
    entries.push("UNKNOWN failed 42601", "COPY completed 1");
    for (const name of WAYS) {
      const there = await played(t);
      const one = await way(t, name, there, { size: 1 });
      let told = 0;
      for (let gap = 0; gap < answers.length; gap += 1) {
        const said = [...answers.slice(0, gap), ...asynchronous, ...answers.slice(gap)];
        // A pool's login is its own. In a login a parameter and a notification may come behind AuthenticationOk, a notice also before it.
        const at = name.startsWith("pooled") ? login.length : gap % login.length;
        const before = at === login.length ? [] : at === 0 ? asynchronous.slice(0, 1) : asynchronous;
        there.fake.onStartup = (backend) => backend.send(...login.slice(0, at), ...before, ...login.slice(at));
        const client = await connected(one, { user: "alice" });
        if (!name.startsWith("pooled")) {
          const expected = Buffer.concat([...login.slice(0, at), ...before, ...login.slice(at)]);
          if (!client.greeting.equals(expected)) t.fail(`${name}: another greeting, with the notices at ${at}`);
        }
        client.socket.write(asked);
        await until("a server is there", () => there.fake.backends.length > 0);
        const { last } = there.fake;
        await until("it is asked", () => last.received.includes(F.copyDone()));
        last.send(...said);
        const expected = Buffer.concat(said);
        await until("it is answered", () => client.received.length >= expected.length || client.ended);
        if (!client.received.equals(expected)) {
          t.same(frames(client.received), frames(expected), `${name}: in front of answer ${gap}`);
        }
        client.socket.destroy();
        await until("it is gone", () => one.rig!.proxy.clients === 0);
        for (const { socket } of there.fake.backends.splice(0)) socket.destroy();
        told += 1;
      }
      await one.rig!.stop();
      const all = one
        .rig!.bench.log.ofKind("statement")
        .map(({ json }) => [json.operation, json.outcome, json.sqlstate ?? json.rows].join(" "));
      t.same(all, new Array(told).fill(entries).flat(), `${name}: ${told} times the same entries`);
    }
  },
);

t.end();

import t from "tap";
import { ProxyError } from "../../src/errors.ts";
import { B, F, Stage } from "./stage.ts";

const login = (...messages: Buffer[]): Stage => new Stage({ loggedIn: false }).server(...messages);

t.test("how the client was authenticated", async (t) => {
  const auth = (stage: Stage): unknown => {
    stage.server(B.auth(0), B.ready());
    return (stage.spool.entries[0]!.actor as { auth: string }).auth;
  };
  t.equal(auth(login()), "trust");
  t.equal(auth(login(B.auth(3)).client(F.password("secret\0"))), "password");
  t.equal(auth(login(B.auth(5, "salt")).client(F.password("md5\0"))), "md5");
  const sasl = login(B.auth(10, "SCRAM-SHA-256\0\0")).client(F.password("SCRAM-SHA-256\0\0\0\0\u0001n"));
  t.equal(
    auth(sasl.server(B.auth(11, "r=x")).client(F.password("c=biws,r=x,p=proof")).server(B.auth(12))),
    "scram-sha-256",
  );
  t.equal(auth(login(B.auth(10, "OAUTHBEARER\0\0")).client(F.password("OAUTHBEARER\0"))), "other:10");
  t.equal(auth(login(B.auth(7))), "other:7");
});

t.test("a password that nobody asked for is refused: what it is could not be told", async (t) => {
  const stage = login();
  t.throws(() => stage.client(F.password("SCRAM-SHA-256\0\0\0\0\u0001n")), { code: "protocol_violation" });
  t.equal(stage.forwarded.length, 0);
});

t.test("what the server did not report is absent", async (t) => {
  const stage = login(B.auth(0), B.ready());
  t.same(stage.spool.entries[0]!.server, {});
  const told = login(B.auth(0), B.status("server_version", "18.1"), B.key(9), B.ready());
  t.same(told.spool.entries[0]!.server, { version: "18.1", pid: 9 });
});

t.test("a refusal is recorded once, and no session begins or ends", async (t) => {
  const stage = login(B.error("28P01", "FATAL"));
  t.equal(stage.session.refuse(new ProxyError("upstream_lost", "gone")), 0);
  stage.end("server-closed");
  t.match(stage.spool.entries, [{ kind: "access.refused", by: "server", sqlstate: "28P01" }]);
  t.equal(stage.spool.entries.length, 1);

  const proxy = login();
  const wait = proxy.session.refuse(new ProxyError("log_refused", "no"));
  t.equal(wait, proxy.session.gate);
  t.match(proxy.spool.entries, [{ by: "proxy", sqlstate: "58030" }]);
});

t.test("the session follows what the server reports", async (t) => {
  const stage = new Stage({ parameters: { application_name: "first" } });
  stage.server(B.status("application_name", "second"), B.status("session_authorization", "bob"));
  stage.client(F.query("SELECT 1")).server(B.complete("SELECT 1"), B.ready());
  t.match(stage.spool.statements()[0], { role: "bob", client: { application: "second" } });
  stage.server(B.status("application_name", ""), B.status("session_authorization", "alice"));
  stage.client(F.query("SELECT 1")).server(B.complete("SELECT 1"), B.ready());
  t.notOk("role" in stage.spool.statements()[1]!);
  t.notOk("application" in (stage.spool.statements()[1]!.client as object));
});

t.test("the largest that can stand in the clear still fits an entry", async (t) => {
  const wide = "\u20ac".repeat(2700);
  const relations = Array.from({ length: 600 }, (_, i) => `a_rather_long_name_${i}`).join(", ");
  const stage = new Stage({
    sealed: [],
    user: "\u0001".repeat(256),
    parameters: { application_name: "\u0001".repeat(256) },
  });
  stage.client(F.parse(`SELECT $1, '${wide}' FROM ${relations}`), F.bind("", "", [wide]), F.execute(), F.sync());
  const [error] = [Buffer.concat([Buffer.from(`SERROR\0VERROR\0C22012\0M${wide}\0\0`)])];
  const head = Buffer.alloc(5);
  head[0] = 0x45;
  head.writeInt32BE(error.length + 4, 1);
  stage.server(B.parsed(), B.bound(), Buffer.concat([head, error]), B.ready());
  t.same(stage.end(), ["SELECT failed 22012"]);
});

t.test("a server that reports nonsense is not followed", async (t) => {
  const key = login(B.auth(0));
  t.throws(() => key.server(Buffer.from("K\0\0\0\u0006ab")), { code: "protocol_violation" });
  const role = new Stage();
  t.throws(() => role.server(B.status("session_authorization", "x".repeat(2000))), { code: "protocol_violation" });
  const status = new Stage();
  t.throws(() => status.server(Buffer.from("S\0\0\0\u0006ab")), { code: "protocol_violation" });
});

t.test("messages that are passed on in pieces wait for their intent with their last piece", async (t) => {
  const stage = new Stage({ disclosureBytes: 1024 });
  stage.spool.instant = false;
  const call = F.functionCall(177, "x".repeat(300_000));
  stage.client(call.subarray(0, 100_000), call.subarray(100_000, 200_000));
  const before = stage.forwarded.length;
  t.ok(stage.forwarded.every(({ wait }) => wait === 0));
  stage.client(call.subarray(200_000));
  t.ok(stage.forwarded.length > before);
  t.equal(stage.wait, [...stage.spool.open][0]!.position);
  t.ok(Buffer.concat(stage.forwarded.map(({ bytes }) => bytes)).equals(call));
});

t.test("a Bind just over the disclosure's limit is passed on whole, whatever the limit", async (t) => {
  for (const size of [900, 1000, 1100, 5000, 150_000, 400_000]) {
    const stage = new Stage({ disclosureBytes: 1024 });
    const bytes = Buffer.concat([F.parse("SELECT $1"), F.bind("", "", ["y".repeat(size)]), F.execute(), F.sync()]);
    stage.client(bytes).server(B.parsed(), B.bound(), B.complete("SELECT 1"), B.ready());
    t.ok(Buffer.concat(stage.forwarded.map(({ bytes: piece }) => piece)).equals(bytes), `${size} bytes`);
    t.match(stage.spool.statements()[0], { params_count: 1 });
  }
});

t.test("what the first packet sets is recorded, for no statement says it", async (t) => {
  const started = (parameters: Record<string, string>): unknown =>
    new Stage({ parameters: { application_name: "x", ...parameters } }).spool.entries[0]!.settings;
  t.equal(started({ "_pq_.future": "1" }), undefined);
  t.same(started({ search_path: "a", options: "-c role=b" }), [
    { name: "search_path", value: "a" },
    { name: "options", value: "-c role=b" },
  ]);
  const hostile = { options: "\u0001".repeat(3000) };
  t.match(started(hostile), { bytes: 18_031, sha256: /^[0-9a-f]{64}$/ }, "escaped it would fill the entry");
});

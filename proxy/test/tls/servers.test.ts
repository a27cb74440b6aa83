// How servers are reached: what each sslmode takes for an answer, whose certificate is good, and what is never believed.
import { readFileSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import t, { type Test } from "tap";
import { ServerTls, serverTlsSettings } from "../../src/tls/index.ts";
import { until } from "../audit/help.ts";
import { FakePostgres } from "../fake-postgres.ts";
import { type Rig, rig, startup } from "../help.ts";
import { Certificates, type Certified } from "./certificates.ts";

const make = new Certificates(t.testdir());
const authority = make.authority("issuer");
const other = make.authority("other-issuer");
const good = make.issue("db.example", { by: authority, dns: ["db.example"], ips: ["127.0.0.1"] });
const elsewhere = make.issue("elsewhere", { by: authority, dns: ["elsewhere.example"] });
const expired = make.issue("expired", { by: authority, dns: ["db.example"], ips: ["127.0.0.1"], days: -1 });

const wrong = (wanted: string): Error => new Error(wanted);
const load = (parameters: Record<string, string>): Promise<ServerTls> =>
  ServerTls.load(serverTlsSettings(new Map(Object.entries(parameters)), "/", wrong));

interface Seen {
  servername?: string | false | undefined;
  alpn?: string | false | null;
  certificate?: string | undefined;
}

/** Answers an SSLRequest with these bytes, and with `S` shakes hands. */
function answering(answer: string, shown: Certified = good, seen: Seen = {}): FakePostgres["onConnection"] {
  return (socket, begin) => {
    socket.on("error", () => undefined);
    socket.once("data", (request: Buffer) => {
      if (request.toString("hex") !== "0000000804d2162f") {
        // Nothing is asked: what came is the startup packet.
        socket.pause();
        socket.unshift(request);
        begin(socket);
        socket.resume();
        return;
      }
      socket.write(answer);
      if (answer === "N") begin(socket);
      else if (answer === "S") encrypt(socket, shown, seen, begin);
    });
  };
}

function encrypt(socket: Socket, shown: Certified, seen: Seen, begin: (socket: Socket) => void): void {
  const context = createSecureContext({ cert: shown.cert, key: readKey(shown), ca: authority.cert });
  const inside = new TLSSocket(socket, {
    isServer: true,
    secureContext: context,
    requestCert: true,
    ALPNProtocols: ["postgresql"],
    SNICallback: (name, done) => {
      seen.servername = name;
      done(null, context);
    },
  });
  inside.on("error", () => undefined);
  inside.once("secure", () => {
    seen.alpn = inside.alpnProtocol;
    seen.certificate = inside.getPeerX509Certificate()?.fingerprint256.replaceAll(":", "").toLowerCase();
  });
  begin(inside);
}

/** Logs in through the proxy. @returns what the entry says of the server, or the refusal */
async function through(t: Test, all: Rig): Promise<{ tls?: boolean; refusal?: string }> {
  const client = await all.client();
  client.socket.write(startup({ user: "alice" }));
  await until("it is decided", () => client.ended || client.received.includes("Z"));
  const refused = client.refusal === undefined ? undefined : client.received.toString();
  client.socket.destroy();
  await until("the proxy has let the client go", () => all.proxy.clients === 0);
  await all.stop();
  const [start] = all.bench.log.ofKind("session.start");
  if (refused === undefined) return { tls: (start!.json.server as { tls: boolean }).tls };
  t.equal(all.bench.log.ofKind("access.refused")[0]!.json.sqlstate, client.refusal);
  return { refusal: `${client.refusal} ${refused}` };
}

t.test("what each mode takes for an answer", async (t) => {
  const cases: readonly (readonly [string, string, boolean | RegExp])[] = [
    ["disable", "S", false],
    ["prefer", "S", true],
    ["prefer", "N", false],
    ["prefer", "E", false],
    ["require", "S", true],
    ["require", "N", /08001.*does not offer TLS, and sslmode=require wants it/s],
    ["require", "E\0\0\0\x40SFATAL\0Msay this to the client", /08001.*answers an SSLRequest with an error/s],
    ["require", "HTTP/1.1 400", /08001.*what is no answer/s],
    ["require", "SR\0\0\0\x08\0\0\0\0", /08001.*bytes behind its answer/s],
    ["prefer", "NR\0\0\0\x08\0\0\0\0", false],
  ];
  for (const [mode, answer, outcome] of cases) {
    const all = await rig(t, { serverTls: await load({ sslmode: mode }) });
    all.upstream.onConnection = answering(answer);
    const { tls, refusal } = await through(t, all);
    if (typeof outcome === "boolean") t.equal(tls, outcome, `${mode}, ${answer}`);
    else t.match(refusal, outcome);
    t.notMatch(refusal ?? "", /say this/, "what is said before TLS is anybody's");
  }
});

t.test(
  "what a server says in the clear behind its answer, when the handshake has begun, is no part of it",
  async (t) => {
    for (const mode of ["prefer", "require"]) {
      const all = await rig(t, { serverTls: await load({ sslmode: mode }) });
      let connections = 0;
      all.upstream.onConnection = (socket, begin) => {
        connections += 1;
        socket.on("error", () => undefined);
        if (mode === "prefer" && connections > 1) {
          // In the clear, as libpq comes again.
          begin(socket);
          return;
        }
        socket.once("data", () => {
          socket.write("S");
          // The client's side of the handshake: behind it nobody can take this for one read with the answer.
          socket.once("data", () => socket.write("R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I say this to the client"));
        });
      };
      const { tls, refusal } = await through(t, all);
      t.notMatch(refusal ?? "", /say this/);
      if (mode === "prefer") {
        t.equal(tls, false);
        t.equal(connections, 2, "another connection, that nobody has said anything on");
      } else {
        t.match(refusal, /^08001/);
        t.equal(all.upstream.backends.length, 0, "nothing is asked in the clear");
      }
    }
  },
);

t.test("a server that goes away, or says nothing, instead of an answer", async (t) => {
  const tls = await load({ sslmode: "require" });
  for (const act of ["close", "silence", "half"]) {
    const upstream = await new FakePostgres().listen();
    t.teardown(() => upstream.close());
    upstream.onConnection = (socket) => {
      socket.on("error", () => undefined).resume();
      if (act === "close") socket.end();
      if (act === "half") socket.once("data", () => socket.write("S"));
    };
    const dial = async (): Promise<Socket> => connect({ host: "127.0.0.1", port: upstream.port, allowHalfOpen: true });
    await t.rejects(tls.open(dial, "db.example", 80), { code: "upstream_unreachable" }, act);
  }
});

t.test("whose certificate is good", async (t) => {
  const folder = t.testdir({ "some.crl": make.revoke(authority, good), "none.crl": make.revoke(authority, elsewhere) });
  const trusted = { sslrootcert: authority.certFile };
  const cases: readonly (readonly [Record<string, string>, Certified, true | RegExp])[] = [
    [{ sslmode: "require" }, expired, true],
    [{ sslmode: "require", ...trusted }, elsewhere, true],
    [
      { sslmode: "require", sslrootcert: other.certFile },
      good,
      /UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED|UNABLE_TO_GET_ISSUER/,
    ],
    [{ sslmode: "verify-ca", ...trusted }, elsewhere, true],
    [{ sslmode: "verify-ca", ...trusted }, expired, /CERT_HAS_EXPIRED/],
    [{ sslmode: "verify-full", ...trusted }, good, true],
    [{ sslmode: "verify-full", ...trusted }, elsewhere, /it is not for the host \\?"127\.0\.0\.1/],
    [{ sslmode: "verify-full", sslrootcert: "system" }, good, /not good/],
    [{ sslmode: "verify-full", ...trusted, sslcrl: `${folder}/none.crl` }, good, true],
    [{ sslmode: "verify-full", ...trusted, sslcrl: `${folder}/some.crl` }, good, /CERT_REVOKED/],
  ];
  for (const [parameters, shown, outcome] of cases) {
    const all = await rig(t, { serverTls: await load(parameters) });
    all.upstream.onConnection = answering("S", shown);
    const { tls, refusal } = await through(t, all);
    if (outcome === true) t.equal(tls, true, `${parameters.sslmode}: ${refusal ?? ""}`);
    else t.match(refusal, outcome);
  }
});

t.test("what the server is told: its name but not an address, ALPN, our certificate", async (t) => {
  const mine = make.issue("proxy", { by: authority });
  const parameters = { sslmode: "require", sslcert: mine.certFile, sslkey: mine.keyFile };
  for (const [host, more, servername] of [
    ["db.example", {}, "db.example"],
    ["db.example", { sslsni: "0" }, undefined],
    ["127.0.0.1", {}, undefined],
  ] as const) {
    const upstream = await new FakePostgres().listen();
    t.teardown(() => upstream.close());
    const seen: Seen = {};
    upstream.onConnection = answering("S", good, seen);
    const dial = async (): Promise<Socket> => connect({ host: "127.0.0.1", port: upstream.port });
    const socket = await (await load({ ...parameters, ...more })).open(dial, host, 10_000);
    await until("the server has seen it", () => seen.alpn !== undefined);
    t.same(seen, { ...(servername === undefined ? {} : { servername }), alpn: "postgresql", certificate: mine.digest });
    socket.destroy();
  }
});

t.test("direct TLS, which needs ALPN", async (t) => {
  const tls = await load({ sslmode: "require", sslnegotiation: "direct" });
  const all = await rig(t, { serverTls: tls });
  all.upstream.onConnection = (socket, begin) => encrypt(socket, good, {}, begin);
  t.same(await through(t, all), { tls: true });
  const old = await rig(t, { serverTls: tls });
  old.upstream.onConnection = (socket, begin) => {
    const context = createSecureContext({ cert: good.cert, key: readKey(good) });
    begin(new TLSSocket(socket, { isServer: true, secureContext: context }));
  };
  t.match((await through(t, old)).refusal, /08001.*older than PostgreSQL 17/s);
});

t.test("a cancel request goes the same way", async (t) => {
  const all = await rig(t, { serverTls: await load({ sslmode: "verify-full", sslrootcert: authority.certFile }) });
  all.upstream.onConnection = answering("S");
  const client = await all.session();
  const canceller = await all.client();
  canceller.socket.write(Buffer.from("0000001004d2162e0000004d6b657921", "hex"));
  await until("a cancel arrives", () => all.upstream.backends.length === 2);
  t.ok(all.upstream.last.socket instanceof TLSSocket);
  client.socket.destroy();
});

t.test("other files count for new connections; bad ones change nothing", async (t) => {
  const folder = t.testdir({ "root.crt": other.cert });
  const root = `${folder}/root.crt`;
  const tls = await load({ sslmode: "verify-full", sslrootcert: root });
  const upstream = await new FakePostgres().listen();
  t.teardown(() => upstream.close());
  upstream.onConnection = answering("S");
  const dial = async (): Promise<Socket> => connect({ host: "127.0.0.1", port: upstream.port });
  await t.rejects(tls.open(dial, "db.example", 10_000), { code: "upstream_unreachable" });
  t.notOk(await tls.reload());
  writeFileSync(root, "no certificate");
  await t.rejects(tls.reload(), { code: "bad_certificate", message: /"sslrootcert" names .*holds no certificate/ });
  writeFileSync(root, authority.cert);
  t.ok(await tls.reload());
  (await tls.open(dial, "db.example", 10_000)).destroy();
});

t.test("settings are libpq's, and what would be taken for a protection and is none is refused", async (t) => {
  const settings = (text: string) => serverTlsSettings(new Map(new URLSearchParams(text)), "/etc/v", wrong);
  t.match(settings(""), { mode: "disable" });
  t.match(settings("sslmode=require&sslrootcert=root.crt"), { mode: "verify-ca", rootCert: "/etc/v/root.crt" });
  t.match(settings("sslmode=verify-full&sslrootcert=system&ssl_min_protocol_version=TLSv1.3"), {
    mode: "verify-full",
    rootCert: "system",
    minVersion: "TLSv1.3",
    sni: true,
  });
  for (const [text, message] of [
    ["sslmode=allow", /allow is not supported/],
    ["sslmode=yes", /one of disable, prefer/],
    ["sslrootcert=a", /sslmode that encrypts/],
    ["sslmode=verify-ca", /sslrootcert=FILE/],
    ["sslmode=verify-ca&sslrootcert=system", /sslmode=verify-full, for sslrootcert=system/],
    ["sslmode=prefer&sslrootcert=a", /verify-ca or verify-full/],
    ["sslmode=prefer&sslnegotiation=direct", /require or better/],
    ["sslmode=require&sslcert=a", /both sslcert and sslkey/],
    ["sslmode=require&sslcrl=a", /with sslrootcert, for sslcrl/],
    ["sslmode=require&sslcrldir=a", /without sslcrldir/],
    ["sslmode=require&ssl_min_protocol_version=TLSv1", /one of TLSv1\.2, TLSv1\.3/],
    ["gssencmode=require", /GSSAPI/],
  ] as const) {
    t.throws(() => settings(text), { message }, text);
  }
});

function readKey({ keyFile }: Certified): string {
  return readFileSync(keyFile, "utf8");
}

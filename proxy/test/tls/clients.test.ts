// How clients encrypt: who gets in, who is told what, and that nothing said before encryption counts inside it.
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { connect as connectPlain, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import fc from "fast-check";
import t, { type Test } from "tap";
import { ClientTls, type ClientTlsSettings } from "../../src/tls/index.ts";
import { cancelRequest, SSL_REQUEST } from "../../src/wire/write.ts";
import { until } from "../audit/help.ts";
import { Client, type Rig, rig, startup } from "../help.ts";
import { B } from "../session/stage.ts";
import { Certificates, type Certified } from "./certificates.ts";

const GSSENC_REQUEST = Buffer.from("0000000804d21630", "hex");
const make = new Certificates(t.testdir());
const authority = make.authority("issuer");
const server = make.issue("proxy.example", { by: authority, dns: ["proxy.example"] });

interface Secured extends Rig {
  readonly tls: ClientTls;
}

async function secured(t: Test, settings: Partial<ClientTlsSettings> = {}, login = 5000): Promise<Secured> {
  const { certFile: cert, keyFile: key } = server;
  const all = { mode: "prefer", cert, key, clientCa: authority.certFile, clientCert: "none", ...settings } as const;
  const tls = await ClientTls.load(all);
  return { ...(await rig(t, { tls, login })), tls };
}

/** A socket of the client's, without TLS, after these bytes; with what was answered, of which there is one byte. */
async function asked({ port }: Rig, bytes: Buffer): Promise<{ socket: Socket; answer: string }> {
  const socket = connectPlain({ host: "127.0.0.1", port, noDelay: true }).on("error", () => undefined);
  socket.write(bytes);
  const [chunk] = await Promise.race([once(socket, "data"), once(socket, "close").then(() => [Buffer.alloc(0)])]);
  socket.removeAllListeners("data");
  return { socket, answer: (chunk as Buffer).toString("latin1") };
}

/** Shakes hands. @throws when the handshake fails */
async function shakeHands(options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connect({
    ca: authority.cert,
    servername: "proxy.example",
    ALPNProtocols: ["postgresql"],
    ...options,
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("secureConnect", resolve).once("error", reject);
    socket.once("close", () => reject(new Error("closed")));
  });
  socket.on("error", () => undefined);
  return socket;
}

async function encrypted(all: Rig, options: ConnectionOptions = {}): Promise<Client> {
  const { socket, answer } = await asked(all, SSL_REQUEST);
  if (answer !== "S") throw new Error(`answered ${JSON.stringify(answer)}`);
  const inside = await shakeHands({ ...options, socket });
  return new Client(inside);
}

const withCertificate = ({ certFile, keyFile }: Certified): ConnectionOptions => ({
  cert: readPem(certFile),
  key: readPem(keyFile),
});

const readPem = (path: string): string => readFileSync(path, "utf8");

/** The key in the BackendKeyData among these messages. */
function keyIn(bytes: Buffer): Buffer {
  let at = 0;
  while (bytes[at] !== 0x4b) at += 1 + bytes.readUInt32BE(at + 1);
  return bytes.subarray(at + 9, at + 1 + bytes.readUInt32BE(at + 1));
}

const loggedIn = (client: Client): Promise<void> => until("the login is through", () => client.received.includes("Z"));
const over = (client: Client): Promise<void> => until("the connection ends", () => client.ended);

t.test("an SSLRequest is answered S, and inside TLS a session goes as ever", async (t) => {
  const all = await secured(t);
  const client = await encrypted(all);
  client.socket.write(startup({ user: "alice" }));
  await loggedIn(client);
  client.socket.write(Buffer.from("510000000d53454c454354203100", "hex"));
  await until("the statement is there", () => all.upstream.last.received.includes("SELECT 1"));
  all.upstream.last.send(B.row("x".repeat(300_000)), B.complete("SELECT 1"), B.ready());
  await until("a long answer is through", () => client.received.length > 300_000);
  client.socket.end(Buffer.from("5800000004", "hex"));
  await over(client);
  await until("the proxy has let the client go", () => all.proxy.clients === 0);
  await all.stop();
  t.match(all.bench.log.ofKind("session.start")[0]!.json, { client: { tls: true }, server: { tls: false } });
  t.notOk("certificate" in (all.bench.log.ofKind("session.start")[0]!.json.client as object));
  t.match(all.bench.log.ofKind("session.end")[0]!.json, { reason: "client-terminated", statements: 1 });
});

t.test("prefer lets in the clear in, require does not, and says and records why", async (t) => {
  const prefer = await secured(t);
  const plain = await prefer.session();
  t.ok(plain);
  const require = await secured(t, { mode: "require" });
  const client = await require.client();
  client.socket.write(startup({ user: "alice", database: "shop" }));
  await over(client);
  t.equal(client.refusal, "28000");
  t.match(client.received.toString(), /sslmode=require/);
  t.equal(require.upstream.backends.length, 0, "the server heard nothing of it");
  const inside = await encrypted(require);
  inside.socket.write(startup({ user: "alice" }));
  await loggedIn(inside);
  inside.socket.destroy();
  await until("the proxy has let them go", () => require.proxy.clients === 0);
  await require.stop();
  t.match(require.bench.log.ofKind("access.refused")[0]!.json, {
    actor: { login: "alice" },
    database: "shop",
    client: { tls: false },
    by: "proxy",
    sqlstate: "28000",
  });
});

t.test("direct TLS needs ALPN; another protocol is no protocol of ours", async (t) => {
  const all = await secured(t);
  const direct = { host: "127.0.0.1", port: all.port };
  const client = new Client(await shakeHands(direct));
  client.socket.write(startup({ user: "alice" }));
  await loggedIn(client);
  client.socket.destroy();
  const without = new Client(await shakeHands({ ...direct, ALPNProtocols: [] }));
  await over(without);
  t.equal(without.received.length, 0);
  await t.rejects(shakeHands({ ...direct, ALPNProtocols: ["h2"] }), { code: /NO_APPLICATION_PROTOCOL/ });
  const { socket } = await asked(all, SSL_REQUEST);
  await t.rejects(shakeHands({ socket, ALPNProtocols: ["h2"] }), { code: /NO_APPLICATION_PROTOCOL/ });
  const old = await encrypted(all, { ALPNProtocols: [] });
  old.socket.write(startup({ user: "alice" }));
  await loggedIn(old);
  old.socket.destroy();
});

t.test("no session is taken up again: every connection shakes hands in full", async (t) => {
  const all = await secured(t);
  const client = await encrypted(all, { maxVersion: "TLSv1.2" });
  const first = client.socket as TLSSocket;
  t.equal(first.getTLSTicket(), undefined);
  const again = await encrypted(all, { maxVersion: "TLSv1.2", session: first.getSession() });
  t.notOk((again.socket as TLSSocket).isSessionReused());
  for (const { socket } of [client, again]) socket.destroy();
});

t.test("what is sent behind an SSLRequest, before the answer, is not taken for what comes inside", async (t) => {
  const all = await secured(t);
  for (const behind of [startup({ user: "mallory" }), Buffer.from([0x16, 3, 1]), Buffer.from([0])]) {
    const { socket, answer } = await asked(all, Buffer.concat([SSL_REQUEST, behind]));
    t.match(answer, /C08P01.*bytes behind/s);
    socket.destroy();
  }
  // Sent in time for the handshake, it is no handshake.
  const { socket, answer } = await asked(all, SSL_REQUEST);
  t.equal(answer, "S");
  socket.write(startup({ user: "mallory" }));
  socket.resume();
  await once(socket, "close");
  t.equal(all.upstream.backends.length, 0);
  t.same(await all.stop(), ["source.start", "source.stop"]);
});

t.test("GSSAPI is declined, before and after; nothing is asked for twice, or again inside", async (t) => {
  const all = await secured(t);
  const { socket, answer } = await asked(all, GSSENC_REQUEST);
  t.equal(answer, "N");
  socket.write(SSL_REQUEST);
  const [then] = await once(socket, "data");
  t.equal(String(then), "S");
  socket.removeAllListeners("data");
  const client = new Client(await shakeHands({ socket }));
  client.socket.write(startup({ user: "alice" }));
  await loggedIn(client);
  client.socket.destroy();
  const twice = await asked(all, GSSENC_REQUEST);
  twice.socket.write(GSSENC_REQUEST);
  const [refused] = await once(twice.socket, "data");
  t.match(String(refused), /C08P01.*second/s);
  for (const request of [SSL_REQUEST, GSSENC_REQUEST]) {
    const inside = await encrypted(all);
    inside.socket.write(request);
    await over(inside);
    t.equal(inside.refusal, "08P01");
  }
  // Direct TLS is the first thing on a connection, or nothing.
  const late = await asked(all, GSSENC_REQUEST);
  await t.rejects(shakeHands({ socket: late.socket }));
});

t.test("certificates of clients", async (t) => {
  const good = make.issue("alice", { by: authority });
  const foreign = make.issue("alice-of-hers", { commonName: "alice" });
  const expired = make.issue("alice-once", { by: authority, commonName: "alice", days: -1 });
  const cases = [
    ["none", foreign, undefined],
    ["optional", undefined, undefined],
    ["optional", good, undefined],
    ["optional", foreign, /DEPTH_ZERO_SELF_SIGNED_CERT/],
    ["require", undefined, /with a certificate only/],
    ["require", good, undefined],
    ["require", expired, /CERT_HAS_EXPIRED/],
  ] as const;
  for (const [clientCert, shown, refusal] of cases) {
    const all = await secured(t, { clientCert });
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      const client = await encrypted(all, { maxVersion, ...(shown === undefined ? {} : withCertificate(shown)) });
      client.socket.write(startup({ user: "alice" }));
      if (refusal === undefined) await loggedIn(client);
      else await over(client);
      t.equal(client.refusal, refusal === undefined ? undefined : "28000");
      if (refusal !== undefined) t.match(client.received.toString(), refusal);
      client.socket.destroy();
    }
    await until("the proxy has let the clients go", () => all.proxy.clients === 0);
    await all.stop();
    const [entry] = all.bench.log.ofKind(refusal === undefined ? "session.start" : "access.refused");
    const verified = clientCert !== "none" && refusal === undefined ? shown?.digest : undefined;
    t.equal((entry!.json.client as { certificate?: string }).certificate, verified, `${clientCert}`);
  }
});

t.test("a certificate that was revoked is good no longer, from the reload on", async (t) => {
  const mine = make.issue("leaver", { by: authority });
  const clientCrl = `${t.testdir({ "revoked.crl": make.revoke(authority) })}/revoked.crl`;
  const all = await secured(t, { clientCert: "require", clientCrl });
  const login = async (): Promise<Client> => {
    const client = await encrypted(all, withCertificate(mine));
    client.socket.write(startup({ user: "alice" }));
    await until("it is decided", () => client.ended || client.received.includes("Z"));
    return client;
  };
  const first = await login();
  t.equal(first.refusal, undefined);
  writeFileSync(clientCrl, make.revoke(authority, mine));
  t.ok(await all.tls.reload());
  const second = await login();
  t.equal(second.refusal, "28000");
  t.match(second.received.toString(), /CERT_REVOKED/);
  for (const { socket } of [first, second]) socket.destroy();
});

t.test("another certificate is put in its place; one that does not fit changes nothing", async (t) => {
  const own = make.issue("changing", { by: authority, commonName: "first", dns: ["proxy.example"] });
  const all = await secured(t, { cert: own.certFile, key: own.keyFile });
  const names = async (): Promise<string> => {
    const client = await encrypted(all);
    const name = (client.socket as TLSSocket).getPeerCertificate().subject.CN;
    client.socket.write(startup({ user: "alice" }));
    await loggedIn(client);
    held.push(client);
    return String(name);
  };
  const held: Client[] = [];
  t.equal(await names(), "first");
  t.notOk(await all.tls.reload(), "nothing has changed");
  const next = make.issue("next", { by: authority, commonName: "second", dns: ["proxy.example"] });
  writeFileSync(own.certFile, next.cert);
  await t.rejects(all.tls.reload(), { code: "bad_certificate", message: /the key is not the certificate's/ });
  t.equal(await names(), "first");
  writeFileSync(own.keyFile, readPem(next.keyFile));
  t.ok(await all.tls.reload());
  t.match(all.tls.says, /second/);
  t.equal(await names(), "second");
  t.notOk(
    held.some(({ ended }) => ended),
    "those that were there stay",
  );
  for (const { socket } of held) socket.destroy();
});

t.test("a cancel request counts inside TLS, and in the clear also where TLS is required", async (t) => {
  const all = await secured(t, { mode: "require" });
  const client = await encrypted(all);
  client.socket.write(startup({ user: "alice" }));
  await loggedIn(client);
  // The key that the server gave: a test double of PostgreSQL has only one.
  const request = cancelRequest(77, keyIn(client.received));
  const inside = await encrypted(all);
  inside.socket.write(request);
  await until("a cancel arrives", () => all.upstream.backends.length === 2);
  const plain = await all.client();
  plain.socket.write(request);
  await until("another one arrives", () => all.upstream.backends.length === 3);
  await over(plain);
  client.socket.destroy();
});

t.test("a handshake that takes too long, breaks off, or is nonsense leaves nothing behind", async (t) => {
  const all = await secured(t, {}, 500);
  const silent = await asked(all, SSL_REQUEST);
  const half = await asked(all, SSL_REQUEST);
  half.socket.write(Buffer.from("1603010200010001fc0303", "hex"));
  const gone = await asked(all, SSL_REQUEST);
  gone.socket.destroy();
  const nonsense = await asked(all, SSL_REQUEST);
  nonsense.socket.write("GET / HTTP/1.1\r\n\r\n");
  for (const { socket } of [silent, half, nonsense]) socket.resume();
  await until("the proxy has let them go", () => all.proxy.clients === 0);
  const { socket } = await asked(all, SSL_REQUEST);
  await all.proxy.close(0);
  socket.resume();
  await until("and that one when it is stopped", () => socket.closed);
  t.same(await all.stop(), ["source.start", "source.stop"]);
});

t.test("a connection that ends beneath TLS, without a word or by a reset, ends its session", async (t) => {
  for (const how of ["end", "reset"] as const) {
    const all = await secured(t);
    const { socket } = await asked(all, SSL_REQUEST);
    const client = new Client(await shakeHands({ socket }));
    client.socket.write(startup({ user: "alice" }));
    await loggedIn(client);
    client.socket.write(Buffer.from("510000000d53454c454354203100", "hex"));
    await until("the statement is there", () => all.upstream.last.received.includes("SELECT 1"));
    if (how === "end") socket.end();
    else socket.resetAndDestroy();
    all.upstream.last.send(B.complete("SELECT 1"), B.ready());
    await until("the proxy has let the client go", () => all.proxy.clients === 0);
    await all.stop();
    t.match(all.bench.log.ofKind("statement")[0]!.json, { outcome: "completed" }, how);
    t.match(all.bench.log.ofKind("session.end")[0]!.json, { reason: "client-closed", statements: 1 });
    socket.destroy();
  }
});

t.test("however the bytes before a session are cut", async (t) => {
  const all = await secured(t);
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.array(fc.integer({ min: 1, max: 90 }), { maxLength: 40 }),
      async (direct, cuts) => {
        const raw = connectPlain({ host: "127.0.0.1", port: all.port, noDelay: true }).on("error", () => undefined);
        const pieces = new Pieces(raw, cuts);
        if (!direct) {
          pieces.write(SSL_REQUEST);
          const [answer] = await once(pieces, "data");
          if (String(answer) !== "S") throw new Error(`answered ${answer}`);
          pieces.removeAllListeners("data");
        }
        const inside = new Client(await shakeHands({ socket: pieces }));
        inside.socket.write(startup({ user: "alice" }));
        await loggedIn(inside);
        raw.destroy();
      },
    ),
    {
      numRuns: 12,
      examples: [
        [false, new Array<number>(500).fill(1)],
        [true, new Array<number>(500).fill(1)],
      ],
    },
  );
});

/** A connection whose bytes go out in pieces of these sizes, each a packet of its own; then as they come. */
class Pieces extends Duplex {
  readonly #raw: Socket;
  readonly #cuts: number[];

  constructor(raw: Socket, cuts: readonly number[]) {
    super();
    this.#raw = raw;
    this.#cuts = [...cuts];
    raw.on("data", (chunk) => this.push(chunk)).on("close", () => this.destroy());
  }

  override _read(): void {
    // What comes is pushed as it comes.
  }

  override async _write(chunk: Buffer, _: BufferEncoding, done: () => void): Promise<void> {
    let at = 0;
    while (at < chunk.length) {
      const size = this.#cuts.shift() ?? chunk.length;
      this.#raw.write(chunk.subarray(at, at + size));
      at += size;
      await new Promise((resolve) => setImmediate(resolve));
    }
    done();
  }
}

// Certificates that look good and are not, on either leg; connections that break off, or would become others.
import { createPrivateKey } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect as connectPlain, createServer, type Socket } from "node:net";
import { connect, createSecureContext, type SecureContextOptions, TLSSocket } from "node:tls";
import t, { type Test } from "tap";
import { askedForCertificate, ClientTls, ServerTls, serverTlsSettings } from "../../src/tls/index.ts";
import { SSL_REQUEST } from "../../src/wire/write.ts";
import { until } from "../audit/help.ts";
import { Client, rig, startup } from "../help.ts";
import { B } from "../session/stage.ts";
import { Certificates, type Certified } from "./certificates.ts";

const folder = t.testdir({});
const make = new Certificates(folder);
const root = make.authority("root");
const between = make.authority("between", root);
const host = { commonName: "db.example", dns: ["db.example"] } as const;
const leaf = make.issue("leaf", { ...host, by: root });
const pretender = make.issue("pretender", { by: root });
mkdirSync(`${folder}/twin`);
const twin = new Certificates(`${folder}/twin`).authority("root");

const key = ({ keyFile }: Certified): string => readFileSync(keyFile, "utf8");

/** As one file: the certificate, and those behind it. */
function chained(one: Certified, ...issuers: Certified[]): Certified {
  const certFile = `${one.certFile}.chain`;
  const cert = [one, ...issuers].map((each) => each.cert).join("");
  writeFileSync(certFile, cert);
  return { ...one, cert, certFile };
}

/** What somebody shows to whom the root is good, and what is wrong with it; undefined: nothing. */
function shown(usage: "server" | "client"): readonly (readonly [string, Certified, RegExp | undefined])[] {
  const issue = (file: string, wanted: object): Certified => make.issue(`${usage}-${file}`, { ...host, ...wanted });
  const byBetween = issue("between", { by: between, usage });
  // Who has a certificate of the root's makes another one with it.
  const noAuthority = { ...pretender, name: "pretender", privateKey: createPrivateKey(key(pretender)) };
  return [
    ["by the root", issue("good", { by: root, usage }), undefined],
    ["by an intermediate that is shown too", chained(byBetween, between), undefined],
    ["by an intermediate that is not shown", byBetween, /UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT/],
    ["not yet valid", issue("early", { by: root, from: 1 }), /CERT_NOT_YET_VALID/],
    ["expired", issue("late", { by: root, days: -1 }), /CERT_HAS_EXPIRED/],
    ["for the other side", issue("other", { by: root, usage: usage === "server" ? "client" : "server" }), /PURPOSE/],
    ["by one that is no authority", chained(issue("forged", { by: noAuthority }), pretender), /INVALID_(CA|PURPOSE)/],
    ["by another of the root's name", issue("twin", { by: twin }), /SIGNATURE/],
  ];
}

/** A server that answers an SSLRequest and shakes hands. @returns its port */
async function server(t: Test, context: SecureContextOptions, requestCert = false): Promise<Inside> {
  const inside: Inside = { port: 0, sockets: [] };
  const listening = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => {
      socket.write("S");
      const secureContext = createSecureContext(context);
      const tls = new TLSSocket(socket, { isServer: true, secureContext, requestCert, ALPNProtocols: ["postgresql"] });
      inside.sockets.push(tls.on("error", () => undefined));
    });
  });
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    for (const socket of inside.sockets) socket.destroy();
    listening.close();
  });
  inside.port = (listening.address() as { port: number }).port;
  return inside;
}

interface Inside {
  port: number;
  readonly sockets: TLSSocket[];
}

async function open({ port }: Inside, parameters: Record<string, string>): Promise<TLSSocket> {
  const wrong = (wanted: string): Error => new Error(wanted);
  const tls = await ServerTls.load(serverTlsSettings(new Map(Object.entries(parameters)), "/", wrong));
  const dial = async (): Promise<Socket> => connectPlain({ host: "127.0.0.1", port, noDelay: true });
  const socket = (await tls.open(dial, "db.example", 20_000)) as TLSSocket;
  return socket.on("error", () => undefined);
}

t.test("what a server shows to verify-full", async (t) => {
  const parameters = { sslmode: "verify-full", sslrootcert: root.certFile };
  for (const [what, certified, wrong] of shown("server")) {
    const opened = open(await server(t, { cert: certified.cert, key: key(certified) }), parameters);
    if (wrong === undefined) (await opened).destroy();
    else await t.rejects(opened, { code: "upstream_unreachable", message: wrong }, what);
  }
});

t.test("what a client shows where clients need a certificate", async (t) => {
  const mine = make.issue("proxy.example", { by: root, dns: ["proxy.example"] });
  const settings = { mode: "prefer", cert: mine.certFile, key: mine.keyFile, clientCa: root.certFile } as const;
  const all = await rig(t, { tls: await ClientTls.load({ ...settings, clientCert: "require" }) });
  for (const [what, certified, wrong] of shown("client")) {
    const client = await encrypted(all.port, { cert: certified.cert, key: key(certified) });
    client.socket.write(startup({ user: "alice" }));
    await until(`${what}: it is decided`, () => client.ended || client.received.includes("Z\0\0\0\x05I"));
    t.equal(client.refusal, wrong === undefined ? undefined : "28000", what);
    if (wrong !== undefined) t.match(client.received.toString(), wrong);
    client.socket.destroy();
  }
});

async function encrypted(port: number, own: SecureContextOptions = {}): Promise<Client> {
  const raw = connectPlain({ host: "127.0.0.1", port, noDelay: true });
  raw.write(SSL_REQUEST);
  await new Promise((resolve) => raw.once("data", resolve));
  const options = { socket: raw, ca: root.cert, servername: "proxy.example", ALPNProtocols: ["postgresql"] };
  const socket = connect({ ...options, ...own });
  await new Promise<void>((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
  return new Client(socket);
}

t.test("nothing is negotiated anew, on either leg", async (t) => {
  const mine = make.issue("renegotiating", { by: root, dns: ["proxy.example"] });
  const settings = { mode: "prefer", cert: mine.certFile, key: mine.keyFile, clientCa: undefined } as const;
  const all = await rig(t, { tls: await ClientTls.load({ ...settings, clientCert: "none" }) });
  const client = await encrypted(all.port, { maxVersion: "TLSv1.2" });
  const again = (socket: TLSSocket): Promise<string> =>
    new Promise((resolve) => {
      socket.once("error", () => resolve("refused")).once("close", () => resolve("refused"));
      socket.renegotiate({}, (error) => resolve(error === null ? "done" : "refused"));
      // OpenSSL's server says nothing when its request is declined.
      setTimeout(() => resolve("declined"), 500).unref();
    });
  t.not(await again(client.socket as TLSSocket), "done", "by a client");
  const other = await server(t, { cert: leaf.cert, key: key(leaf), maxVersion: "TLSv1.2" });
  const socket = await open(other, { sslmode: "verify-full", sslrootcert: root.certFile });
  socket.resume();
  t.not(await again(other.sockets[0]!), "done", "by a server");
  t.equal(socket.getPeerX509Certificate()?.raw.equals(leaf.der), true);
  socket.destroy();
});

t.test("that the server asked for a certificate is known, whether there is one or not", async (t) => {
  const mine = { sslcert: leaf.certFile, sslkey: leaf.keyFile };
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    for (const asks of [true, false]) {
      const one = await server(t, { cert: leaf.cert, key: key(leaf), maxVersion }, asks);
      for (const parameters of [mine, {}]) {
        const socket = await open(one, { sslmode: "require", ...parameters });
        t.equal(askedForCertificate(socket), asks, `${maxVersion}, ${asks}, ${Object.keys(parameters)}`);
        socket.destroy();
      }
    }
  }
});

t.test("an answer that is cut off is no answer, whether the server closes TLS or just the connection", async (t) => {
  for (const how of ["close_notify", "end", "reset"] as const) {
    const parameters = new Map([["sslmode", "require"]]);
    const serverTls = await ServerTls.load(serverTlsSettings(parameters, "/", (wanted) => new Error(wanted)));
    const all = await rig(t, { serverTls });
    let raw: Socket | undefined;
    all.upstream.onConnection = (socket, begin) => {
      raw = socket.on("error", () => undefined);
      socket.once("data", () => {
        socket.write("S");
        const secureContext = createSecureContext({ cert: leaf.cert, key: key(leaf) });
        const inside = new TLSSocket(socket, { isServer: true, secureContext, ALPNProtocols: ["postgresql"] });
        begin(inside.on("error", () => undefined));
      });
    };
    const client = await all.session();
    client.socket.write(Buffer.from("510000000d53454c454354203100", "hex"));
    await until("the statement is there", () => all.upstream.last.received.includes("SELECT 1"));
    all.upstream.last.send(B.rowDescription(), B.row("1"));
    await until("a part is here", () => client.received.includes("D"));
    if (how === "close_notify") all.upstream.last.socket.end();
    else if (how === "end") raw!.end();
    else raw!.resetAndDestroy();
    await until(`${how}: the client is told`, () => client.ended);
    t.equal(client.refusal, "08006", how);
    await until("it is over", () => all.proxy.clients === 0);
    await all.stop();
    t.match(all.bench.log.ofKind("statement")[0]!.json, { outcome: "unknown" });
  }
});

t.test("clients that go away at any point of a handshake are let go at once", async (t) => {
  const mine = make.issue("left", { by: root, dns: ["proxy.example"] });
  const settings = { mode: "prefer", cert: mine.certFile, key: mine.keyFile, clientCa: root.certFile } as const;
  const tls = await ClientTls.load({ ...settings, clientCert: "optional" });
  const all = await rig(t, { tls, login: 60_000 });
  const leave = async (i: number): Promise<void> => {
    const raw = connectPlain({ host: "127.0.0.1", port: all.port, noDelay: true }).on("error", () => undefined);
    await new Promise((resolve) => raw.once("connect", resolve));
    const gone = new Promise((resolve) => raw.once("close", resolve));
    setTimeout(() => (i % 2 === 0 ? raw.resetAndDestroy() : raw.destroy()), (i * 7) % 41);
    if (i % 3 !== 0) {
      raw.write(SSL_REQUEST);
      await Promise.race([new Promise((resolve) => raw.once("data", resolve)), gone]);
    }
    if (raw.destroyed) return;
    const maxVersion = i % 4 < 2 ? "TLSv1.2" : "TLSv1.3";
    const socket = connect({ socket: raw, ca: root.cert, servername: "proxy.example", maxVersion });
    socket.on("error", () => undefined);
    // Before the proxy has seen the end of the handshake.
    socket.on("secureConnect", () => (i % 5 === 0 ? raw.resetAndDestroy() : socket.write(startup({ user: "alice" }))));
    await gone;
    socket.destroy();
  };
  for (let i = 0; i < 160; i += 20) await Promise.all(Array.from({ length: 20 }, (_, k) => leave(i + k)));
  await until("all are gone", () => all.proxy.clients === 0);
  const client = await encrypted(all.port);
  client.socket.write(startup({ user: "alice" }));
  await until("one who stays gets in", () => client.received.includes("Z\0\0\0\x05I"));
});

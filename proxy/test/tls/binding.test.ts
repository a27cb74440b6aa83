// A login that the server offers to bind to its TLS connection, where the client's ends at the proxy.
import { readFileSync } from "node:fs";
import { connect as connectPlain } from "node:net";
import { PassThrough } from "node:stream";
import { connect, createSecureContext, TLSSocket } from "node:tls";
import fc from "fast-check";
import t, { type Test } from "tap";
import { changeFirst } from "../../src/servers/first-messages.ts";
import { ClientTls, ServerTls, serverTlsSettings } from "../../src/tls/index.ts";
import { withoutPlus } from "../../src/tls/mechanisms.ts";
import { SSL_REQUEST } from "../../src/wire/write.ts";
import { until } from "../audit/help.ts";
import { Client, type Rig, rig, startup } from "../help.ts";
import { B, F } from "../session/stage.ts";
import { Certificates, type Certified } from "./certificates.ts";

const make = new Certificates(t.testdir());
const ofServer = make.issue("server");
const ofProxy = make.issue("proxy");
const ed25519 = make.issue("odd", { kind: "Ed25519" });
const BOTH = B.auth(10, "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
const PLAIN = B.auth(10, "SCRAM-SHA-256\0\0");
const NOTICE = Buffer.concat([Buffer.from("4e00000006", "hex"), Buffer.from("S\0")]);

/** A proxy before a server that offers SCRAM bound and unbound, over TLS with this certificate. */
async function between(t: Test, shown: Certified, own: Certified | undefined): Promise<Rig> {
  const parameters = new Map([["sslmode", "require"]]);
  const serverTls = await ServerTls.load(serverTlsSettings(parameters, "/", (wanted) => new Error(wanted)));
  const tls =
    own === undefined
      ? undefined
      : await ClientTls.load({
          mode: "prefer",
          cert: own.certFile,
          key: own.keyFile,
          clientCa: undefined,
          clientCert: "none",
        });
  const all = await rig(t, tls === undefined ? { serverTls } : { serverTls, tls });
  all.upstream.onConnection = (socket, begin) => {
    socket.on("error", () => undefined);
    socket.once("data", () => {
      socket.write("S");
      const secureContext = createSecureContext({ cert: shown.cert, key: readKey(shown) });
      const inside = new TLSSocket(socket, { isServer: true, secureContext });
      begin(inside.on("error", () => undefined));
    });
  };
  all.upstream.onStartup = (backend) => backend.send(NOTICE, BOTH);
  return all;
}

/** What the client is offered, in the clear or over TLS. */
async function offered(all: Rig, encrypted: boolean): Promise<{ client: Client; bytes: Buffer }> {
  const raw = connectPlain({ host: "127.0.0.1", port: all.port, noDelay: true }).on("error", () => undefined);
  let client: Client;
  if (encrypted) {
    raw.write(SSL_REQUEST);
    await new Promise((resolve) => raw.once("data", resolve));
    client = new Client(connect({ socket: raw, rejectUnauthorized: false }));
  } else client = new Client(raw);
  client.socket.write(startup({ user: "alice" }));
  await until("there is an offer", () => client.received.includes("SCRAM-SHA-256"));
  return { client, bytes: client.received };
}

t.test("who could not be bound is offered none; with the server's own certificate the offer stands", async (t) => {
  for (const [shown, own, encrypted, offer] of [
    [ofServer, undefined, false, PLAIN],
    [ofServer, ofProxy, false, PLAIN],
    [ofServer, ofProxy, true, PLAIN],
    [ofServer, ofServer, true, BOTH],
    // Nothing is bound to such a certificate, so nobody's is the same.
    [ed25519, ed25519, true, PLAIN],
  ] as const) {
    const all = await between(t, shown, own);
    const { client, bytes } = await offered(all, encrypted);
    t.ok(bytes.equals(Buffer.concat([NOTICE, offer])), offer === BOTH ? "bound and unbound" : "unbound only");
    // The rest goes as it comes.
    all.upstream.last.send(B.auth(11, "r=x"));
    await until("the next message is here", () => client.received.length > bytes.length);
    client.socket.destroy();
  }
});

t.test("a client that could have bound itself is told why it does not get in, before the server says so", async (t) => {
  for (const [flag, refused] of [
    ["y", true],
    ["n", false],
  ] as const) {
    const all = await between(t, ofServer, ofProxy);
    const { client } = await offered(all, true);
    const first = `${flag},,n=,r=abc`;
    const length = Buffer.alloc(4);
    length.writeInt32BE(first.length);
    const message = F.password(`SCRAM-SHA-256\0${length.toString("latin1")}${first}`);
    client.socket.write(message);
    if (refused) {
      await until("the connection ends", () => client.ended);
      t.equal(client.refusal, "28000");
      t.match(client.received.toString(), /channel_binding=disable/);
      t.notOk(all.upstream.last.received.includes("SCRAM"), "the server is not asked");
    } else {
      await until("the server has it", () => all.upstream.last.received.equals(message));
      t.equal(client.refusal, undefined);
    }
    client.socket.destroy();
    await until("the proxy has let the client go", () => all.proxy.clients === 0);
    await all.stop();
    t.equal(all.bench.log.ofKind("access.refused").length, refused ? 1 : 0);
  }
});

t.test("a server that goes away before it offers anything", async (t) => {
  const all = await between(t, ofServer, undefined);
  all.upstream.onStartup = (backend) => {
    backend.send(NOTICE);
    backend.socket.end();
  };
  const client = await all.client();
  client.socket.write(startup({ user: "alice" }));
  await until("the connection ends", () => client.ended);
  t.equal(client.refusal, "08006");
});

t.test("the offer is found however the stream is cut, and everything else stays as it is", async (t) => {
  const ends = [
    BOTH,
    PLAIN,
    B.auth(0),
    B.auth(5, "salt"),
    B.auth(10, "SCRAM-SHA-256-PLUS\0\0"),
    B.error("28000", "FATAL"),
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.nat(3),
      fc.constantFrom(...ends),
      fc.uint8Array({ maxLength: 20 }),
      fc.array(fc.nat(60), { maxLength: 6 }),
      async (notices, end, behind, cuts) => {
        const head = Buffer.concat(new Array<Buffer>(notices).fill(NOTICE));
        const all = Buffer.concat([head, end, behind]);
        const wanted = Buffer.concat([head, end === BOTH ? PLAIN : end, behind]);
        const stream = new PassThrough();
        let removed = false;
        const done = changeFirst(
          stream,
          (bytes) => {
            const changed = withoutPlus(bytes);
            removed = changed?.removed === true;
            return changed?.bytes;
          },
          1000,
        );
        let at = 0;
        for (const cut of [...cuts, all.length]) {
          stream.write(all.subarray(at, at + cut));
          at += cut;
          await new Promise((resolve) => setImmediate(resolve));
        }
        await done;
        if (removed !== (end === BOTH)) throw new Error("removed or not");
        stream.end();
        const left: Buffer[] = [];
        for await (const chunk of stream) left.push(chunk as Buffer);
        if (!Buffer.concat(left).equals(wanted)) throw new Error("changed");
      },
    ),
    { numRuns: 60 },
  );
  t.equal(withoutPlus(Buffer.from("52ffffffff", "hex"))?.removed, false, "what is malformed is for others to say");
  t.equal(withoutPlus(Buffer.alloc(0)), undefined);
});

function readKey({ keyFile }: Certified): string {
  return readFileSync(keyFile, "utf8");
}

import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import { readProxyConfig } from "../../src/config/config.ts";
import type { RunningProxy } from "../../src/running.ts";
import { startProxy } from "../../src/start.ts";
import { newKeys, tempDir, until } from "../audit/help.ts";
import { TestLog } from "../audit/log.ts";
import { FakePostgres } from "../fake-postgres.ts";
import { Client, startup } from "../help.ts";
import { B, F } from "../session/stage.ts";
import { Certificates } from "../tls/certificates.ts";

const NAME = ".s.PGSQL.6432";
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

interface Local {
  readonly dir: string;
  readonly log: TestLog;
  readonly upstream: FakePostgres;
  readonly lines: string[];
  readonly config: string;
  start(): Promise<RunningProxy>;
  client(): Client;
}

/** A proxy that listens in a folder, and whose server does. @param more is told the folder of the server's socket */
async function local(t: Test, more: (folder: string) => string): Promise<Local> {
  const dir = await tempDir(t);
  const keys = newKeys("proxy-1.example");
  const log = await new TestLog(keys.vkey, newKeys("log.example/test").vkey).listen();
  const upstream = await new FakePostgres().listen();
  // The server's socket: one that leads to it.
  const folder = join(dir, "server");
  mkdirSync(folder);
  const relay = createServer({ allowHalfOpen: true }, (client) => {
    const server = connect({ port: upstream.port, host: "127.0.0.1", allowHalfOpen: true });
    client.pipe(server).pipe(client);
    client.on("error", () => server.destroy());
    server.on("error", () => client.destroy());
  });
  await new Promise<void>((resolve) => relay.listen(join(folder, ".s.PGSQL.5432"), resolve));
  mkdirSync(join(dir, "run"));
  writeFileSync(join(dir, "source.key"), `${keys.skey}\n`, { mode: 0o600 });
  const config = join(dir, "proxy.yaml");
  const text = `
log: { url: "${log.url}", vkey: "${log.vkey}", level: debug, format: json }
source: { key: source.key }
spool: { dir: . }
sealed: [sql]
${more(folder)}`;
  writeFileSync(config, text.replaceAll("RUN", join(dir, "run")));
  const lines: string[] = [];
  const clients: Client[] = [];
  const running: RunningProxy[] = [];
  t.teardown(async () => {
    for (const { socket } of clients) socket.destroy();
    for (const one of running) await one.close();
    relay.close();
    await upstream.close();
    await log.close();
  });
  return {
    dir: join(dir, "run"),
    log,
    upstream,
    lines,
    config,
    start: async () => {
      const proxy = await startProxy(await readProxyConfig(config), { line: (line) => lines.push(line) });
      running.push(proxy);
      return proxy;
    },
    client: () => {
      const client = new Client(connect({ path: join(dir, "run", NAME), allowHalfOpen: true }));
      clients.push(client);
      return client;
    },
  };
}

t.test("a session from socket to socket, and what its record says", async (t) => {
  const all = await local(
    t,
    (folder) => `listen: ["RUN:6432", "127.0.0.1:0"]\nupstream: postgres:///?host=${folder}\n`,
  );
  const proxy = await all.start();
  t.same(proxy.address, { host: all.dir, port: 6432 }, "the first address");
  t.equal(statSync(join(all.dir, NAME)).mode & 0o777, 0o777);
  t.same(readdirSync(all.dir).sort(), [NAME, `${NAME}.lock`]);
  const client = all.client();
  client.socket.write(SSL_REQUEST);
  await until("it is answered", () => client.received.length > 0);
  t.equal(client.received.toString(), "N");
  client.received = Buffer.alloc(0);
  client.socket.write(startup({ user: "alice" }));
  await until("the login is through", () => client.received.includes(B.ready()));
  client.socket.write(F.query("SELECT 1"));
  await until("it is forwarded", () => all.upstream.last.received.length > 0);
  all.upstream.last.send(B.row("1"), B.complete("SELECT 1"), B.ready());
  await until("it is answered", () => client.received.includes("SELECT 1"));
  client.socket.end();
  await proxy.close();
  t.same(readdirSync(all.dir), [], "both files are gone");
  const entries = all.log.entries.map(({ json }) => json as Record<string, unknown>);
  for (const kind of ["session.start", "statement"]) {
    const entry = entries.find((one) => one.kind === kind) as { client: { address: string; tls?: boolean } };
    t.equal(entry.client.address, "[local]", kind);
    t.not(entry.client.tls, true);
  }
  t.ok(all.lines.some((line) => line.includes('"client":"[local]"')));
});

t.test("the mode is the file's, and another process's socket is not taken", async (t) => {
  const all = await local(t, (folder) => {
    return `listen: "RUN:6432"\nunix_socket_mode: "0600"\nupstream: "postgres://${encodeURIComponent(folder)}/db"\n`;
  });
  writeFileSync(join(all.dir, `${NAME}.lock`), "1\n");
  await t.rejects(all.start(), { code: "port_in_use", message: /process 1's/ });
  t.equal(readFileSync(join(all.dir, `${NAME}.lock`), "utf8"), "1\n");
  // Left behind by one that was killed.
  const { pid } = spawnSync(process.execPath, ["-e", ""]);
  writeFileSync(join(all.dir, `${NAME}.lock`), `${pid}\n`);
  const proxy = await all.start();
  t.equal(statSync(join(all.dir, NAME)).mode & 0o777, 0o600);
  await proxy.close();
  t.same(readdirSync(all.dir), []);
  if (process.getuid?.() !== 0) {
    chmodSync(all.dir, 0o500);
    await t.rejects(all.start(), { code: "port_in_use", message: /EACCES/ });
    chmodSync(all.dir, 0o700);
  }
});

t.test("when one address cannot be had none is kept, and a start that failed leaves no file", async (t) => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  t.teardown(() => other.close());
  const { port } = other.address() as { port: number };
  const all = await local(t, (folder) => {
    return `listen: ["RUN:6432", "127.0.0.1:${port}"]\nupstream: postgres:///?host=${folder}\n`;
  });
  await t.rejects(all.start(), { code: "port_in_use", message: new RegExp(`127.0.0.1:${port} is taken`) });
  t.same(readdirSync(all.dir), []);
});

t.test("a rule for local fits those on the socket alone, and a password is taken there", async (t) => {
  const all = await local(t, (folder) => {
    const users = join(folder, "users");
    writeFileSync(users, `secret=${randomBytes(32).toString("base64")}\n"ann" ""\n`, { mode: 0o600 });
    return `
listen: ["RUN:6432", "127.0.0.1:0"]
upstream: postgres:///?host=${folder}
users: ${users}
auth:
  - {user: bob, network: local, method: password}
  - {network: local, method: reject}
  - {network: 0.0.0.0/0, method: relay}
`;
  });
  await all.start();
  const rejected = all.client();
  rejected.socket.write(startup({ user: "ann" }));
  await until("it is refused", () => rejected.ended);
  t.match(rejected.received.toString(), /28000.*the proxy rejects connections/s);
  const asked = all.client();
  asked.socket.write(startup({ user: "bob" }));
  await until("its password is asked for", () => asked.received.includes(B.auth(3)) || asked.ended);
  t.ok(asked.received.includes(B.auth(3)), "AuthenticationCleartextPassword, without TLS");
  t.equal(all.upstream.backends.length, 0);
});

t.test(
  "TLS is for TCP alone: what requires it lets in who is on the socket, and is not asked of the server's",
  async (t) => {
    const all = await local(t, (folder) => {
      const { certFile, keyFile } = new Certificates(folder).issue("proxy", { commonName: "proxy" });
      return `
listen: ["RUN:6432", "127.0.0.1:0"]
upstream: "postgres:///?host=${folder}&sslmode=require"
tls: {mode: require, cert: ${certFile}, key: ${keyFile}}
`;
    });
    await all.start();
    const client = all.client();
    client.socket.write(SSL_REQUEST);
    await until("it is answered", () => client.received.length > 0);
    t.equal(client.received.toString(), "N", "though there is a certificate");
    client.socket.write(startup({ user: "alice" }));
    await until("the login is through", () => client.received.includes(B.ready()) || client.ended);
    t.ok(client.received.includes(B.ready()));
    await until("it is recorded", () => all.log.ofKind("session.start").length === 1);
    const { json } = all.log.ofKind("session.start")[0]!;
    t.match(json, { client: { tls: false }, server: { tls: false } });
    // A client that begins with TLS has come to the wrong place.
    const direct = all.client();
    direct.socket.write(Buffer.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]));
    await until("it is closed", () => direct.ended);
    t.equal(direct.received.length, 0);
  },
);

t.test("a server that is not there is named by its socket", async (t) => {
  const all = await local(t, (folder) => `listen: "RUN:6432"\nupstream: "postgres:///?host=${folder}&port=7"\n`);
  await all.start();
  const client = all.client();
  client.socket.write(startup({ user: "alice" }));
  await until("it is refused", () => client.ended);
  t.match(client.received.toString(), /08001.*\.s\.PGSQL\.7: ENOENT/s);
});

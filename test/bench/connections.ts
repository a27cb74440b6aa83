/** Clients that come and go, and clients that stay and say nothing, where the proxy authenticates and pools. */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import type { Postgres } from "@vitrine/cli";
import { message, send, startupPacket } from "../support/raw-client.ts";
import { DATABASE, PASSWORD, Stack, USER } from "../support/stack.ts";
import { startBouncer } from "./bouncer.ts";
import { cpuSeconds, residentMemory, table } from "./machine.ts";

/** Derived keys by salt: deriving one takes longer than the whole login, and real pools of clients keep them, too. */
const derived = new Map<string, Buffer>();

/** A client that logs in by SCRAM-SHA-256 and asks one thing at a time. */
class Client {
  readonly #socket: Socket;
  #rest: Buffer = Buffer.alloc(0);
  #told: (type: string, body: Buffer) => void = () => undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
  }

  static open(port: number): Promise<Client> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: "127.0.0.1", port, noDelay: true });
      socket.once("error", reject);
      socket.once("connect", () => {
        const client = new Client(socket);
        client.#login().then(() => resolve(client), reject);
      });
    });
  }

  #login(): Promise<void> {
    const nonce = randomBytes(18).toString("base64");
    const first = `n=,r=${nonce}`;
    let expected = "";
    return new Promise((resolve, reject) => {
      this.#socket.once("close", () => reject(new Error("closed during the login")));
      this.#told = (type, body) => {
        if (type === "E") reject(new Error(body.toString("latin1")));
        if (type === "Z") resolve();
        if (type !== "R") return;
        const text = body.toString("utf8", 4);
        switch (body.readInt32BE(0)) {
          case 10: {
            const length = Buffer.alloc(4);
            length.writeInt32BE(3 + first.length);
            this.#socket.write(
              message("p", Buffer.concat([Buffer.from("SCRAM-SHA-256\0"), length, Buffer.from(`n,,${first}`)])),
            );
            return;
          }
          case 11: {
            const salt = /s=([^,]*)/.exec(text)![1]!;
            const rounds = Number(/i=(\d+)/.exec(text)![1]);
            let key = derived.get(`${salt} ${rounds}`);
            if (key === undefined) {
              key = pbkdf2Sync(PASSWORD, Buffer.from(salt, "base64"), rounds, 32, "sha256");
              derived.set(`${salt} ${rounds}`, key);
            }
            const mac = (secret: Buffer, what: string): Buffer => createHmac("sha256", secret).update(what).digest();
            const clientKey = mac(key, "Client Key");
            const bare = `c=biws,r=${/r=([^,]*)/.exec(text)![1]}`;
            const all = `${first},${text},${bare}`;
            const signature = mac(createHash("sha256").update(clientKey).digest(), all);
            const proof = clientKey.map((byte, i) => byte ^ signature[i]!);
            expected = mac(mac(key, "Server Key"), all).toString("base64");
            this.#socket.write(message("p", `${bare},p=${Buffer.from(proof).toString("base64")}`));
            return;
          }
          case 12:
            if (text !== `v=${expected}`) reject(new Error("the server has not proven itself"));
            return;
          default:
        }
      };
      this.#socket.write(startupPacket({ user: USER, database: DATABASE }));
    });
  }

  ask(sql: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#told = (type, body) => {
        if (type === "E") reject(new Error(body.toString("latin1")));
        if (type === "Z") resolve();
      };
      this.#socket.write(send.query(sql));
    });
  }

  end(): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.removeAllListeners("close");
      this.#socket.once("close", () => resolve());
      this.#socket.end(send.terminate());
    });
  }

  #read(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (bytes.length >= 5 && bytes.length >= 1 + bytes.readInt32BE(1)) {
      const size = 1 + bytes.readInt32BE(1);
      this.#told(String.fromCharCode(bytes[0]!), bytes.subarray(5, size));
      bytes = bytes.subarray(size);
    }
    this.#rest = bytes;
  }
}

export interface ConnectionsOptions {
  readonly seconds: number;
  readonly idle: number;
}

const COMERS = 16;

/** @returns how many clients a second came, asked one thing and went */
async function comeAndGo(port: number, seconds: number): Promise<number> {
  const until = performance.now() + seconds * 1000;
  let count = 0;
  await Promise.all(
    Array.from({ length: COMERS }, async () => {
      while (performance.now() < until) {
        const client = await Client.open(port);
        await client.ask("SELECT 1");
        await client.end();
        count += 1;
      }
    }),
  );
  return count / seconds;
}

/** What the server knows of the user's password: the users file has the same. */
async function verifierAtServer(database: Postgres): Promise<string> {
  const admin = await database.connect("postgres");
  const { rows } = await admin.query("SELECT rolpassword FROM pg_authid WHERE rolname = $1", [USER]);
  await admin.end();
  return (rows[0] as { rolpassword: string }).rolpassword;
}

/** @param folder for a file of users and one of passwords */
export async function benchConnections(database: Postgres, folder: string, options: ConnectionsOptions): Promise<void> {
  // Both know no more than the server does, and neither has to derive a key for each login.
  const verifier = await verifierAtServer(database);
  const users = join(folder, "bench-users");
  const secret = `secret=${randomBytes(32).toString("base64")}`;
  writeFileSync(users, `${secret}\n"${USER}" "${verifier}"\n`, { mode: 0o600 });
  const passwords = join(folder, "bench-passwords");
  writeFileSync(passwords, `*:*:*:${USER}:${PASSWORD}\n`, { mode: 0o600 });
  const stack = await Stack.create(database, {
    checkpointIntervalMs: 1000,
    limits: { clients: options.idle + 1000 },
    proxyKeys: {
      auth: [{ method: "terminate" }],
      users,
      upstream_passwords: passwords,
      pool: { mode: "transaction", size: 10 },
    },
  });
  await stack.start();
  const bouncer = await startBouncer(database.port, "transaction", verifier);
  try {
    const rows = [["", "clients/s", "CPU µs a client"]];
    const ways = [
      { name: "PgBouncer, transaction pooling", port: bouncer?.port, pid: bouncer?.pid },
      { name: "Vitrine, transaction pooling, all of it recorded", port: stack.proxyPort, pid: stack.proxy.pid },
    ];
    for (const { name, port, pid } of ways) {
      if (port === undefined || pid === undefined) continue;
      await comeAndGo(port, 1);
      const before = cpuSeconds(pid);
      const rate = await comeAndGo(port, options.seconds);
      const cpu = ((cpuSeconds(pid) - before) * 1e6) / (rate * options.seconds);
      rows.push([name, rate.toFixed(0), cpu.toFixed(0)]);
    }
    console.log(`\nconnections: ${COMERS} at a time log in by SCRAM, ask SELECT 1, and go\n${table(rows)}`);
    const pid = stack.proxy.pid!;
    const before = residentMemory(pid).own;
    const clients: Client[] = [];
    while (clients.length < options.idle) {
      clients.push(...(await Promise.all(Array.from({ length: 50 }, () => Client.open(stack.proxyPort)))));
    }
    const idle = residentMemory(pid).own;
    for (let i = 0; i < clients.length; i += 37) await clients[i]!.ask("SELECT 1");
    console.log(
      `idle: ${clients.length} clients; the proxy has ${idle.toFixed(0)} MiB, ${before.toFixed(0)} before them, ` +
        `${(((idle - before) * 1024) / clients.length).toFixed(1)} KiB each`,
    );
    await Promise.all(clients.map((client) => client.end()));
  } finally {
    bouncer?.stop();
    await stack.destroy();
  }
}

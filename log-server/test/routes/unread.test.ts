import { once } from "node:events";
import { connect, type Socket } from "node:net";
import t from "tap";
import { startLogServer } from "../../src/start.ts";
import { get, published, submit } from "../support/client.ts";
import { makeLogFolder, ORIGIN } from "../support/folder.ts";
import { TestSource } from "../support/source.ts";

const UNREAD = 33_554_432;
const SIZE = 256;
const source = new TestSource("proxy-1").start();
// A bundle of more bytes than the system takes for a client that does not read.
while (source.entries.length < SIZE) source.add({ ...source.head("test.event"), more: "x".repeat(60_000) }, []);

const folder = await makeLogFolder([source.key.vkey]);
t.after(() => folder.remove());
const { limits } = folder.config();
const config = folder.config({ checkpointIntervalMs: 10, limits: { ...limits, unreadBytes: UNREAD, connections: 16 } });
const log = await startLogServer(config);
await submit(log.url, source.submission(ORIGIN));
await published(log.url, SIZE);
const { host, hostname, port } = new URL(log.url);
const bundle = (await get(log.url, "/tile/entries/000")).body.length;

function ask(path: string, times = 1): Socket {
  const socket = connect(Number(port), hostname).on("error", () => undefined);
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`.repeat(times));
  return socket.pause();
}

/** Reads until it has so many bytes, or the connection ends. */
async function read(socket: Socket, enough: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  socket.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= enough) socket.destroy();
  });
  if (!socket.destroyed) await once(socket.resume(), "close");
  return Buffer.concat(chunks).toString("latin1");
}

t.test("requests one behind the other are answered in order, up to a number", async (t) => {
  t.ok(bundle > 15_000_000);
  const all = await read(ask("/tile/0/000", 16), 16 * 32 * 256);
  t.equal(all.match(/HTTP\/1\.1 200 OK/g)?.length, 16);
  // The seventeenth comes while the first, which is too large to be away at once, is not read.
  const asking = ask("/tile/entries/000", 17);
  await once(asking.resume(), "close");
  t.ok(asking.bytesRead < 17 * bundle);
});

t.test("who leaves most unread for longest is cut off, and nobody else", async (t) => {
  const clients: Socket[] = [];
  for (let i = 0; i < 3; i += 1) {
    const socket = ask("/tile/entries/000");
    clients.push(socket);
    // Its answer has begun: they are in order.
    await once(socket, "readable");
  }
  const [first, ...others] = await Promise.all(clients.map((socket) => read(socket, bundle)));
  t.ok(first!.length < bundle, "the first");
  for (const other of others) t.ok(other.length >= bundle);
});

t.test("no more connections than are allowed", async (t) => {
  const clients = Array.from({ length: 20 }, () => ask("/checkpoint"));
  const served = await Promise.all(
    clients.map(
      (socket) =>
        new Promise<boolean>((resolve) => {
          socket.once("data", () => resolve(true)).once("close", () => resolve(false));
          socket.resume();
        }),
    ),
  );
  const count = served.filter(Boolean).length;
  t.ok(count > 0 && count <= 16, `${count} of 20`);
  for (const socket of clients) socket.destroy();
  // The server hears of it a moment later.
  while ((await read(ask("/checkpoint"), 1)) === "") await new Promise((resolve) => setTimeout(resolve, 10));
});

t.test("nothing is held of connections that have ended", async (t) => {
  // Each is cut off while its first answer is on its way.
  for (let i = 0; i < 8; i += 1) await read(ask("/tile/entries/000", 17), 17 * bundle);
  const unread = async (): Promise<string> => {
    const text = (await get(log.url, "/metrics")).body.toString();
    return /^vitrine_log_unread_bytes (\d+)$/m.exec(text)![1]!;
  };
  while ((await unread()) !== "0") await new Promise((resolve) => setTimeout(resolve, 10));
  t.pass();
});

t.test("it closes", () => log.close());

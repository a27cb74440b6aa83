// More connections than several workers take: each is closed by the worker that it comes to, and counted.
import { rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import type { Postgres } from "@vitrine/cli";
import t from "tap";
import { until } from "../support/sessions.ts";
import { freePort, Stack, startDatabase, temporaryFolder } from "../support/stack.ts";

const folder = temporaryFolder("workers-surplus");
/** Of each worker: `limits.clients`, `limits.logins`, and the 100 that the README names. */
const SOCKETS = 102;
let database: Postgres;

t.before(async () => {
  database = await startDatabase(folder);
});

t.after(async () => {
  await database?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/**
 * Sends what is no startup packet.
 * @returns the socket, which stays open though the proxy has said its last; undefined: it was closed unheard
 */
async function stranger(port: number): Promise<Socket | undefined> {
  const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  // "close" follows.
  socket.on("error", () => undefined);
  socket.resume().write("GET / HTTP/1.1\r\n\r\n");
  return await new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error("neither heard nor closed")), 30_000);
    const told = (socket: Socket | undefined) => (): void => {
      clearTimeout(late);
      resolve(socket);
    };
    socket.once("end", told(socket)).once("close", told(undefined));
  });
}

t.test("what comes when every worker has as many sockets as it may is closed, and told", async (t) => {
  const port = await freePort();
  const limits = { clients: 1, logins: 1 };
  const stack = await (
    await Stack.create(database, { workers: 2, limits, proxyKeys: { status: `127.0.0.1:${port}` } })
  ).start();
  const sockets: Socket[] = [];
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    await stack.destroy();
  });
  const visit = async (): Promise<boolean> => {
    const socket = await stranger(stack.proxyPort);
    if (socket !== undefined) sockets.push(socket);
    return socket !== undefined;
  };
  // One may be closed because the login before it is not over, or its worker full before the other is.
  while (sockets.length < 2 * SOCKETS) await visit();
  // The proxy itself closes at last what stays open so, and then there is room for another.
  await until("one is closed", async () => !(await visit()));
  await until("it is counted", async () => {
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    return Number(/^vitrine_proxy_accept_errors_total\{reason="sockets"\} (\d+)$/m.exec(metrics)?.[1]) >= 1;
  });
  const line = /client\.refused: \d+ clients? (was|were) closed unheard: more sockets are open/;
  await until("it is told", () => line.test(stack.proxy.output));
});

t.end();

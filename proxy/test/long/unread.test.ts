// A thousand clients that ask for more than anybody could keep, and never read it.
import { connect, type Socket } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import t from "tap";
import { until } from "../audit/help.ts";
import type { Backend } from "../fake-postgres.ts";
import { rig, startup } from "../help.ts";
import { B, F } from "../session/stage.ts";

const CLIENTS = 1000;
/** For one client, everything included: the two sockets of the proxy, and the two that the test itself has of it. */
const BYTES_EACH = 600_000;

t.test("memory is bounded, others are served, and every end is recorded", { timeout: 240_000 }, async (t) => {
  const all = await rig(t, { clients: CLIENTS + 1, login: 60_000, limits: { logins: CLIENTS + 1 } });
  const row = B.row("x".repeat(60_000));
  let sent = 0;
  let pouring = true;
  /** As a server does it: no more than the connection takes. */
  const pour = (backend: Backend): void => {
    const { socket } = backend;
    while (pouring && !socket.destroyed && !socket.writableNeedDrain) {
      backend.send(row);
      sent += 1;
    }
    if (pouring) socket.once("drain", () => pour(backend));
  };
  const sockets: Socket[] = [];
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  for (let i = 0; i < CLIENTS; i += 50) {
    const batch = Array.from({ length: 50 }, () => connect({ host: "127.0.0.1", port: all.port }));
    sockets.push(...batch);
    for (const socket of batch) {
      socket.on("error", () => undefined);
      socket.write(startup({ user: "silent" }));
    }
    await until("they are logged in", () => all.proxy.sessions === i + 50);
  }
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  const before = process.memoryUsage().rss;
  const backends = [...all.upstream.backends];
  for (const socket of sockets) {
    socket.pause();
    socket.write(F.query("SELECT 1"));
  }
  await until("all are asked", () => backends.every(({ received }) => received.length > 0));
  for (const backend of backends) pour(backend);
  let seen = -1;
  let most = 0;
  while (seen !== sent) {
    seen = sent;
    await new Promise((resolve) => setTimeout(resolve, 1000));
    most = Math.max(most, process.memoryUsage().rss);
  }
  const grown = most - before;
  t.comment(`${Math.round(grown / 1e6)} MB for ${CLIENTS} clients, ${Math.round((sent * row.length) / 1e6)} MB sent`);
  t.ok(grown < CLIENTS * BYTES_EACH, `${Math.round(grown / CLIENTS / 1000)} kB each`);

  const other = await all.session();
  const began = performance.now();
  other.socket.write(F.query("SELECT 2"));
  await until("it is asked", () => all.upstream.last.received.length > 0);
  all.upstream.last.send(B.row("2"), B.complete("SELECT 1"), B.ready());
  await until("one that reads is answered", () => other.received.includes("SELECT 1"));
  t.ok(performance.now() - began < 20_000);

  pouring = false;
  for (const socket of sockets) socket.destroy();
  for (const { socket } of backends) socket.destroy();
  other.socket.end();
  await until("all are gone", () => all.proxy.clients === 0);
  const kinds = await all.stop();
  t.equal(kinds.filter((kind) => kind === "session.end").length, CLIENTS + 1);
  t.equal(kinds.filter((kind) => kind === "statement").length, CLIENTS + 1);
});

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import t from "tap";
import { createStatusServer, listenStatus } from "../src/status.ts";
import { until } from "./audit/help.ts";

t.test("who asks a thousand times at once is cut off, and few may ask", async (t) => {
  let asked = 0;
  const metrics = async (): Promise<string> => {
    asked += 1;
    return "x".repeat(1 << 20);
  };
  const health = (): Promise<never> => Promise.reject(new Error("nobody asks"));
  const server = createStatusServer({ contentType: "text/plain", metrics }, health);
  const sockets: Socket[] = [];
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await listenStatus(server, { host: "127.0.0.1", port: 0 });
  const { port } = server.address() as { port: number };
  const open = async (): Promise<Socket> => {
    const socket = connect(port, "127.0.0.1").on("error", () => undefined);
    sockets.push(socket);
    await once(socket, "connect");
    return socket;
  };
  const request = "GET /metrics HTTP/1.1\r\nHost: proxy\r\n\r\n";
  const eager = await open();
  eager.write(request.repeat(1000));
  eager.resume();
  await once(eager, "close");
  t.equal(asked, 1);
  const others: Socket[] = [];
  for (let i = 0; i < 40; i += 1) others.push((await open()).resume());
  await until("the last are closed", () => others.filter(({ closed }) => closed).length === 8);
  others.find(({ closed }) => !closed)!.write(request);
  await until("those that are open are answered", () => asked === 2);
});

t.test("an address that is taken, or not ours, has its code", async (t) => {
  const server = (): ReturnType<typeof createStatusServer> => {
    const made = createStatusServer({ contentType: "", metrics: async () => "" }, () =>
      Promise.reject(new Error("no")),
    );
    t.teardown(() => made.close());
    return made;
  };
  const first = server();
  await listenStatus(first, { host: "127.0.0.1", port: 0 });
  const { port } = first.address() as { port: number };
  await t.rejects(listenStatus(server(), { host: "127.0.0.1", port }), {
    code: "port_in_use",
    message: `the address 127.0.0.1:${port} is taken by another process; choose another`,
  });
  await t.rejects(listenStatus(server(), { host: "192.0.2.1", port: 6433 }), { code: "port_in_use" });
});

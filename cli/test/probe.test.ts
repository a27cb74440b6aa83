import net from "node:net";
import t, { type Test } from "tap";
import { checkListen, checkUpstream, freePort } from "../src/probe.ts";

async function server(t: Test, answer: (socket: net.Socket, data: Buffer) => void): Promise<net.AddressInfo> {
  const server = net.createServer((socket) => socket.on("error", () => {}).on("data", (data) => answer(socket, data)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => server.close());
  return server.address() as net.AddressInfo;
}

t.test("a taken port is named, with the option that chooses another", async (t) => {
  const { port } = await server(t, () => {});
  await t.rejects(checkListen({ host: "127.0.0.1", port }, "the proxy", "--proxy"), {
    code: "port_in_use",
    message: new RegExp(`127\\.0\\.0\\.1:${port}, the address for the proxy, is taken.*--proxy HOST:PORT`),
  });
});

t.test("a free port passes and stays free", async (t) => {
  const address = { host: "127.0.0.1", port: await freePort() };
  await t.resolves(checkListen(address, "the proxy", "--proxy"));
  await t.resolves(checkListen(address, "the proxy", "--proxy"));
});

t.test("an address of another machine is said to be unusable", async (t) => {
  await t.rejects(checkListen({ host: "192.0.2.1", port: 6432 }, "the log-server", "--log"), {
    code: "address_unusable",
  });
});

t.test("a server that answers an SSLRequest is a PostgreSQL server", async (t) => {
  for (const answer of ["S", "N", "E"]) {
    let asked: Buffer | undefined;
    const { port } = await server(t, (socket, data) => {
      asked = data;
      socket.write(answer);
    });
    await checkUpstream({ host: "127.0.0.1", port }, 5000);
    t.equal(asked?.toString("hex"), "0000000804d2162f");
  }
});

t.test("anything else is unreachable, and why is said", async (t) => {
  const closes = await server(t, (socket) => socket.end());
  const talks = await server(t, (socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"));
  const silent = await server(t, () => {});
  const cases: [number, RegExp][] = [
    [await freePort(), /cannot be reached \(.*ECONNREFUSED/],
    [closes.port, /closed the connection without an answer/],
    [talks.port, /is not a PostgreSQL server/],
    [silent.port, /did not answer within 0\.2 s/],
  ];
  for (const [port, message] of cases) {
    const limit = port === silent.port ? 200 : 20_000;
    await t.rejects(checkUpstream({ host: "127.0.0.1", port }, limit), { code: "upstream_unreachable", message });
  }
});

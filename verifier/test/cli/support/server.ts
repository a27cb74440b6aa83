import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { TestLog } from "./log.ts";

/** Answers a request itself, or gives false to leave it to the log. */
export type Hook = (path: string, response: ServerResponse, request: IncomingMessage) => boolean;

export type TestServer = { url: string; paths: string[]; close(): Promise<void> };

/** Serves a log on this machine, on a port of its own. */
export async function serve(log: TestLog, hook: Hook = () => false): Promise<TestServer> {
  const paths: string[] = [];
  const server: Server = createServer((request, response) => {
    const path = request.url!;
    paths.push(path);
    if (hook(path, response, request)) return;
    const body = log.file(path);
    if (body === undefined) {
      response.writeHead(404, { "content-type": "application/json" });
      response.end(JSON.stringify({ error: { code: "not_found", message: "no such resource" } }));
    } else response.end(body);
  });
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, paths, close };
}

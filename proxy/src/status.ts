import { createServer, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Health } from "./health.ts";
import { listenError } from "./listen/index.ts";

/** Connections at a time: whoever asks has one. */
const CONNECTIONS = 32;
/** For a request to come, and for its answer to be taken. */
const TIME_MS = 10_000;

/**
 * The proxy's own HTTP address, when one is configured: GET /healthz and /metrics, nothing else. What is asked there takes
 * the time of the sessions, and an answer that nobody reads their memory: so one request a connection, and few of these.
 */
export function createStatusServer(
  metrics: { readonly contentType: string; metrics(): Promise<string> },
  health: () => Promise<Health>,
): Server {
  const times = { headersTimeout: TIME_MS, requestTimeout: TIME_MS, connectionsCheckingInterval: TIME_MS / 10 };
  const server = createServer(times, (request, response) => {
    const path = request.url?.split("?")[0];
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.writeHead(405, { allow: "GET, HEAD" }).end();
    } else if (path === "/healthz") {
      answer(response, async () => {
        const told = await health();
        response.writeHead(told.status === "failing" ? 503 : 200, { "content-type": "application/json" });
        response.end(`${JSON.stringify(told)}\n`);
      });
    } else if (path === "/metrics") {
      answer(response, async () => {
        const text = await metrics.metrics();
        response.writeHead(200, { "content-type": metrics.contentType }).end(text);
      });
    } else {
      response.writeHead(404).end();
    }
  });
  server.maxConnections = CONNECTIONS;
  server.maxRequestsPerSocket = 1;
  server.on("dropRequest", (_: unknown, socket: Socket) => socket.destroy());
  server.timeout = TIME_MS;
  return server;
}

function answer(response: ServerResponse, work: () => Promise<void>): void {
  work().catch(() => response.writeHead(500).end());
}

/** @throws ProxyError `port_in_use` when the address is taken or not ours */
export function listenStatus(server: Server, { host, port }: { host: string; port: number }): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    // Of this process alone, also where it has workers.
    const refuse = (error: Error): void => reject(listenError(error, { host, port }));
    server.once("error", refuse).listen({ host, port, exclusive: true }, () => {
      // Later ones are about a connection that could not be accepted: others are.
      server.off("error", refuse).on("error", () => undefined);
      resolve();
    });
  });
}

import { createServer, type Server } from "node:http";
import type { Recorder } from "./audit/index.ts";
import type { Metrics } from "./metrics.ts";

/** The proxy's own HTTP address, when one is configured: GET /healthz and /metrics, nothing else. */
export function createStatusServer(metrics: Metrics, recorder: Recorder): Server {
  return createServer((request, response) => {
    const path = request.url?.split("?")[0];
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.writeHead(405, { allow: "GET, HEAD" }).end();
    } else if (path === "/healthz") {
      const { state } = recorder;
      response.writeHead(state === "open" || state === "restricted" ? 200 : 503, {
        "content-type": "application/json",
      });
      response.end(`${JSON.stringify({ status: state, source: recorder.source, epoch: recorder.epoch })}\n`);
    } else if (path === "/metrics") {
      metrics.registry.metrics().then(
        (text) => response.writeHead(200, { "content-type": metrics.registry.contentType }).end(text),
        () => response.writeHead(500).end(),
      );
    } else {
      response.writeHead(404).end();
    }
  });
}

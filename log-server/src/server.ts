import type { AddressInfo, Socket } from "node:net";
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import type { LogServerConfig } from "./config/config.ts";
import type { ServerContext } from "./context.ts";
import { type HttpCode, httpStatus, LogServerError, reason } from "./errors.ts";
import { ADD, addRoutes } from "./routes/add.ts";
import { ctRoutes } from "./routes/ct.ts";
import { entryRoutes } from "./routes/entries.ts";
import { erasureRoutes } from "./routes/erasures.ts";
import { frontPageRoute } from "./routes/front-page.ts";
import { acceptJson } from "./routes/json-body.ts";
import { countRefusal, limitRequests } from "./routes/limits.ts";
import { acceptOctets } from "./routes/octets.ts";
import { operationRoutes } from "./routes/operations.ts";
import { searchRoutes } from "./routes/search.ts";
import { sourceRoutes } from "./routes/sources.ts";
import { SUBMISSIONS, submissionRoutes } from "./routes/submissions.ts";
import { tileRoutes } from "./routes/tiles.ts";
import { limitUnread } from "./routes/unread.ts";

/** Seconds that `Retry-After` asks for. */
const RETRY_AFTER = "1";
const JSON_TYPE = "application/json; charset=utf-8";

function isHttpCode(code: string): code is HttpCode {
  return code in httpStatus;
}

/** @returns the framework's own refusals in our codes; anything else is a fault of the log. */
function translated(error: FastifyError, limit: number): LogServerError {
  switch (error.code) {
    case "FST_ERR_CTP_BODY_TOO_LARGE":
      return new LogServerError("body_too_large", `the body is over the limit of ${limit} bytes`, { limit });
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE":
    case "FST_ERR_CTP_INVALID_CONTENT_TYPE":
      return new LogServerError("unsupported_media_type", "the content type must be application/octet-stream");
    case "FST_ERR_CTP_INVALID_CONTENT_LENGTH":
    case "FST_ERR_CTP_EMPTY_TYPE":
      return new LogServerError("bad_submission", "the body has not the length that Content-Length says");
    case "FST_ERR_BAD_URL":
    case "FST_ERR_MAX_PARAM_LENGTH":
      return new LogServerError("bad_parameter", "the path is malformed", { parameter: "path" });
    case "ECONNRESET":
      return new LogServerError("bad_submission", "the connection ended inside the body");
    default:
      return new LogServerError("internal", "a fault of the log; its own log says more", {}, { cause: error });
  }
}

function sendError(context: ServerContext, error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  let answer =
    error instanceof LogServerError ? error : translated(error as FastifyError, request.routeOptions.bodyLimit);
  if (!isHttpCode(answer.code)) {
    answer = new LogServerError("internal", "a fault of the log; its own log says more", {}, { cause: answer });
  }
  const code = answer.code as HttpCode;
  if (code === "internal") {
    // Without the query: the reason for a reading is sealed in the log, and must not stand here.
    const path = request.url.split("?", 1)[0];
    context.hooks.log("error", `${request.method} ${path}: ${reason(answer.cause ?? answer)}`);
  }
  // Of what a handler set before it failed, only what belongs to the error may stay. A cache may keep a 404 that says
  // nothing of it (RFC 9111 section 4.2.2), and would go on giving it for a tile that is there by now.
  reply.header("cache-control", "no-store").removeHeader("vary").removeHeader("content-encoding");
  if (code === "too_busy" || code === "stopping" || code === "index_behind") reply.header("retry-after", RETRY_AFTER);
  if (code === "unauthorized") reply.header("www-authenticate", "Bearer");
  if (code === "body_too_large") reply.header("connection", "close");
  if (request.method === "POST" && request.routeOptions.url === SUBMISSIONS) {
    context.metrics.submission(code);
    countRefusal(context, request, code);
  }
  if (request.method === "POST" && request.routeOptions.url === ADD) context.metrics.added(code);
  const body = { error: { code, message: answer.message, ...answer.details } };
  return reply.code(httpStatus[code]).type(JSON_TYPE).send(body);
}

/**
 * A query that is no UTF-8 in percent-encoding would be read as some other text, and searched for or written down.
 * @throws LogServerError `bad_parameter`
 */
function checkQuery(url: string): void {
  const at = url.indexOf("?");
  if (at < 0) return;
  try {
    decodeURIComponent(url.slice(at + 1));
  } catch {
    const message = "the query is not UTF-8 in percent-encoding";
    throw new LogServerError("bad_parameter", message, { parameter: "query" });
  }
}

/** Answers what is not HTTP at all. A request that took too long to arrive is cut off: it may be sent again. */
function onClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || error.code === "ERR_HTTP_REQUEST_TIMEOUT" || !socket.writable) {
    socket.destroy();
    return;
  }
  const message = `this is not an HTTP request that can be answered: ${error.message}`;
  const body = JSON.stringify({ error: { code: "bad_parameter", message, parameter: "request" } });
  const head = `HTTP/1.1 400 Bad Request\r\nConnection: close\r\nCache-Control: no-store\r\nContent-Type: ${JSON_TYPE}`;
  socket.end(`${head}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

/** Makes the HTTP surface of a log. It does not listen yet. */
export function buildServer(context: ServerContext): FastifyInstance {
  const requestTimeout = context.limits.requestTimeoutMs;
  const app = Fastify({
    logger: false,
    bodyLimit: context.limits.bodyBytes,
    requestTimeout,
    ...(context.trustedProxies.length > 0 ? { trustProxy: [...context.trustedProxies] } : {}),
    // Node looks for requests that are overdue every 30 s unless told otherwise.
    http: { requestTimeout, connectionsCheckingInterval: Math.min(1000, Math.ceil(requestTimeout / 4)) },
    forceCloseConnections: "idle",
    // While it stops, the log still answers in its own form; see "stopping".
    return503OnClosing: false,
    clientErrorHandler: onClientError,
    frameworkErrors: (error, request, reply) => {
      sendError(context, error, request as FastifyRequest, reply as unknown as FastifyReply);
    },
    // A source's name has up to 255 bytes, each of which may be written as three.
    routerOptions: { maxParamLength: 768 },
  });
  app.removeAllContentTypeParsers();
  app.server.maxConnections = context.limits.connections;
  limitUnread(app, context.limits.unreadBytes, context.metrics);
  app.setErrorHandler((error, request, reply) => sendError(context, error, request, reply));
  const notFound = ({ method, url }: FastifyRequest): LogServerError =>
    new LogServerError("not_found", `there is nothing at ${method} ${url}`);
  // Before a byte of a body is read: nobody counts what is received here.
  app.addHook("onRequest", async (request) => {
    if (request.is404) throw notFound(request);
    checkQuery(request.url);
  });
  app.setNotFoundHandler((request, reply) => sendError(context, notFound(request), request, reply));
  limitRequests(app, context);
  tileRoutes(app, context);
  ctRoutes(app, context);
  acceptJson(app);
  acceptOctets(app);
  submissionRoutes(app, context);
  sourceRoutes(app, context);
  addRoutes(app, context);
  entryRoutes(app, context);
  erasureRoutes(app, context);
  searchRoutes(app, context);
  operationRoutes(app, context);
  frontPageRoute(app, context);
  return app;
}

/**
 * @returns where it listens: `http://<host>:<port>`
 * @throws LogServerError `port_in_use`, `bad_config`
 */
export async function listen(app: FastifyInstance, { host, port }: LogServerConfig["listen"]): Promise<string> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EADDRINUSE") {
      const message = `the address ${host}:${port} is taken: stop the process that listens there, or choose another in "listen"`;
      throw new LogServerError("port_in_use", message, {}, { cause: error });
    }
    throw new LogServerError("bad_config", `listen: ${host}:${port}: ${reason(error)}`, {}, { cause: error });
  }
  const address = app.server.address() as AddressInfo;
  return `http://${address.family === "IPv6" ? `[${address.address}]` : address.address}:${address.port}`;
}

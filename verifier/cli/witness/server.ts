import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { VerifierError } from "../../src/errors.ts";
import { systemCode } from "../files.ts";
import { printable } from "../printable.ts";
import { type Answer, refusals } from "./answers.ts";
import { readBody } from "./body.ts";
import { Metrics } from "./metrics.ts";
import { frontPage } from "./pages.ts";
import { Unread } from "./unread.ts";
import type { Witness } from "./witness.ts";

/** Of a request's body, in bytes: a checkpoint with some lines of ML-DSA has about 16 KiB. */
export const maxBodyLength: number = 64 * 1024;

/** Bounds that a test may want to reach sooner. */
export type ServerLimits = {
  /** A request is whole after this, head and body. */
  requestMs: number;
  /** A connection without a request is closed after this. */
  idleMs: number;
  /** So is one on which nothing moves while an answer is waited for or not read. */
  stillMs: number;
  connections: number;
  /** Requests that are being decided at the same time, all connections together. */
  waiting: number;
  /** Bytes of answers that nobody has read yet, all connections together. Beyond, pages are refused. */
  unread: number;
};

export const defaultLimits: ServerLimits = {
  requestMs: 10_000,
  idleMs: 75_000,
  stillMs: 30_000,
  connections: 2000,
  waiting: 2000,
  unread: 8 * 1024 * 1024,
};

export type ServerOptions = {
  witness: Witness;
  /** Empty, or `/…` without a slash at its end. */
  prefix: string;
  url: string | undefined;
  limits: ServerLimits;
};

/** The HTTP surface (C2SP tlog-witness, and a page, health and metrics). */
export class WitnessServer {
  readonly #options: ServerOptions;
  readonly #metrics = new Metrics();
  readonly #http: Server;
  readonly #unread: Unread;
  #deciding = 0;
  #stopping = false;

  constructor(options: ServerOptions) {
    this.#options = options;
    const { requestMs, idleMs, stillMs, connections, unread } = options.limits;
    const timeouts = { requestTimeout: requestMs, headersTimeout: requestMs, keepAliveTimeout: idleMs };
    this.#http = createServer(
      { ...timeouts, connectionsCheckingInterval: Math.min(1000, requestMs / 4), maxHeaderSize: 8192 },
      (request, response) => {
        this.#answer(request, response).catch((error: unknown) => {
          // A fault of ours: whoever waits for an answer is let go, and the process ends with the stack.
          response.destroy();
          queueMicrotask(() => {
            throw error;
          });
        });
      },
    );
    this.#http.timeout = stillMs;
    this.#http.maxConnections = connections;
    this.#unread = new Unread(this.#http, unread);
  }

  /**
   * @returns the port
   * @throws VerifierError `port_in_use`, `usage`
   */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const refused = (error: Error): void => reject(listenError(error, host, port));
      this.#http.once("error", refused);
      this.#http.listen(port, host, () => {
        this.#http.off("error", refused);
        const address = this.#http.address();
        resolve(typeof address === "object" && address !== null ? address.port : port);
      });
    });
  }

  /** Takes no more requests, and waits until those that it has are answered. */
  async close(graceMs: number): Promise<void> {
    this.#stopping = true;
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    this.#http.closeIdleConnections();
    const timer = setTimeout(() => this.#http.closeAllConnections(), graceMs);
    await closed;
    clearTimeout(timer);
  }

  /** Ends every connection, answered or not. */
  abort(): void {
    this.#stopping = true;
    this.#http.close();
    this.#http.closeAllConnections();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { prefix } = this.#options;
    if (!this.#unread.begin(request.socket, response)) return;
    const path = request.url!.split("?", 1)[0]!;
    this.#endWhenStopping(response);
    if (!path.startsWith(`${prefix}/`)) return refuse(response, "not_found", "no such resource");
    const rest = path.slice(prefix.length);
    if (rest === "/add-checkpoint") {
      if (request.method !== "POST") return wrongMethod(response, "POST");
      const answer = await this.#submit(request, response);
      this.#metrics.count(answer.code);
      this.#endWhenStopping(response);
      return sendAnswer(response, answer);
    }
    const text = this.#read(rest);
    if (text === undefined) return refuse(response, "not_found", "no such resource");
    if (request.method !== "GET" && request.method !== "HEAD") return wrongMethod(response, "GET, HEAD");
    if (typeof text !== "string") return sendAnswer(response, text);
    const length = Buffer.byteLength(text);
    if (!this.#unread.hasRoom(length)) {
      return sendAnswer(response, { code: "too_busy", message: "too many answers are not read", retryAfter: 1 });
    }
    this.#unread.add(request.socket, response, length);
    send(response, 200, "text/plain; charset=utf-8", text);
  }

  /** Else the stop would wait for the connection, which its client means to use again. */
  #endWhenStopping(response: ServerResponse): void {
    if (this.#stopping && !response.headersSent) response.setHeader("connection", "close");
  }

  async #submit(request: IncomingMessage, response: ServerResponse): Promise<Answer> {
    if (this.#stopping) return { code: "stopping", message: "the witness is being stopped", retryAfter: 5 };
    if (this.#deciding >= this.#options.limits.waiting) {
      return { code: "too_busy", message: "too many requests wait to be decided", retryAfter: 1 };
    }
    if ((request.headers["content-encoding"] ?? "identity") !== "identity") {
      return { code: "unsupported_encoding", message: "the body must be sent as it is, without an encoding" };
    }
    this.#deciding++;
    try {
      const body = await readBody(request, response, maxBodyLength);
      if (body === "too long") {
        return { code: "body_too_large", message: `the body has more than ${maxBodyLength} bytes` };
      }
      // Nobody will read this; but what was sent so far is not what was to be sent.
      if (body === "broken off") return { code: "malformed", message: "the body was broken off" };
      return await this.#options.witness.addCheckpoint(body);
    } finally {
      this.#deciding--;
    }
  }

  /** @returns what is read at a path, or why not; undefined when there is no such path */
  #read(path: string): string | Answer | undefined {
    const { witness, url } = this.#options;
    if (path === "/") return frontPage(witness, url);
    if (path === "/metrics") return this.#metrics.text(witness, this.#deciding);
    if (path === "/healthz") {
      // A state that cannot be written ends the process, so one that answers can cosign unless it is being stopped.
      return this.#stopping ? { code: "stopping", message: "the witness is being stopped" } : "ok\n";
    }
    const [, hash] = /^\/([0-9a-f]{64})\/checkpoint$/.exec(path) ?? [];
    if (hash === undefined) return undefined;
    const never: Answer = { code: "never_cosigned", message: "nothing was cosigned for a log of this origin" };
    return witness.checkpoint(hash) ?? never;
  }
}

function listenError(error: Error, host: string, port: number): Error {
  const where = `${printable(host)}:${port}`;
  const code = systemCode(error);
  if (code === "EADDRINUSE") {
    return new VerifierError("port_in_use", `${where} is taken; stop what listens there, or choose another --listen`);
  }
  return code === undefined ? error : new VerifierError("usage", `--listen ${where}: ${printable(error.message)}`);
}

function sendAnswer(response: ServerResponse, answer: Answer): void {
  if (answer.code === "cosigned") send(response, 200, "text/plain; charset=utf-8", answer.lines);
  // C2SP tlog-witness
  else if (answer.code === "size_conflict") send(response, 409, "text/x.tlog.size", `${answer.size}\n`);
  else {
    if (answer.retryAfter !== undefined) response.setHeader("retry-after", String(answer.retryAfter));
    refuse(response, answer.code, answer.message);
  }
}

function refuse(response: ServerResponse, code: keyof typeof refusals, message: string): void {
  send(response, refusals[code], "text/plain; charset=utf-8", `${code}: ${printable(message)}\n`);
}

function wrongMethod(response: ServerResponse, allowed: string): void {
  response.setHeader("allow", allowed);
  refuse(response, "method_not_allowed", `this is asked with ${allowed}`);
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  if (response.destroyed) return;
  const length = Buffer.byteLength(body);
  response.writeHead(status, {
    "content-type": type,
    "content-length": length,
    "cache-control": "no-cache",
    "x-content-type-options": "nosniff",
  });
  response.end(body);
}

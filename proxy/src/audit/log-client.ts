/** The two requests that a source makes of a log (spec/submission.md), on one kept-alive connection. */
import * as http from "node:http";
import * as https from "node:https";
import { ProxyError } from "../errors.ts";

const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
const TIMEOUT_MS = 30_000;

export type Answer =
  | {
      readonly status: number;
      /** The body as JSON, undefined when it is none. */
      readonly body: unknown;
      readonly retryAfterMs: number | undefined;
    }
  /** No answer: it cannot be known whether the log did what was asked. */
  | { readonly status: 0; readonly reason: string };

export class LogClient {
  readonly url: string;
  readonly #base: URL;
  readonly #agent: http.Agent;
  readonly #running = new Set<http.ClientRequest>();

  /** @throws ProxyError `bad_config` for anything but an http or https URL */
  constructor(url: string) {
    const base = URL.canParse(url) ? new URL(url) : undefined;
    if (base?.protocol !== "http:" && base?.protocol !== "https:")
      throw new ProxyError("bad_config", `${JSON.stringify(url)} is not the http or https URL of a log`);
    this.url = url;
    this.#base = base;
    const options = { keepAlive: true, maxSockets: 1 };
    this.#agent = base.protocol === "https:" ? new https.Agent(options) : new http.Agent(options);
  }

  /** Where the log stands with each source. */
  sources(timeoutMs: number): Promise<Answer> {
    return this.#request("GET", "sources", [], timeoutMs);
  }

  /** @param body in pieces: what the note is about need not be copied behind the note */
  submit(body: readonly Uint8Array[]): Promise<Answer> {
    return this.#request("POST", "submissions", body, TIMEOUT_MS);
  }

  /** Ends the connection, and the requests on it without an answer. */
  close(): void {
    for (const request of this.#running) request.destroy(new Error("the proxy is being stopped"));
    this.#agent.destroy();
  }

  #request(method: string, path: string, body: readonly Uint8Array[], timeoutMs: number): Promise<Answer> {
    return new Promise((resolve) => {
      const url = new URL(this.#base);
      url.pathname = `${url.pathname.replace(/\/+$/, "")}/api/v1/${path}`;
      let length = 0;
      for (const piece of body) length += piece.length;
      const headers =
        method === "POST" ? { "content-type": "application/octet-stream", "content-length": length } : undefined;
      const request = (url.protocol === "https:" ? https : http).request(url, {
        method,
        agent: this.#agent,
        ...(headers === undefined ? {} : { headers }),
      });
      this.#running.add(request);
      // For the whole exchange: a socket's own timeout never ends for a log that sends a byte now and then.
      const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
      const finish = (answer: Answer): void => {
        clearTimeout(timer);
        this.#running.delete(request);
        resolve(answer);
      };
      request.on("error", (error) => finish({ status: 0, reason: error.message || String(error) }));
      request.on("response", (response) => {
        const pieces: Buffer[] = [];
        let size = 0;
        response.on("data", (piece: Buffer) => {
          size += piece.length;
          pieces.push(piece);
          if (size > MAX_ANSWER_BYTES) request.destroy(new Error(`an answer of more than ${MAX_ANSWER_BYTES} bytes`));
        });
        response.on("error", (error) => finish({ status: 0, reason: error.message }));
        response.on("end", () => {
          const retryAfterMs = parseRetryAfter(response.headers["retry-after"]);
          finish({ status: response.statusCode!, body: parseJson(Buffer.concat(pieces)), retryAfterMs });
        });
      });
      for (const piece of body) request.write(piece);
      request.end();
    });
  }
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    // An answer from something else than a log, such as a gateway's error page; its status says what to do.
    return undefined;
  }
}

/** RFC 9110 section 10.2.3: seconds, or a date. */
function parseRetryAfter(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

/** An answer in a sentence's end: the log's code and message when it gave them. */
export function describe(answer: Answer): string {
  if ("reason" in answer) return answer.reason;
  const error = (answer.body as { error?: { code?: unknown; message?: unknown } } | undefined | null)?.error;
  return error === undefined ? `status ${answer.status}` : `${answer.status} ${error.code}: ${error.message}`;
}

import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { reason } from "./errors.ts";

/** An answer holds signature lines or a size. A line of the longest kind known (ML-DSA-44) has 3.3 KB. */
const MAX_ANSWER_BYTES = 16_384;

/** What came back from a witness. */
export interface WitnessAnswer {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly retryAfter: string | undefined;
  readonly body: Buffer;
}

/** Why nothing did. */
export interface NoAnswer {
  readonly failure: "unreachable" | "timeout" | "too_large";
  readonly message: string;
}

/** Keeps one connection to a witness open between checkpoints. Redirects are not followed. */
export class WitnessConnection {
  readonly #url: URL;
  readonly #agent: HttpAgent;
  #closed = false;

  /** @param url to post to; http or https */
  constructor(url: URL) {
    this.#url = url;
    const options = { keepAlive: true, maxSockets: 1 };
    this.#agent = url.protocol === "https:" ? new HttpsAgent(options) : new HttpAgent(options);
  }

  /** @param timeoutMs for the whole exchange, to the last byte of the answer */
  async post(body: Buffer, timeoutMs: number): Promise<WitnessAnswer | NoAnswer> {
    const exchange: Exchange = { request: undefined, late: false };
    const timer = setTimeout(() => {
      exchange.late = true;
      exchange.request?.destroy();
    }, timeoutMs);
    try {
      return await this.#exchange(body, exchange);
    } catch (error) {
      if (exchange.late) return { failure: "timeout", message: `no whole answer within ${timeoutMs} ms` };
      return { failure: "unreachable", message: reason(error) };
    } finally {
      clearTimeout(timer);
    }
  }

  #exchange(body: Buffer, exchange: Exchange): Promise<WitnessAnswer | NoAnswer> {
    return new Promise((resolve, reject) => {
      const send = this.#url.protocol === "https:" ? httpsRequest : httpRequest;
      const headers = { "content-type": "text/plain; charset=utf-8", "content-length": body.length };
      const request = send(this.#url, { method: "POST", agent: this.#agent, headers }, (answer) => {
        read(answer).then(resolve, reject);
      });
      exchange.request = request;
      request.on("error", (error: NodeJS.ErrnoException) => {
        // The witness closed an idle connection while this was on its way, and never read it. Asking twice is harmless.
        const stale = request.reusedSocket && error.code === "ECONNRESET" && !exchange.late && !this.#closed;
        if (stale) resolve(this.#exchange(body, exchange));
        else reject(error);
      });
      request.end(body);
    });
  }

  /** Closes the connection; what is under way is given up. */
  close(): void {
    this.#closed = true;
    this.#agent.destroy();
  }
}

interface Exchange {
  request: ClientRequest | undefined;
  late: boolean;
}

async function read(answer: IncomingMessage): Promise<WitnessAnswer | NoAnswer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) {
      answer.destroy();
      return { failure: "too_large", message: `the answer has more than ${MAX_ANSWER_BYTES} bytes` };
    }
    chunks.push(chunk);
  }
  return {
    status: answer.statusCode!,
    contentType: answer.headers["content-type"],
    retryAfter: answer.headers["retry-after"],
    body: Buffer.concat(chunks),
  };
}

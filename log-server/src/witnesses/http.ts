import { hash } from "node:crypto";
import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { reason } from "../errors.ts";

/** An answer holds signature lines or a size. A line of the longest kind known (ML-DSA-44) has 3.3 KB. */
const MAX_ANSWER_BYTES = 16_384;
/** spec/checkpoint.md: a reader takes notes of up to 64 KiB. */
const MAX_NOTE_BYTES = 65_536;

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
  readonly #prefix: string;
  readonly #https: boolean;
  readonly #agent: HttpAgent;
  #closed = false;

  /** @param prefix of its paths; http or https */
  constructor(prefix: URL) {
    this.#prefix = prefix.href.replace(/\/+$/, "");
    this.#https = prefix.protocol === "https:";
    const options = { keepAlive: true, maxSockets: 1 };
    this.#agent = this.#https ? new HttpsAgent(options) : new HttpAgent(options);
  }

  /** @param timeoutMs for the whole exchange, to the last byte of the answer */
  addCheckpoint(body: Buffer, timeoutMs: number): Promise<WitnessAnswer | NoAnswer> {
    return this.#within(timeoutMs, { path: "/add-checkpoint", body, most: MAX_ANSWER_BYTES });
  }

  /**
   * @param origin of a log
   * @returns the answer with the checkpoint of that log that it has cosigned last, where it shows that
   */
  latestCheckpoint(origin: string, timeoutMs: number): Promise<WitnessAnswer | NoAnswer> {
    const path = `/${hash("sha256", origin, "hex")}/checkpoint`;
    return this.#within(timeoutMs, { path, body: undefined, most: MAX_NOTE_BYTES });
  }

  async #within(timeoutMs: number, what: Question): Promise<WitnessAnswer | NoAnswer> {
    const exchange: Exchange = { request: undefined, late: false };
    const timer = setTimeout(() => {
      exchange.late = true;
      exchange.request?.destroy();
    }, timeoutMs);
    try {
      return await this.#exchange(what, exchange);
    } catch (error) {
      if (exchange.late) return { failure: "timeout", message: `no whole answer within ${timeoutMs} ms` };
      return { failure: "unreachable", message: reason(error) };
    } finally {
      clearTimeout(timer);
    }
  }

  #exchange(what: Question, exchange: Exchange): Promise<WitnessAnswer | NoAnswer> {
    const { path, body, most } = what;
    return new Promise((resolve, reject) => {
      const send = this.#https ? httpsRequest : httpRequest;
      const headers =
        body === undefined ? {} : { "content-type": "text/plain; charset=utf-8", "content-length": body.length };
      const method = body === undefined ? "GET" : "POST";
      const request = send(this.#prefix + path, { method, agent: this.#agent, headers }, (answer) => {
        read(answer, most).then(resolve, reject);
      });
      exchange.request = request;
      request.on("error", (error: NodeJS.ErrnoException) => {
        // The witness closed an idle connection while this was on its way, and never read it. Asking twice is harmless.
        const stale = request.reusedSocket && error.code === "ECONNRESET" && !exchange.late && !this.#closed;
        if (stale) resolve(this.#exchange(what, exchange));
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

interface Question {
  readonly path: string;
  /** Undefined: a GET. */
  readonly body: Buffer | undefined;
  /** Bytes of the answer's body. */
  readonly most: number;
}

interface Exchange {
  request: ClientRequest | undefined;
  late: boolean;
}

async function read(answer: IncomingMessage, most: number): Promise<WitnessAnswer | NoAnswer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > most) {
      answer.destroy();
      return { failure: "too_large", message: `the answer has more than ${most} bytes` };
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

import { Agent as HttpAgent, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { VerifierError } from "../src/index.ts";
import { printable, printableShort } from "./printable.ts";

export type Answer = {
  status: number;
  headers: IncomingHttpHeaders;
  /** At most one byte more than the limit; what went beyond was not read. */
  body: Uint8Array;
};

export type GetOptions = {
  /** Bytes of an answer with status 200. */
  limit: number;
  headers?: Readonly<Record<string, string>>;
};

/** Of an answer other than 200 only an error message is wanted. */
const failureLimit = 4096;

/** A single answer may take this many times as long as a log may be silent. */
const wholeFactor = 10;

/** Pauses before asking again what was answered "not now", in milliseconds. */
const pauses = [250, 1000, 3000];
const longestPause = 5000;

/** 429, and what a log or a gateway before it says while it cannot serve: an answer, but not one to the question. */
const notNow = new Set([429, 502, 503, 504]);

/** Requests to one log, over connections that are kept. Redirects are not followed, answers not decompressed. */
export class HttpClient {
  readonly #base: string;
  readonly #agent: HttpAgent | HttpsAgent;
  readonly #request: typeof httpRequest;
  readonly #timeoutMs: number;
  #closed = false;

  /**
   * @param url the log's URL prefix
   * @param timeoutMs how long the log may be silent
   * @throws VerifierError `usage` when it is not the URL of a log
   */
  constructor(url: string, timeoutMs: number) {
    const parsed = URL.canParse(url) ? new URL(url) : undefined;
    if (parsed === undefined || (parsed.protocol !== "http:" && parsed.protocol !== "https:")) {
      throw badUrl(url, "it does not begin with http://, https:// or file://, and there is no such folder");
    }
    if (parsed.username !== "" || parsed.password !== "") {
      throw new VerifierError("usage", "--log has a user or password in it; a log is read without");
    }
    if (parsed.search !== "" || parsed.hash !== "") throw badUrl(url, "it has a query or a fragment");
    this.#base = parsed.href.replace(/\/+$/, "");
    const secure = parsed.protocol === "https:";
    this.#agent = new (secure ? HttpsAgent : HttpAgent)({ keepAlive: true, maxSockets: 8 });
    this.#request = secure ? httpsRequest : httpRequest;
    this.#timeoutMs = timeoutMs;
  }

  /** The prefix, without a slash at its end; fit for a terminal. */
  get base(): string {
    return this.#base;
  }

  /** Whether others on the way could read what is sent: not over TLS, and not to this machine itself. */
  get exposed(): boolean {
    const { protocol, hostname } = new URL(this.#base);
    return protocol === "http:" && !/^(?:localhost|127(?:\.[0-9]+){3}|\[::1\])$/.test(hostname);
  }

  /**
   * Asks until there is an answer that is not "not now".
   * @param path below the prefix, without a slash before it
   * @throws VerifierError `log_unreachable`
   */
  async get(path: string, options: GetOptions): Promise<Answer> {
    const url = `${this.#base}/${path}`;
    for (let attempt = 0; ; attempt++) {
      const answer = await this.#once(url, options);
      if (!notNow.has(answer.status)) return answer;
      const pause = pauses[attempt];
      if (pause === undefined) {
        const message = `${url}: the log answers ${answer.status}, after ${attempt + 1} attempts${sentence(answer)}`;
        throw new VerifierError("log_unreachable", message);
      }
      const asked = Number(answer.headers["retry-after"]) * 1000;
      const wait = asked > 0 ? Math.min(asked, longestPause) : pause;
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }

  async #once(url: string, options: GetOptions): Promise<Answer> {
    try {
      return await this.#exchange(url, options, this.#agent);
    } catch (error) {
      // A kept connection may be closed by the other side just as it is used again: that says nothing about the log.
      if (error instanceof StaleConnection && !this.#closed) return this.#exchange(url, options, false);
      throw error;
    }
  }

  /** @param agent false opens a connection for this request alone */
  #exchange(url: string, { limit, headers = {} }: GetOptions, agent: HttpAgent | HttpsAgent | false): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const request = this.#request(url, {
        agent,
        headers: { accept: "*/*", "accept-encoding": "identity", ...headers },
      });
      let began = false;
      const fail = (error: unknown): void => {
        clearTimeout(whole);
        clearTimeout(silence);
        request.destroy();
        const stale = request.reusedSocket && !began && /^(?:ECONNRESET|EPIPE)$/.test(codeOf(error));
        reject(stale ? new StaleConnection() : unreachable(url, error));
      };
      const late = (): void => fail(new Error(`it sent nothing for ${this.#timeoutMs / 1000} s`));
      const tooLong = `its answer was not complete after ${(this.#timeoutMs * wholeFactor) / 1000} s`;
      const whole = setTimeout(() => fail(new Error(tooLong)), this.#timeoutMs * wholeFactor);
      let silence = setTimeout(late, this.#timeoutMs);
      const heard = (): void => {
        clearTimeout(silence);
        silence = setTimeout(late, this.#timeoutMs);
      };
      request.on("error", fail);
      request.on("response", (response) => {
        began = true;
        heard();
        const done = (body: Uint8Array): void => {
          clearTimeout(whole);
          clearTimeout(silence);
          resolve({ status: response.statusCode!, headers: response.headers, body });
        };
        collect(response, response.statusCode === 200 ? limit : failureLimit, heard, done, fail);
      });
      request.end();
    });
  }

  /** Ends what is under way without an answer. */
  close(): void {
    this.#closed = true;
    this.#agent.destroy();
  }
}

class StaleConnection extends Error {}

/** Reads a body up to one byte more than the limit. */
function collect(
  response: IncomingMessage,
  limit: number,
  heard: () => void,
  done: (body: Uint8Array) => void,
  fail: (error: unknown) => void,
): void {
  const chunks: Buffer[] = [];
  let length = 0;
  const finish = (): void => {
    // A copy of its own: what is read later must not stand in the same buffer.
    const body = new Uint8Array(Math.min(length, limit + 1));
    let at = 0;
    for (const chunk of chunks) {
      const part = chunk.subarray(0, body.length - at);
      body.set(part, at);
      at += part.length;
    }
    done(body);
  };
  response.on("data", (chunk: Buffer) => {
    heard();
    chunks.push(chunk);
    length += chunk.length;
    if (length <= limit) return;
    response.removeAllListeners("end");
    finish();
    response.destroy();
  });
  response.on("end", finish);
  response.on("error", fail);
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | null)?.code ?? "");
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "the connection was refused",
  ECONNRESET: "the connection broke off",
  EPIPE: "the connection broke off",
  ENOTFOUND: "there is no such host",
  EAI_AGAIN: "its name cannot be resolved now",
  ETIMEDOUT: "the connection timed out",
  EHOSTUNREACH: "there is no way to the host",
  ENETUNREACH: "there is no way to the network",
};

function unreachable(url: string, error: unknown): VerifierError {
  const code = codeOf(error);
  const message = error instanceof Error ? error.message : String(error);
  const why = reasons[code] ?? protocol(code, message) ?? message;
  return new VerifierError("log_unreachable", `${url}: no answer from the log: ${printableShort(why)}`);
}

/** @returns what is said of an answer in another protocol; OpenSSL's own words are about its source code */
function protocol(code: string, message: string): string | undefined {
  if (code.startsWith("HPE_")) return `it does not speak HTTP: ${message}`;
  if (/wrong version number|packet length too long|record layer failure/i.test(message))
    return "it does not speak TLS; if it is plain HTTP, the URL begins with http://";
  return undefined;
}

function badUrl(url: string, why: string): VerifierError {
  return new VerifierError("usage", `--log ${printableShort(url)} is not the URL of a log: ${why}`);
}

/** @returns what an error of the log says about itself, to be put behind a message; "" when it says nothing. */
export function sentence(answer: Answer): string {
  try {
    const body = JSON.parse(new TextDecoder().decode(answer.body)) as { error?: { code?: unknown; message?: unknown } };
    const { code, message } = body.error ?? {};
    if (typeof code !== "string") return "";
    return ` (${printable(code.slice(0, 60))}${typeof message === "string" ? `: ${printableShort(message)}` : ""})`;
  } catch {
    return ""; // not an error of a log: its status is all there is to tell
  }
}

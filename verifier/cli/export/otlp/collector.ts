import { setTimeout as sleep } from "node:timers/promises";
import { parseDecimal } from "../../../src/formats/text.ts";
import { VerifierError } from "../../../src/index.ts";
import { printableShort } from "../../printable.ts";

export type CollectorOptions = {
  /** Sent with each request; they may hold secrets, and are never printed. */
  headers: Readonly<Record<string, string>>;
  /** How long a collector may take to answer, in milliseconds. */
  timeoutMs: number;
  /** How long to try again what is not taken, in milliseconds; Infinity while the log is followed. */
  retryMs: number;
  /** The first pause before trying again, in milliseconds; it doubles each time. */
  firstPauseMs?: number;
  signal: AbortSignal;
  /** Takes what an operator should read. */
  log(message: string): void;
};

/** `rejected` is of how many records the collector says that it has not kept them, and `message` what else it says. */
export type Taken = { taken: true; rejected: number; message: string } | { taken: false; reason: "too_large" };

/** OTLP specification, failures: these, and a connection that fails, may be tried again. */
const retryable = new Set([429, 502, 503, 504]);
const longestPauseMs = 30_000;
/** A collector may ask for a longer pause than ours, within reason. */
const longestAskedMs = 3_600_000;
const maxAnswerLength = 65_536;

/** OTLP over HTTP, JSON encoding: `POST <endpoint>/v1/logs`. */
export class Collector {
  readonly #url: string;
  readonly #options: CollectorOptions;
  #failing = false;

  /** @throws VerifierError `usage` when the endpoint is not a URL that can be posted to */
  constructor(endpoint: string, options: CollectorOptions) {
    const parsed = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
    if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) {
      throw new VerifierError(
        "usage",
        "--endpoint is not the URL of a collector: it does not begin with http:// or https://",
      );
    }
    if (parsed.username !== "" || parsed.password !== "") {
      throw new VerifierError(
        "usage",
        "--endpoint has a user or password in it; put a header into a file for --headers",
      );
    }
    if (parsed.search !== "" || parsed.hash !== "") {
      throw new VerifierError("usage", "--endpoint has a query or a fragment; /v1/logs is put behind it");
    }
    this.#url = `${parsed.href.replace(/\/+$/, "")}/v1/logs`;
    this.#options = options;
  }

  /** Fit for a terminal. */
  get host(): string {
    return new URL(this.#url).host;
  }

  /**
   * Sends until it is taken, or refused for good.
   * @throws VerifierError `collector_refused`, `collector_unreachable`; the signal's reason when that is aborted
   */
  async send(body: string): Promise<Taken> {
    const { signal, retryMs, firstPauseMs = 1000 } = this.#options;
    const begun = performance.now();
    for (let attempt = 0; ; attempt++) {
      const answer = await this.#once(body);
      signal.throwIfAborted();
      if (!("why" in answer)) {
        if (this.#failing) this.#options.log(`the collector at ${this.host} takes records again`);
        this.#failing = false;
        return answer;
      }
      const pause = Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(attempt, 20)) * (0.5 + Math.random() / 2);
      const wait = Math.max(pause, answer.askedMs ?? 0);
      if (performance.now() - begun + wait > retryMs) {
        const message = `the collector at ${this.host} does not take what it is sent: ${answer.why}; the same rows come again`;
        throw new VerifierError("collector_unreachable", message);
      }
      if (!this.#failing) this.#options.log(`the collector at ${this.host}: ${answer.why}; it is tried again`);
      this.#failing = true;
      await sleep(wait, undefined, { signal });
    }
  }

  async #once(body: string): Promise<Taken | { why: string; askedMs?: number }> {
    const { headers, signal, timeoutMs } = this.#options;
    let response: Response;
    let text: string;
    try {
      response = await fetch(this.#url, {
        method: "POST",
        headers: { ...headers, "content-type": "application/json" },
        body,
        // A redirect could lead anywhere, with the rows in it.
        redirect: "manual",
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      });
      text = await readBounded(response);
    } catch (error) {
      const { message, cause } = error as Error & { cause?: Error };
      return { why: printableShort(cause?.message || message) };
    }
    const { status } = response;
    if (response.ok) {
      // A page for people, which answers whatever is asked: nobody has kept anything.
      if (/^text\/html\b/i.test(response.headers.get("content-type") ?? ""))
        throw this.#refused(`${status} with a page`);
      return taken(text);
    }
    if (retryable.has(status)) {
      const askedMs = retryAfter(response.headers.get("retry-after"), Date.now());
      return { why: `it answers ${status}`, ...(askedMs === undefined ? {} : { askedMs }) };
    }
    if (status === 413) return { taken: false, reason: "too_large" };
    throw this.#refused(`${status}${said(text)}`);
  }

  #refused(answer: string): VerifierError {
    return new VerifierError("collector_refused", `the collector at ${this.host} answers ${answer}`);
  }
}

/** @returns milliseconds from now; undefined when the header is neither seconds nor a date (RFC 9110 section 10.2.3) */
export function retryAfter(value: string | null, now: number): number | undefined {
  if (value === null) return undefined;
  const ms = /^[0-9]{1,9}$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), longestAskedMs);
}

async function readBounded({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
    length += chunk.length;
    // Leaving the loop cancels the rest.
    if (length > maxAnswerLength) break;
  }
  return Buffer.concat(chunks).subarray(0, maxAnswerLength).toString("utf8");
}

/** OTLP specification, partial success. An answer without a body, or with one that is not JSON, says that all is taken. */
function taken(text: string): Taken {
  const { partialSuccess } = (parseJson(text) ?? {}) as { partialSuccess?: unknown };
  const { rejectedLogRecords, errorMessage } = (partialSuccess ?? {}) as Record<string, unknown>;
  return {
    taken: true,
    // A 64-bit integer, which JSON may have as a number or as a text.
    rejected: parseDecimal(String(rejectedLogRecords ?? 0)) ?? 0,
    message: typeof errorMessage === "string" ? printableShort(errorMessage) : "",
  };
}

function said(text: string): string {
  const { message } = (parseJson(text) ?? {}) as { message?: unknown };
  return typeof message === "string" && message !== "" ? `: ${printableShort(message)}` : "";
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the status has said what counts
  }
}

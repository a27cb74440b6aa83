import { setTimeout as sleep } from "node:timers/promises";
import { VerifierError } from "../../src/index.ts";
import { printableShort } from "../printable.ts";

/** Pauses before sending again what was not taken, in milliseconds. */
const pauses = [500, 2000];
const timeoutMs = 10_000;

/** Posts JSON to one URL, which may have a secret in it: of it only the host is ever shown. */
export class Webhook {
  readonly #url: string;
  readonly #pauses: readonly number[];

  /** @throws VerifierError `usage` when it is not such a URL */
  constructor(url: string, waits: readonly number[] = pauses) {
    const parsed = URL.canParse(url) ? new URL(url) : undefined;
    if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) {
      throw new VerifierError(
        "usage",
        "--webhook is not the URL of a webhook: it does not begin with http:// or https://",
      );
    }
    if (parsed.username !== "" || parsed.password !== "") {
      throw new VerifierError("usage", "--webhook has a user or password in it, which would not be sent");
    }
    this.#url = parsed.href;
    this.#pauses = waits;
  }

  /** Fit for a terminal. */
  get host(): string {
    return new URL(this.#url).host;
  }

  /**
   * Sends, a few times if need be.
   * @returns undefined once it was taken (status 2xx), else why it was not
   */
  async send(body: string, signal: AbortSignal): Promise<string | undefined> {
    for (let attempt = 0; ; attempt++) {
      const why = await this.#once(body, signal);
      const pause = this.#pauses[attempt];
      if (why === undefined || pause === undefined || signal.aborted) return why;
      await sleep(pause, undefined, { signal }).catch(() => undefined); // then it is the last attempt
    }
  }

  async #once(body: string, signal: AbortSignal): Promise<string | undefined> {
    try {
      const answer = await fetch(this.#url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
        // A redirect could lead anywhere, with the alert in it.
        redirect: "manual",
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      });
      await answer.body?.cancel(); // what it says does not matter, and may be without end
      return answer.ok ? undefined : `it answers ${answer.status}`;
    } catch (error) {
      const { message, cause } = error as Error & { cause?: Error };
      return printableShort(cause?.message ?? message);
    }
  }
}

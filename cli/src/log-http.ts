import { setTimeout as sleep } from "node:timers/promises";
import { CliError } from "./errors.ts";
import { printable } from "./printable.ts";

/** The log ends a page at about 4 MiB of entries; in JSON they take up to six times as much. */
const MOST_BYTES = 64 * 2 ** 20;
const TIMEOUT_MS = 30_000;
/** How often a log that says "not now" is asked again, and how long it is waited for at most each time. */
const ATTEMPTS = 8;
const LONGEST_PAUSE_MS = 5000;

/**
 * Asks a log that runs, again while it says "not now". Nothing of the answer is verified.
 *
 * @param order is sent to the log as JSON; without it something is only asked
 * @returns the body of an answer that says yes
 * @throws CliError `log_unreachable`, `log_refused`, `log_answer`
 */
export async function askLog(url: string, token: string | undefined, order?: object): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    const response = await send(url, token, order);
    const text = await readText(response);
    if (response.ok) return text;
    const again = response.status === 429 || response.status === 503;
    if (!again || attempt === ATTEMPTS) {
      const said = sentence(text);
      if (!again && said === "") throw noLog(url, response.status);
      const advice = response.status === 401 && token === undefined ? "; give the file of one with --token-file" : "";
      const code = again ? "log_unreachable" : "log_refused";
      throw new CliError(code, `the log answers ${response.status}${said}${advice}`);
    }
    const asked = Number(response.headers.get("retry-after"));
    await sleep(Math.min(LONGEST_PAUSE_MS, asked > 0 ? asked * 1000 : 1000));
  }
}

async function send(url: string, token: string | undefined, order: object | undefined): Promise<Response> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const request =
    order === undefined
      ? { headers }
      : {
          method: "POST",
          headers: { ...headers, "content-type": "application/json" },
          body: JSON.stringify(order),
        };
  try {
    // A redirect would take the token elsewhere.
    return await fetch(url, { ...request, redirect: "error", signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (error) {
    throw unreachable(url, error);
  }
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of response.body ?? []) {
      length += chunk.length;
      if (length > MOST_BYTES) throw new CliError("log_answer", `the log's answer has more than ${MOST_BYTES} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof CliError ? error : unreachable(response.url, error);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** A log says why it refuses; a gateway, or another server at this address, says it otherwise. */
function noLog(url: string, status: number): CliError {
  const { origin } = new URL(url);
  return new CliError("log_answer", `${origin} answers ${status}, and not as a log does; check the URL of the log`);
}

function unreachable(url: string, error: unknown): CliError {
  const { origin } = new URL(url);
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const message = cause instanceof Error ? printable(cause.message) : String(cause);
  // OpenSSL's own words are about its source code.
  const why = /wrong version number|packet length too long|record layer failure/i.test(message)
    ? "it does not speak TLS; if it is plain HTTP, the URL begins with http://"
    : message;
  return new CliError("log_unreachable", `no answer from the log at ${origin}: ${why}`, { cause: error });
}

/** @returns what an error of the log says about itself, to be put behind a message. */
function sentence(text: string): string {
  const answer = parseJson(text) as { error?: { code?: unknown; message?: unknown } } | undefined;
  const { code, message } = answer?.error ?? {};
  if (typeof code !== "string" || typeof message !== "string") return "";
  return `, ${printable(code.slice(0, 60))}: ${printable(message.slice(0, 400))}`;
}

/** @returns the value; undefined when the text is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the caller says what it is not
  }
}

import { setTimeout as sleep } from "node:timers/promises";
import { CliError } from "./errors.ts";
import { printable } from "./printable.ts";
import { FIELD_OPTIONS, type SearchCommand } from "./search-args.ts";

/** An entry that the log says it has. Nothing here is verified. */
export interface Hit {
  readonly index: number;
  readonly entry: Readonly<Record<string, unknown>>;
}

/** What the log answered. */
export interface Found {
  /** Of the tree that was searched. */
  readonly size: number;
  /** Newest first. */
  readonly hits: readonly Hit[];
  /** Whether all of that tree was searched; else there may be older hits. */
  readonly complete: boolean;
}

const PAGE = 500;
/** The log ends a page at about 4 MiB of entries; in JSON they take up to six times as much. */
const MOST_BYTES = 64 * 2 ** 20;
const TIMEOUT_MS = 30_000;
/** How often a log that says "not now" is asked again, and how long it is waited for at most each time. */
const ATTEMPTS = 8;
const LONGEST_PAUSE_MS = 5000;

/**
 * Searches, page by page, until there are enough hits or nothing is left to search.
 *
 * @throws CliError `log_unreachable`, `log_refused`, `log_answer`
 */
export async function searchLog(command: SearchCommand): Promise<Found> {
  const query = new URLSearchParams();
  for (const [option, values] of command.fields) {
    for (const value of values) query.append(FIELD_OPTIONS[option], value);
  }
  // As the verifier's audit: who restricts nothing wants to see what was done, not how the log keeps its books.
  if (command.fields.size === 0) for (const kind of ["statement", "access.refused"]) query.append("kind", kind);
  if (command.since !== undefined) query.set("since", command.since);
  if (command.until !== undefined) query.set("until", command.until);
  const hits: Hit[] = [];
  for (;;) {
    query.set("limit", String(Math.min(PAGE, command.limit - hits.length)));
    const page = readPage(await ask(`${command.log}/api/v1/search?${query}`, command.token), hits.at(-1)?.index);
    hits.push(...page.hits);
    if (page.next === null) return { size: page.size, hits, complete: true };
    if (hits.length >= command.limit) return { size: page.size, hits, complete: false };
    query.set("cursor", page.next);
  }
}

/** @returns the body of an answer 200. */
async function ask(url: string, token: string | undefined): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    const response = await get(url, token);
    const text = await readText(response);
    if (response.status === 200) return text;
    const again = response.status === 429 || response.status === 503;
    if (!again || attempt === ATTEMPTS) {
      const code = again ? "log_unreachable" : "log_refused";
      throw new CliError(code, `the log answers ${response.status}${sentence(text)}`);
    }
    const asked = Number(response.headers.get("retry-after"));
    await sleep(Math.min(LONGEST_PAUSE_MS, asked > 0 ? asked * 1000 : 1000));
  }
}

async function get(url: string, token: string | undefined): Promise<Response> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  try {
    // A redirect would take the token elsewhere.
    return await fetch(url, { headers, redirect: "error", signal: AbortSignal.timeout(TIMEOUT_MS) });
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

function unreachable(url: string, error: unknown): CliError {
  const { origin } = new URL(url);
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const why = cause instanceof Error ? printable(cause.message) : String(cause);
  return new CliError("log_unreachable", `no answer from the log at ${origin}: ${why}`, { cause: error });
}

/** @returns what an error of the log says about itself, to be put behind a message. */
function sentence(text: string): string {
  const answer = parseJson(text) as { error?: { code?: unknown; message?: unknown } } | undefined;
  const { code, message } = answer?.error ?? {};
  if (typeof code !== "string" || typeof message !== "string") return "";
  return `, ${printable(code.slice(0, 60))}: ${printable(message.slice(0, 400))}`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the caller says what it is not
  }
}

interface Page {
  readonly size: number;
  readonly hits: Hit[];
  readonly next: string | null;
}

const isIndex = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** @param above the index of the hit before: indexes descend, so that a search comes to an end */
function readPage(text: string, above: number | undefined): Page {
  const bad = (what: string): CliError =>
    new CliError("log_answer", `the log's answer is no page of a search: ${what}`);
  const page = parseJson(text);
  if (!isObject(page)) throw bad("it is not a JSON object");
  const { size, hits, next } = page;
  if (!isIndex(size)) throw bad('"size" is not a size');
  if (next !== null && (typeof next !== "string" || next.length > 200)) throw bad('"next" is not a cursor');
  if (!Array.isArray(hits)) throw bad('"hits" is not a list');
  let below = above ?? size;
  const read = hits.map((hit): Hit => {
    if (!isObject(hit) || !isIndex(hit.index) || hit.index >= below) throw bad("its indexes do not descend");
    below = hit.index;
    const entry = typeof hit.entry === "string" ? parseJson(hit.entry) : undefined;
    if (!isObject(entry)) throw bad(`its entry ${hit.index} is no entry`);
    return { index: hit.index, entry };
  });
  return { size, hits: read, next };
}

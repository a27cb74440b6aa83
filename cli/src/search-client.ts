import { FIELD_OPTIONS, type SearchCommand } from "./args/search.ts";
import { CliError } from "./errors.ts";
import { askLog, parseJson } from "./log-http.ts";

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
    const page = readPage(await askLog(`${command.log}/api/v1/search?${query}`, command.token), hits.at(-1)?.index);
    hits.push(...page.hits);
    if (page.next === null) return { size: page.size, hits, complete: true };
    if (hits.length >= command.limit) return { size: page.size, hits, complete: false };
    query.set("cursor", page.next);
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

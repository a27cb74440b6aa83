import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { withDefaults } from "../../src/hooks.ts";
import { readSearch } from "../../src/search/parameters.ts";
import type { SearchLimits } from "../../src/search/reading.ts";
import { Searcher, type SearchPage } from "../../src/search/search.ts";
import { SearchIndex } from "../../src/search/search-index.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import { TreeReader } from "../../src/tree/log.ts";
import { grow, newEdge } from "./tree.ts";

// Entries to search in, and what a search must find in them: said once more, without any index.

// biome-ignore lint/suspicious/noExplicitAny: an entry as it is parsed
type Entry = any;

const BASE = Date.UTC(2026, 10, 22);

export function stamp(second: number): string {
  return new Date(BASE + second * 1000).toISOString().replace("Z", "000Z");
}

const pick = <T>(list: readonly T[], n: number): T => list[n % list.length]!;

/** What the log does itself has no actor, and names a token. */
function act(index: number): Entry {
  const head = { source: "log.example/acts", epoch: 1, seq: index, time: stamp(index) };
  if (index % 2 === 0)
    return { v: 1, kind: "disclosure.read", ...head, reader: "auditor ada", index: 5, names: ["sql"] };
  return { v: 1, kind: "source.retired", ...head, by: "app", retired: { name: "s" } };
}

/** A statement, or now and then another kind; what it says depends on its index alone. */
export function entryAt(index: number): Entry {
  const noise = (index * 2_654_435_761) % 4_294_967_296;
  if (index % 1201 === 7) return act(index);
  const kind = index % 97 === 0 ? "session.start" : index % 101 === 0 ? "access.refused" : "statement";
  // Two sources, one of them a day late; and a clock that goes back now and then.
  const source = pick(["a.example/one", "b.example/two"], noise % 7 === 0 ? 1 : 0);
  const second = index - (index % 500 === 3 ? 3000 : 0) - (source.startsWith("b") ? 86_400 : 0);
  const head = { v: 1, kind, source, epoch: 1, seq: index, time: stamp(second) };
  // Mostly the same few, then some that come once in hundreds or thousands, and one that is everywhere for a while.
  const login =
    index % 1777 === 5 ? "rare" : index % 9000 === 4500 ? `once-${index}` : pick(["app", "app", "etl"], noise);
  const actor = { login, auth: "trust", ...(index % 311 === 0 ? { identity: "alice@example.org" } : {}) };
  const database = index > 5000 && index < 6000 ? "vault" : "shop";
  if (kind === "access.refused") return { ...head, actor, database, by: "proxy" };
  const session = `1.${Math.floor(index / 40) + (index % 3)}`;
  if (kind === "session.start") return { ...head, session, actor, database };
  const many = index % 2003 === 1 ? Array.from({ length: 60 }, (_, i) => ({ name: `part_${i}`, access: "read" })) : [];
  const relations = [
    ...many,
    { schema: "public", name: pick(["accounts", "tellers", "branches"], noise), access: "read" },
    ...(noise % 13 === 0 ? [{ name: "history", access: "write" }] : []),
  ];
  const operation = pick(["SELECT", "UPDATE", "INSERT", "CREATE TABLE"], Math.floor(noise / 8));
  const outcome = index % 61 === 0 ? "failed" : "completed";
  const claimed =
    index % 5 === 0 ? { claimed: { user: { name: pick(["ann", "bob", "app"], noise), from: "comment" } } } : {};
  const trial = index % 37 === 0 ? { would_deny: "trial" } : {};
  const decided = index % 3 === 0 ? { rule: pick(["staff", "default", "trial"], noise), ...trial } : {};
  const what = { operation, class: pick(["read", "write"], noise), relations, ...decided, outcome };
  return { ...head, session, actor, database, ...claimed, ...what };
}

/** What is searched for, as parameters; the same question to the index and to `naive`. */
export type Parameters = Readonly<Record<string, string | readonly string[]>>;

function has(entry: Entry, name: string, value: string): boolean {
  switch (name) {
    case "actor":
      if (entry.reader === value || (entry.by === value && entry.kind !== "access.refused")) return true;
      return entry.actor?.login === value || entry.actor?.identity === value;
    case "identity":
      return entry.actor?.identity === value;
    case "claimed":
      return entry.claimed?.user?.name === value;
    case "relation":
      return (entry.relations ?? []).some(
        (relation: Entry) => relation.name === value || `${relation.schema}.${relation.name}` === value,
      );
    case "operation": {
      const operation: string = entry.kind === "statement" ? entry.operation : entry.kind;
      return operation.toLowerCase() === value.toLowerCase();
    }
    case "since":
      return entry.time >= value;
    case "until":
      return entry.time < value;
    default:
      return entry[name] === value;
  }
}

/** @returns the indexes that match, newest first. */
export function naive(entries: readonly Entry[], parameters: Parameters): number[] {
  const asked = Object.entries(parameters).map(([name, values]) => [name, [values].flat()] as const);
  return entries
    .flatMap((entry, index) => (asked.every(([name, values]) => values.some((v) => has(entry, name, v))) ? index : []))
    .reverse();
}

export async function growEntries(size: number): Promise<{ store: MemoryStore; entries: Entry[] }> {
  const entries = Array.from({ length: size }, (_, index) => entryAt(index));
  const store = new MemoryStore();
  await grow(store, newEdge(), size, [700], (index) => Buffer.from(JSON.stringify(entries[index])));
  return { store, entries };
}

export interface SearchBench {
  readonly path: string;
  readonly warnings: string[];
  open(store: MemoryStore, atSearch?: (point: string) => void | Promise<void>): SearchIndex;
}

/** A folder for an index, and what it said. */
export async function searchBench(t: Test): Promise<SearchBench> {
  const folder = await mkdtemp(join(tmpdir(), "vitrine-search-"));
  const path = join(folder, "search");
  const warnings: string[] = [];
  t.after(() => rm(folder, { recursive: true, force: true }));
  const log = (level: string, line: string): void => {
    if (level === "warn") warnings.push(line);
  };
  return {
    path,
    warnings,
    open: (store, atSearch = () => {}) =>
      new SearchIndex(path, "o", new TreeReader(store), withDefaults({ log, atSearch })),
  };
}

/** @returns all pages of a search, each asked for with what the one before said. */
export async function searchAll(
  index: SearchIndex,
  store: MemoryStore,
  size: number,
  parameters: Parameters,
  limit: number = 500,
  limits?: SearchLimits,
): Promise<SearchPage[]> {
  const searcher = new Searcher(index, new TreeReader(store), limits);
  const { query } = readSearch(parameters, size);
  const pages: SearchPage[] = [];
  for (let from: { size: number; below: number } | undefined; ; ) {
    const page = await searcher.page({ query, limit, ...(from === undefined ? {} : { from }) }, size);
    pages.push(page);
    if (page.below === 0) return pages;
    from = { size: page.size, below: page.below };
  }
}

export const indexesOf = (pages: readonly SearchPage[]): number[] =>
  pages.flatMap(({ hits }) => hits.map(({ index }) => index));

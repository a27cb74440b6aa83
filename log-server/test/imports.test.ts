import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";

// Arrows run one way (STYLE.md): a file imports only from rooms below its own.

const SRC = new URL("../../src/", import.meta.url).pathname;

const ROOMS: readonly (readonly string[])[] = [
  ["errors", "encoding", "forms", "hooks"],
  ["merkle", "note", "tile", "kinds", "evidence", "policy", "cosignature"],
  ["checkpoint", "entry", "entry-shapes", "added", "submission", "disclosure", "disclosure-check"],
  ["store", "level-keys", "memory-store", "level-store", "index-folder"],
  ["search-postings", "search-terms", "search-zones", "search-chunk", "search-cursor"],
  [
    "log",
    "sources",
    "handover",
    "acts-key",
    "erasure-scope",
    "check",
    "turn",
    "position",
    "guard",
    "token-file",
    "tokens",
    "keys",
    "config-keys",
    "config",
    "paths",
    "waiting-room",
    "rate-limit",
    "signing-keys",
    "witness-http",
    "witness-protocol",
    "witness",
    "witnesses",
    "reload",
  ],
  [
    "recovery",
    "acts",
    "registry",
    "erasure",
    "sequencer",
    "publisher",
    "hash-index",
    "search-lists",
    "search-candidates",
    "search-bundles",
    "search-reading",
    "search-index",
    "search",
    "search-parameters",
    "intake",
    "metrics",
    "health",
    "edge-check",
    "open-log",
  ],
  ["context"],
  [
    "routes/parameters",
    "routes/route",
    "routes/json-body",
    "routes/sources",
    "routes/erasures",
    "routes/access",
    "routes/accept-encoding",
    "routes/add",
    "routes/tiles",
    "routes/ct",
    "routes/submissions",
    "routes/entries",
    "routes/limits",
    "routes/operations",
    "routes/search",
    "routes/front-page",
  ],
  ["server"],
  [
    "tools/findings",
    "tools/stopped",
    "tools/fsck-sources",
    "tools/fsck-tree",
    "tools/fsck",
    "tools/export-folder",
    "tools/export",
    "tools/inspect",
  ],
  ["start"],
  ["main", "index"],
];

t.test("every file has its room, and imports run downwards", async (t) => {
  const files = readdirSync(SRC, { recursive: true })
    .map(String)
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.slice(0, -3));
  t.same(files.sort(), ROOMS.flat().sort());
  const level = (file: string): number => ROOMS.findIndex((room) => room.includes(file));
  const edges = new Map<string, string[]>();
  for (const file of files) {
    const text = readFileSync(join(SRC, `${file}.ts`), "utf8");
    const targets = [...text.matchAll(/from "(\.[^"]+)\.ts"/g)].map((match) => join(file, "..", match[1]!));
    edges.set(file, targets);
    for (const target of targets) t.ok(level(target) <= level(file), `${file} imports ${target}`);
  }
  // Inside a room too, nothing imports what imports it.
  const seen = new Map<string, "open" | "done">();
  const visit = (file: string): void => {
    if (seen.get(file) === "done") return;
    t.not(seen.get(file), "open", `${file} is in no circle`);
    seen.set(file, "open");
    for (const target of edges.get(file) ?? []) visit(target);
    seen.set(file, "done");
  };
  for (const file of files) visit(file);
});

t.test("LevelDB is known to the store and the indexes alone, HTTP to the server alone", async (t) => {
  const importing = (name: string): string[] =>
    readdirSync(SRC, { recursive: true })
      .map(String)
      .filter((file) => file.endsWith(".ts") && readFileSync(join(SRC, file), "utf8").includes(`from "${name}"`))
      .sort();
  t.same(importing("level"), ["index-folder.ts", "level-store.ts"]);
  t.same(
    importing("fastify").filter((file) => !file.startsWith("routes/")),
    ["server.ts"],
  );
  t.same(importing("yaml"), ["config.ts"]);
});

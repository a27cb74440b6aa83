import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";

// Arrows run one way (STYLE.md): a file imports only from its own room and those below, and nothing that imports it.

const SRC = new URL("../../src/", import.meta.url).pathname;

/** From the bottom up. A file of no folder is a room of its own. */
const ROOMS: readonly (readonly string[])[] = [
  ["errors", "hooks"],
  ["formats"],
  ["entries", "config"],
  ["keys", "store", "access", "witnesses"],
  ["tree", "reload"],
  ["intake", "publish", "search"],
  ["erasure", "health", "metrics"],
  ["open-log"],
  ["context"],
  ["routes"],
  ["server"],
  ["start", "tools"],
  ["main", "index"],
];

const FILES = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));

const roomOf = (file: string): string => file.replace(/\.ts$/, "").split("/")[0]!;

const levelOf = (file: string): number => ROOMS.findIndex((rooms) => rooms.includes(roomOf(file)));

t.test("imports run downwards", async (t) => {
  t.same([...new Set(FILES.map(roomOf))].sort(), ROOMS.flat().sort());
  const edges = new Map<string, string[]>();
  for (const file of FILES) {
    const text = readFileSync(join(SRC, file), "utf8");
    const targets = [...text.matchAll(/from "(\.[^"]+)"/g)].map((match) => join(file, "..", match[1]!));
    edges.set(file, targets);
    for (const target of targets) {
      const fine = roomOf(target) === roomOf(file) || levelOf(target) < levelOf(file);
      t.ok(fine, `${file} imports ${target}`);
    }
  }
  const seen = new Map<string, "open" | "done">();
  const visit = (file: string): void => {
    if (seen.get(file) === "done") return;
    t.not(seen.get(file), "open", `${file} is in no circle`);
    seen.set(file, "open");
    for (const target of edges.get(file) ?? []) visit(target);
    seen.set(file, "done");
  };
  for (const file of FILES) visit(file);
});

t.test("LevelDB is known to the store and the indexes alone, HTTP to the server alone", async (t) => {
  const importing = (name: string): string[] =>
    FILES.filter((file) => readFileSync(join(SRC, file), "utf8").includes(`from "${name}"`)).sort();
  t.same(importing("level"), ["store/index-folder.ts", "store/level-store.ts"]);
  t.same(
    importing("fastify").filter((file) => !file.startsWith("routes/")),
    ["server.ts"],
  );
  t.same(importing("yaml"), ["config/config.ts"]);
});

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";

const SRC = new URL("../../src/", import.meta.url).pathname;

const FILES = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));

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

// PostgreSQL's own regression scripts, as they come with a package, under the same judge as the generated statements.
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import t from "tap";
import { Analyzer } from "../../src/statements/index.ts";
import { follow, prepare } from "../statements/oracle/follower.ts";
import { startServer } from "../statements/oracle/server.ts";
import { statementsOf } from "../statements/oracle/split.ts";

/** Its source distribution has the scripts of PostgreSQL 17. */
const PACKAGE = "pglast==7.20";

/** In this order, the first for the others. */
const SCRIPTS: readonly string[] = `test_setup create_misc select select_into union subselect with insert
  insert_conflict update delete returning copy2 portals prepare create_table_like rules matview sequence truncate lock
  temp`.split(/\s+/);

/** More is seen than said, and why: proxy/README.md, "What a text does not tell". */
const REASONS: readonly (readonly [RegExp, string])[] = [
  [/\brtest_vview5\b/, "the view calls a function"],
  [/\b(?:pg_rules|pg_sequences|information_schema\.views)\b/, "views that tell of definitions open what these are of"],
  [/\btrunc_trigger_test\b/, "the trigger writes elsewhere"],
];

const run = promisify(execFile);

/** @returns the folder of the scripts, or why there is none */
async function fetched(folder: string): Promise<{ scripts: string } | { skip: string }> {
  try {
    const args = ["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "pglast", "--dest", folder, PACKAGE];
    await run("python3", args, { timeout: 240_000 });
    const [archive] = readdirSync(folder).filter((name) => name.endsWith(".tar.gz"));
    await run("tar", ["-xzf", archive!, "--wildcards", "*/postgres_regress/*.sql"], { cwd: folder });
    const [root] = readdirSync(folder).filter((name) => !name.endsWith(".gz"));
    return { scripts: join(folder, root!, "libpg_query/test/sql/postgres_regress") };
  } catch (error) {
    return { skip: `pip cannot download the source of ${PACKAGE}: ${(error as Error).message.split("\n")[0]}` };
  }
}

const folder = mkdtempSync(join(tmpdir(), "regression-"));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
const server = await startServer({ settings: ["max_locks_per_transaction=512"] });
const source = typeof server === "string" ? { skip: server } : await fetched(folder);

t.test(
  "what the scripts do is what is said of them",
  { skip: "skip" in source && source.skip, timeout: 500_000 },
  async (t) => {
    if (typeof server === "string" || "skip" in source) return;
    const analyzer = await Analyzer.load();
    await prepare(server.socket);
    let judged = 0;
    for (const script of SCRIPTS) {
      const statements = statementsOf(readFileSync(join(source.scripts, `${script}.sql`), "utf8"));
      const followed = await follow(server.socket, analyzer, statements);
      const left = followed.wrong.filter(({ sql }) => !REASONS.some(([pattern]) => pattern.test(sql)));
      t.same(left, [], `${script}: ${followed.judged} judged of ${statements.length}`);
      judged += followed.judged;
    }
    t.ok(judged >= 2500, `${judged} statements`);
  },
);

t.test("the end", async () => {
  if (typeof server !== "string") await server.stop();
});
t.end();

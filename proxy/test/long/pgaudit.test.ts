// The generated statements before another judge: pgAudit, in Debian's PostgreSQL 15.
import { execFile } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import t from "tap";
import { Analyzer } from "../../src/statements/index.ts";
import { judgeAudited } from "../statements/oracle/judge.ts";
import { startServer } from "../statements/oracle/server.ts";
import { Witness } from "../statements/oracle/witness.ts";
import { CALLS } from "../statements/world/calls.ts";
import { DEFINITIONS } from "../statements/world/definitions.ts";
import { READS } from "../statements/world/reads.ts";
import { SESSION, WORLD } from "../statements/world/schema.ts";
import { tryAll } from "../statements/world/tried.ts";
import { WRITES } from "../statements/world/writes.ts";

const BINARIES = "/usr/lib/postgresql/15/bin";
const INSTALLED = "/usr/lib/postgresql/15/lib/pgaudit.so";
const PACKAGE = "postgresql-15-pgaudit";
/** One in so many; every kind of place and of relation is among them. */
const EVERY = 6;

const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), "pgaudit-"));
chmodSync(folder, 0o755);
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

/** @returns pgAudit's library: the installed one, or out of its package; or why there is none */
async function library(): Promise<{ path: string } | { skip: string }> {
  if (!existsSync(join(BINARIES, "postgres"))) return { skip: `there is no ${BINARIES}/postgres` };
  if (existsSync(INSTALLED)) return { path: INSTALLED };
  try {
    await run("apt-get", ["download", PACKAGE], { cwd: folder, timeout: 60_000 });
    await run("dpkg", ["-x", readdirSync(folder)[0]!, "unpacked"], { cwd: folder });
    return { path: join(folder, "unpacked", INSTALLED) };
  } catch (error) {
    return { skip: `${PACKAGE}: ${(error as Error).message.split("\n")[0]}` };
  }
}

const found = await library();

t.test("what pgAudit tells is said", { skip: "skip" in found && found.skip, timeout: 300_000 }, async (t) => {
  if ("skip" in found) return;
  const server = await startServer({
    binaries: BINARIES,
    settings: [
      "max_locks_per_transaction=256",
      `shared_preload_libraries=${found.path}`,
      "pgaudit.log=all",
      "pgaudit.log_catalog=off",
      "pgaudit.log_relation=on",
      "pgaudit.log_client=on",
      "pgaudit.log_level=warning",
    ],
  });
  if (typeof server === "string") return t.fail(server);
  t.teardown(() => server.stop());
  const analyzer = await Analyzer.load();
  const witness = await Witness.create(server.socket, WORLD, SESSION);
  t.teardown(() => witness.end());
  const runs = [READS, WRITES, DEFINITIONS, CALLS].flatMap((list) => list.filter((_, i) => i % EVERY === 0));
  const tried = await tryAll(analyzer, witness, runs, (said, seen, { path }) => judgeAudited(said, seen, path));
  t.same([...tried.wrong], [], `${tried.ran} of ${runs.length} ran`);
  t.ok(tried.ran >= 1000, `${tried.ran}`);
  const told = tried.pairs.filter(([, , { notices }]) => notices.some((notice) => notice.startsWith("AUDIT: ")));
  t.ok(told.length >= 1000, `${told.length} were audited`);
  // What is said less is found out by pgAudit's lines as well.
  const unnoticed = told.filter(
    ([{ path }, said, seen]) =>
      said.complete &&
      ["INSERT", "UPDATE", "DELETE"].includes(said.operation) &&
      judgeAudited({ ...said, relations: said.relations.filter(({ access }) => access === "read") }, seen, path)
        .length === 0,
  );
  t.same(
    unnoticed
      .map(([{ sql }]) => sql)
      .filter((sql) => !/ (?:FROM|INTO|UPDATE) (?:s\.vw|v|p|p1|parent|child)\b/.test(sql)),
    [],
  );
});
t.end();

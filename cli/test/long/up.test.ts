import { createHash } from "node:crypto";
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import pg from "pg";
import t from "tap";
import { isAlive } from "../../src/processes.ts";
import { vitrine } from "../run.ts";
import { ANY_PORTS, folder, lockOf, query, Up } from "../up.ts";

t.setTimeout(280_000);

/** The log's size: the second line of its checkpoint. */
async function logSize(url: string): Promise<number> {
  return Number((await (await fetch(`${url}/checkpoint`)).text()).split("\n")[1]);
}

t.test("a first start, a query, a stop, and a start again", async (t) => {
  const dir = folder(t);
  const first = await new Up(t, dir).ready();
  t.match(first.output, /^Created vitrine-data$/m);
  t.match(
    first.output,
    new RegExp(
      `^ {2}Audit it with +npx vitrine-verifier audit --log ${first.log} --vkey vitrine-data/log\\.vkey$`,
      "m",
    ),
  );
  t.same(await query(first.connection, "SELECT count(*)::int AS n FROM payment_cards"), [{ n: 144 }]);
  const token = readFileSync(path.join(dir, "vitrine-data/auditor.token"), "utf8").trim();
  t.equal(
    `${createHash("sha256").update(token).digest("hex")} auditor - auditor`,
    readFileSync(path.join(dir, "vitrine-data/tokens"), "utf8").trim(),
  );

  const again = await vitrine(["up", ...ANY_PORTS], dir);
  t.equal(again.status, 1);
  t.match(again.stderr, new RegExp(`^vitrine: data_in_use: .*process ${first.child.pid}\\b.*--data DIR\\n$`));

  const yaml = path.join(dir, "vitrine-data/log-server.yaml");
  appendFileSync(yaml, "\nwitnesses: w.policy\n");
  first.child.kill("SIGHUP");
  await first.printed(
    /^vitrine: log-server: not reloaded, everything stays as it was: bad_config: .*w\.policy.*ENOENT/m,
  );
  writeFileSync(path.join(dir, "vitrine-data/w.policy"), "quorum none\n");
  first.child.kill("SIGHUP");
  await first.printed(/^vitrine: log-server: reloaded: 1 key signs, 0 witnesses$/m);

  const parts = lockOf(dir);
  t.equal(parts.length, 3);
  t.equal(await first.stop(), 0, first.output);
  t.match(
    first.output,
    /vitrine: stopping\n.*everything it recorded is in the log\n.*log-server stopped\n.*PostgreSQL stopped\n$/s,
  );
  for (const part of parts) t.notOk(isAlive(part));
  t.notOk(existsSync(path.join(dir, "vitrine-data/up.lock")));

  appendFileSync(path.join(dir, "vitrine-data/proxy.yaml"), "\nsealed: [params] # by hand\n");
  const second = await new Up(t, dir).ready();
  t.notMatch(second.output, /Created/);
  t.equal(new URL(second.connection).password, new URL(first.connection).password);
  t.match(readFileSync(path.join(dir, "vitrine-data/proxy.yaml"), "utf8"), /^sealed: \[params\] # by hand$/m);
  // Start, session, statement, end, stop of the first epoch; the start of the second.
  t.ok((await logSize(second.log)) >= 5);
  second.child.kill("SIGTERM");
  t.equal(await second.ended, 0, "SIGTERM is as good as Ctrl-C");
});

t.test("a second Ctrl-C says what is waited for, and changes nothing", async (t) => {
  const dir = folder(t);
  const up = await new Up(t, dir).ready();
  // Past the proxy, somebody holds what the statement wants.
  const direct = new URL(up.connection);
  direct.port = readFileSync(path.join(dir, "vitrine-data/postgres/postmaster.pid"), "latin1").split("\n")[3]!;
  const holder = new pg.Client({ connectionString: direct.href, ssl: false });
  await holder.connect();
  await holder.query("SELECT pg_advisory_lock(1)");
  const slow = query(up.connection, "SELECT pg_advisory_lock(1)");
  const waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
  while ((await holder.query(waiting)).rows.length === 0);
  up.child.kill("SIGINT");
  await up.printed(/vitrine: stopping/);
  up.child.kill("SIGINT");
  await up.printed(/vitrine: still waiting for the proxy to end its sessions/);
  await holder.end();
  t.equal(await up.ended, 0, up.output);
  t.equal((await slow).length, 1, "the statement under way was let end");
});

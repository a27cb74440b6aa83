import { readFileSync } from "node:fs";
import path from "node:path";
import t from "tap";
import { isAlive } from "../../src/processes.ts";
import { folder, lockOf, pidOf, query, Up } from "../up.ts";

t.setTimeout(300_000);

t.test("a part that dies is named, and the others are stopped", async (t) => {
  const dir = folder(t);
  const victims: [string, () => number, RegExp][] = [
    ["the log-server", () => pidOf(lockOf(dir)[1]), /proxy stopped.*\n.*PostgreSQL stopped\n$/],
    ["the proxy", () => pidOf(lockOf(dir)[2]), /log-server stopped\n.*PostgreSQL stopped\n$/],
    [
      "PostgreSQL",
      () => Number(readFileSync(path.join(dir, "vitrine-data/postgres/postmaster.pid"), "utf8").split("\n")[0]),
      /proxy stopped.*\n.*log-server stopped\n$/,
    ],
  ];
  for (const [name, pid, rest] of victims) {
    const up = await new Up(t, dir).ready();
    process.kill(pid(), "SIGKILL");
    t.equal(await up.ended, 1, name);
    t.match(up.output, new RegExp(`^vitrine: part_failed: ${name} ended by itself: killed by SIGKILL$`, "m"));
    t.match(up.output, rest, name);
  }
  t.equal(await (await new Up(t, dir).ready()).stop(), 0, "and it starts again");
});

t.test("what a killed `up` leaves running stops in order, and the next start waits for it", async (t) => {
  const dir = folder(t);
  const killed = await new Up(t, dir).ready();
  await query(killed.connection, "SELECT 1");
  const parts = lockOf(dir).slice(1);
  killed.child.kill("SIGKILL");
  await killed.ended;
  const next = await new Up(t, dir).ready();
  t.match(next.output, /stopping the PostgreSQL of an earlier start/);
  for (const part of parts) t.notOk(isAlive(part));
  t.match(
    readFileSync(path.join(dir, "vitrine-data/proxy.log"), "utf8"),
    /^vitrine: proxy stopped$/m,
    "with nothing left to submit",
  );
  t.equal(await next.stop(), 0);
});

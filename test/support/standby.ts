/** Two PostgreSQL servers: a primary and a hot standby that it streams to, without a commit that only one of them has. */
import { appendFileSync, chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Postgres, startPostgres } from "@vitrine/cli";
import { RAW, trust, until } from "./sessions.ts";
import { DATABASE, startDatabase } from "./stack.ts";

const STANDBY = "standby";

export interface Pair {
  readonly primary: Postgres;
  readonly standby: Postgres;
  stop(): Promise<void>;
}

/**
 * Makes a cluster with the roles and the database that tests use, and a standby from a copy of it.
 * @param folder one that every account may enter
 * @param roles that log in without a password, besides the one of `trust`
 */
export async function startPair(folder: string, roles: readonly string[] = []): Promise<Pair> {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const first = await startDatabase(folder);
  await trust(first, folder);
  const owner = await first.connect(DATABASE);
  for (const role of roles) await owner.query(`CREATE ROLE ${role} LOGIN IN ROLE ${RAW}`);
  await owner.end();
  await first.stop();
  const rules = join(folder, "postgres", "pg_hba.conf");
  writeFileSync(
    rules,
    `${roles.map((role) => `host all ${role} 127.0.0.1/32 trust\n`).join("")}${readFileSync(rules)}`,
  );
  const copy = join(folder, STANDBY);
  mkdirSync(copy, { mode: 0o755 });
  const [ownData, copiedData] = [join(folder, "postgres"), join(copy, "postgres")];
  cpSync(ownData, copiedData, { recursive: true });
  chmodSync(copiedData, 0o700);
  const server = (name: string): Promise<Postgres> =>
    startPostgres({
      folder: join(name, "postgres"),
      passwordFile: join(folder, "superuser"),
      logFile: join(name, "postgres.log"),
    });
  const primary = await server(folder);
  const { port, password } = primary;
  writeFileSync(join(copiedData, "standby.signal"), "");
  const source = `host=127.0.0.1 port=${port} user=postgres password=${password} application_name=${STANDBY}`;
  appendFileSync(join(copiedData, "postgresql.auto.conf"), `primary_conninfo = '${source}'\n`);
  const standby = await server(copy);
  const admin = await primary.connect("postgres");
  // What was acknowledged is then on both: a failover loses nothing of it.
  await admin.query(`ALTER SYSTEM SET synchronous_standby_names = '${STANDBY}'`);
  await admin.query("SELECT pg_reload_conf()");
  await until("it streams", async () => {
    const { rows } = await admin.query("SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'");
    return rows.length === 1 && rows[0].sync_state === "sync";
  });
  await admin.end();
  const stop = async (): Promise<void> => {
    // What waits for a standby that is gone would wait for ever.
    await Promise.all([primary, standby].map((one) => one.stop()));
  };
  return { primary, standby, stop };
}

/** Makes the standby a primary, whatever becomes of the old one. */
export async function promote({ standby }: Pair): Promise<void> {
  const admin = await standby.connect("postgres");
  await admin.query("SELECT pg_promote(true, 30)");
  await admin.end();
}

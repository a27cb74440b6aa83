import pg from "pg";
import { CliError, oneLine } from "../errors.ts";

/** A process of the server that serves a client. Times are milliseconds since 1970. */
export interface Backend {
  readonly pid: number;
  readonly user: string | null;
  readonly database: string | null;
  readonly application: string | null;
  readonly address: string | null;
  /** Null: we may not see it. */
  readonly start: number | null;
  /** It sends the write-ahead log, or a copy of the files: the proxy lets no such connection through. */
  readonly replicates: boolean;
}

/** A row of pg_stat_statements: one text of one role in one database. */
export interface Counted {
  readonly user: string;
  /** Null: it has been dropped. */
  readonly database: string | null;
  readonly sql: string;
  readonly calls: number;
  /** Since when it counts; null: that cannot be told. */
  readonly since: number | null;
}

/** A row of pg_stat_database. */
export interface DatabaseCounters {
  readonly database: string;
  readonly transactions: number;
  /** Null before PostgreSQL 14. */
  readonly sessions: number | null;
  /** Null: never reset. */
  readonly since: number | null;
}

export interface Snapshot {
  /** By the server's clock. */
  readonly now: number;
  readonly version: string;
  /** Of our own process. */
  readonly pid: number;
  /** The database that we are connected to. */
  readonly database: string;
  readonly backends: readonly Backend[];
  /** Undefined: there is no pg_stat_statements; `whyNot` says it in the server's words. */
  readonly statements: readonly Counted[] | undefined;
  readonly whyNot: string | undefined;
  /** What pg_stat_statements is told to count: `top`, `all`, `none`; and whether utility commands. */
  readonly track: string | null;
  readonly trackUtility: string | null;
  /** Tables and views of our database with rules: each action of a rule is one more call of the statement. */
  readonly ruled: readonly { readonly schema: string; readonly name: string }[];
  /** The texts that were asked: the server counts these as well. */
  readonly asked: readonly string[];
  /** How often pg_stat_statements threw out what was used least. */
  readonly evicted: number;
  readonly databases: readonly DatabaseCounters[];
}

const MS = (column: string): string => `(extract(epoch FROM ${column}) * 1000)::float8`;

const SELF = `SELECT ${MS("clock_timestamp()")} AS now, current_setting('server_version') AS version,
  pg_backend_pid() AS pid, current_database() AS database, current_setting('pg_stat_statements.track', true) AS track,
  current_setting('pg_stat_statements.track_utility', true) AS "trackUtility"`;
const BACKENDS = `SELECT pid, usename AS "user", datname AS database, application_name AS application,
  host(client_addr) AS address, ${MS("backend_start")} AS start, coalesce(backend_type = 'walsender', false) AS replicates
  FROM pg_stat_activity WHERE backend_type IS NULL OR backend_type IN ('client backend', 'walsender')`;
const EXTENSION = `SELECT quote_ident(n.nspname) AS schema FROM pg_extension e
  JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'`;
// Its columns came one by one; as JSON those that are there are there. Roles and databases may be gone.
const statementsIn = (schema: string): string => `SELECT coalesce(u.rolname, 'role ' || s.userid) AS "user",
  d.datname AS database, to_jsonb(s) AS row, ${MS("(to_jsonb(s) ->> 'stats_since')::timestamptz")} AS since
  FROM ${schema}.pg_stat_statements s LEFT JOIN pg_roles u ON u.oid = s.userid LEFT JOIN pg_database d ON d.oid = s.dbid`;
const infoIn = (schema: string): string =>
  `SELECT dealloc, ${MS("stats_reset")} AS since FROM ${schema}.pg_stat_statements_info`;
const RULED = `SELECT DISTINCT n.nspname AS schema, c.relname AS name FROM pg_rewrite r
  JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace WHERE r.ev_type <> '1'`;
const DATABASES = `SELECT datname AS database, xact_commit + xact_rollback AS transactions,
  (to_jsonb(s) ->> 'sessions')::float8 AS sessions, ${MS("stats_reset")} AS since
  FROM pg_stat_database s WHERE datname IS NOT NULL`;

/**
 * Reads what a server says of itself. It changes nothing.
 * @param url postgres://…; what it leaves out is taken from the environment (PGPASSWORD and the like)
 * @throws CliError `upstream_unreachable`, also for a login that is refused
 */
export async function readDatabase(url: string): Promise<Snapshot> {
  const client = new pg.Client({
    connectionString: url,
    application_name: "vitrine reconcile",
    connectionTimeoutMillis: 10_000,
    statement_timeout: 60_000,
  });
  // A server that ends breaks the connection outside any query; the query under way reports it.
  client.on("error", () => undefined);
  try {
    await client.connect();
    return await read(client);
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError("upstream_unreachable", `--database cannot be read: ${oneLine(error)}`, { cause: error });
  } finally {
    await client.end().catch(() => undefined);
  }
}

type Rows = <T>(sql: string) => Promise<T[]>;

async function read(client: pg.Client): Promise<Snapshot> {
  const asked: string[] = [];
  const rows: Rows = async (sql) => {
    asked.push(sql);
    return (await client.query(sql)).rows;
  };
  // The counters of statements come first: what is counted later is in the log for certain, when that is read.
  const counted = await readStatements(rows);
  const [self] = await rows<Pick<Snapshot, "now" | "version" | "pid" | "database" | "track" | "trackUtility">>(SELF);
  const backends = await rows<Backend>(BACKENDS);
  const ruled = await rows<Snapshot["ruled"][number]>(RULED);
  const databases = await rows<Omit<DatabaseCounters, "transactions"> & { transactions: string }>(DATABASES);
  return {
    ...self!,
    ...counted,
    backends,
    ruled,
    asked,
    databases: databases.map((one) => ({ ...one, transactions: Number(one.transactions) })),
  };
}

interface StatementRow {
  readonly user: string;
  readonly database: string | null;
  readonly row: { readonly query?: string | null; readonly calls: number; readonly toplevel?: boolean };
  readonly since: number | null;
}

async function readStatements(rows: Rows): Promise<Pick<Snapshot, "statements" | "whyNot" | "evicted">> {
  const none = (whyNot: string): Awaited<ReturnType<typeof readStatements>> => ({
    statements: undefined,
    whyNot,
    evicted: 0,
  });
  const schema = (await rows<{ schema: string }>(EXTENSION))[0]?.schema;
  if (schema === undefined) return none("the extension pg_stat_statements is not there");
  let found: StatementRow[];
  try {
    found = await rows<StatementRow>(statementsIn(schema));
  } catch (error) {
    // 42501: its schema is closed to us; 55000: not loaded by the server.
    const code = (error as { code?: string }).code;
    if (code !== "42501" && code !== "55000") throw error;
    return none(oneLine(error));
  }
  let info: { dealloc: string; since: number | null } | undefined;
  try {
    info = (await rows<{ dealloc: string; since: number | null }>(infoIn(schema)))[0];
  } catch (error) {
    // Before PostgreSQL 14 there is none.
    if ((error as { code?: string }).code !== "42P01") throw error;
  }
  const statements = found
    // What functions execute counts as the statement that called them.
    .filter(({ row }) => row.toplevel !== false)
    .map(({ user, database, row, since }) => ({
      user,
      database,
      sql: row.query ?? "",
      calls: row.calls,
      since: since ?? info?.since ?? null,
    }));
  return { statements, whyNot: undefined, evicted: Number(info?.dealloc ?? 0) };
}

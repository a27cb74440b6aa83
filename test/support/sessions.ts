/** A role that logs in without a password, what the log says of a session, and what a process holds. */
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Postgres } from "@vitrine/cli";
import type pg from "pg";
import { RawClient } from "./raw-client.ts";
import { DATABASE, type Entry, type Stack, statements } from "./stack.ts";

export const RAW = "raw";

/** Lets the role in without a password, and gives it the database. `folder` is the one the database was started in. */
export async function trust(database: Postgres, folder: string): Promise<void> {
  const admin = await database.connect("postgres");
  await admin.query(`CREATE ROLE ${RAW} LOGIN`);
  const hba = join(folder, "postgres", "pg_hba.conf");
  writeFileSync(hba, `host all ${RAW} 127.0.0.1/32 trust\n${readFileSync(hba, "utf8")}`);
  await admin.query("SELECT pg_reload_conf()");
  await admin.end();
  const owner = await database.connect(DATABASE);
  await owner.query(`GRANT ALL ON SCHEMA public TO ${RAW}; GRANT pg_signal_backend TO ${RAW}`);
  await owner.end();
}

export function login(port: number, application: string): Promise<RawClient> {
  return RawClient.login(port, { user: RAW, database: DATABASE, application_name: application });
}

export interface Recorded {
  readonly all: Entry[];
  /** Operation, outcome and SQLSTATE of its statements, in order. */
  readonly told: string[];
  /** Its session.end. */
  readonly end: Entry;
}

/** What the log has of the session with this application name, once it has ended. */
export async function recorded(stack: Stack, application: string): Promise<Recorded> {
  const find = (entries: readonly Entry[]): Entry | undefined => {
    const start = entries.find(
      (entry) =>
        entry.kind === "session.start" && (entry.client as { application?: string }).application === application,
    );
    return entries.find((entry) => entry.kind === "session.end" && entry.session === start?.session);
  };
  const entries = await stack.settled((all) => find(all) !== undefined);
  const end = find(entries)!;
  const all = entries.filter(({ session }) => session === end.session);
  return { all, told: statements(all).map(told), end };
}

export function told({ operation, outcome, sqlstate }: Entry): string {
  return [operation, outcome, ...(sqlstate === undefined ? [] : [sqlstate])].join(" ");
}

/** Resident memory of a process, in bytes. */
export function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"));
  return Number(line![1]) * 1024;
}

/** How many sockets a process has open. */
export function openSockets(pid: number): number {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).filter((fd) => {
    try {
      return readlinkSync(join(folder, fd)).startsWith("socket:");
    } catch {
      return false; // closed in the meantime
    }
  }).length;
}

/** Resolves when the condition holds; rejects after ninety seconds, saying what was waited for. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 90_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits until the server executes so many statements that begin so. */
export async function underWay(database: Postgres, begin: string, count = 1): Promise<void> {
  const admin = await database.connect("postgres");
  const executed = `SELECT count(*)::int AS n FROM pg_stat_activity
    WHERE state = 'active' AND pid <> pg_backend_pid() AND starts_with(query, $1)`;
  await until(`${count} of ${begin} are under way`, async () => {
    const { rows } = await admin.query(executed, [begin]);
    return (rows[0] as { n: number }).n === count;
  });
  await admin.end();
}

/** Statements that call `WAIT` in the tests' database are under way until it is opened. */
export class Gate {
  static readonly WAIT = "pg_advisory_xact_lock_shared(4711)";
  readonly #holder: pg.Client;

  private constructor(holder: pg.Client) {
    this.#holder = holder;
  }

  static async closed(database: Postgres): Promise<Gate> {
    const holder = await database.connect(DATABASE);
    await holder.query("SELECT pg_advisory_lock(4711)");
    return new Gate(holder);
  }

  /** Waits until so many statements stand before it. */
  async held(count: number): Promise<void> {
    await until(`${count} statements wait`, async () => {
      const waiting = "SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
      return ((await this.#holder.query(waiting)).rows[0] as { n: number }).n === count;
    });
  }

  async open(): Promise<void> {
    await this.#holder.end();
  }
}

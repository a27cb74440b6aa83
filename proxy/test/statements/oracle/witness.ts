/** What a statement did, by the server's own account: locks, rows changed, settings, functions that ran, definitions. */
import { type Answer, Client } from "./client.ts";

/** A row of pg_class. */
export interface Known {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: string;
}

export interface Lock extends Known {
  /** PostgreSQL's lock modes, weakest (ACCESS SHARE) first: 1 to 8. */
  readonly rank: number;
}

export interface Seen {
  /** Command tags of the statement; empty when it failed. */
  readonly tags: readonly string[];
  readonly notices: readonly string[];
  readonly error?: { readonly code: string; readonly message: string };
  readonly locks: readonly Lock[];
  /** A transaction number was given to it: it wrote something. */
  readonly wrote: boolean;
  /** Catalogs whose rows it changed. */
  readonly catalogs: readonly string[];
  /** User relations whose rows it changed, as schema.name. */
  readonly changed: readonly string[];
  /** Functions in other languages than C and inlined SQL that ran. */
  readonly functions: readonly string[];
  /** Tags that event triggers were told. */
  readonly definitions: readonly string[];
  /** Settings of the session that differ from before. */
  readonly settings: readonly string[];
  readonly relations: readonly Known[];
  /** Pairs of oids: what the first is made of, or carries along. */
  readonly edges: readonly (readonly [number, number])[];
}

interface Account {
  readonly xid: string | null;
  readonly tags: string | null;
  readonly functions: readonly string[] | null;
  readonly catalogs: readonly string[] | null;
  readonly changed: readonly string[] | null;
  readonly settings: Readonly<Record<string, string>> | null;
  readonly relations: readonly (readonly [number, string, string, string])[] | null;
  readonly edges: readonly (readonly [number, number])[] | null;
}

/** The pieces of relations, what views and rules are made of, parents, partitions, foreign keys. */
export const EDGES: string = `
  SELECT inhparent, inhrelid FROM pg_inherits
  UNION SELECT inhrelid, inhparent FROM pg_inherits
  UNION SELECT indrelid, indexrelid FROM pg_index
  UNION SELECT indexrelid, indrelid FROM pg_index
  UNION SELECT oid, reltoastrelid FROM pg_class WHERE reltoastrelid <> 0
  UNION SELECT reltoastrelid, oid FROM pg_class WHERE reltoastrelid <> 0
  UNION SELECT refobjid, objid FROM pg_depend
    WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i')
  UNION SELECT objid, refobjid FROM pg_depend
    WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i')
  UNION SELECT conrelid, confrelid FROM pg_constraint WHERE contype = 'f'
  UNION SELECT confrelid, conrelid FROM pg_constraint WHERE contype = 'f'
  UNION SELECT r.ev_class, d.refobjid FROM pg_rewrite r JOIN pg_depend d
    ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
  UNION SELECT p.polrelid, d.refobjid FROM pg_policy p JOIN pg_depend d
    ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_class'::regclass`;

const SETUP = [
  "CREATE SCHEMA oracle",
  // PL/pgSQL plans it once a session.
  `CREATE FUNCTION oracle.account(pids oid[]) RETURNS json LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
   BEGIN RETURN json_build_object(
    'xid', pg_current_xact_id_if_assigned(),
    'tags', current_setting('oracle.tags', true),
    'functions', (SELECT json_agg(schemaname || '.' || funcname) FROM pg_stat_xact_user_functions WHERE schemaname NOT IN ('oracle', 'pg_catalog')),
    'catalogs', (SELECT json_agg(relname) FROM pg_stat_xact_sys_tables WHERE n_tup_ins + n_tup_upd + n_tup_del > 0),
    'changed', (SELECT json_agg(schemaname || '.' || relname) FROM pg_stat_xact_user_tables WHERE n_tup_ins + n_tup_upd + n_tup_del > 0),
    'settings', (SELECT json_object_agg(name, coalesce(setting, '')) FROM pg_settings WHERE source = 'session' AND name <> 'search_path'),
    'relations', (SELECT json_agg(json_build_array(c.oid::bigint, nspname, relname, relkind)) FROM pg_class c
      JOIN pg_namespace n ON n.oid = relnamespace WHERE c.oid = ANY (pids) OR nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema')),
    'edges', (SELECT json_agg(json_build_array(a::bigint, b::bigint)) FROM (${EDGES}) AS e (a, b) WHERE a >= 16384 OR b >= 12000)
   ); END $$`,
  `CREATE FUNCTION oracle.told() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
   BEGIN PERFORM set_config('oracle.tags', concat_ws(',', nullif(current_setting('oracle.tags', true), ''), tg_tag), true); END $$`,
  "CREATE EVENT TRIGGER oracle_told ON ddl_command_end EXECUTE FUNCTION oracle.told()",
  "GRANT USAGE ON SCHEMA oracle TO PUBLIC",
];

/** Runs statements, each in a transaction that is rolled back, and looks at what they did before it is. */
export class Witness {
  readonly client: Client;
  readonly #beside: Client;
  readonly #pid: string;
  #settings: Readonly<Record<string, string>> = {};
  #before: readonly Known[] = [];
  #edges: readonly (readonly [number, number])[] = [];

  private constructor(client: Client, beside: Client, pid: string) {
    this.client = client;
    this.#beside = beside;
    this.#pid = pid;
  }

  /**
   * @param world statements that make what is there, run once
   * @param session statements for the session that the others run in
   */
  static async create(socket: string, world: readonly string[], session: readonly string[]): Promise<Witness> {
    const client = await Client.connect(socket, "postgres");
    const beside = await Client.connect(socket, "postgres");
    for (const sql of [...world, ...SETUP, ...session]) {
      const { error } = await client.query(sql);
      if (error !== undefined) throw new Error(`${error.message}: ${sql}`);
    }
    const { rows } = await client.query("SELECT pg_backend_pid()");
    const witness = new Witness(client, beside, rows[0]![0]!);
    await witness.rest();
    return witness;
  }

  /** Takes what is there now as what was there before. */
  async rest(): Promise<void> {
    await this.client.query("SELECT pg_stat_force_next_flush()");
    const { settings, relations, edges } = await this.#account([]);
    this.#settings = settings ?? {};
    this.#before = known(relations);
    this.#edges = edges ?? [];
  }

  /** @param before statements of the same transaction, of which nothing is told */
  async run(sql: string, before: readonly string[] = []): Promise<Seen> {
    await this.#prepare(before);
    const then = before.length === 0 ? undefined : await this.#account([]);
    const held = new Map(before.length === 0 ? [] : await this.#locks());
    const { tags, notices, error } = await this.client.query(sql);
    if (error !== undefined) {
      await this.client.query(AFTER);
      return { ...NOTHING, notices, error };
    }
    const locks = (await this.#locks()).filter(([oid, rank]) => held.get(oid) !== rank);
    const account = await this.#account(locks.map(([oid]) => oid));
    await this.client.query(AFTER);

    const now = known(account.relations);
    const relations = [...this.#before, ...now];
    const names = new Map(relations.map((relation) => [relation.oid, relation]));
    const settings = Object.entries(account.settings ?? {});
    const settingsThen = then?.settings ?? this.#settings;
    const since = (of: (account: Account) => readonly string[] | null): string[] => {
      const old = then === undefined ? [] : (of(then) ?? []);
      return (of(account) ?? []).filter((each) => !old.includes(each));
    };
    return {
      tags,
      notices,
      locks: locks.map(([oid, rank]) => ({
        ...(names.get(oid) ?? { oid, schema: "?", name: `${oid}`, kind: "?" }),
        rank,
      })),
      wrote: account.xid !== null && (then?.xid ?? null) === null,
      catalogs: since(({ catalogs }) => catalogs),
      changed: since(({ changed }) => changed),
      functions: since(({ functions }) => functions),
      definitions: (account.tags ?? "")
        .slice((then?.tags ?? "").length)
        .split(",")
        .filter((tag) => tag !== ""),
      settings: settings.filter(([name, value]) => settingsThen[name] !== value).map(([name]) => name),
      relations,
      edges: [...this.#edges, ...(account.edges ?? [])],
    };
  }

  /** @returns what a transaction that may only read says to the statement */
  async readOnly(sql: string, before: readonly string[] = []): Promise<Answer["error"]> {
    await this.#prepare([...before, "SET TRANSACTION READ ONLY"]);
    const { error } = await this.client.query(sql);
    await this.client.query(AFTER);
    return error;
  }

  async #prepare(before: readonly string[]): Promise<void> {
    for (const text of ["BEGIN", ...before]) {
      const { error } = await this.client.query(text);
      if (error !== undefined) throw new Error(`${error.message}: ${text}`);
    }
  }

  end(): void {
    this.client.end();
    this.#beside.end();
  }

  #locks(): Promise<[number, number][]> {
    return locksOf(this.#beside, this.#pid);
  }

  async #account(oids: readonly number[]): Promise<Account> {
    const { rows, error } = await this.client.query(`SELECT oracle.account('{${oids.join(",")}}')`);
    if (error !== undefined) throw new Error(`the server's account: ${error.code} ${error.message}`);
    return JSON.parse(rows[0]![0]!) as Account;
  }
}

/** Counters of a transaction are added to what was not yet flushed of those before it. */
const AFTER = "ROLLBACK; DEALLOCATE ALL; SELECT pg_stat_force_next_flush()";

/** @returns the relations that a server process has locked, each with its strongest mode, by another connection */
export async function locksOf(beside: Client, pid: string): Promise<[oid: number, rank: number][]> {
  const { rows } = await beside.query(
    `SELECT relation, mode FROM pg_locks WHERE pid = ${pid} AND locktype = 'relation'`,
  );
  const strongest = new Map<number, number>();
  for (const [oid, mode] of rows) {
    const rank = MODES.indexOf(mode!) + 1;
    strongest.set(Number(oid), Math.max(rank, strongest.get(Number(oid)) ?? 0));
  }
  return [...strongest];
}

const MODES = [
  "AccessShareLock",
  "RowShareLock",
  "RowExclusiveLock",
  "ShareUpdateExclusiveLock",
  "ShareLock",
  "ShareRowExclusiveLock",
  "ExclusiveLock",
  "AccessExclusiveLock",
];

export const NOTHING: Seen = {
  tags: [],
  notices: [],
  locks: [],
  wrote: false,
  catalogs: [],
  changed: [],
  functions: [],
  definitions: [],
  settings: [],
  relations: [],
  edges: [],
};

const known = (rows: Account["relations"]): Known[] =>
  (rows ?? []).map(([oid, schema, name, kind]) => ({ oid, schema, name, kind }));

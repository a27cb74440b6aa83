/** Follows a script, statement by statement as it stands, and looks at what each did before it is committed. */
import { type Analyzer, CLASSES, type Statement } from "../../../src/statements/index.ts";
import { Client } from "./client.ts";
import { judge } from "./judge.ts";
import { EDGES, type Known, locksOf, NOTHING, type Seen } from "./witness.ts";

const SETUP: readonly string[] = [
  "CREATE SCHEMA oracle; GRANT USAGE ON SCHEMA oracle TO PUBLIC",
  `CREATE FUNCTION oracle.look(pids oid[], names text[]) RETURNS json LANGUAGE plpgsql SECURITY DEFINER
   SET search_path = pg_catalog SET default_transaction_isolation = 'read committed' AS $$
   BEGIN RETURN (SELECT json_agg(json_build_array(c.oid::bigint, nspname, relname, relkind)) FROM pg_class c
     JOIN pg_namespace n ON n.oid = relnamespace WHERE c.oid = ANY (pids) OR relname = ANY (names)); END $$`,
  `CREATE FUNCTION oracle.edges() RETURNS json LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
   BEGIN RETURN (SELECT json_agg(json_build_array(a::bigint, b::bigint)) FROM (${EDGES}) AS e (a, b)
     WHERE a >= 16384 OR b >= 12000); END $$`,
  "ALTER ROLE postgres SET statement_timeout = '2s'; ALTER ROLE postgres SET lock_timeout = '1s'",
];

/** They have to do with transactions that they find or make, or cannot be in one. */
const AS_IT_STANDS = /^(BEGIN|START|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|PREPARE TRANSACTION|DISCARD|UNKNOWN|SET|RESET)/;

export interface Followed {
  ran: number;
  judged: number;
  readonly wrong: { readonly sql: string; readonly found: readonly string[] }[];
}

/** Once for a server, by a superuser. */
export async function prepare(socket: string): Promise<void> {
  const client = await Client.connect(socket, "postgres");
  for (const sql of SETUP) {
    const { error } = await client.query(sql);
    if (error !== undefined) throw new Error(`${error.message}: ${sql}`);
  }
  client.end();
}

/** @returns what came of a script's statements; those that fail do so as they would without anybody looking on */
export async function follow(socket: string, analyzer: Analyzer, statements: readonly string[]): Promise<Followed> {
  const client = await Client.connect(socket, "postgres");
  const beside = await Client.connect(socket, "postgres");
  const { rows } = await client.query("SELECT pg_backend_pid()");
  const follower = new Follower(client, beside, rows[0]![0]!);
  try {
    for (const sql of statements) {
      const said = analyzer.analyze(Buffer.from(sql), "utf8");
      await follower.run(sql, said.length === 1 ? said[0] : undefined);
    }
  } finally {
    client.end();
    beside.end();
  }
  return follower.result;
}

class Follower {
  readonly result: Followed = { ran: 0, judged: 0, wrong: [] };
  readonly #client: Client;
  readonly #beside: Client;
  readonly #pid: string;
  #status = "I";

  constructor(client: Client, beside: Client, pid: string) {
    this.#client = client;
    this.#beside = beside;
    this.#pid = pid;
  }

  async run(sql: string, said: Statement | undefined): Promise<void> {
    if (said === undefined || !said.complete || this.#status === "E" || AS_IT_STANDS.test(said.operation)) {
      const { error, status } = await this.#client.query(sql);
      this.#status = status;
      if (error === undefined) this.result.ran++;
      return;
    }
    const own = this.#status === "I";
    if (own) await this.#client.query("BEGIN");
    const definition = CLASSES.indexOf(said.class) >= CLASSES.indexOf("ddl");
    const names = said.relations.map(({ name }) => name);
    const before = definition ? await this.#look([], names) : undefined;
    const edgesBefore = definition ? await this.#edges() : [];
    const held = new Map(await locksOf(this.#beside, this.#pid));
    const numbered = await this.#numbered();
    const { error, tags, status } = await this.#client.query(sql);
    if (error === undefined) {
      this.result.ran++;
      const locks = (await locksOf(this.#beside, this.#pid)).filter(([oid, rank]) => held.get(oid) !== rank);
      const after = await this.#look(
        locks.map(([oid]) => oid),
        names,
      );
      if (after !== undefined) {
        const relations = [...(before?.relations ?? []), ...after.relations];
        const by = new Map(relations.map((relation) => [relation.oid, relation]));
        const unknown = (oid: number): Known => ({ oid, schema: "?", name: `${oid}`, kind: "?" });
        const wrote = !numbered && (await this.#numbered());
        const seen: Seen = {
          ...NOTHING,
          tags,
          wrote,
          relations,
          locks: locks.map(([oid, rank]) => ({ ...(by.get(oid) ?? unknown(oid)), rank })),
        };
        let found = judge(said, seen, after.path);
        if (found.length > 0)
          found = judge(said, { ...seen, edges: [...edgesBefore, ...(await this.#edges())] }, after.path);
        this.result.judged++;
        if (found.length > 0) this.result.wrong.push({ sql, found });
      }
    }
    this.#status = status;
    if (!own) return;
    const ended = await this.#client.query(error === undefined ? "COMMIT" : "ROLLBACK");
    this.#status = ended.status;
    // VACUUM, CREATE DATABASE and their like.
    if (error?.code === "25001") this.#status = (await this.#client.query(sql)).status;
  }

  async #numbered(): Promise<boolean> {
    const { rows } = await this.#client.query("SELECT pg_catalog.pg_current_xact_id_if_assigned()");
    return rows[0]?.[0] !== null;
  }

  async #look(
    oids: readonly number[],
    names: readonly string[],
  ): Promise<{ relations: Known[]; path: string[] } | undefined> {
    const list = names.map((name) => `'${name.replaceAll("'", "''")}'`).join(", ");
    const { rows, error } = await this.#client.query(
      `SELECT oracle.look('{${oids.join(",")}}', ARRAY[${list}]::text[]), pg_catalog.array_to_json(pg_catalog.current_schemas(false))`,
    );
    // A role, or a setting, under which nothing can be asked.
    if (error !== undefined) return undefined;
    const [relations, path] = rows[0]!.map((json) => JSON.parse(json ?? "[]") as unknown);
    return {
      relations: (relations as [number, string, string, string][]).map(([oid, schema, name, kind]) => ({
        oid,
        schema,
        name,
        kind,
      })),
      path: path as string[],
    };
  }

  async #edges(): Promise<(readonly [number, number])[]> {
    const { rows } = await this.#client.query("SELECT oracle.edges()");
    return JSON.parse(rows[0]?.[0] ?? "[]") as [number, number][];
  }
}

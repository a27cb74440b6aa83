/** Every function of the server's own that is taken to be without effect, called with arguments that fit. */
import { EFFECTLESS_FUNCTIONS } from "../../../src/statements/builtins.ts";
import { SEQUENCE_FUNCTIONS } from "../../../src/statements/sequence-calls.ts";
import type { Client } from "../oracle/client.ts";
import { alone, type Run } from "./run.ts";

/** By type; an argument of any other type is NULL. */
const ARGUMENTS: Readonly<Record<string, string>> = {
  int2: "1::int2",
  int4: "1",
  int8: "1::int8",
  float4: "1.5::float4",
  float8: "1.5::float8",
  numeric: "2.5",
  bool: "true",
  text: "'c'::text",
  name: "'c'::name",
  varchar: "'c'::varchar",
  bpchar: "'c'::bpchar",
  oid: "'c'::regclass::oid",
  regclass: "'c'::regclass",
  regtype: "'int4'::regtype",
  regproc: "'now'::regproc",
  regprocedure: "'now()'::regprocedure",
  regrole: "'bob'::regrole",
  regnamespace: "'s'::regnamespace",
  regconfig: "'english'::regconfig",
  regdictionary: "'simple'::regdictionary",
  tid: "'(0,1)'::tid",
  bytea: "'c'::bytea",
  json: "'{\"a\": 1}'::json",
  jsonb: "'{\"a\": 1}'::jsonb",
  jsonpath: "'$.a'::jsonpath",
  xml: "'<a>c</a>'::xml",
  date: "date '2020-01-01'",
  time: "time '10:00'",
  timetz: "timetz '10:00+0'",
  timestamp: "timestamp '2020-01-01'",
  timestamptz: "timestamptz '2020-01-01+0'",
  interval: "interval '1 day'",
  inet: "inet '10.0.0.1'",
  cidr: "cidr '10.0.0.0/8'",
  uuid: "'00000000-0000-0000-0000-000000000000'::uuid",
  tsvector: "'a:1 b:2'::tsvector",
  tsquery: "'a & b'::tsquery",
  pg_lsn: "'0/1'::pg_lsn",
  xid: "'5'::xid",
  xid8: "'5'::xid8",
  money: "'1'::money",
  char: "'r'::\"char\"",
  point: "point '(1,1)'",
  box: "box '(1,1),(0,0)'",
  int4range: "int4range(1, 3)",
  int4multirange: "'{[1,3)}'::int4multirange",
  anyarray: "ARRAY[1, 2]",
  anynonarray: "1",
  anyelement: "1",
  anycompatible: "1",
  anycompatiblearray: "ARRAY[1, 2]",
  anycompatiblenonarray: "1",
  anyrange: "int4range(1, 3)",
  anymultirange: "'{[1,3)}'::int4multirange",
  any: "1",
  anyenum: "'on'::status",
  record: "ROW(1, 'c')",
  _text: "ARRAY['c']",
  _int4: "ARRAY[1]",
  _oid: "ARRAY['c'::regclass::oid]",
  _any: "1",
};

/** Not called: they wait, or are for the planner, or have what needs another statement around it. */
const NOT_CALLED = /^(?:pg_event_trigger_|xml_is_well|regr_)/;

/**
 * @param client to the server whose catalog is asked
 * @returns a statement a signature
 */
export async function builtinCalls(client: Client): Promise<Run[]> {
  const { rows, error } = await client.query(
    `SELECT p.proname, p.prokind, coalesce((SELECT string_agg(t.typname, ' ' ORDER BY n) FROM unnest(p.proargtypes)
     WITH ORDINALITY a (type, n) JOIN pg_type t ON t.oid = a.type), '') FROM pg_proc p
     WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind <> 'p' AND prorettype <> 'internal'::regtype
       AND NOT 'internal'::regtype = ANY (proargtypes) AND NOT 'cstring'::regtype = ANY (proargtypes) ORDER BY 1, 3`,
  );
  if (error !== undefined) throw new Error(error.message);
  const calls = rows.flatMap(([name, kind, types]) => {
    if (name === null || types === undefined || !(EFFECTLESS_FUNCTIONS.has(name!) || SEQUENCE_FUNCTIONS.has(name!)))
      return [];
    if (NOT_CALLED.test(name!)) return [];
    const list = types === "" ? [] : types!.split(" ").map((type) => ARGUMENTS[type] ?? `NULL::pg_catalog."${type}"`);
    return [`SELECT pg_catalog."${name}"(${list.join(", ")})${kind === "w" ? " OVER ()" : ""}`];
  });
  return alone([...new Set(calls)]);
}

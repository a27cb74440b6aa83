-- Makes proxy/src/statements/builtins.ts. Run against a freshly initialised PostgreSQL 18:
--   psql -X -At -f proxy/tools/builtin-functions.sql postgres > proxy/src/statements/builtins.ts
--
-- What the list is trusted with: a statement that calls only these functions, by name, is a read. So a name is in it
-- only when every pg_catalog function of that name is immutable or stable, or is named in `calm` below.
\pset format unaligned
\pset tuples_only on

-- Volatile, because their result changes or is not transactional; they change nothing, and reach nothing but the database.
create temp table calm(name text);
insert into calm values
 ('array_sample'), ('array_shuffle'), ('clock_timestamp'), ('current_query'), ('currtid2'), ('currval'),
 ('gen_random_uuid'), ('lastval'), ('lo_get'), ('pg_blocking_pids'), ('pg_collation_actual_version'),
 ('pg_current_wal_flush_lsn'), ('pg_current_wal_insert_lsn'), ('pg_current_wal_lsn'),
 ('pg_database_collation_actual_version'), ('pg_database_size'), ('pg_get_multixact_members'),
 ('pg_get_sequence_data'), ('pg_get_wait_events'), ('pg_get_wal_replay_pause_state'), ('pg_indexes_size'),
 ('pg_is_in_recovery'), ('pg_is_wal_replay_paused'), ('pg_jit_available'), ('pg_last_committed_xact'),
 ('pg_last_wal_receive_lsn'), ('pg_last_wal_replay_lsn'), ('pg_last_xact_replay_timestamp'), ('pg_lock_status'),
 ('pg_notification_queue_usage'), ('pg_partition_ancestors'), ('pg_partition_tree'), ('pg_prepared_xact'),
 ('pg_relation_size'), ('pg_safe_snapshot_blocking_pids'), ('pg_sequence_last_value'),
 ('pg_stat_get_backend_io'), ('pg_stat_get_backend_wal'), ('pg_stat_get_io'), ('pg_stat_get_recovery_prefetch'),
 ('pg_stat_get_xact_blocks_fetched'), ('pg_stat_get_xact_blocks_hit'), ('pg_stat_get_xact_function_calls'),
 ('pg_stat_get_xact_function_self_time'), ('pg_stat_get_xact_function_total_time'),
 ('pg_stat_get_xact_numscans'), ('pg_stat_get_xact_tuples_deleted'), ('pg_stat_get_xact_tuples_fetched'),
 ('pg_stat_get_xact_tuples_hot_updated'), ('pg_stat_get_xact_tuples_inserted'),
 ('pg_stat_get_xact_tuples_newpage_updated'), ('pg_stat_get_xact_tuples_returned'),
 ('pg_stat_get_xact_tuples_updated'), ('pg_stat_have_stats'), ('pg_table_size'), ('pg_tablespace_size'),
 ('pg_total_relation_size'), ('pg_xact_commit_timestamp'), ('pg_xact_commit_timestamp_origin'),
 ('pg_xact_status'), ('random'), ('random_normal'), ('timeofday'), ('txid_status'), ('uuidv4'), ('uuidv7');

-- Immutable or stable, and yet not for this list: they read relations named in a string, run another type's code, or
-- allocate a transaction number.
create temp table reviewed_out(name text);
insert into reviewed_out values
 ('database_to_xml'), ('database_to_xml_and_xmlschema'), ('database_to_xmlschema'), ('schema_to_xml'),
 ('schema_to_xml_and_xmlschema'), ('schema_to_xmlschema'), ('table_to_xml'), ('table_to_xml_and_xmlschema'),
 ('table_to_xmlschema'), ('pg_input_is_valid'), ('pg_input_error_info'), ('pg_current_xact_id'), ('txid_current');

create temp view f as
 select proname::text as name,
  bool_and(provolatile in ('i', 's')) as steady,
  -- input and output functions, handlers and the insides of aggregates: nobody calls these by name
  bool_or(prorettype::regtype::text in ('internal', 'trigger', 'event_trigger', 'language_handler', 'fdw_handler',
     'index_am_handler', 'tsm_handler', 'table_am_handler', 'cstring', 'void')
    or proargtypes::oid[] && array['internal'::regtype, 'cstring'::regtype, 'language_handler'::regtype]::oid[]) as inside,
  bool_or(prokind = 'p') as procedure
 from pg_proc where pronamespace = 'pg_catalog'::regnamespace group by 1;

create temp view effectless as
 select name from f
 where not inside and not procedure
  and (steady or name in (select name from calm)) and name not in (select name from reviewed_out);

-- Everything else that can be called: what it does is in function-effects.ts, or, when it is not there, `admin`.
create temp view effectful as
 select name from f where not steady and not inside and not procedure and name not in (select name from calm)
 union select name from reviewed_out
 -- returns void, and is called by name all the same
 union select name from f where not steady and inside and not procedure
  and exists (select from pg_proc p where p.proname = f.name and p.prorettype = 'void'::regtype
   and not p.proargtypes::oid[] && array['internal'::regtype, 'cstring'::regtype]::oid[]);

create temp view operators as
 select distinct oprname::text as name from pg_operator o where oprnamespace = 'pg_catalog'::regnamespace
  and not exists (select from pg_operator q join pg_proc p on p.oid = q.oprcode
   where q.oprname = o.oprname and q.oprnamespace = o.oprnamespace and p.provolatile = 'v');

create temp view types as
 select typname::text as name from pg_type where typnamespace = 'pg_catalog'::regnamespace
  and typtype in ('b', 'r', 'm', 'p') and typname !~ '^_' and typrelid = 0;

create function pg_temp.wrapped(names text[]) returns text language plpgsql as $$
declare line text := ' '; result text := ''; n text;
begin
 foreach n in array names loop
  if length(line) + length(n) > 116 then result := result || line || E'\n'; line := ' '; end if;
  line := line || ' ' || n;
 end loop;
 return result || line;
end $$;

select $t$// Made by proxy/tools/builtin-functions.sql from the catalogs of $t$ || split_part(version(), ' on ', 1) || $t$. Do not edit: change that file.

const names = (list: string): ReadonlySet<string> => new Set(list.trim().split(/\s+/));

/** Functions of pg_catalog that change nothing and reach nothing outside the database, by name. */
export const EFFECTLESS_FUNCTIONS: ReadonlySet<string> = names(`$t$;
select pg_temp.wrapped(array_agg(name order by name collate "C")) from effectless;
select $t$`);

/** All other functions of pg_catalog that can be called by name. */
export const EFFECTFUL_FUNCTIONS: ReadonlySet<string> = names(`$t$;
select pg_temp.wrapped(array_agg(name order by name collate "C")) from effectful;
select $t$`);

/** Operators of pg_catalog; all their functions are immutable or stable. */
export const OPERATORS: ReadonlySet<string> = names(`$t$;
select pg_temp.wrapped(array_agg(name order by name collate "C")) from operators;
select $t$`);

/** Types of pg_catalog: a cast to any other type may run code that somebody wrote. */
export const TYPES: ReadonlySet<string> = names(`$t$;
select pg_temp.wrapped(array_agg(name order by name collate "C")) from types;
select '`);';

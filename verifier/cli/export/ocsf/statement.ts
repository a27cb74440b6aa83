import type { Entry } from "../../../src/index.ts";
import { type Row, rowName } from "../row.ts";
import { type Actor, claimedOf, knownText, milliseconds, relationNames } from "../values.ts";
import { clientEndpoint, decision, rules, userOf } from "./endpoints.ts";
import type { Classified } from "./event.ts";

const activities = ["Unknown", "Read", "Update", "Connect", "Query", "Write", "Create", "Delete"] as const;
const other = 99;

/** By the first word of the operation; what is not here is Other, under the operation's own name. */
const byWord: Readonly<Record<string, number>> = {
  SELECT: 4,
  TABLE: 4,
  VALUES: 4,
  FETCH: 4,
  INSERT: 5,
  MERGE: 5,
  UPDATE: 2,
  DELETE: 7,
  TRUNCATE: 7,
  CREATE: 6,
  ALTER: 2,
  DROP: 7,
};

/** A statement that only looks as if it read, by its class, is not called a query. */
function activityOf({ operation, class: effect, relations }: Statement): number {
  if (operation === "UNKNOWN") return 0;
  const word = operation.split(" ", 1)[0]!;
  if (word === "COPY") return relations.some(({ access }) => access === "write") ? 5 : 1;
  const activity = Object.hasOwn(byWord, word) ? byWord[word]! : other;
  return activity === 4 && effect === "write" ? 5 : activity;
}

type Statement = Entry & {
  session: string;
  actor: Actor;
  database: string;
  client: { address: unknown; application?: string };
  operation: string;
  class: string;
  relations: readonly { schema?: string; name: string; access: string }[];
  fingerprint?: string;
  sql?: unknown;
  start: string;
  outcome: string;
  sqlstate?: string;
  error?: unknown;
};

const statusOf: Readonly<Record<string, 0 | 1 | 2>> = { completed: 1, unknown: 0 };
const severityOf: Readonly<Record<string, 1 | 2 | 3>> = { completed: 1, failed: 2, cancelled: 2 };

/** Datastore Activity, class 6005. */
export function statementEvent(row: Row, entry: Entry): Classified {
  const statement = entry as Statement;
  const { actor, client, database, operation, outcome, session, sqlstate } = statement;
  const activity = activityOf(statement);
  const [table] = relationNames(statement.relations);
  const text = knownText(row, "sql", statement.sql);
  const detail = knownText(row, "error", statement.error);
  const {
    v: _,
    kind: __,
    time: ___,
    start: ____,
    database: _____,
    session: ______,
    sqlstate: _______,
    ...rest
  } = entry;
  return {
    uid: 6005,
    className: "Datastore Activity",
    category: "Application Activity",
    activity,
    activityName: activity === other ? operation : activities[activity]!,
    severity: severityOf[outcome] ?? 3,
    status: statusOf[outcome] ?? 2,
    time: milliseconds(statement.start),
    message: `${actor.login} on ${database}: ${operation} ${outcome}`,
    attributes: {
      ...(sqlstate === undefined ? {} : { status_code: sqlstate }),
      ...(detail === undefined ? {} : { status_detail: detail }),
      actor: {
        user: userOf(actor),
        session: { uid: session },
        ...(client.application === undefined ? {} : { app_name: client.application }),
      },
      src_endpoint: clientEndpoint(row, client.address),
      dst_endpoint: { svc_name: entry.source },
      database: { name: database, type_id: 1, type: "Relational" },
      ...(table === undefined
        ? { type_id: 1, type: "Database" }
        : { table: { name: table }, type_id: 3, type: "Table" }),
      ...(text === undefined ? {} : { query_info: queryInfo(text, statement.fingerprint ?? rowName(row)) }),
      ...decision(outcome === "denied" && "proxy"),
      ...rules(entry),
    },
    profiles: ["security_control"],
    correlation: claimedOf(entry).trace?.id,
    unmapped: rest,
  };
}

/** OCSF has no query without its text, so while the text is sealed there is none; and none without a name. */
function queryInfo(text: string, uid: string): Record<string, unknown> {
  return { query_string: text, uid };
}

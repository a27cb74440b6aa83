import type { Entry } from "../../../src/index.ts";
import type { Row } from "../row.ts";
import { type Actor, knownText, milliseconds } from "../values.ts";
import { clientEndpoint, decision, userOf } from "./endpoints.ts";
import type { Classified } from "./event.ts";

type Access = Entry & { actor: Actor; database: string };
type Start = Access & { session: string; client: Client; server: { version?: string } };
type End = Access & { session: string; start: string; reason: string };
type Refused = Access & { client: Client; by: "proxy" | "server"; sqlstate: string; error: unknown };
type Client = { address: unknown; tls: boolean };

const logon = { activity: 1, activityName: "Logon" } as const;
const logoff = { activity: 2, activityName: "Logoff" } as const;

/** Of Authentication, class 3002, what all three have. */
function authentication({ actor, source }: Access): { attributes: Record<string, unknown> } & typeof constant {
  const attributes = {
    user: userOf(actor),
    service: { name: "PostgreSQL" },
    dst_endpoint: { svc_name: source },
    ...protocolOf(actor.auth),
  };
  return { ...constant, attributes };
}

const constant = {
  uid: 3002,
  className: "Authentication",
  category: "Identity & Access Management",
} as const;

/** PostgreSQL's ways of authenticating have no number of their own in OCSF. */
function protocolOf(auth: string | undefined): Record<string, unknown> {
  return auth === undefined ? {} : { auth_protocol_id: 99, auth_protocol: auth };
}

function restOf(entry: Entry): Record<string, unknown> {
  const { v: _, kind: __, time: ___, ...rest } = entry;
  return rest;
}

export function sessionStartEvent(row: Row, entry: Entry): Classified {
  const start = entry as Start;
  const { actor, client, database, server, session } = start;
  const common = authentication(start);
  const service = { name: "PostgreSQL", ...(server.version === undefined ? {} : { version: server.version }) };
  return {
    ...common,
    ...logon,
    severity: 1,
    status: 1,
    time: milliseconds(entry.time),
    message: `${actor.login} logged on to ${database}`,
    attributes: {
      ...common.attributes,
      service,
      session: { uid: session, created_time: milliseconds(entry.time) },
      src_endpoint: clientEndpoint(row, client.address),
      logon_type_id: 3,
      logon_type: "Network",
      // The password itself went over the line, and nothing hid it.
      is_cleartext: actor.auth === "password" && !client.tls,
    },
    unmapped: restOf(entry),
  };
}

export function sessionEndEvent(_row: Row, entry: Entry): Classified {
  const end = entry as End;
  const common = authentication(end);
  return {
    ...common,
    ...logoff,
    severity: 1,
    status: 1,
    time: milliseconds(entry.time),
    message: `${end.actor.login} logged off from ${end.database}: ${end.reason}`,
    attributes: {
      ...common.attributes,
      status_detail: end.reason,
      session: { uid: end.session, created_time: milliseconds(end.start), expiration_reason: end.reason },
    },
    unmapped: restOf(entry),
  };
}

export function accessRefusedEvent(row: Row, entry: Entry): Classified {
  const refused = entry as Refused;
  const common = authentication(refused);
  const detail = knownText(row, "error", refused.error);
  return {
    ...common,
    ...logon,
    severity: 3,
    status: 2,
    time: milliseconds(entry.time),
    message: `${refused.actor.login} was refused access to ${refused.database} by the ${refused.by}`,
    attributes: {
      ...common.attributes,
      status_code: refused.sqlstate,
      ...(detail === undefined ? {} : { status_detail: detail }),
      src_endpoint: clientEndpoint(row, refused.client.address),
      ...decision(refused.by),
    },
    profiles: ["security_control"],
    unmapped: restOf(entry),
  };
}

import type { Session } from "../session/session.ts";

/** Not logged in; logged in and idle, idle in a transaction, at a statement; told the end. */
export type ConnectionState = "login" | "idle" | "transaction" | "active" | "ending";

/** One connection, as an operator sees it. */
export interface ConnectionInfo {
  /** Its session's name; undefined before it has one. */
  readonly id: string | undefined;
  /** What answers it. */
  readonly kind: "relay" | "pool" | "console";
  readonly user: string;
  readonly database: string;
  /** `host:port`, or `[local]`. */
  readonly address: string;
  readonly application: string | undefined;
  readonly encrypted: boolean;
  readonly state: ConnectionState;
  readonly connectedAt: Date;
  /** When something came from it last. */
  readonly heardAt: Date;
  /** The process id that it was told. */
  readonly pid: number | undefined;
}

/** @param ending it was told the end, or its server's side is over */
export function stateOf(session: Session | undefined, ending: boolean): ConnectionState {
  if (ending) return "ending";
  if (session?.phase !== "ready") return "login";
  const { idle, tx } = session.tracker;
  if (!idle) return "active";
  return tx === "I" ? "idle" : "transaction";
}

/** @param kind what stands behind it, where that is no server connection of its own */
export function infoOf(
  { id, startup, address, application, encryption, key }: Session,
  kind: ConnectionInfo["kind"] = "relay",
): Omit<ConnectionInfo, "state" | "connectedAt" | "heardAt"> {
  const { user, database } = startup;
  const encrypted = encryption !== undefined;
  return { id, kind, user, database, address, application, encrypted, pid: key?.pid };
}

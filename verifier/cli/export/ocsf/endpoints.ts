import type { Row } from "../row.ts";
import { type Actor, knownValue, parseAddress, shortList } from "../values.ts";

/** @returns the user whom an entry is about: the login, and who stands behind it where that was authenticated */
export function userOf({ login, identity, groups }: Actor): Record<string, unknown> {
  const names = shortList(groups);
  return {
    name: login,
    ...(identity === undefined ? {} : { uid: identity }),
    ...(names === undefined ? {} : { groups: names.map((name) => ({ name })) }),
  };
}

/** @returns the access rule that decided on an entry, and the one on trial that would have denied it */
export function rules({ rule, would_deny: trial }: Record<string, unknown>): Record<string, unknown> {
  return {
    ...(rule === undefined ? {} : { policy: { name: rule, is_applied: true } }),
    ...(trial === undefined
      ? {}
      : { authorizations: [{ decision: "would deny", policy: { name: trial, is_applied: false } }] }),
  };
}

/**
 * @param address `client.address` of an entry
 * @returns the endpoint that a client is: by its address when that is known, else by the address's digest, which is the
 * same in all entries of one session
 */
export function clientEndpoint(row: Row, address: unknown): Record<string, unknown> {
  const known = knownValue(row, "client.address", address);
  if (typeof known?.value !== "string") return { uid: `sha-256:${known?.digest ?? ""}` };
  const parsed = parseAddress(known.value);
  return "path" in parsed ? { name: parsed.path } : parsed;
}

/** The attributes of an access that a proxy or the server decided on (profile `security_control`). */
export function decision(denied: false | "proxy" | "server"): Record<string, unknown> {
  if (denied === false) return { action_id: 1, action: "Allowed", disposition_id: 1, disposition: "Allowed" };
  const disposition =
    denied === "proxy"
      ? { disposition_id: 2, disposition: "Blocked" }
      : { disposition_id: 25, disposition: "Rejected" };
  return { action_id: 2, action: "Denied", ...disposition };
}

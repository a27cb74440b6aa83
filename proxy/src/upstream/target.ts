/** libpq's target_session_attrs (PostgreSQL section 34.1.2): which servers a session may be on. */
export const TARGETS = ["any", "read-write", "read-only", "primary", "standby", "prefer-standby"] as const;
export type Target = (typeof TARGETS)[number];

/** What a server says of itself, by the names of the parameters that it reports from version 14 on. */
export type Reported = ReadonlyMap<string, string>;

export const HOT_STANDBY = "in_hot_standby";
export const READ_ONLY = "default_transaction_read_only";

/** `second`: only when there is no better one. `unknown`: the server does not tell what decides. */
export type Fit = "fits" | "second" | "unfit" | "unknown";

/** Whether a session on this server is what is wanted, as libpq decides it from version 14 on. */
export function fitOf(target: Target, reported: Reported): Fit {
  if (target === "any") return "fits";
  const standby = reported.get(HOT_STANDBY);
  const readOnly = reported.get(READ_ONLY);
  if (standby === undefined) return "unknown";
  switch (target) {
    case "primary":
      return standby === "off" ? "fits" : "unfit";
    case "standby":
      return standby === "on" ? "fits" : "unfit";
    case "prefer-standby":
      return standby === "on" ? "fits" : "second";
    case "read-write":
    case "read-only": {
      if (standby === "off" && readOnly === undefined) return "unknown";
      const writes = standby === "off" && readOnly === "off";
      return writes === (target === "read-write") ? "fits" : "unfit";
    }
  }
}

/**
 * The same for what is known of a host without a session: whether it is a standby. A primary's sessions can be read-only
 * by a setting of their role or database, which says nothing about the host.
 */
export function hostFit(target: Target, standby: boolean | undefined): Fit {
  if (target === "any") return "fits";
  if (standby === undefined) return "unknown";
  const wantsStandby = target === "standby" || target === "prefer-standby" || target === "read-only";
  return standby === wantsStandby ? "fits" : target === "prefer-standby" ? "second" : "unfit";
}

import t from "tap";
import { fitOf, type Target } from "../../src/upstream/index.ts";

// PostgreSQL section 34.1.2, target_session_attrs, for a primary, a primary whose sessions are read-only, a standby.
const SERVERS = {
  primary: { in_hot_standby: "off", default_transaction_read_only: "off" },
  "read-only primary": { in_hot_standby: "off", default_transaction_read_only: "on" },
  standby: { in_hot_standby: "on", default_transaction_read_only: "off" },
  "before version 14": {},
} as const;

t.test("which server is what is wanted", async (t) => {
  const table: Record<Target, readonly string[]> = {
    any: ["fits", "fits", "fits", "fits"],
    "read-write": ["fits", "unfit", "unfit", "unknown"],
    "read-only": ["unfit", "fits", "fits", "unknown"],
    primary: ["fits", "fits", "unfit", "unknown"],
    standby: ["unfit", "unfit", "fits", "unknown"],
    "prefer-standby": ["second", "second", "fits", "unknown"],
  };
  for (const [target, wanted] of Object.entries(table)) {
    const found = Object.values(SERVERS).map((server) => fitOf(target as Target, new Map(Object.entries(server))));
    t.same(found, wanted, target);
  }
});

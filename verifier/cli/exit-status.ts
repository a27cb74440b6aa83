import type { ExportFault, FaultCode, WitnessFault } from "../src/errors.ts";
import type { Verdict } from "../src/findings.ts";

/** Exit status of a verdict (the manual, "Commands"). */
export const verdictStatus: Readonly<Record<Verdict, number>> = { PASS: 0, FAIL: 1, "NOT PROVEN": 2 };

/** Exit status of a verdict that is not PASS over findings all of which were acknowledged. */
export const acknowledgedStatus = 3;

/** Exit status where there is no verdict (spec/errors.md, verifier, witness and export); as in sysexits.h. */
export const faultStatus: Readonly<Record<FaultCode | WitnessFault | ExportFault, number>> = {
  usage: 64,
  state_missing: 65,
  state_corrupt: 65,
  position_invalid: 65,
  log_unreachable: 69,
  port_in_use: 69,
  collector_unreachable: 69,
  write_failed: 74,
  state_locked: 75,
  collector_refused: 76,
};

/** A bug of ours: it has no code, and its stack is printed. */
export const internalStatus = 70;

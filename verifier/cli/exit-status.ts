import type { FaultCode } from "../src/errors.ts";
import type { Verdict } from "../src/findings.ts";

/** Exit status of a verdict (the manual, "Commands"). */
export const verdictStatus: Readonly<Record<Verdict, number>> = { PASS: 0, FAIL: 1, "NOT PROVEN": 2 };

/** Exit status where there is no verdict (spec/errors.md, verifier); as in sysexits.h. */
export const faultStatus: Readonly<Record<FaultCode, number>> = { usage: 64, log_unreachable: 69 };

/** A bug of ours: it has no code, and its stack is printed. */
export const internalStatus = 70;

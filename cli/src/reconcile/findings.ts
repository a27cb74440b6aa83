/** What a comparison can find, and what it makes of the verdict. README.md describes each; a test holds the two together. */
export const FINDING_VERDICTS = {
  log_contradicts: "FAIL",
  log_unproven: "NOT PROVEN",
  backend_unlogged: "FAIL",
  backends_hidden: "NOT PROVEN",
  connection_unlogged: "FAIL",
  statement_unlogged: "FAIL",
  statements_missing: "NOT PROVEN",
  statements_early: "NOT PROVEN",
  statements_unclear: "NOT PROVEN",
  sessions_unlogged: "NOT PROVEN",
} as const;

/** What an entry that is on its way to the log may settle. */
export const MAY_SETTLE: ReadonlySet<FindingCode> = new Set([
  "backend_unlogged",
  "connection_unlogged",
  "statement_unlogged",
  "statements_early",
  "statements_unclear",
  "sessions_unlogged",
]);

export type FindingCode = keyof typeof FINDING_VERDICTS;
export type Verdict = "PASS" | "FAIL" | "NOT PROVEN";

export interface Finding {
  readonly code: FindingCode;
  readonly message: string;
  readonly database?: string | undefined;
  readonly user?: string | undefined;
  readonly pid?: number | undefined;
  /** How many: statements or sessions beyond those in the log. */
  readonly count?: number | undefined;
  /** The statement's text as the database shows it. */
  readonly sql?: string | undefined;
}

export function verdictOf(findings: readonly Finding[]): Verdict {
  const verdicts = findings.map(({ code }) => FINDING_VERDICTS[code]);
  if (verdicts.includes("FAIL")) return "FAIL";
  return verdicts.length > 0 ? "NOT PROVEN" : "PASS";
}

/** Those that make the verdict FAIL first, else as they are. */
export function bySeverity(findings: readonly Finding[]): Finding[] {
  const fails = ({ code }: Finding): boolean => FINDING_VERDICTS[code] === "FAIL";
  return [...findings.filter(fails), ...findings.filter((one) => !fails(one))];
}

/** As the verifier's. */
export const VERDICT_STATUS: Readonly<Record<Verdict, number>> = { PASS: 0, FAIL: 1, "NOT PROVEN": 2 };

export { Access, FUNCTION_BY_NUMBER, mayChangeReading, SessionAccess } from "./access.ts";
export { type Decision, decision, NOT_DECIDED } from "./decide.ts";
export { denialText } from "./denial.ts";
export { type Explained, explain, type Question } from "./explain.ts";
export { readRules } from "./load.ts";
export type { Subject } from "./match.ts";
export { type Problem, parseRules, RULE_KEYS } from "./parse.ts";
export type { RuleSet } from "./rules.ts";

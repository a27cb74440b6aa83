/** What other commands on Node may build on: a log opened as the verifier's own commands open it. */
export type { LogOptions } from "./args/common.ts";
export { headLines, headOptions, type LogSession, openLog, type Saved, savedLines, saveState } from "./log-session.ts";

export {
  addToken,
  isTokenName,
  readTokens,
  revokeToken,
  type Token,
  type TokenRole,
  tokenRoles,
} from "./access/token-file.ts";
export { type LogServerConfig, readLogServerConfig } from "./config/config.ts";
export { openDisclosure } from "./entries/disclosure.ts";
export {
  type ErrorDetails,
  type Expected,
  exitStatus,
  type HttpCode,
  httpStatus,
  LogServerError,
  type StartCode,
} from "./errors.ts";
export type { SignerKey, VerifierKey } from "./formats/note.ts";
export { type CrashPoint, crashPoints, type LogServerHooks } from "./hooks.ts";
export { createKey, readKey, vkeyOf } from "./keys/keys.ts";
export { type ReloadReport, reloadLine } from "./reload.ts";
export { type RunningLogServer, startLogServer } from "./start.ts";
export { type ExportOptions, type ExportReport, exportLog } from "./tools/export.ts";
export { type Finding, type FindingCode, findingCodes } from "./tools/findings.ts";
export { type FsckReport, fsckLog } from "./tools/fsck.ts";
export {
  type Disclosed,
  type EpochState,
  entryFacts,
  type Inspection,
  inspectLog,
  type LevelShape,
  type Question,
  type SourceState,
  shapeOf,
} from "./tools/inspect.ts";

export { type LogServerConfig, readLogServerConfig } from "./config.ts";
export {
  type ErrorDetails,
  type Expected,
  exitStatus,
  type HttpCode,
  httpStatus,
  LogServerError,
  type StartCode,
} from "./errors.ts";
export { type CrashPoint, crashPoints, type LogServerHooks } from "./hooks.ts";
export { createKey, readKey, vkeyOf } from "./keys.ts";
export type { SignerKey, VerifierKey } from "./note.ts";
export { type RunningLogServer, startLogServer } from "./start.ts";
export {
  addToken,
  isTokenName,
  readTokens,
  revokeToken,
  type Token,
  type TokenRole,
  tokenRoles,
} from "./token-file.ts";

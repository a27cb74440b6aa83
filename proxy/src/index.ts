/** The public entry: what `cli/` and the tests compose the proxy from. */
export {
  type Explained,
  explain,
  type Limits,
  type Note,
  notesOn,
  type Problem,
  parseRules,
  type Question,
  type RuleSet,
} from "./access/index.ts";
export { LOCAL } from "./address/client.ts";
export { makeNextKey } from "./audit/index.ts";
export { formatVerifier, makeVerifier, putUser, readUsers, removeUser, type UserChange } from "./auth/index.ts";
export { type ProxyConfig, parseProxyConfig, readProxyConfig } from "./config/config.ts";
export { CONFIG_KEYS, type ConfigKey } from "./config/keys.ts";
export { type ClientErrorCode, ProxyError, type ProxyErrorCode, SQLSTATE, STARTUP_CODES } from "./errors.ts";
export type { ProxyHooks, RunningProxy } from "./running.ts";
export { Analyzer, type Statement } from "./statements/index.ts";
export { ofWorker, sourceKeyFiles } from "./workers/names.ts";
export { startProxyOrWorkers as startProxy } from "./workers/start.ts";

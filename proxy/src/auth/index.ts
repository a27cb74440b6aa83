/** Who a client is, and who the proxy is to a server. Knows messages, and neither sockets nor records. */
export { Authentication } from "./authentication.ts";
export type { Accepted, AuthClient } from "./authenticator.ts";
export { AUTH_KEYS, type AuthSettings, authSettings, parseUpstreamAuth } from "./config.ts";
export { InForce } from "./in-force.ts";
export { type Credential, loginUpstream, type RefusedLogin, type UpstreamMethod } from "./login.ts";
export { type Passwords, readPasswords } from "./passwords.ts";
export { parseAuthRules } from "./rules.ts";
export { formatVerifier, makeVerifier } from "./scram.ts";
export { noUsers, readUsers, type Users } from "./users.ts";
export { putUser, removeUser, type UserChange } from "./users-file.ts";

/** Who a client is, and who the proxy is to a server. Knows messages, and neither sockets nor records. */
export { Authentication } from "./authentication.ts";
export { AUTH_KEYS, type AuthSettings, authSettings, parseUpstreamAuth } from "./config.ts";
export { InForce } from "./in-force.ts";
export { type Accepted, type AuthClient, Authenticator, type AuthName, type Step } from "./authenticator.ts";
export type { CertificateNames } from "./certificate.ts";
export {
  type Credential,
  type LoggedIn,
  loginUpstream,
  type RefusedLogin,
  UPSTREAM_METHODS,
  type UpstreamLogin,
  type UpstreamMethod,
} from "./login.ts";
export { type Passwords, readPasswords } from "./passwords.ts";
export { type AuthMethod, type AuthRule, parseAuthRules } from "./rules.ts";
export { formatVerifier, makeVerifier, type ScramKeys } from "./scram.ts";
export { formatUser, parseUser, timeOf, type User } from "./user.ts";
export { noUsers, parseUsers, readUsers, type Users } from "./users.ts";

/** Who stands behind a login that several share: as authenticated, and as claimed. */
export { Identity } from "./identity.ts";
export { type IdentityRule, parseIdentityRules } from "./rules.ts";

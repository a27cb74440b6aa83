/** Encryption of both legs. */

export { type ClientTlsSettings, clientTlsSettings, TLS_KEYS } from "./client-settings.ts";
export { type Accepted, type ClientEncryption, ClientTls } from "./client-side.ts";
export { TlsInForce } from "./in-force.ts";
export { withoutPlus } from "./mechanisms.ts";
export { type EncryptionRequest, Negotiation } from "./negotiation.ts";
export { type ServerTlsSettings, serverTlsSettings } from "./server-settings.ts";
export { askedForCertificate, endPointOfServer, ServerTls } from "./server-side.ts";

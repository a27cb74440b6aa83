import { saslprep } from "@mongodb-js/saslprep";

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * A password as SCRAM hashes it: SASLprep (RFC 4013) of it, and, as PostgreSQL has it, the password's own bytes where it
 * is not UTF-8 or SASLprep prohibits it (chapter "SASL Authentication"): any password is a password.
 */
export function preparedPassword(password: string | Buffer): Buffer {
  let text: string;
  if (typeof password === "string") {
    text = password;
  } else {
    try {
      text = utf8.decode(password);
    } catch {
      return password;
    }
  }
  try {
    const prepared = saslprep(text);
    if (prepared !== "") return Buffer.from(prepared);
  } catch {
    // Prohibited or unassigned characters, or nothing is left of it.
  }
  return Buffer.from(text);
}

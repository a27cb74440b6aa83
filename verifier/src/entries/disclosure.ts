import { sha256 } from "@noble/hashes/sha2.js";
import { VerifierError } from "../errors.ts";
import { decodeBase64url, encodeBase64url } from "../formats/base64.ts";
import { parseCompact } from "../formats/compact.ts";
import { decodeUtf8, encodeUtf8 } from "../formats/text.ts";
import { clearValues } from "./members.ts";
import { type Sealed, sealedValues } from "./sealed.ts";

/** A disclosure, opened: the value that stands behind a digest in an entry (RFC 9901 section 4.2). */
export type Disclosure = {
  /** base64url of 16 random bytes. */
  salt: string;
  /** The member's path, such as `sql` or `client.address`. */
  name: string;
  value: unknown;
  /** base64url of SHA-256 over the disclosure's text. */
  digest: string;
};

const saltLength = 16;

/**
 * Step B5, the form: base64url of a JSON array `[salt, name, value]`.
 * @throws VerifierError `disclosure_mismatch`
 */
export function parseDisclosure(text: string): Disclosure {
  const bytes = decodeBase64url(text);
  if (bytes === undefined) throw mismatch("it is not strict base64url");
  const json = decodeUtf8(bytes);
  if (json === undefined) throw mismatch("it is not UTF-8");
  const parsed = parseCompact(json, false);
  if ("wrong" in parsed) throw mismatch(parsed.wrong);
  const parts = parsed.value;
  if (!Array.isArray(parts) || parts.length !== 3) throw mismatch("it is not an array of salt, name and value");
  const [salt, name, value] = parts as [unknown, unknown, unknown];
  if (typeof salt !== "string" || decodeBase64url(salt)?.length !== saltLength) {
    throw mismatch(`its salt is not base64url of ${saltLength} bytes`);
  }
  if (typeof name !== "string") throw mismatch("its name is not a string");
  // Of names that later versions may add, the form of the value is not known here; the digest binds it all the same.
  if (clearValues.get(name)?.(value) === false) throw mismatch(`its value is not one that ${name} can have`);
  return { salt, name, value, digest: encodeBase64url(sha256(encodeUtf8(text))) };
}

/**
 * Step B5: the disclosure is well formed and its digest stands in the entry at the member that it names.
 * @param text the disclosure, base64url
 * @param entry the entry, parsed
 * @throws VerifierError `disclosure_mismatch`
 */
export function verifyDisclosure(text: string, entry: object): Disclosure {
  return verifySealed(text, sealedValues(entry));
}

/**
 * Step B5 for each of them: a file may have a million, and the entry thousands of members.
 * @throws VerifierError `disclosure_mismatch`
 */
export function verifyDisclosures(texts: readonly string[], entry: object): Disclosure[] {
  const sealed = sealedValues(entry);
  return texts.map((text) => verifySealed(text, sealed));
}

function verifySealed(text: string, values: ReadonlyMap<string, Sealed>): Disclosure {
  const disclosure = parseDisclosure(text);
  const sealed = values.get(disclosure.name);
  if (sealed === undefined) {
    throw mismatch(`the entry has no sealed value ${JSON.stringify(disclosure.name)}`, disclosure.name);
  }
  if (sealed.sealed !== disclosure.digest) {
    throw mismatch(
      `its digest is not the one sealed as ${disclosure.name}: the value or its salt is another`,
      disclosure.name,
    );
  }
  return disclosure;
}

function mismatch(why: string, where?: string): VerifierError {
  const place = where === undefined ? {} : { where };
  return new VerifierError("disclosure_mismatch", `this is not a disclosure of the entry: ${why}`, place);
}

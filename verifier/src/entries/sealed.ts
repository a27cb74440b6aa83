import { decodeBase64url } from "../formats/base64.ts";
import { hashLength } from "../formats/merkle.ts";
import { isCount } from "../formats/text.ts";

/** What stands in an entry in place of a sealed value (spec/entry.md, sealed values). */
export type Sealed = {
  /** base64url of the SHA-256 of the disclosure. */
  sealed: string;
  /** Size of the value on the wire. */
  bytes: number;
};

/** @returns the sealed value, or undefined when the object does not have exactly that form. */
export function parseSealed(value: object): Sealed | undefined {
  const { sealed, bytes } = value as Partial<Sealed>;
  if (Object.keys(value).length !== 2 || typeof sealed !== "string" || !isCount(bytes)) return undefined;
  return sealed.length === 43 && decodeBase64url(sealed)?.length === hashLength ? { sealed, bytes } : undefined;
}

/**
 * @param entry an entry, parsed
 * @returns its sealed values by the path of their member, such as `sql` and `client.address`
 */
export function sealedValues(entry: object): Map<string, Sealed> {
  const found = new Map<string, Sealed>();
  collect(entry, "", found);
  return found;
}

function collect(value: object, prefix: string, found: Map<string, Sealed>): void {
  for (const [name, member] of Object.entries(value)) {
    // A member `a.b` must not pass for the member `b` of `a`.
    if (typeof member !== "object" || member === null || name.includes(".")) continue;
    const sealed = parseSealed(member);
    if (sealed === undefined) collect(member, `${prefix}${name}.`, found);
    else found.set(prefix + name, sealed);
  }
}

import { createHash } from "node:crypto";

/** Signature algorithms by the bytes of their object identifier, in hex: the hash they use. */
const HASHES: ReadonlyMap<string, string> = new Map([
  // RFC 5929 section 4.1: MD5 and SHA-1 are replaced by SHA-256.
  ["2a864886f70d010104", "sha256"], // md5WithRSAEncryption
  ["2a864886f70d010105", "sha256"], // sha1WithRSAEncryption
  ["2a864886f70d01010e", "sha224"], // sha224WithRSAEncryption
  ["2a864886f70d01010b", "sha256"], // sha256WithRSAEncryption
  ["2a864886f70d01010c", "sha384"], // sha384WithRSAEncryption
  ["2a864886f70d01010d", "sha512"], // sha512WithRSAEncryption
  ["2a8648ce3d0401", "sha256"], // ecdsa-with-SHA1
  ["2a8648ce3d040301", "sha224"], // ecdsa-with-SHA224
  ["2a8648ce3d040302", "sha256"], // ecdsa-with-SHA256
  ["2a8648ce3d040303", "sha384"], // ecdsa-with-SHA384
  ["2a8648ce3d040304", "sha512"], // ecdsa-with-SHA512
]);
const RSASSA_PSS = "2a864886f70d01010a";
const PSS_HASHES: ReadonlyMap<string, string> = new Map([
  ["2b0e03021a", "sha256"], // SHA-1
  ["608648016503040204", "sha224"],
  ["608648016503040201", "sha256"],
  ["608648016503040202", "sha384"],
  ["608648016503040203", "sha512"],
]);

const SEQUENCE = 0x30;
const OBJECT_IDENTIFIER = 0x06;
const CONTEXT_0 = 0xa0;

/**
 * The channel binding `tls-server-end-point` (RFC 5929 section 4): a server's certificate, hashed with the hash of its
 * own signature.
 * @param certificate DER
 * @returns undefined when its signature names no hash (Ed25519), or one that is not known here: there is no binding then
 */
export function endPointBinding(certificate: Buffer): Buffer | undefined {
  const hash = hashOf(certificate);
  return hash === undefined ? undefined : createHash(hash).update(certificate).digest();
}

/** Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm AlgorithmIdentifier, signature } (RFC 5280). */
function hashOf(certificate: Buffer): string | undefined {
  const [, algorithm] = children(value(certificate, SEQUENCE)) ?? [];
  const [name, parameters] = children(value(algorithm, SEQUENCE)) ?? [];
  const oid = value(name, OBJECT_IDENTIFIER)?.toString("hex");
  if (oid === undefined) return undefined;
  if (oid !== RSASSA_PSS) return HASHES.get(oid);
  // RSASSA-PSS-params ::= SEQUENCE { hashAlgorithm [0] DEFAULT sha1, … } (RFC 4055 section 3.1).
  const first = children(value(parameters, SEQUENCE))?.[0];
  if (first === undefined || first[0] !== CONTEXT_0) return "sha256";
  const inner = children(value(children(value(first, CONTEXT_0))?.[0], SEQUENCE))?.[0];
  return PSS_HASHES.get(value(inner, OBJECT_IDENTIFIER)?.toString("hex") ?? "");
}

/** The elements, each with tag and length, that stand side by side in these bytes; undefined when they do not fit. */
function children(bytes: Buffer | undefined): Buffer[] | undefined {
  if (bytes === undefined) return undefined;
  const found: Buffer[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = elementEnd(bytes, at);
    if (end === undefined) return undefined;
    found.push(bytes.subarray(at, end.to));
    at = end.to;
  }
  return found;
}

/** What an element of this tag holds. */
function value(element: Buffer | undefined, tag: number): Buffer | undefined {
  if (element === undefined || element[0] !== tag) return undefined;
  const end = elementEnd(element, 0);
  return end === undefined ? undefined : element.subarray(end.from, end.to);
}

function elementEnd(bytes: Buffer, at: number): { readonly from: number; readonly to: number } | undefined {
  const short = bytes[at + 1];
  if (short === undefined) return undefined;
  let from = at + 2;
  let length = short;
  if (short > 0x80) {
    const size = short - 0x80;
    if (size > 4 || from + size > bytes.length) return undefined;
    length = bytes.readUIntBE(from, size);
    from += size;
  } else if (short === 0x80) {
    return undefined;
  }
  return from + length > bytes.length ? undefined : { from, to: from + length };
}

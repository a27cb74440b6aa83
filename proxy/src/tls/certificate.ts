import { createHash } from "node:crypto";
import { type Element, elementAt, elementsOf, OBJECT_IDENTIFIER, SEQUENCE } from "./der.ts";

/** For whom a certificate is issued. */
export interface CertificateNames {
  readonly dns: readonly string[];
  /** DNS names, mail addresses and URIs, as they stand. */
  readonly alternatives: readonly string[];
  /** The addresses' octets, 4 or 16. */
  readonly ips: readonly Buffer[];
  /** The first one of the subject. */
  readonly commonName: string | undefined;
}

const EXTENSIONS = 0xa3;
const SUBJECT_ALT_NAME = "551d11";
const COMMON_NAME = "550403";
const RFC822_NAME = 0x81;
const DNS_NAME = 0x82;
const URI = 0x86;
const IP_ADDRESS = 0x87;

/**
 * Reads the names of a certificate (RFC 5280 sections 4.1 and 4.2.1.6).
 * @param der one that OpenSSL has parsed
 * @returns undefined when they cannot be told
 */
export function namesOf(der: Buffer): CertificateNames | undefined {
  const tbs = sequence(sequence(elementAt(der, 0))?.[0]);
  if (tbs === undefined) return undefined;
  // The version is explicit, [0], or left out. Behind it: serial number, algorithm, issuer, validity, subject.
  const subject = sequence(tbs[tbs[0]?.tag === 0xa0 ? 5 : 4]);
  if (subject === undefined) return undefined;
  const commonName = commonNameIn(subject);
  const extensions = tbs.find(({ tag }) => tag === EXTENSIONS);
  const alternatives = extensions === undefined ? [] : alternativesIn(extensions);
  if (alternatives === undefined) return undefined;
  const texts = (...tags: readonly number[]): string[] =>
    alternatives.filter(({ tag }) => tags.includes(tag)).map(({ body }) => body.toString());
  return {
    dns: texts(DNS_NAME),
    alternatives: texts(RFC822_NAME, DNS_NAME, URI),
    ips: alternatives.filter(({ tag }) => tag === IP_ADDRESS).map(({ body }) => body),
    commonName,
  };
}

function commonNameIn(subject: readonly Element[]): string | undefined {
  for (const part of subject) {
    for (const attribute of elementsOf(part.body) ?? []) {
      const [type, value] = sequence(attribute) ?? [];
      if (value !== undefined && oid(type) === COMMON_NAME) return value.body.toString();
    }
  }
  return undefined;
}

function alternativesIn(extensions: Element): readonly Element[] | undefined {
  for (const extension of sequence(elementAt(extensions.body, 0)) ?? []) {
    const parts = sequence(extension);
    if (parts === undefined) return undefined;
    // Behind the type: whether it is critical, if it is; then the value.
    if (oid(parts[0]) === SUBJECT_ALT_NAME) return sequence(elementAt(parts.at(-1)!.body, 0));
  }
  return [];
}

/** Algorithms of signatures, and the digest that each is made with. */
const DIGEST_OF: Readonly<Record<string, string>> = {
  "2a864886f70d010104": "md5",
  "2a864886f70d010105": "sha1",
  "2a864886f70d01010b": "sha256",
  "2a864886f70d01010c": "sha384",
  "2a864886f70d01010d": "sha512",
  "2a864886f70d01010e": "sha224",
  "2a8648ce3d0401": "sha1",
  "2a8648ce3d040301": "sha224",
  "2a8648ce3d040302": "sha256",
  "2a8648ce3d040303": "sha384",
  "2a8648ce3d040304": "sha512",
};
const RSASSA_PSS = "2a864886f70d01010a";
const PSS_DIGEST_OF: Readonly<Record<string, string>> = {
  "2b0e03021a": "sha1",
  "608648016503040201": "sha256",
  "608648016503040202": "sha384",
  "608648016503040203": "sha512",
  "608648016503040204": "sha224",
};

/**
 * The channel binding `tls-server-end-point` (RFC 5929 section 4.1) of a connection whose server showed this certificate.
 * @returns undefined where the binding is not defined: the certificate's signature has no digest of its own (Ed25519)
 */
export function endPointOf(der: Buffer): Buffer | undefined {
  const algorithm = sequence(sequence(elementAt(der, 0))?.[1]);
  const name = oid(algorithm?.[0]);
  if (algorithm === undefined || name === undefined) return undefined;
  const digest = name === RSASSA_PSS ? pssDigest(algorithm[1]) : DIGEST_OF[name];
  if (digest === undefined) return undefined;
  return createHash(digest === "md5" || digest === "sha1" ? "sha256" : digest)
    .update(der)
    .digest();
}

/** RFC 4055 section 3.1: the digest is [0], and SHA-1 when it is left out. */
function pssDigest(parameters: Element | undefined): string | undefined {
  const given = sequence(parameters)?.find(({ tag }) => tag === 0xa0);
  if (given === undefined) return "sha1";
  const name = oid(sequence(elementAt(given.body, 0))?.[0]);
  return name === undefined ? undefined : PSS_DIGEST_OF[name];
}

function sequence(element: Element | undefined): readonly Element[] | undefined {
  return element?.tag === SEQUENCE ? elementsOf(element.body) : undefined;
}

function oid(element: Element | undefined): string | undefined {
  return element?.tag === OBJECT_IDENTIFIER ? element.body.toString("hex") : undefined;
}

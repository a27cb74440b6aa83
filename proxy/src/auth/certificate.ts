/** The names that a verified client certificate bears. */
export interface CertificateNames {
  /** Common name of its subject. */
  readonly commonName: string | undefined;
  /** Its other names (subjectAltName): DNS names, mail addresses and URIs, each without its type. */
  readonly alternatives: readonly string[];
}

/** Whether the certificate is one of this name: exactly, for a name with `*` or of another case may be another's. */
export function certificateFits({ commonName, alternatives }: CertificateNames, name: string): boolean {
  return commonName === name || alternatives.includes(name);
}

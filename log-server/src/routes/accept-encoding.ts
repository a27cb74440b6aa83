// RFC 9110 section 12.5.3, as far as it decides between gzip and the bytes as they are.

/** @returns the weight of a member's `q`, 0 for one that is malformed, so that it is not chosen. */
function weight(parameters: readonly string[]): number {
  for (const parameter of parameters) {
    const value = /^\s*q\s*=(.*)$/i.exec(parameter)?.[1]?.trim();
    if (value === undefined) continue;
    return /^(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)$/.test(value) ? Number(value) : 0;
  }
  return 1;
}

/**
 * @param header Accept-Encoding
 * @returns whether the client takes gzip, and likes it no less than the bytes as they are
 */
export function prefersGzip(header: string | undefined): boolean {
  if (header === undefined) return false;
  const weights = new Map<string, number>();
  for (const member of header.toLowerCase().split(",")) {
    const [name = "", ...parameters] = member.split(";");
    weights.set(name.trim(), weight(parameters));
  }
  const gzip = weights.get("gzip") ?? weights.get("x-gzip") ?? weights.get("*") ?? 0;
  return gzip > 0 && gzip >= (weights.get("identity") ?? 0);
}

import { isIP, isIPv4 } from "node:net";
import { namesOf } from "./certificate.ts";

/**
 * Whether a certificate is issued for this host, by libpq's rules (PostgreSQL section 34.19.1, RFC 6125): the
 * alternative names of the host's kind count; the common name only where there is none of that kind. A wildcard stands
 * for the whole first label.
 *
 * @param host a name or an IP address, as it was configured
 * @returns what is wrong; undefined when it is the host's
 */
export function wrongHost(der: Buffer, host: string): string | undefined {
  const names = namesOf(der);
  if (names === undefined) return "its names cannot be read";
  const address = isIP(host) === 0 ? undefined : octetsOf(host);
  const { dns, ips, commonName } = names;
  if ([...dns, commonName ?? ""].some((name) => name.includes("\0"))) return "a name in it contains a NUL";
  if (dns.some((name) => sameName(name, host))) return undefined;
  if (address !== undefined && ips.some((ip) => ip.equals(address))) return undefined;
  const sameKind = address === undefined ? dns.length : ips.length;
  if (sameKind === 0 && commonName !== undefined && sameName(commonName, host)) return undefined;
  return `it is not for the host ${JSON.stringify(host)}`;
}

function sameName(pattern: string, host: string): boolean {
  const [name, wanted] = [lower(pattern), lower(host)];
  if (name === wanted) return true;
  if (!name.startsWith("*.") || name.length < 3) return false;
  const dot = wanted.indexOf(".");
  return dot > 0 && wanted.slice(dot) === name.slice(1);
}

/** Of ASCII only: names in certificates are A-labels. */
function lower(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** @returns the 4 or 16 octets of an IP address; undefined for one with a zone */
function octetsOf(address: string): Buffer | undefined {
  if (isIPv4(address)) return Buffer.from(address.split(".").map(Number));
  if (address.includes("%")) return undefined;
  // The URL parser writes IPv4 parts and zeros in one form (URL Standard, IPv6 serializer).
  const [head = "", tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
  const groups = (text: string): string[] => (text === "" ? [] : text.split(":"));
  const [before, after] = [groups(head), groups(tail ?? "")];
  const zeros = new Array<string>(8 - before.length - after.length).fill("0");
  return Buffer.from([...before, ...zeros, ...after].map((group) => group.padStart(4, "0")).join(""), "hex");
}

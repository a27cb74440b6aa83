import { BlockList, isIP } from "node:net";
import { LOCAL } from "../address/client.ts";

/** An address, a network in CIDR form, or those who are on this machine and came by a Unix socket. */
export interface Network {
  readonly text: string;
  /** @param host an IP address, or `[local]` */
  has(host: string): boolean;
}

/** @returns undefined when it is neither an address, nor a network, nor `local` */
export function parseNetwork(text: string): Network | undefined {
  // As in pg_hba.conf: no address is local, also not 127.0.0.1, and no network has a Unix socket in it.
  if (text === "local") return { text, has: (host) => host === LOCAL };
  const [written = "", length, more] = text.split("/");
  if (isIP(written) === 0 || more !== undefined || written.includes("%")) return undefined;
  if (length !== undefined && !/^(?:0|[1-9][0-9]{0,2})$/.test(length)) return undefined;
  const address = plain(written);
  const version = isIP(address);
  const all = version === 4 ? 32 : 128;
  // ::ffff:10.0.0.0/104 is 10.0.0.0/8; a wider one is neither a network of IPv4 nor one that a client comes from.
  const before = version === isIP(written) ? 0 : 96;
  const bits = length === undefined ? all : Number(length) - before;
  if (bits < 0 || bits > all) return undefined;
  const list = new BlockList();
  const family = version === 4 ? "ipv4" : "ipv6";
  list.addSubnet(address, bits, family);
  return {
    text,
    has: (host) => {
      const from = plain(host.replace(/%.*$/s, ""));
      const is = isIP(from);
      return is !== 0 && is === version && list.check(from, family);
    },
  };
}

/** The address of IPv4 that one of IPv6 stands for: a socket that listens on both families says ::ffff:192.0.2.1. */
function plain(address: string): string {
  if (isIP(address) !== 6) return address;
  const [, high, low] = /^\[::ffff:([0-9a-f]+):([0-9a-f]+)\]$/.exec(new URL(`http://[${address}]`).hostname) ?? [];
  if (high === undefined || low === undefined) return address;
  const parts = [high, low].map((part) => Number.parseInt(part, 16));
  return parts.flatMap((part) => [Math.floor(part / 256), part % 256]).join(".");
}

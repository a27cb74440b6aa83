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
  const [address = "", bits, more] = text.split("/");
  const version = isIP(address);
  if (version === 0 || more !== undefined || address.includes("%")) return undefined;
  const all = version === 4 ? 32 : 128;
  if (bits !== undefined && (!/^(?:0|[1-9][0-9]{0,2})$/.test(bits) || Number(bits) > all)) return undefined;
  const list = new BlockList();
  const family = version === 4 ? "ipv4" : "ipv6";
  list.addSubnet(address, bits === undefined ? all : Number(bits), family);
  return {
    text,
    has: (host) => {
      // A socket that listens on both families says ::ffff:192.0.2.1.
      const plain = /^::ffff:(?=[0-9.]+$)/i.test(host) ? host.slice(7) : host.replace(/%.*$/s, "");
      const is = isIP(plain);
      return is !== 0 && is === version && list.check(plain, family);
    },
  };
}

import type { Socket } from "node:net";

/** A client on a Unix socket, as PostgreSQL's own log names it. */
export const LOCAL = "[local]";

/** @param local it came by a Unix socket. @returns `host:port`, or `[local]` */
export function addressOf(client: Socket, local: boolean): string {
  if (local) return LOCAL;
  const { remoteAddress, remotePort } = client;
  if (remoteAddress === undefined) return "unknown";
  return remoteAddress.includes(":") ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
}

/** @returns the IP address in `host:port`; `[local]` for a Unix socket; undefined where neither is known */
export function hostOf(address: string): string | undefined {
  if (address === LOCAL) return LOCAL;
  const host = /^(?:\[(.*)\]|([^:]*)):\d+$/.exec(address);
  return host?.[1] ?? host?.[2];
}

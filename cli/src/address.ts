import { CliError } from "./errors.ts";

export interface Address {
  /** A name, an IP address, or the folder of a Unix socket. */
  readonly host: string;
  /** 0 to 65535; 0 asks the system for a free port. */
  readonly port: number;
}

/**
 * Reads `HOST:PORT`, with brackets round an IPv6 host.
 *
 * @throws CliError `usage` naming the option
 */
export function parseAddress(text: string, option: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/@]+)):(0|[1-9][0-9]{0,4})$/.exec(text);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || !(port <= 65535)) {
    throw new CliError(
      "usage",
      `${option} ${JSON.stringify(text)} is not HOST:PORT, such as 127.0.0.1:6432 or [::1]:6432`,
    );
  }
  return { host, port };
}

/**
 * Reads the same, or `FOLDER:PORT` for the Unix socket in a folder, which then stands as the host, as in libpq.
 *
 * @throws CliError `usage` naming the option
 */
export function parseSocketOrAddress(text: string, option: string): Address {
  const match = /^(\/[^\p{Cc}]*):([1-9][0-9]{0,4})$/u.exec(text);
  const port = Number(match?.[2]);
  if (match !== null && port <= 65535) return { host: match[1] as string, port };
  return parseAddress(text, option);
}

/** Whether the host is the folder of a Unix socket. */
export function isFolder(host: string): boolean {
  return host.startsWith("/");
}

/** The file of the Unix socket in a folder, by the name that PostgreSQL and libpq give it. */
export function socketFile({ host, port }: Address): string {
  return `${host.replace(/\/+$/, "")}/.s.PGSQL.${port}`;
}

export function formatAddress(address: Address): string {
  return address.host.includes(":") && !isFolder(address.host)
    ? `[${address.host}]:${address.port}`
    : `${address.host}:${address.port}`;
}

/** Where a client on this machine reaches a server that listens on `host`: a wildcard is no address to connect to. */
export function reachableHost(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  return host === "::" ? "::1" : host;
}

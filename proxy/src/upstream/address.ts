import { isFolder } from "../address/unix-socket.ts";

/** Where a database server listens: at a host, or at a Unix socket in the folder `host`. */
export interface UpstreamAddress {
  readonly host: string;
  readonly port: number;
  /** The IP address to use, where one of several that `host` stands for is meant. */
  readonly at?: string;
}

/** @returns `host:port`, as it is named to people */
export function hostPort({ host, port }: UpstreamAddress): string {
  return host.includes(":") && !isFolder(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Where a database server listens. */
export interface UpstreamAddress {
  readonly host: string;
  readonly port: number;
  /** The IP address to use, where one of several that `host` stands for is meant. */
  readonly at?: string;
}

/** @returns `host:port`, as it is named to people */
export function hostPort({ host, port }: UpstreamAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

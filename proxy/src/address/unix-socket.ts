import { isAbsolute } from "node:path";

/** `sun_path` has 108 bytes on Linux and 104 on macOS, one for the final NUL. */
const MAX_PATH = process.platform === "linux" ? 107 : 103;

/** Whether what stands in a host's place is the folder of a Unix socket: it begins with a slash, as libpq tells. */
export function isFolder(host: string): boolean {
  return isAbsolute(host);
}

/** @returns the socket's file, by the name that PostgreSQL and libpq give it */
export function socketPath({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${host.replace(/\/+$/, "")}/.s.PGSQL.${port}`;
}

/** @returns what is wrong with the socket's path, if the system would not take it */
export function wrongPath(address: { readonly host: string; readonly port: number }): string | undefined {
  const bytes = Buffer.byteLength(socketPath(address));
  if (bytes <= MAX_PATH) return undefined;
  return `a shorter folder: the path of its socket has ${bytes} bytes, and the system takes ${MAX_PATH}`;
}

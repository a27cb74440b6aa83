import { isFolder, wrongPath } from "../address/unix-socket.ts";

/** Where clients connect: an IP address or name, or the folder of a Unix socket, which begins with a slash. */
export interface ListenAddress {
  readonly host: string;
  /** 0, but not in a folder: the system chooses one. */
  readonly port: number;
}

const FORM = "HOST:PORT, such as 127.0.0.1:6432, or FOLDER:PORT for a Unix socket, such as /run/vitrine:6432";

const MAX_ADDRESSES = 16;

/**
 * The value of `listen` as YAML gives it: one address, or a list.
 * @param wrong makes the error, from what the value should be
 * @throws what `wrong` made
 */
export function parseListen(value: unknown, wrong: (wanted: string) => Error): readonly ListenAddress[] {
  const items: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (items.length === 0 || items.length > MAX_ADDRESSES)
    throw wrong(`one address, or a list of up to ${MAX_ADDRESSES}`);
  const addresses = items.map((item) => parseListenAddress(item, wrong));
  const names = addresses.map(({ host, port }) => `${host}:${port}`);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw wrong(`a list that names ${twice} once`);
  return addresses;
}

function parseListenAddress(value: unknown, wrong: (wanted: string) => Error): ListenAddress {
  const match = typeof value === "string" ? /^(\/[^\0]*|\[[0-9a-f:.]+\]|[^\s:[\]/]+):([0-9]{1,5})$/i.exec(value) : null;
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) throw wrong(FORM);
  const address = { host: match[1]!.replace(/^\[|\]$/g, ""), port };
  if (!isFolder(address.host)) return address;
  if (port === 0) throw wrong("a FOLDER:PORT with a port from 1 on: it is in the name of the socket's file");
  const wrongFolder = wrongPath(address);
  if (wrongFolder !== undefined) throw wrong(wrongFolder);
  return address;
}

/** @returns the address as it is named to people */
export function shownAddress({ host, port }: ListenAddress): string {
  return host.includes(":") && !isFolder(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

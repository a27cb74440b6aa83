import { lookup } from "node:dns/promises";
import { connect, isIP, type Socket } from "node:net";
import { isFolder, socketPath } from "../address/unix-socket.ts";
import { ProxyError } from "../errors.ts";
import type { UpstreamAddress } from "./address.ts";

/** An address has so long before the next one is tried beside it (RFC 8305 section 8). */
const BESIDE_MS = 250;
const MAX_ADDRESSES = 16;

/** @returns the IP addresses of a name, in the resolver's order */
export type Resolve = (host: string) => Promise<readonly string[]>;

const resolveByDns: Resolve = async (host) => {
  const found = await lookup(host, { all: true, verbatim: true });
  return found.map(({ address }) => address);
};

/**
 * Opens a connection by TCP, or by the Unix socket in a folder. Where the host has several addresses they are tried in turn, families alternating, each a
 * moment after the one before or as soon as that failed; the first that answers is taken.
 *
 * @param timeoutMs for the name, and for each address
 * @throws ProxyError `upstream_unreachable`, with what became of each address
 */
export async function dial(
  address: UpstreamAddress,
  timeoutMs: number,
  resolve: Resolve = resolveByDns,
): Promise<Socket> {
  if (isFolder(address.host)) return race([{ path: socketPath(address) }], timeoutMs);
  const named = address.at ?? address.host;
  const addresses = isIP(named) ? [named] : alternating(await timely(resolve(named), timeoutMs, named));
  const { port } = address;
  const ends = addresses.slice(0, MAX_ADDRESSES).map((host) => ({ host, port, noDelay: true, keepAlive: true }));
  return race(ends, timeoutMs);
}

type End =
  | { readonly path: string }
  | { readonly host: string; readonly port: number; readonly noDelay: boolean; readonly keepAlive: boolean };

function race(ends: readonly End[], timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const open = new Map<Socket, NodeJS.Timeout>();
    const problems: string[] = [];
    let next = 0;
    let beside: NodeJS.Timeout | undefined;
    const begin = (): void => {
      clearTimeout(beside);
      const end = ends[next];
      if (end === undefined) {
        if (open.size === 0) reject(unreachable(problems.join(", ") || "the name has no address"));
        return;
      }
      next += 1;
      const name = "path" in end ? end.path : end.host;
      const socket = connect({ ...end, allowHalfOpen: true });
      const fail = (why: string): void => {
        clearTimeout(open.get(socket));
        open.delete(socket);
        socket.destroy();
        problems.push(ends.length > 1 || "path" in end ? `${name}: ${why}` : why);
        begin();
      };
      const onError = (error: NodeJS.ErrnoException): void => fail(error.code ?? error.message);
      open.set(
        socket,
        setTimeout(() => fail(`no answer within ${timeoutMs / 1000} s`), timeoutMs),
      );
      socket.once("error", onError);
      socket.once("connect", () => {
        clearTimeout(beside);
        for (const [other, timer] of open) {
          clearTimeout(timer);
          if (other !== socket) other.destroy();
        }
        socket.off("error", onError);
        next = ends.length;
        resolve(socket);
      });
      if (next < ends.length) beside = setTimeout(begin, BESIDE_MS);
    };
    begin();
  });
}

async function timely(found: Promise<readonly string[]>, timeoutMs: number, name: string): Promise<readonly string[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no address for ${name} within ${timeoutMs / 1000} s`)), timeoutMs);
  });
  try {
    return await Promise.race([found, late]);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw unreachable(code === undefined ? message : `${code} for the name ${name}`);
  } finally {
    clearTimeout(timer);
  }
}

/** RFC 8305 section 4: the families in turn, beginning with that of the first address. */
function alternating(addresses: readonly string[]): readonly string[] {
  const first = isIP(addresses[0] ?? "");
  const one = addresses.filter((address) => isIP(address) === first);
  const other = addresses.filter((address) => isIP(address) !== first);
  return Array.from({ length: Math.max(one.length, other.length) }, (_, i) => [one[i], other[i]])
    .flat()
    .filter((address) => address !== undefined);
}

function unreachable(why: string): ProxyError {
  return new ProxyError("upstream_unreachable", `no connection to the database server: ${why}`);
}

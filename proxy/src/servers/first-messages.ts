import type { Duplex } from "node:stream";
import { ProxyError } from "../errors.ts";

/**
 * Changes what a server says first: waits for as much of it as `change` needs, and leaves the result in the stream, unread.
 *
 * @param change is given the server's first bytes, more each time; undefined asks for more, and must not do so forever
 * @throws ProxyError `upstream_lost` when the server goes away before, `upstream_unreachable` when it says too little in
 *   time, or what `change` throws
 */
export function changeFirst(
  stream: Duplex,
  change: (bytes: Buffer) => Buffer | undefined,
  timeoutMs: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let seen: Buffer = Buffer.alloc(0);
    const end = (): void => {
      clearTimeout(timer);
      stream.off("readable", onReadable).off("end", onLost).off("error", onLost).off("close", onLost);
    };
    const onLost = (): void => {
      end();
      reject(new ProxyError("upstream_lost", "the database server closed the connection during the login"));
    };
    const onReadable = (): void => {
      const chunk = stream.read() as Buffer | null;
      if (chunk === null) {
        if (stream.readableEnded || stream.destroyed) onLost();
        return;
      }
      seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
      let changed: Buffer | undefined;
      try {
        changed = change(seen);
      } catch (error) {
        end();
        reject(error as Error);
        return;
      }
      if (changed === undefined) return;
      end();
      stream.unshift(changed);
      resolve();
    };
    const timer = setTimeout(() => {
      end();
      const why = `no connection to the database server: no answer to the login within ${timeoutMs / 1000} s`;
      reject(new ProxyError("upstream_unreachable", why));
    }, timeoutMs);
    stream.on("readable", onReadable).once("end", onLost).once("error", onLost).once("close", onLost);
  });
}

import type { Duplex } from "node:stream";
import { ProxyError } from "../errors.ts";
import { parseError } from "../wire/backend.ts";

/** The server's own word that it takes no sessions now: it is starting, stopping or recovering. */
const NOT_NOW = "57P03";
const ERROR_RESPONSE = 0x45;
/** A longer first message is not one that is looked into. */
const MAX_LOOKED_AT = 8192;

/**
 * Waits for the server's first message behind the startup packet, and leaves it in the stream, unread.
 *
 * @returns whether the server takes sessions now
 * @throws ProxyError `upstream_lost` when it closes without a word, `upstream_unreachable` when it says none in time
 */
export function takesSessions(stream: Duplex, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let seen: Buffer = Buffer.alloc(0);
    const end = (): void => {
      clearTimeout(timer);
      stream.off("readable", onReadable).off("end", onLost).off("error", onError).off("close", onLost);
    };
    const lost = (why: string): void => {
      end();
      reject(new ProxyError("upstream_lost", `the database server closed the connection during the login${why}`));
    };
    const onError = (error: NodeJS.ErrnoException): void => lost(`: ${error.code ?? error.message}`);
    const onLost = (): void => lost("");
    const answered = (ready: boolean): void => {
      end();
      stream.unshift(seen);
      resolve(ready);
    };
    const onReadable = (): void => {
      const chunk = stream.read() as Buffer | null;
      if (chunk === null) {
        if (stream.readableEnded || stream.destroyed) onLost();
        return;
      }
      seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
      if (seen[0] !== ERROR_RESPONSE) answered(true);
      else if (seen.length >= 5) {
        const size = seen.readUInt32BE(1) + 1;
        if (size < 6 || size > MAX_LOOKED_AT) answered(true);
        else if (seen.length >= size) answered(parseError(seen.subarray(0, size)).sqlstate !== NOT_NOW);
      }
    };
    const timer = setTimeout(() => {
      end();
      const why = `no connection to the database server: no answer to the login within ${timeoutMs / 1000} s`;
      reject(new ProxyError("upstream_unreachable", why));
    }, timeoutMs);
    stream.on("readable", onReadable).once("end", onLost).once("error", onError).once("close", onLost);
  });
}

import { ProxyError } from "../errors.ts";
import { chore, query } from "./chore.ts";
import type { Pool, Wait } from "./pool.ts";
import type { PooledServer } from "./server.ts";
import { change } from "./session-settings.ts";

/** How long a server may take to set what a session has set. */
const SETTINGS_MS = 10_000;

export interface Leasing {
  /** When it began to wait, by the monotonic clock. */
  readonly since: number;
  /** Whoever asked does not want it any more. Not after it was told. */
  abandon(): void;
}

/**
 * Takes a connection from the pool and makes it one that has these settings.
 * @param settings a SessionSettings' text
 * @param leased told once it is there, maybe before this returns; the holder is for the one who is told to set
 * @param failed told instead
 * @returns how to give up; undefined when either was told already
 */
export function lease(
  pool: Pick<Pool, "take" | "release">,
  settings: string,
  leased: (server: PooledServer) => void,
  failed: (error: ProxyError) => void,
): Leasing | undefined {
  let told = false;
  let abandoned = false;
  const tell = (server: PooledServer): void => {
    told = true;
    leased(server);
  };
  const since = performance.now();
  const wait: Wait | undefined = pool.take({
    leased: (server) => {
      if (server.settings === settings) {
        tell(server);
        return;
      }
      const text = change(server.settings, settings);
      server.settings = settings;
      chore(server, [query(text)], SETTINGS_MS, ({ done, error }) => {
        if (!done) pool.release(server, "close");
        if (abandoned) {
          if (done) pool.release(server, "clean");
        } else if (done) tell(server);
        else {
          told = true;
          const why = error === undefined ? "the server did not answer" : error.message;
          failed(new ProxyError("pool_settings", `what the session had set cannot be set again: ${why}`));
        }
      });
    },
    failed: (error) => {
      told = true;
      failed(error);
    },
  });
  if (told) return undefined;
  return {
    since,
    abandon: () => {
      abandoned = true;
      wait?.abandon();
    },
  };
}

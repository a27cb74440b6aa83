import { ProxyError } from "../errors.ts";
import { isGoingAway } from "../upstream/index.ts";
import { chore, query } from "./chore.ts";
import type { Pool, Wait } from "./pool.ts";
import type { PooledServer } from "./server.ts";
import { change } from "./session-settings.ts";

/** How long a server may take to set what a session has set. */
const SETTINGS_MS = 10_000;
/** So many connections may turn out to be dead when something is to be set on them. */
const DEAD = 3;

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
  const since = performance.now();
  let told = false;
  let abandoned = false;
  let dead = 0;
  let wait: Wait | undefined;
  const tell = (server: PooledServer): void => {
    told = true;
    leased(server);
  };
  const take = (): void => {
    wait = pool.take({
      leased: (server) => prepare(server),
      failed: (error) => {
        told = true;
        failed(error);
      },
    });
  };
  const prepare = (server: PooledServer): void => {
    const before = server.settings;
    if (before === settings) {
      tell(server);
      return;
    }
    server.settings = settings;
    chore(server, [query(change(before, settings))], SETTINGS_MS, ({ done, error }) => {
      if (done) {
        if (abandoned) pool.release(server, "clean");
        else tell(server);
        return;
      }
      const lost = error === undefined || isGoingAway(error.sqlstate);
      pool.release(server, "close");
      if (abandoned) return;
      if (lost) dead += 1;
      // It may be what its last user has set, a statement_timeout say, that is in the way.
      if (before !== "" || (lost && dead < DEAD)) {
        take();
        return;
      }
      told = true;
      const why = error === undefined ? "the server did not answer" : error.message;
      failed(new ProxyError("pool_settings", `what the session had set cannot be set again: ${why}`));
    });
  };
  take();
  if (told) return undefined;
  return {
    since,
    abandon: () => {
      abandoned = true;
      wait?.abandon();
    },
  };
}

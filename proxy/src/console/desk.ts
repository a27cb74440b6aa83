import type { Act } from "./command.ts";
import type { Shown } from "./shown.ts";
import type { Row } from "./table.ts";

/** What the console has done: it reads and writes messages, and knows nothing of what stands behind them. */
export interface Desk {
  show(what: Shown): Promise<readonly Row[]>;
  /**
   * @param user who asks
   * @param signal aborted when the one who asks does not wait for it any more
   * @returns when it is done
   * @throws ProxyError `console_state`, `bad_config`; `console_cancelled` once the signal is aborted
   */
  act(act: Act, user: string, signal: AbortSignal): Promise<void>;
}

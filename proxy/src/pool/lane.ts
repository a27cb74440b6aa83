import type { ProxyError } from "../errors.ts";
import type { PooledServer } from "./server.ts";

/** How a logged-in client's messages come to a server connection and back. */
export interface Lane {
  /** The connection that it has now. */
  readonly server: PooledServer | undefined;
  /** Since when it waits for one, by the monotonic clock. */
  readonly waitingSince: number | undefined;
  /** Why it keeps the one it has. */
  readonly pins: readonly string[];
  readonly preparedStatements: number;
  /** Frontend messages, cut anywhere; `done` when more may come. */
  write(chunk: Buffer, done: () => void): void;
  /** The client's last byte was written. What was asked is answered first, as far as PostgreSQL would do it. */
  close(): void;
  /** The client takes more. */
  resume(): void;
  /** Asks that what the client has under way be cancelled; nothing happens when there is nothing. */
  cancel(): Promise<void>;
  /** Gives up at once whatever it has. */
  destroy(): void;
}

/** Where the lane's answers go. */
export interface LaneOwner {
  /** Backend messages for the client. @returns whether it takes more; `resume` is told when it does again */
  push(bytes: Buffer): boolean;
  /** Nothing more will be pushed. */
  finished(): void;
  /** The session cannot go on. */
  fail(error: ProxyError): void;
}

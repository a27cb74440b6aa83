import { setTimeout as sleep } from "node:timers/promises";
import type { Child } from "./child.ts";
import { waiting } from "./part-messages.ts";
import type { Postgres } from "./postgres/server.ts";

/** One of the things that `up` runs, seen from where they are stopped. */
export interface Piece {
  readonly label: string;
  /** What its stop is about, for a person who waits for it. */
  readonly stopping: string;
  /** Resolves when it is gone, with its last line of error. */
  readonly ended: Promise<string>;
  /** Has it read its configuration again, where it can. */
  reload?(): void;
  /** @returns whether it stopped in order, and a line that says so */
  stop(): Promise<{ clean: boolean; note: string }>;
}

export function databasePiece(postgres: Pick<Postgres, "ended" | "stop">): Piece {
  return {
    label: "PostgreSQL",
    stopping: "PostgreSQL to write its last checkpoint",
    ended: postgres.ended,
    stop: async () => {
      await postgres.stop();
      return { clean: true, note: "PostgreSQL stopped" };
    },
  };
}

export function childPiece(child: Child): Piece {
  const stopping = {
    proxy: "the proxy to end its sessions, seal its record and submit it",
    "log-server": "the log-server to sign its last checkpoint",
  };
  return {
    label: `the ${child.name}`,
    stopping: stopping[child.name],
    ended: child.ended,
    reload: () => child.reload(),
    stop: async () => {
      const stopped = await child.stop();
      if (stopped.how === "disorderly")
        return { clean: false, note: `${child.name} did not stop in order; it recovers at the next start` };
      if (stopped.how === "unready") return { clean: true, note: `${child.name} stopped before it was ready` };
      const { unsubmitted } = stopped;
      const submitted = child.name === "proxy" && unsubmitted === 0 ? "; everything it recorded is in the log" : "";
      return { clean: true, note: `${child.name} stopped${submitted}${waiting(unsubmitted)}` };
    },
  };
}

/** The first of the pieces that is gone already, if any: what else went wrong may only follow from it. */
export async function firstEnded(pieces: readonly Piece[]): Promise<{ piece: Piece; lastLine: string } | undefined> {
  // One that fails takes a moment to be gone after those that depended on it have noticed.
  const given = sleep(200).then(() => undefined);
  return Promise.race([given, ...pieces.map(async (piece) => ({ piece, lastLine: await piece.ended }))]);
}

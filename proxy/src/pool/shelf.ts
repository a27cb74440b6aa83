/**
 * A statement as Parse gives it: its text and its parameter types. One object for all sessions that prepare the same
 * in the same environment.
 */
export interface PreparedText {
  /** Its name on every server connection that has it. */
  readonly serverName: string;
  /** What stands behind the name in its Parse message. */
  readonly body: Buffer;
  /** What its names are read by: the search path, and the role. What a parameter is follows from it, and stays so. */
  readonly environment: string;
}

/** What is prepared on one server connection, the least recently used first. */
export class Shelf {
  readonly named: Map<PreparedText, { segment: number; confirmed: boolean }> = new Map();
  /** Those that a Close is on its way for, and the segment that it stands in. */
  readonly closing: Map<PreparedText, number> = new Map();
  /** Those that are of no use any more, and still there. */
  readonly stale: PreparedText[] = [];
  /** The unnamed statement: whose it is. */
  unnamed: object | undefined;

  /** Somebody had the server forget one of them by its name there. */
  lost(serverName: string): void {
    for (const text of this.named.keys()) if (text.serverName === serverName) this.named.delete(text);
  }
}

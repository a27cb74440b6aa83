/** A statement as Parse gives it: its text and its parameter types. One object for all sessions that prepare the same. */
export interface PreparedText {
  /** Its name on every server connection that has it. */
  readonly serverName: string;
  /** What stands behind the name in its Parse message. */
  readonly body: Buffer;
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
}

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

/** A Parse of a statement, sent in this segment, and whether the server has answered that it did. */
export interface Standing {
  readonly segment: number;
  confirmed: boolean;
}

/** A Close on its way, and what is there again when the server skips it. */
export interface Closing {
  readonly text: PreparedText;
  /** Undefined for one that is of no use any more. */
  readonly standing: Standing | undefined;
  readonly segment: number;
}

/** What is prepared on one server connection, the least recently used first. */
export class Shelf {
  readonly named: Map<PreparedText, Standing> = new Map();
  readonly closing: Set<Closing> = new Set();
  /** Those that are of no use any more, and still there. */
  readonly stale: PreparedText[] = [];
  /** The unnamed statement: whose it is. */
  unnamed: object | undefined;

  /** How many the server has. */
  get size(): number {
    return this.named.size + this.stale.length;
  }

  /** The server has forgotten all that it had: what it was sent behind that is there, or will be. */
  clear(): void {
    for (const [text, { confirmed }] of this.named) if (confirmed) this.named.delete(text);
    for (const one of this.closing) if (one.standing?.confirmed !== false) this.closing.delete(one);
    this.stale.length = 0;
  }

  /** The server does not have it, or not any more. @returns whether we thought so; one that is on its way stays */
  lost(text: PreparedText): boolean {
    return this.named.get(text)?.confirmed === true && this.named.delete(text);
  }

  /** Somebody had the server forget one of them by its name there. */
  deallocated(serverName: string): void {
    for (const text of this.named.keys()) if (text.serverName === serverName) this.lost(text);
  }
}

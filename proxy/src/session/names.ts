import type { Execution, Portal, Prepared } from "./execution.ts";

/** The prepared statements and portals of a session, as one side of it believes them to be. */
export class Names {
  readonly prepared: Map<string, Prepared> = new Map();
  readonly portals: Map<string, Portal> = new Map();

  copyFrom(other: Names): void {
    this.prepared.clear();
    for (const [name, value] of other.prepared) this.prepared.set(name, value);
    this.portals.clear();
    for (const [name, value] of other.portals) this.portals.set(name, value);
  }

  /** A simple Query destroys the unnamed statement and the unnamed portal. */
  dropUnnamed(): Execution | undefined {
    this.prepared.delete("");
    return this.closePortal("");
  }

  /** @returns the execution that was suspended in it */
  closePortal(name: string): Execution | undefined {
    const suspended = this.portals.get(name)?.suspended;
    this.portals.delete(name);
    return suspended;
  }
}

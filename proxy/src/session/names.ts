import type { Portal, Prepared } from "./execution.ts";

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
  dropUnnamed(): Portal | undefined {
    this.prepared.delete("");
    return this.closePortal("");
  }

  /** @returns the portal, if there was one */
  closePortal(name: string): Portal | undefined {
    const portal = this.portals.get(name);
    this.portals.delete(name);
    return portal;
  }
}

import type { Portal, Prepared } from "./execution.ts";

/**
 * What stands under names. The unnamed one, which most clients use for every statement, has a place of its own: a Map that
 * changes with every statement makes tables as often, each of which refers to the next, and the collector takes what was
 * in them for alive.
 */
export class ByName<T> {
  readonly #named: Map<string, T> = new Map();
  #unnamed: T | undefined;

  get(name: string): T | undefined {
    return name === "" ? this.#unnamed : this.#named.get(name);
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  set(name: string, value: T): void {
    if (name === "") this.#unnamed = value;
    else this.#named.set(name, value);
  }

  delete(name: string): void {
    if (name === "") this.#unnamed = undefined;
    else this.#named.delete(name);
  }

  clear(): void {
    this.#unnamed = undefined;
    if (this.#named.size > 0) this.#named.clear();
  }

  names(): string[] {
    return this.#unnamed === undefined ? [...this.#named.keys()] : ["", ...this.#named.keys()];
  }

  forEach(told: (value: T) => void): void {
    if (this.#unnamed !== undefined) told(this.#unnamed);
    if (this.#named.size > 0) for (const value of this.#named.values()) told(value);
  }

  copyFrom(other: ByName<T>): void {
    this.clear();
    this.#unnamed = other.#unnamed;
    for (const [name, value] of other.#named) this.#named.set(name, value);
  }
}

/** The prepared statements and portals of a session, as one side of it believes them to be. */
export class Names {
  readonly prepared: ByName<Prepared> = new ByName();
  readonly portals: ByName<Portal> = new ByName();

  copyFrom(other: Names): void {
    this.prepared.copyFrom(other.prepared);
    this.portals.copyFrom(other.portals);
  }

  /** A simple Query destroys the unnamed statement and the unnamed portal. */
  dropUnnamed(): Portal | undefined {
    this.prepared.delete("");
    return this.closePortal("");
  }

  /** @returns the portal, if there was one */
  closePortal(name: string): Portal | undefined {
    const portal = this.portals.get(name);
    if (portal !== undefined) this.portals.delete(name);
    return portal;
  }
}

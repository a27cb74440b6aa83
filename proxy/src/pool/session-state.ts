import type { SessionEffect } from "../statements/index.ts";
import { type Effects, type Pin, PLAIN } from "./effects.ts";
import { SessionSettings } from "./session-settings.ts";

/**
 * What a session has done to the server connection it is on, as far as anybody else could notice: what it has set, which
 * can be set again on another connection, and what cannot be carried over and so pins it. Effects are told in the order
 * of the answers; pins when the statement is sent, for what it does may outlive its failure.
 */
export class SessionState {
  readonly #initial: SessionSettings;
  readonly #pinUnknown: boolean;
  /** As of the last transaction that was committed, and as of now. */
  #committed: SessionSettings;
  #now: SessionSettings;
  #savepoints: { readonly name: string; readonly settings: SessionSettings }[] = [];
  /** Inside of a transaction block. */
  #block = false;
  /** Something failed since the last end of a transaction. */
  #failed = false;
  readonly #pins: Set<Pin> = new Set();
  /** Every reason there ever was, for the record. */
  readonly everPinned: Set<Pin> = new Set();
  readonly #prepared: Set<string> = new Set();
  readonly #held: Set<string> = new Set();

  constructor(application: string | undefined, pinUnknown: boolean) {
    this.#initial = SessionSettings.initial(application);
    this.#committed = this.#initial;
    this.#now = this.#initial;
    this.#pinUnknown = pinUnknown;
  }

  /** What is set on the connection that the session is on. Holds between transactions. */
  get actual(): string {
    return this.#committed.text;
  }

  /**
   * The session is about to go on on another connection.
   * @returns what is to be set there first. What a session began with is what a RESET goes back to; the name of the
   *   application is not what the connection was opened with, so it is set again here
   */
  carry(): string {
    if (!this.#committed.has("application_name") && this.#initial !== SessionSettings.NONE) {
      this.#committed = this.#initial.and(this.#committed);
      this.#now = this.#committed;
    }
    return this.#committed.text;
  }

  get pinned(): boolean {
    return this.#pins.size > 0;
  }

  sent(effects: Effects): void {
    for (const pin of effects.pins) this.pin(pin);
  }

  pin(pin: Pin): void {
    if (pin === "unknown" && !this.#pinUnknown) return;
    this.#pins.add(pin);
    this.everPinned.add(pin);
  }

  /**
   * A statement came to its end.
   * @param text the statement's own text, latin1
   * @param tag of its CommandComplete
   */
  completed(effects: Effects, text: string, tag: string): void {
    if (effects === PLAIN) return;
    // Something sent before it may have undone the same pin in the meantime.
    this.sent(effects);
    if (effects.unread) this.pin("unknown");
    if (effects.unlocksAll) this.#pins.delete("advisory-lock");
    if (effects.effect !== undefined) this.#apply(effects.effect, text, tag);
  }

  failed(): void {
    this.#failed = true;
    // Without a block the implicit transaction is undone: all since the last Sync, or of the Query.
    if (!this.#block) this.#now = this.#committed;
  }

  ready(status: string): void {
    this.#block = status !== "I";
    if (status === "I") this.#end(!this.#failed);
  }

  #apply(effect: SessionEffect, text: string, tag: string): void {
    switch (effect.kind) {
      case "transaction":
        this.#transaction(effect, tag);
        return;
      case "set":
        if (!effect.local && effect.name !== "transaction" && effect.name !== "transaction snapshot") {
          this.#set(effect.name, text);
        }
        return;
      case "reset":
        this.#now = effect.name === undefined ? this.#now.resetAll() : this.#now.reset(effect.name);
        return;
      case "prepare":
        this.#prepared.add(effect.name);
        return;
      case "deallocate":
        this.#deallocated(effect.name);
        return;
      case "declare":
        if (effect.hold) this.#held.add(effect.name);
        return;
      case "close":
        if (effect.name === undefined) this.#held.clear();
        else this.#held.delete(effect.name);
        if (this.#held.size === 0) this.#pins.delete("cursor");
        return;
      case "unlisten":
        // In a block it may still be undone, and what was listened to is listened to.
        if (effect.name === undefined && !this.#block) this.#pins.delete("listen");
        return;
      case "discard":
        this.#discarded(effect.what);
        return;
      default:
    }
  }

  #set(name: string, text: string): void {
    if (!SessionSettings.canCarry(text)) {
      this.pin("settings");
      return;
    }
    this.#now = this.#now.with(name, text);
    if (this.#now.tooLarge) this.pin("settings");
  }

  #transaction(effect: SessionEffect & { kind: "transaction" }, tag: string): void {
    switch (effect.verb) {
      case "begin":
        this.#block = true;
        return;
      case "commit":
      case "prepare":
        // A COMMIT of what has failed is answered with ROLLBACK.
        this.#end(tag !== "ROLLBACK");
        this.#block = effect.chain;
        return;
      case "rollback":
        this.#end(false);
        this.#block = effect.chain;
        return;
      case "savepoint":
        this.#savepoints.push({ name: effect.name ?? "", settings: this.#now });
        return;
      case "release":
        this.#toSavepoint(effect.name, false);
        return;
      case "rollback-to":
        this.#toSavepoint(effect.name, true);
        return;
      default:
    }
  }

  #toSavepoint(name: string | undefined, undo: boolean): void {
    const at = this.#savepoints.findLastIndex((savepoint) => savepoint.name === name);
    if (at < 0) return;
    if (undo) {
      this.#now = this.#savepoints[at]!.settings;
      this.#failed = false;
    }
    // A rollback to a savepoint keeps it; what was set up later is gone.
    this.#savepoints.length = undo ? at + 1 : at;
  }

  #end(committed: boolean): void {
    if (committed) this.#committed = this.#now;
    else this.#now = this.#committed;
    this.#savepoints = [];
    this.#failed = false;
  }

  #deallocated(name: string | undefined): void {
    if (name === undefined) this.#prepared.clear();
    else this.#prepared.delete(name);
    if (this.#prepared.size === 0) this.#pins.delete("prepare");
  }

  #discarded(what: "all" | "plans" | "sequences" | "temp"): void {
    if (what === "temp") {
      // In a block it may still be undone.
      if (!this.#block) this.#pins.delete("temporary");
      return;
    }
    if (what !== "all") return;
    // It cannot stand in a block, so nothing undoes it. What was loaded stays loaded.
    for (const pin of [...this.#pins]) if (pin !== "load") this.#pins.delete(pin);
    this.#prepared.clear();
    this.#held.clear();
    this.#now = SessionSettings.NONE;
    this.#committed = SessionSettings.NONE;
  }
}

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
  #savepoints: { readonly name: string; readonly settings: SessionSettings; readonly aside: string }[] = [];
  /** How names are read in this transaction, other than by the settings. */
  #aside = "";
  /** The same, set where settings are not told by their text. */
  #beside = "";
  #odd = 0;
  #environment: { readonly of: SessionSettings; readonly text: string } | undefined;
  /** What was sent and is not answered may change what names stand for. */
  #moving = false;
  /** Inside of a transaction block. */
  #block = false;
  /** Something failed since the last end of a transaction. */
  #failed = false;
  readonly #pins: Set<Pin> = new Set();
  /** Every reason there ever was, for the record. */
  readonly everPinned: Set<Pin> = new Set();
  /** Those that are undone when the transaction is committed. */
  readonly #undone: Set<Pin> = new Set();
  /** The search path may name pg_temp: for ever, and up to the end of the transaction. */
  #temporaryPath = false;
  #pathAside = false;
  #stays = false;
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

  /** It has done something to its connection that nothing undoes: nobody else is to have it. */
  get stays(): boolean {
    return this.#stays;
  }

  /** @param value of a search_path that the session begins with, or of a parameter that may hold one */
  beginsWith(value: string): void {
    if (/pg_temp/i.test(value)) this.#temporaryPath = true;
  }

  /** How the server reads names, as far as it is told by what was asked; equal for sessions that read them alike. */
  get environment(): string {
    if (this.#environment?.of !== this.#now) this.#environment = { of: this.#now, text: this.#now.environment };
    return `${this.#environment.text}\0${this.#aside}\0${this.#beside}`;
  }

  /** Whether that may be another when what was sent is answered. */
  get moving(): boolean {
    return this.#moving;
  }

  /** Everything is answered. */
  settled(): void {
    this.#moving = false;
  }

  sent(effects: Effects): void {
    for (const pin of effects.pins) this.pin(pin);
    const { effect } = effects;
    if (effects.moves || (effect?.kind === "transaction" && this.#returns(effect.verb))) this.#moving = true;
    if (effects.makes && (this.#temporaryPath || this.#pathAside)) this.pin("temporary");
    if (effects.stays) this.#stays = true;
    if (effects.path === "session") this.#temporaryPath = true;
    else if (effects.path === "transaction") this.#pathAside = true;
  }

  pin(pin: Pin): void {
    if (pin === "unknown" && !this.#pinUnknown) return;
    this.#add(pin);
  }

  #add(pin: Pin): void {
    this.#pins.add(pin);
    this.#undone.delete(pin);
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
    // Not a matter of what functions are trusted with: it may be a SET.
    if (effects.unread) this.#add("unknown");
    if (effects.effect !== undefined) this.#apply(effects, effects.effect, text, tag);
  }

  failed(): void {
    this.#failed = true;
    // Without a block the implicit transaction is undone: all since the last Sync, or of the Query.
    if (!this.#block) {
      this.#now = this.#committed;
      this.#aside = "";
    }
    // A ROLLBACK TO may undo less than all; then a pin stays that nothing needs.
    this.#undone.clear();
  }

  ready(status: string): void {
    this.#block = status !== "I";
    if (status === "I") this.#end(!this.#failed);
  }

  #apply(effects: Effects, effect: SessionEffect, text: string, tag: string): void {
    switch (effect.kind) {
      case "transaction":
        this.#transaction(effect, tag);
        return;
      case "set":
        // Those of the transaction end with it, whichever way they are set.
        if (!effect.local && !/^transaction\b|^transaction_/.test(effect.name)) {
          this.#set(effect.name, text);
        } else if (effect.local && effects.moves) this.#aside += `${text};`;
        return;
      case "set-config":
        this.#configured(effect.local, text);
        return;
      case "reset":
        this.#reset(effect.name);
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
        if (effect.name === undefined) this.#undone.add("listen");
        return;
      case "unlock-all":
        this.#pins.delete("advisory-lock");
        return;
      case "discard":
        this.#discarded(effect.what);
        return;
      default:
    }
  }

  /** Whether names may be read otherwise behind it. */
  #returns(verb: string): boolean {
    if (verb === "begin" || verb === "savepoint" || verb === "release") return false;
    return this.#aside !== "" || (this.#block && this.#now !== this.#committed);
  }

  /** By what a call of set_config says, where it says it by constants; else as by nothing else. */
  #configured(local: boolean, text: string): void {
    if (!/search_path|role|session_authorization|pg_settings/i.test(text)) return;
    this.#odd += 1;
    const how = `${text.includes("$") ? this.#odd : ""} ${text}`;
    if (local) this.#aside = how;
    else this.#beside = how;
  }

  #set(name: string, text: string): void {
    if (!SessionSettings.canCarry(text)) {
      this.pin("settings");
      return;
    }
    this.#now = this.#now.with(name, text);
    if (this.#now.tooLarge) this.pin("settings");
  }

  #reset(name: string | undefined): void {
    if (name === undefined) this.#now = this.#now.resetAll();
    else if (SessionSettings.canCarry(name)) this.#now = this.#now.reset(name);
    else this.pin("settings");
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
        this.#savepoints.push({ name: effect.name ?? "", settings: this.#now, aside: this.#aside });
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
      this.#undone.clear();
      this.#now = this.#savepoints[at]!.settings;
      this.#aside = this.#savepoints[at]!.aside;
      this.#failed = false;
    }
    // A rollback to a savepoint keeps it; what was set up later is gone.
    this.#savepoints.length = undo ? at + 1 : at;
  }

  #end(committed: boolean): void {
    if (committed) this.#committed = this.#now;
    else this.#now = this.#committed;
    if (committed) for (const pin of this.#undone) this.#pins.delete(pin);
    this.#undone.clear();
    this.#aside = "";
    this.#pathAside = false;
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
      this.#undone.add("temporary");
      return;
    }
    if (what !== "all") return;
    // It cannot stand in a block, so nothing undoes it. What was loaded stays loaded.
    if (!this.#stays) this.#pins.clear();
    this.#prepared.clear();
    this.#held.clear();
    this.#now = SessionSettings.NONE;
    this.#committed = SessionSettings.NONE;
  }
}

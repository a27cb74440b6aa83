/** Which of a source's keys signs what (spec/submission.md, keys). */
import { ProxyError } from "../errors.ts";
import type { KeyLines, KeyStore } from "./key-file.ts";
import { parseSigningKey, type SigningKey } from "./keys.ts";
import { comparePlaces, type Place } from "./state.ts";

/** A change of the key: `place` is behind its `source.key`. */
export interface Handover {
  /** The verifier key before it. */
  readonly from: string;
  readonly place: Place;
}

/** The keys that a start finds. */
export class FoundKeys {
  readonly path: string;
  readonly current: SigningKey;
  readonly #all = new Map<string, SigningKey>();
  readonly #lines: KeyLines;
  readonly #previous: string | undefined;

  /** @throws ProxyError `bad_key` when the current one is malformed */
  static async read(keys: string | KeyStore): Promise<FoundKeys> {
    return typeof keys === "string"
      ? new FoundKeys("", { current: keys, next: undefined, previous: undefined })
      : new FoundKeys(keys.path, await keys.read());
  }

  private constructor(path: string, lines: KeyLines) {
    this.path = path;
    this.#lines = lines;
    this.current = parseSigningKey(lines.current);
    this.#all.set(this.current.vkey, this.current);
    const next = this.#add(lines.next);
    const previous = this.#add(lines.previous);
    this.#previous = previous === next ? undefined : previous;
  }

  get vkeys(): string[] {
    return [...this.#all.keys()];
  }

  isPrevious(vkey: string): boolean {
    return this.#previous === vkey;
  }

  get hasPrevious(): boolean {
    return this.#lines.previous !== undefined;
  }

  #add(line: string | undefined): string | undefined {
    const key = line === undefined ? undefined : parseIfGood(line);
    if (key?.name !== this.current.name) return undefined;
    this.#all.set(key.vkey, key);
    return key.vkey;
  }

  find(vkey: string): SigningKey | undefined {
    return this.#all.get(vkey);
  }

  /** @throws ProxyError `bad_key` when what was signed by the key cannot be submitted without it */
  need(vkey: string): SigningKey {
    const key = this.find(vkey);
    if (key !== undefined) return key;
    throw new ProxyError(
      "bad_key",
      `entries that the log does not have yet need the source's earlier key ${vkey}; put it back as ${this.path}.previous`,
    );
  }
}

function parseIfGood(line: string): SigningKey | undefined {
  try {
    return parseSigningKey(line);
  } catch (error) {
    // It may not be needed at all; where it is, that it is missing is said.
    if (error instanceof ProxyError) return undefined;
    throw error;
  }
}

/** The keys of a run: the one in force, and the one before it for as long as something waits for its signature. */
export class SourceKeys {
  readonly name: string;
  #inForce: SigningKey;
  #ended: { readonly key: SigningKey; readonly place: Place } | undefined;

  constructor(inForce: SigningKey, ended?: { readonly key: SigningKey; readonly place: Place }) {
    this.name = inForce.name;
    this.#inForce = inForce;
    this.#ended = ended;
  }

  get inForce(): SigningKey {
    return this.#inForce;
  }

  /** The log has not acknowledged the last change. */
  get isChanging(): boolean {
    return this.#ended !== undefined;
  }

  /** The keys by which the log may know the source now. */
  get vkeys(): string[] {
    return this.#ended === undefined ? [this.#inForce.vkey] : [this.#inForce.vkey, this.#ended.key.vkey];
  }

  /** @param place behind the entry that changes the key */
  change(next: SigningKey, place: Place): void {
    if (this.#ended !== undefined) throw new Error("the key was changed before the last change was acknowledged");
    this.#ended = { key: this.#inForce, place };
    this.#inForce = next;
  }

  /** The key that signs a submission whose entries end at `place`. */
  keyFor(place: Place): SigningKey {
    const ended = this.#ended;
    return ended !== undefined && comparePlaces(place, ended.place) <= 0 ? ended.key : this.#inForce;
  }

  /** @returns whether the log has acknowledged a change with everything up to `place` */
  acknowledges(place: Place): boolean {
    return this.#ended !== undefined && comparePlaces(place, this.#ended.place) >= 0;
  }

  /** The key before is needed no more. */
  forget(): void {
    this.#ended = undefined;
  }
}

/** Brings the source's next key into force, and forgets the one before once the log knows (spec/submission.md, keys). */
import { ProxyError } from "../errors.ts";
import type { CrashPoint } from "./crash-points.ts";
import { parseSigningKey, type SigningKey } from "./keys.ts";
import type { RecorderOptions } from "./options.ts";
import type { Ground } from "./start.ts";
import type { Place } from "./state.ts";

/** The recorder whose key is changed. */
export interface Changing {
  /** Writes the entry that the key in force ends with. @returns the place behind it @throws why nothing goes on */
  end(next: SigningKey): Place;
  /** Resolves when everything so far is durable, or never will be. */
  settled(): Promise<void>;
  /** Why nothing can be written any more. */
  broken(): ProxyError | undefined;
}

export class KeyChange {
  readonly #options: Pick<RecorderOptions, "key" | "hooks" | "onKey">;
  readonly #ground: Pick<Ground, "keys" | "ahead">;
  readonly #recorder: Changing;
  /** One at a time: whatever changes the files. */
  #last: Promise<unknown> = Promise.resolve();
  #forgetting = false;

  constructor(
    options: Pick<RecorderOptions, "key" | "hooks" | "onKey">,
    ground: Pick<Ground, "keys" | "ahead">,
    recorder: Changing,
  ) {
    this.#options = options;
    this.#ground = ground;
    this.#recorder = recorder;
  }

  /** @returns the verifier key in force if that is another now @throws as `Recorder.changeKey` */
  change(): Promise<string | undefined> {
    const change = this.#last.then(() => this.#change());
    this.#last = change.catch(() => undefined);
    return change;
  }

  /** The log has everything up to `place`: a key that ended before it has nothing left to sign. */
  acknowledged(place: Place): void {
    const { keys } = this.#ground;
    if (!keys.acknowledges(place) || this.#forgetting) return;
    this.#forgetting = true;
    const forgotten = this.#last.then(() => this.#forget());
    this.#last = forgotten.then(
      () => {
        this.#forgetting = false;
        this.#options.onKey?.(`the log knows the source by the key ${keys.inForce.vkey}; the one before is removed`);
      },
      (error: unknown) => {
        this.#forgetting = false;
        if (!(error instanceof ProxyError)) throw error;
        this.#options.onKey?.(`the key before is still there: ${error.code}: ${error.message}`);
      },
    );
  }

  /** Resolves when no file is being changed. */
  async idle(): Promise<void> {
    await this.#last;
  }

  async #change(): Promise<string | undefined> {
    const { key: store, hooks = {} } = this.#options;
    if (typeof store === "string") return undefined;
    const { keys, ahead } = this.#ground;
    const { current, next } = await store.read();
    const inPlace = parseSigningKey(current);
    // Only where a lost spool had announced it: it has its place already.
    const waits = ahead !== undefined && ahead.vkey === inPlace.vkey && ahead.vkey !== keys.inForce.vkey;
    if (!waits && next === undefined) return undefined;
    const key = waits ? ahead : parseNext(next!, store.path, keys.name);
    if (key.vkey !== keys.inForce.vkey) {
      if (inPlace.vkey !== keys.inForce.vkey && !waits)
        throw new ProxyError("bad_key", `${store.path} is not the key in force, ${keys.inForce.vkey}; restore it`);
      if (keys.isChanging)
        throw new ProxyError(
          "bad_key",
          "the log has not acknowledged the last change of the key yet; try again when it has",
        );
      keys.change(key, this.#recorder.end(key));
    } else if (inPlace.vkey === key.vkey)
      throw new ProxyError("bad_key", `${store.path}.next is the key in force already; remove it`);
    await this.#recorder.settled();
    const broken = this.#recorder.broken();
    if (broken !== undefined) throw broken;
    // CRASH: the new key is in force and still stands in the file of the next one; the start switches the files.
    this.#at("key.durable");
    if (!waits) await store.advance(hooks);
    // CRASH: the files are switched; the old key signs what is not submitted yet, up to the entry.
    this.#at("key.switched");
    // Acknowledged meanwhile, in a change whose files could not be switched at once.
    if (!keys.isChanging) await store.forget();
    return key.vkey;
  }

  async #forget(): Promise<void> {
    const { key: store } = this.#options;
    if (typeof store === "string") return;
    // Until the mark of it is durable, a start would submit the entry again, signed by that key.
    await this.#recorder.settled();
    if (this.#recorder.broken() !== undefined) return;
    // CRASH: the old key is there and nothing needs it; the start removes it.
    this.#at("key.acknowledged");
    this.#ground.keys.forget();
    await store.forget();
    // CRASH: as after any other change of the spool.
    this.#at("key.forgotten");
  }

  #at(point: CrashPoint): void {
    this.#options.hooks?.at?.(point);
  }
}

function parseNext(line: string, path: string, name: string): SigningKey {
  const key = parseSigningKey(line);
  if (key.name === name) return key;
  throw new ProxyError("bad_key", `${path}.next is a key of ${key.name}, not of ${name}; make one with rotate-key`);
}

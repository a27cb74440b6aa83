import { LogServerError } from "../errors.ts";
import { parseVerifierKey } from "../formats/note.ts";
import type { Acts } from "./acts.ts";
import { MAX_SOURCE_NAME_BYTES, recordOf, type Source, type Sources } from "./sources.ts";

/** Who asks for a change, and why. */
export interface Order {
  /** Name of the token. */
  readonly by: string;
  readonly reason: string;
}

/** Takes in sources and retires them while the log runs. What changes is in force with the entry that says so. */
export class Registry {
  readonly #sources: Sources;
  readonly #acts: Acts;
  /** One change after the other: each looks at what the one before has left. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(sources: Sources, acts: Acts) {
    this.#sources = sources;
    this.#acts = acts;
  }

  #after<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#last.then(change);
    // The next one waits for this one, whatever comes of it.
    this.#last = result.catch(() => undefined);
    return result;
  }

  /**
   * Registers a source, or takes a retired one in again. One that is registered already is left as it is.
   * @param vkey its verifier key
   * @returns whether anything was changed, and the source as it now is
   * @throws LogServerError `bad_parameter`, `source_conflict`; as `Acts.record`
   */
  register(vkey: string, { by, reason }: Order): Promise<{ changed: boolean; source: Source }> {
    return this.#after(async () => {
      const key = parseVerifierKey(vkey);
      if (key === undefined) throw bad("it is not a verifier key <name>+<key id>+<base64>");
      if (Buffer.byteLength(key.name) > MAX_SOURCE_NAME_BYTES) {
        throw bad(`its name has more than ${MAX_SOURCE_NAME_BYTES} bytes`);
      }
      if (this.#sources.isOwn(key.name)) throw bad("its name is that of the log itself");
      const known = this.#sources.get(key.name);
      if (known !== undefined && known.key.vkey !== key.vkey) {
        const message = `${key.name} is known with the key ${known.key.vkey}: register the new key under a new name, or let the source change its key by itself`;
        throw new LogServerError("source_conflict", message);
      }
      if (known !== undefined && !known.retired) return { changed: false, source: known };
      const former = known === undefined ? [] : recordOf(known).former;
      const record = { name: key.name, vkey: key.vkey, former, retired: false, registered: true };
      const registered = { name: key.name, vkey: key.vkey };
      await this.#acts.record({
        kind: "source.registered",
        members: { registered, by },
        reason,
        effect: () => ({ source: record }),
      });
      return { changed: true, source: this.#sources.get(key.name)! };
    });
  }

  /**
   * Retires a source: no entries of it are taken any more. One that is retired already is left as it is.
   * @returns whether anything was changed, and the source as it now is
   * @throws LogServerError `not_found`; as `Acts.record`
   */
  retire(name: string, { by, reason }: Order): Promise<{ changed: boolean; source: Source }> {
    return this.#after(async () => {
      const known = this.#sources.get(name);
      if (known === undefined || this.#sources.isOwn(name)) {
        throw new LogServerError("not_found", `no source is registered as ${JSON.stringify(name)}`);
      }
      if (known.retired) return { changed: false, source: known };
      const retired = { name, vkey: known.key.vkey };
      await this.#acts.record({
        kind: "source.retired",
        members: { retired, by },
        reason,
        // As it is then: the source may have changed its key meanwhile, in the very turn that this is written in.
        effect: (_, source) => ({ source: { ...source(name)!, retired: true } }),
      });
      return { changed: true, source: this.#sources.get(name)! };
    });
  }
}

function bad(what: string): LogServerError {
  return new LogServerError("bad_parameter", `vkey: ${what}`, { parameter: "vkey" });
}

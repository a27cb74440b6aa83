import { randomBytes } from "node:crypto";
import type { PreparedText } from "./shelf.ts";

/** So many texts, and bytes of them, are known at a time; one that is forgotten lives on with those who have it. */
const MAX_TEXTS = 10_000;
const MAX_BYTES = 32 << 20;

/** Gives equal statements of all sessions one name, by which each server connection has them but once. */
export class PreparedTexts {
  readonly #texts: Map<string, PreparedText> = new Map();
  /** So that a client cannot guess what others have. */
  readonly #prefix = `vitrine_${randomBytes(8).toString("hex")}_`;
  #count = 0;
  #bytes = 0;

  /**
   * @param body what stands behind the name in a Parse message; copied
   * @param environment equal for sessions that read names alike
   */
  of(body: Buffer, environment = ""): PreparedText {
    const key = `${environment}\0${body.toString("latin1")}`;
    let text = this.#texts.get(key);
    if (text === undefined) {
      this.#count += 1;
      text = { serverName: `${this.#prefix}${this.#count}`, body: Buffer.from(body), environment };
      this.#texts.set(key, text);
      this.#bytes += body.length;
      for (const [oldest, { body: known }] of this.#texts) {
        if (this.#texts.size <= MAX_TEXTS && this.#bytes <= MAX_BYTES) break;
        this.#texts.delete(oldest);
        this.#bytes -= known.length;
      }
    }
    return text;
  }

  /** A definition has changed: who prepares the same again gets it planned anew, as from the server itself. */
  forget(): void {
    this.#texts.clear();
    this.#bytes = 0;
  }
}

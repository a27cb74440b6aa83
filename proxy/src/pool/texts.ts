import { randomBytes } from "node:crypto";
import type { PreparedText } from "./shelf.ts";

/** So many texts are known at a time; one that is forgotten lives on with those who have it. */
const MAX_TEXTS = 10_000;

/** Gives equal statements of all sessions one name, by which each server connection has them but once. */
export class PreparedTexts {
  readonly #texts: Map<string, PreparedText> = new Map();
  /** So that a client cannot guess what others have. */
  readonly #prefix = `vitrine_${randomBytes(8).toString("hex")}_`;
  #count = 0;

  /** @param body what stands behind the name in a Parse message; copied */
  of(body: Buffer): PreparedText {
    const key = body.toString("latin1");
    let text = this.#texts.get(key);
    if (text === undefined) {
      this.#count += 1;
      text = { serverName: `${this.#prefix}${this.#count}`, body: Buffer.from(body) };
      this.#texts.set(key, text);
      if (this.#texts.size > MAX_TEXTS) this.#texts.delete(this.#texts.keys().next().value!);
    }
    return text;
  }

  /** A definition has changed: who prepares the same again gets it planned anew, as from the server itself. */
  forget(): void {
    this.#texts.clear();
  }
}

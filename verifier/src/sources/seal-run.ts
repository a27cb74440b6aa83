import { VerifierError } from "../errors.ts";
import type { VerifierKey } from "../formats/key.ts";
import { openSeal } from "./seal.ts";

type Place = { index: number; epoch: number; seq: number; time: string };

/** A seal that passed S6 but for its signature, S7 and S8. */
export type ReadSeal = { text: string; key: VerifierKey; place: Place };

/** Seals that wait. Of so many at least one is verified, and in between so many are held. */
const longest = 64;

/**
 * Seals of a source that follow one another directly, as an idle source writes them once a minute. The chain value of
 * the last one covers the others, each with its bytes, so its signature stands for theirs (spec/proof.md, S6): a quiet
 * year has half a million of them, and to verify each takes minutes.
 */
export class SealRun {
  readonly #open: (seal: ReadSeal) => void;
  #seals: ReadSeal[] = [];

  /** @param open verifies a seal */
  constructor(open: (seal: ReadSeal) => void = ({ text, key }) => openSeal(text, key)) {
    this.#open = open;
  }

  /** @param seal stands directly behind the ones added since {@link settle}, in their epoch, and its chain value fits */
  add(seal: ReadSeal): void {
    this.#seals.push(seal);
  }

  get full(): boolean {
    return this.#seals.length >= longest;
  }

  /**
   * Verifies the signature of the last seal; when it is wrong, that of each one.
   * @param bad called for each seal whose signature is wrong
   * @returns the place of the last good one
   */
  settle(bad: (message: string, place: Place) => void): Place | undefined {
    const seals = this.#seals;
    this.#seals = [];
    const last = seals.at(-1);
    if (last === undefined || this.#wrong(last) === undefined) return last?.place;
    let good: Place | undefined;
    for (const seal of seals) {
      const wrong = this.#wrong(seal);
      if (wrong === undefined) good = seal.place;
      else bad(wrong, seal.place);
    }
    return good;
  }

  /** @returns what is wrong with the seal */
  #wrong(seal: ReadSeal): string | undefined {
    try {
      this.#open(seal);
      return undefined;
    } catch (error) {
      if (!(error instanceof VerifierError)) throw error;
      return error.message;
    }
  }
}

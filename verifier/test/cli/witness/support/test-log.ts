import { type TestKey, testKey } from "../../../support/keys.ts";
import { naiveLeaf, naiveProof, naiveRoot } from "../../../support/naive-tree.ts";

/** A log whose entries are made from a word; two of one name and other words have forked from the beginning on. */
export class TestLog {
  readonly key: TestKey;
  readonly #word: string;

  constructor(name: string, word = "entry") {
    this.key = testKey(name);
    this.#word = word;
  }

  #leaves(size: number): Uint8Array[] {
    return Array.from({ length: size }, (_, i) => naiveLeaf(Buffer.from(`${this.#word} ${i}`)));
  }

  text(size: number): string {
    return `${this.key.name}\n${size}\n${Buffer.from(naiveRoot(this.#leaves(size))).toString("base64")}\n`;
  }

  /** The signed checkpoint. */
  note(size: number): string {
    return this.key.note(this.text(size));
  }

  /** The body of an add-checkpoint request; without a proof where there can be none. */
  request(old: number, size: number): string {
    const proof = (old > size ? [] : naiveProof(old, this.#leaves(size))).map(
      (hash) => `${Buffer.from(hash).toString("base64")}\n`,
    );
    return `old ${old}\n${proof.join("")}\n${this.note(size)}`;
  }
}

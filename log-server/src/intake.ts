import { checkSubmission } from "./check.ts";
import type { Receipt, Sequencer } from "./sequencer.ts";
import type { Sources } from "./sources.ts";
import { parseSubmission } from "./submission.ts";

/** Checks submissions one after the other, so that they reach the sequencer in the order in which they came. */
export class Intake {
  readonly #origin: string;
  readonly #sources: Sources;
  readonly #sequencer: Sequencer;
  #last: Promise<unknown> = Promise.resolve();
  readonly #pending = new Set<Promise<Receipt>>();

  constructor(origin: string, sources: Sources, sequencer: Sequencer) {
    this.#origin = origin;
    this.#sources = sources;
    this.#sequencer = sequencer;
  }

  /**
   * @param body of a submission; kept until the promise settles
   * @returns the receipt, when everything is durable
   * @throws LogServerError as `parseSubmission`, `checkSubmission` and `Sequencer.submit`
   */
  async submit(body: Buffer): Promise<Receipt> {
    const receipt = this.#take(body);
    this.#pending.add(receipt);
    try {
      return await receipt;
    } finally {
      this.#pending.delete(receipt);
    }
  }

  async #take(body: Buffer): Promise<Receipt> {
    const framed = parseSubmission(body);
    const checked = this.#last.then(() => checkSubmission(framed, this.#origin, this.#sources));
    // The next one waits for this one's check, whatever comes of it.
    this.#last = checked.catch(() => undefined);
    return this.#sequencer.submit(await checked);
  }

  /** Waits until every submission that came before has its answer. */
  async drain(): Promise<void> {
    await Promise.allSettled(this.#pending);
  }
}

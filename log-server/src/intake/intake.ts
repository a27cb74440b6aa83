import { checkAdded } from "../entries/added.ts";
import { EntryShapes } from "../entries/entry-shapes.ts";
import { parseSubmission } from "../entries/submission.ts";
import { checkSubmission } from "./check.ts";
import type { Receipt, Sequencer } from "./sequencer.ts";
import type { Sources } from "./sources.ts";

/**
 * What comes in, on its way to the sequencer. Submissions are checked one after the other, so that they get there in
 * the order in which they came.
 */
export class Intake {
  readonly #origin: string;
  readonly #sources: Sources;
  readonly #sequencer: Sequencer;
  readonly #shapes = new EntryShapes();
  #last: Promise<unknown> = Promise.resolve();
  readonly #pending = new Set<Promise<unknown>>();

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
  submit(body: Buffer): Promise<Receipt> {
    return this.#tracked(this.#take(body));
  }

  /**
   * @param entry that belongs to no source; kept until the promise settles
   * @returns its index, when it is durable
   * @throws LogServerError `bad_entry`; as `Sequencer.add`
   */
  async add(entry: Buffer): Promise<number> {
    checkAdded(entry);
    return this.#tracked(this.#sequencer.add(entry));
  }

  async #tracked<T>(answer: Promise<T>): Promise<T> {
    this.#pending.add(answer);
    try {
      return await answer;
    } finally {
      this.#pending.delete(answer);
    }
  }

  async #take(body: Buffer): Promise<Receipt> {
    const framed = parseSubmission(body);
    const checked = this.#last.then(() => checkSubmission(framed, this.#origin, this.#sources, this.#shapes));
    // The next one waits for this one's check, whatever comes of it.
    this.#last = checked.catch(() => undefined);
    return this.#sequencer.submit(await checked);
  }

  /** Waits until every submission and entry that came before has its answer. */
  async drain(): Promise<void> {
    await Promise.allSettled(this.#pending);
  }
}

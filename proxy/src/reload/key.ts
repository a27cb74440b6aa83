import type { Recorder } from "../audit/index.ts";
import { ProxyError } from "../errors.ts";

/** Brings the source's next key into force, and says what became of it. */
export class KeyInForce {
  readonly #recorder: Pick<Recorder, "changeKey">;
  readonly #notice: (line: string) => void;

  constructor(recorder: Pick<Recorder, "changeKey">, notice: (line: string) => void) {
    this.#recorder = recorder;
    this.#notice = notice;
  }

  /** Does it where other things wait for it too: what is wrong with a key is told, and the one in force goes on. */
  async takeUp(): Promise<void> {
    try {
      const line = lineOf(await this.#recorder.changeKey());
      if (line !== undefined) this.#notice(line);
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      this.#notice(`the source's key change is not complete: ${error.code}: ${error.message}`);
    }
  }
}

function lineOf(vkey: string | undefined): string | undefined {
  return vkey === undefined ? undefined : `the source's key is ${vkey} from now on`;
}

import { fsync } from "node:fs";
import type { Writable } from "node:stream";
import { promisify } from "node:util";
import { VerifierError } from "../../src/index.ts";
import { systemCode } from "../files.ts";
import { printDemanded } from "../output.ts";
import { escapeJson, printable } from "../printable.ts";
import { type LineOptions, ocsfLines } from "./ocsf/lines.ts";
import type { Row } from "./row.ts";
import type { Sink } from "./sink.ts";

/** JSON lines on standard output, which may be a terminal: what is unsafe there is escaped. */
export class StdoutSink implements Sink {
  readonly #options: LineOptions;
  readonly #stream: Writable & { fd?: number };

  constructor(options: LineOptions, stream: Writable & { fd?: number } = process.stdout) {
    this.#options = options;
    this.#stream = stream;
  }

  async write(rows: readonly Row[]): Promise<number> {
    const text = escapeJson(ocsfLines(rows, this.#options));
    await printDemanded(text, this.#stream);
    await this.#sync();
    return 0;
  }

  /** Of a pipe nobody can say more than that the system has it. */
  async #sync(): Promise<void> {
    const { fd } = this.#stream;
    if (fd === undefined) return;
    try {
      await promisify(fsync)(fd);
    } catch (error) {
      // Not a file: a pipe, a terminal.
      if (["EINVAL", "EROFS", "ENOTSUP"].includes(systemCode(error) ?? "")) return;
      const why = printable(error instanceof Error ? error.message : String(error));
      throw new VerifierError("write_failed", `standard output could not be made durable: ${why}`);
    }
  }

  async close(): Promise<void> {}
}

import { VerifierError } from "../../../src/index.ts";
import type { ExportHooks } from "../hooks.ts";
import type { Row } from "../row.ts";
import type { Sink } from "../sink.ts";
import type { Collector } from "./collector.ts";
import { reduced, requestBody, type Sent, toSend } from "./request.ts";

export type OtlpOptions = { maxRow: number; hooks: ExportHooks };

/** UTF-16 units of records in one request. Collectors commonly take 4 to 20 MiB. */
const maxRequest = 2_000_000;
const maxRecords = 1000;

/** Log records, in order, one request after the other. */
export class OtlpSink implements Sink {
  readonly #collector: Collector;
  readonly #options: OtlpOptions;

  constructor(collector: Collector, options: OtlpOptions) {
    this.#collector = collector;
    this.#options = options;
  }

  async write(rows: readonly Row[]): Promise<number> {
    let rejected = 0;
    let waiting: Sent[] = [];
    let length = 0;
    for (const row of rows) {
      const sent = toSend(row, this.#options.maxRow);
      if (waiting.length === maxRecords || (waiting.length > 0 && length + sent.json.length > maxRequest)) {
        rejected += await this.#send(waiting);
        waiting = [];
        length = 0;
      }
      waiting.push(sent);
      length += sent.json.length;
    }
    if (waiting.length > 0) rejected += await this.#send(waiting);
    // CRASH: the collector has the records, and the position is before them: they come again.
    this.#options.hooks.at("otlp:accepted");
    return rejected;
  }

  /** What is too large for the collector is sent in halves, a single row without its disclosures. */
  async #send(rows: readonly Sent[]): Promise<number> {
    const answer = await this.#ask(rows);
    const range = rangeOf(rows);
    if (answer.taken) {
      const { rejected, message } = answer;
      if (rejected > 0) this.#options.hooks.log(`of ${range} the collector has rejected ${rejected}: ${message}`);
      else if (message !== "") this.#options.hooks.log(`of ${range} the collector says: ${message}`);
      return Math.min(rejected, rows.length);
    }
    if (rows.length > 1) {
      const middle = Math.ceil(rows.length / 2);
      return (await this.#send(rows.slice(0, middle))) + (await this.#send(rows.slice(middle)));
    }
    const [only] = rows;
    if (only!.isReduced || only!.row.disclosed.size === 0) {
      this.#options.hooks.log(`${range} is too large for the collector and was not taken (413)`);
      return 1;
    }
    return this.#send([reduced(only!.row)]);
  }

  async #ask(rows: readonly Sent[]): ReturnType<Collector["send"]> {
    try {
      return await this.#collector.send(requestBody(rows));
    } catch (error) {
      if (!(error instanceof VerifierError)) throw error;
      throw new VerifierError(error.code, `${rangeOf(rows)}: ${error.message}`);
    }
  }

  async close(): Promise<void> {}
}

function rangeOf(rows: readonly Sent[]): string {
  const [first, last] = [rows[0]!.row.index, rows.at(-1)!.row.index];
  return first === last ? `entry ${first}` : `the entries ${first} to ${last}`;
}

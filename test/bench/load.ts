/** Submissions over HTTP, as fast as they are acknowledged, or at a rate. */
import { Agent, request } from "node:http";
import type { BenchSource } from "./source.ts";

/** Entries in a submission. */
export const BATCH = 256;

/** The writing side of a bench: sources, each with one submission under way at a time, as proxies have it. */
export class Load {
  readonly #url: string;
  readonly #sources: readonly BenchSource[];
  readonly #agent: Agent;

  constructor(url: string, sources: readonly BenchSource[]) {
    this.#url = url;
    this.#sources = sources;
    this.#agent = new Agent({ keepAlive: true, maxSockets: sources.length });
  }

  /**
   * Makes and submits entries until there are so many more. The making takes part of the machine: a log is not alone
   * either.
   * @param rate entries a second, at most; undefined: as fast as they are acknowledged
   * @param onAnswer called for each submission with the number of entries and the milliseconds it took
   * @returns how many were submitted: as submissions are whole, a little more
   */
  async run(
    entries: number,
    onAnswer: (count: number, ms: number) => void = () => undefined,
    rate?: number,
  ): Promise<number> {
    let sent = 0;
    const began = performance.now();
    const drive = async (source: BenchSource): Promise<void> => {
      while (sent < entries) {
        const due = rate === undefined ? 0 : began + (sent / rate) * 1000;
        sent += BATCH;
        const body = source.submission(BATCH);
        const early = due - performance.now();
        if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
        const posted = performance.now();
        await this.post(body);
        onAnswer(BATCH, performance.now() - posted);
      }
    };
    await Promise.all(this.#sources.map(drive));
    return sent;
  }

  /** Has all sources seal what they wrote, so that an audit can pass. */
  async seal(): Promise<void> {
    for (const source of this.#sources) await this.post(source.sealing());
  }

  /** Entries that were submitted. */
  get total(): number {
    return this.#sources.reduce((sum, { entries }) => sum + entries, 0);
  }

  /** Leaf hashes of some of the entries so far. */
  get leaves(): Buffer[] {
    return this.#sources.flatMap(({ leaves }) => leaves);
  }

  /** @returns the index of the submission's first entry */
  post(body: Buffer): Promise<number> {
    return new Promise((resolve, reject) => {
      const headers = { "content-type": "application/octet-stream", "content-length": body.length };
      const options = { method: "POST", agent: this.#agent, headers };
      const call = request(`${this.#url}/api/v1/submissions`, options, (response) => {
        let text = "";
        response.on("data", (chunk) => {
          text += chunk;
        });
        response.on("end", () => {
          if (response.statusCode === 200) {
            resolve((JSON.parse(text) as { ranges: { index: number }[] }).ranges[0]!.index);
          } else reject(new Error(`${response.statusCode}: ${text}`));
        });
      });
      call.on("error", reject);
      call.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

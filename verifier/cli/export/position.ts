import { stat } from "node:fs/promises";
import { readDigested, writeDigested } from "../../src/formats/digested.ts";
import { isCount } from "../../src/formats/text.ts";
import { VerifierError, type VerifierKey } from "../../src/index.ts";
import { pathError, readBounded, systemCode, writeDurably } from "../files.ts";
import { printableShort } from "../printable.ts";
import type { ExportHooks } from "./hooks.ts";

const format = "vitrine/export-position/v1";
const maxLength = 65_536;

/** What an export is of: a log by its keys, in one form. */
export type Exported = { keys: readonly [VerifierKey, ...VerifierKey[]]; to: "ocsf" | "otlp" };

/** How far an export has come, in a file that is replaced as a whole. */
export class Position {
  readonly #path: string;
  readonly #exported: Exported;
  readonly #hooks: ExportHooks;
  /** As it was read or written last; undefined while there is none. */
  #text: string | undefined;
  #next: number | undefined;

  private constructor(path: string, exported: Exported, hooks: ExportHooks) {
    this.#path = path;
    this.#exported = exported;
    this.#hooks = hooks;
  }

  /** @throws VerifierError `position_invalid` when it is damaged, or of another log or form; `usage` */
  static async open(path: string, exported: Exported, hooks: ExportHooks): Promise<Position> {
    const position = new Position(path, exported, hooks);
    position.#text = await position.#read();
    if (position.#text !== undefined) position.#next = position.#parse(position.#text);
    return position;
  }

  /** The index of the first entry that is not exported; undefined before the first. */
  get next(): number | undefined {
    return this.#next;
  }

  /**
   * To be called once all entries before `next` are durable where they went.
   * @throws VerifierError `position_invalid` when another export has moved it; `write_failed`
   */
  async save(next: number): Promise<void> {
    const { keys, to } = this.#exported;
    const body = { origin: keys[0].name, vkeys: keys.map(({ text }) => text), to, next };
    const text = writeDigested(format, body);
    if ((await this.#read()) !== this.#text) throw this.#invalid("another export has moved it meanwhile; run one only");
    try {
      await writeDurably(this.#path, text);
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
      throw new VerifierError("write_failed", (pathError(error, `the position ${this.#name}`) as Error).message);
    }
    this.#text = text;
    this.#next = next;
    // CRASH: nothing is to be done again.
    this.#hooks.at("position:durable");
  }

  get #name(): string {
    return printableShort(this.#path);
  }

  async #read(): Promise<string | undefined> {
    try {
      await stat(this.#path);
    } catch (error) {
      if (systemCode(error) === "ENOENT") return undefined;
      throw pathError(error, `the position ${this.#name} cannot be read`);
    }
    return (await readBounded(this.#path, maxLength, "the position")).toString("utf8");
  }

  #parse(text: string): number {
    let body: Record<string, unknown>;
    try {
      body = readDigested(text, format);
    } catch (error) {
      if (!(error instanceof VerifierError)) throw error;
      throw this.#invalid("it is damaged, or not the position of an export");
    }
    const { origin, vkeys, to, next } = body;
    const { keys } = this.#exported;
    if (origin !== keys[0].name || !Array.isArray(vkeys) || !keys.some((key) => vkeys.includes(key.text))) {
      throw this.#invalid(`it is of another log or key: ${printableShort(String(origin))}`);
    }
    if (to !== this.#exported.to) throw this.#invalid(`it is of an export as ${printableShort(String(to))}`);
    if (!isCount(next)) throw this.#invalid("its next index is not one");
    return next;
  }

  #invalid(why: string): VerifierError {
    return new VerifierError("position_invalid", `the position ${this.#name} cannot be used: ${why}`);
  }
}

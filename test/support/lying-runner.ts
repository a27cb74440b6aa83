/** Shows lies to the verifier's own command, several at once. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BundleLie, Honest, LogLie } from "./lying-honest.ts";
import { LyingLog, type View } from "./lying-log.ts";
import { type CommandResult, ROOT, runNode } from "./stack.ts";

const VERIFIER = join(ROOT, "verifier/bin/vitrine-verifier.js");

export interface Heard extends CommandResult {
  /** The JSON of the report. */
  readonly report: Report;
  /** The folder in which the verifier keeps what it keeps. */
  readonly state: string;
}

export interface Report {
  readonly verdict?: string;
  readonly findings?: readonly { readonly code: string; readonly message: string; readonly index?: number }[];
  readonly firstBadIndex?: number | null;
  readonly conclusion?: string;
  readonly evidence?: string | null;
  /** In place of a verdict. */
  readonly error?: { readonly code: string };
}

/** The codes that were found, each once, in alphabetical order. */
export function codesOf({ findings, error }: Report): string[] {
  const codes = findings?.map(({ code }) => code) ?? (error === undefined ? [] : [error.code]);
  return [...new Set(codes)].sort();
}

/** Runs the command under a clock that shows this time when it starts. */
function clock(start: number): Record<string, string> {
  const code = `const now = Date.now, begin = now(); Date.now = () => now() - begin + ${start};`;
  const option = `--import=data:text/javascript,${encodeURIComponent(code)}`;
  return { NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ""} ${option}` };
}

/** The files of a state folder, each with its text. */
export function stateFiles(folder: string): Record<string, string> {
  if (!existsSync(folder)) return {};
  return Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), "utf8")]));
}

let others = 0;

export class Audience {
  readonly #folder: string;
  readonly #honest: Honest;
  readonly #verifier: string;
  #count = 0;

  /** @param verifier the path of the command that listens */
  constructor(folder: string, honest: Honest, verifier: string = VERIFIER) {
    this.#folder = folder;
    this.#honest = honest;
    this.#verifier = verifier;
  }

  /** @returns the same with another verifier, which has kept the same */
  by(verifier: string): Audience {
    const other = new Audience(this.#folder, this.#honest, verifier);
    // Files that both make must not have the same name.
    others += 1;
    other.#count = 1000 * others;
    return other;
  }

  /** The folder of what a verifier has kept of the honest log. */
  kept(what: "half" | "whole"): string {
    return join(this.#folder, `kept-${what}`);
  }

  /** Lets a verifier audit the honest log, half of it and all of it, and keep what it keeps. */
  async prepare(): Promise<void> {
    const { entries, at } = this.#honest;
    for (const [what, size] of [
      ["half", at.half],
      ["whole", at.size],
    ] as const) {
      const view = this.#honest.view(entries.slice(0, size));
      const heard = await this.#ask(view, "audit", this.kept(what), ["--wait", "0", "--vkey", this.#honest.log.vkey]);
      if (heard.code !== 0) throw new Error(`the honest log does not pass: ${heard.stdout}${heard.stderr}`);
    }
  }

  /** @param before the state folder of an earlier hearing, to go on with; else one as the lie wants it */
  async hear(lie: LogLie, before?: string): Promise<Heard> {
    const state = before ?? this.#fresh("state");
    if (before === undefined && lie.kept === undefined) mkdirSync(state);
    if (before === undefined && lie.kept !== undefined) cpSync(this.kept(lie.kept), state, { recursive: true });
    if (before === undefined) {
      for (const { vkey, show } of lie.first ?? []) {
        const heard = await this.#ask(show(), "head", state, ["--vkey", vkey]);
        if (heard.code !== 0) throw new Error(`what was seen before does not pass: ${heard.stdout}${heard.stderr}`);
      }
    }
    const command = lie.command ?? "audit";
    const args = [...(command === "audit" ? ["--wait", "0"] : []), ...this.#trusting(lie)];
    const env = lie.later === undefined ? {} : clock(this.#honest.lastTime + lie.later);
    return this.#ask(lie.show(), command, state, args, env);
  }

  async examine(lie: BundleLie): Promise<Heard> {
    const file = this.#written("bundle", lie.file());
    const entry = lie.entry === undefined ? [] : ["--entry", this.#written("entry", lie.entry)];
    return this.#run(["verify", file, ...entry, ...this.#trusting(lie)], "");
  }

  /** What the verifier is told on its command line besides the log. */
  #trusting({ policy, vkeys, args = [] }: Pick<LogLie, "policy" | "vkeys" | "args">): string[] {
    const keys = (vkeys ?? [this.#honest.log.vkey]).flatMap((vkey) => ["--vkey", vkey]);
    const witnesses = policy === undefined ? [] : ["--policy", this.#written("policy", policy)];
    return [...args, ...keys, ...witnesses];
  }

  async #ask(
    view: View,
    command: string,
    state: string,
    args: readonly string[],
    env: Record<string, string> = {},
  ): Promise<Heard> {
    const log = await LyingLog.serve(view);
    try {
      return await this.#run([command, "--log", log.url, "--state", state, ...args], state, env);
    } finally {
      await log.close();
    }
  }

  async #run(args: readonly string[], state: string, env: Record<string, string> = {}): Promise<Heard> {
    const result = await runNode(this.#verifier, [...args, "--json"], env);
    try {
      return { ...result, state, report: JSON.parse(result.stdout) as Report };
    } catch {
      throw new Error(`no JSON from ${args.join(" ")}: ${result.stdout}${result.stderr}`);
    }
  }

  #written(name: string, content: string | Buffer): string {
    const file = this.#fresh(name);
    writeFileSync(file, content);
    return file;
  }

  #fresh(name: string): string {
    this.#count += 1;
    return join(this.#folder, `${name}-${this.#count}`);
  }
}

/** Does `work` for each of the list, so many at once, and gives the results in the list's order. */
export async function inParallel<T, R>(
  list: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < list.length) {
      const i = next++;
      results[i] = await work(list[i]!);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}

import type { Question } from "@vitrine/log-server";
import { CliError } from "../errors.ts";
import { readToken, readUrl } from "./log-options.ts";
import { HELP, type HelpInvocation, parse } from "./parse.ts";

/** `vitrine log fsck`, `export` and `inspect`. */
export type ToolCommand =
  | { readonly tool: "fsck"; readonly config: string; readonly json: boolean }
  | {
      readonly tool: "export";
      readonly config: string;
      readonly json: boolean;
      readonly out: string;
      readonly resume: boolean;
      /** A file. */
      readonly checkpoint: string | undefined;
    }
  | {
      readonly tool: "inspect";
      /** A configuration file, or the URL of a log that runs. */
      readonly of:
        | { readonly config: string }
        | { readonly url: string; readonly token: string | undefined; readonly reason: string | undefined };
      readonly json: boolean;
      readonly question: Question;
    };

export interface ToolInvocation {
  readonly do: "tool";
  readonly command: ToolCommand;
}

const SEE = "see vitrine log --help";
const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;

/** @throws CliError `usage` */
export function readTool(tool: ToolCommand["tool"], argv: string[]): ToolInvocation | HelpInvocation {
  switch (tool) {
    case "fsck": {
      const { values } = parse(argv, { ...HELP, config: text, json: flag }, "log");
      if (values.help) return { do: "help", topic: "log" };
      const config = required(values.config, "--config FILE");
      return { do: "tool", command: { tool, config, json: values.json ?? false } };
    }
    case "export": {
      const { values } = parse(
        argv,
        { ...HELP, config: text, json: flag, out: text, resume: flag, checkpoint: text },
        "log",
      );
      if (values.help) return { do: "help", topic: "log" };
      const config = required(values.config, "--config FILE");
      const out = required(values.out, "--out DIR");
      return {
        do: "tool",
        command: {
          tool,
          config,
          json: values.json ?? false,
          out,
          resume: values.resume ?? false,
          checkpoint: values.checkpoint,
        },
      };
    }
    case "inspect":
      return readInspect(argv);
  }
}

function readInspect(argv: string[]): ToolInvocation | HelpInvocation {
  const options = { ...HELP, config: text, log: text, "token-file": text, reason: text, json: flag } as const;
  const { values, positionals } = parse(argv, options, "log", true);
  if (values.help) return { do: "help", topic: "log" };
  const question = readQuestion(positionals);
  const { config, log, "token-file": token, reason, json = false } = values;
  if ((config === undefined) === (log === undefined)) {
    throw new CliError("usage", `give one of --config FILE and --log URL; ${SEE}`);
  }
  if (log !== undefined) {
    if (question.about === "disclosures" && !reason) {
      throw new CliError("usage", `--reason TEXT is missing: the log makes an entry of each reading; ${SEE}`);
    }
    return {
      do: "tool",
      command: {
        tool: "inspect",
        of: { url: readUrl(log, SEE), token: token === undefined ? undefined : readToken(token), reason },
        json,
        question,
      },
    };
  }
  if (token !== undefined) throw new CliError("usage", `--token-file belongs to --log; ${SEE}`);
  if (reason !== undefined) throw new CliError("usage", `--reason belongs to --log; ${SEE}`);
  return {
    do: "tool",
    command: { tool: "inspect", of: { config: required(config, "--config FILE") }, json, question },
  };
}

function readQuestion(words: readonly string[]): Question {
  const [first, second, ...more] = words;
  if (first === undefined) return { about: "log" };
  if (first === "source" && second !== undefined && more.length === 0) return { about: "source", name: second };
  if (first === "disclosures" && second !== undefined && more.length === 0) {
    return { about: "disclosures", index: index(second) };
  }
  if (second === undefined) return { about: "entry", index: index(first) };
  throw new CliError("usage", `expected INDEX, source NAME or disclosures INDEX; ${SEE}`);
}

function index(word: string): number {
  const value = Number(word);
  if (/^(?:0|[1-9][0-9]*)$/.test(word) && Number.isSafeInteger(value)) return value;
  throw new CliError("usage", `${JSON.stringify(word)} is not the index of an entry, a number from 0; ${SEE}`);
}

function required(value: string | undefined, name: string): string {
  if (value !== undefined && value !== "") return value;
  throw new CliError("usage", `${name} is ${value === "" ? "empty" : "missing"}; ${SEE}`);
}

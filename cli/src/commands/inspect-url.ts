import {
  entryFacts,
  type Inspection,
  openDisclosure,
  type Question,
  type SourceState,
  shapeOf,
} from "@vitrine/log-server";
import { CliError } from "../errors.ts";
import { askLog, parseJson } from "../log-http.ts";

/** What a log answers, over HTTP. Its form is checked, and nothing of it is verified. */
class LogClient {
  readonly #url: string;
  readonly #token: string | undefined;

  constructor(url: string, token: string | undefined) {
    this.#url = url;
    this.#token = token;
  }

  /** @returns what `read` makes of the answer. @throws CliError `log_answer` when it throws */
  async get<T>(path: string, read: (answer: string) => T): Promise<T> {
    const answer = await askLog(`${this.#url}/${path}`, this.#token);
    try {
      return read(answer);
    } catch (error) {
      throw new CliError("log_answer", `/${path} does not answer as a log does`, { cause: error });
    }
  }
}

function bad(): never {
  throw new Error("it has another form");
}

function members(answer: string): Record<string, unknown> {
  const value = parseJson(answer);
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : bad();
}

const text = (value: unknown): string => (typeof value === "string" ? value : bad());
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : bad());
const integer = (value: unknown): number =>
  Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : bad();

function readSources(answer: string): SourceState[] {
  return list(members(answer).sources).map((each) => {
    const { name, vkey, epoch, next, chain } = (each ?? bad()) as Record<string, unknown>;
    return { name: text(name), vkey: text(vkey), epoch: integer(epoch), next: integer(next), chain: text(chain) };
  });
}

/**
 * Answers a question about a log that runs, by what it says over HTTP.
 *
 * @param token of an auditor
 * @param reason why disclosures are read
 * @throws CliError `log_unreachable`, `log_refused`, `log_answer`
 */
export async function inspectUrl(
  url: string,
  { token, reason }: { readonly token: string | undefined; readonly reason: string | undefined },
  question: Question,
): Promise<Inspection> {
  const log = new LogClient(url, token);
  switch (question.about) {
    case "log":
      return describe(log);
    case "entry": {
      const { index } = question;
      const size = await log.get("ct/v1/get-sth", (answer) => integer(members(answer).tree_size));
      return log.get(`ct/v1/get-entry-and-proof?leaf_index=${index}&tree_size=${size}`, (answer) => {
        const { leaf_input, audit_path } = members(answer);
        return entryFacts(index, Buffer.from(text(leaf_input), "base64"), size, list(audit_path).map(text));
      });
    }
    case "source": {
      const found = (await log.get("api/v1/sources", readSources)).find(({ name }) => name === question.name);
      if (found !== undefined) return { about: "source", ...found, epochs: [] };
      throw new CliError("log_refused", `the log knows no source ${JSON.stringify(question.name)}`);
    }
    case "disclosures": {
      const { index } = question;
      const path = `api/v1/entries/${index}/disclosures?reason=${encodeURIComponent(reason ?? "")}`;
      const disclosures = await log.get(path, (answer) =>
        list(members(answer).disclosures).map((each) => openDisclosure(Buffer.from(text(each), "base64url"), index)),
      );
      return { about: "disclosures", index, disclosures };
    }
  }
}

async function describe(log: LogClient): Promise<Inspection> {
  const { checkpoint, origin, size, root } = await log.get("checkpoint", (answer) => {
    const [first = "", second = "", third = ""] = answer.split("\n");
    const decimal = /^(?:0|[1-9][0-9]*)$/.test(second) ? Number(second) : Number.NaN;
    return { checkpoint: answer, origin: first, size: integer(decimal), root: third };
  });
  const sources = await log.get("api/v1/sources", readSources);
  return { about: "log", origin, size, root, checkpoint, stored: undefined, levels: shapeOf(size), sources };
}

import { readFileSync } from "node:fs";
import { disclosed, entryFacts, type Inspection, type Question, type SourceState, shapeOf } from "@vitrine/log-server";
import { CliError, oneLine } from "../errors.ts";
import { printable } from "../printable.ts";

const TIMEOUT_MS = 20_000;
/** More than any answer that is asked for here may have. */
const MOST_BYTES = 2 ** 26;

/** What a log answers, over HTTP. Nothing of it is verified. */
class LogClient {
  readonly #url: string;
  readonly #headers: Record<string, string>;

  constructor(url: string, token: string | undefined) {
    this.#url = url;
    this.#headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  async get(path: string): Promise<string> {
    const url = `${this.#url}/${path}`;
    let answer: Response;
    let body: string;
    try {
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      answer = await fetch(url, { headers: this.#headers, redirect: "error", signal });
      body = await readBounded(answer);
    } catch (error) {
      const why = oneLine(error instanceof Error && error.cause instanceof Error ? error.cause : error);
      throw new CliError("log_unreachable", `${url}: ${printable(why)}`, { cause: error });
    }
    if (answer.status === 200) return body;
    const said = /"message":"((?:[^"\\]|\\.)*)"/.exec(body)?.[1] ?? "";
    throw new CliError("log_refused", `${url}: the log answers ${answer.status}: ${printable(said).slice(0, 500)}`);
  }

  async json<T>(path: string): Promise<T> {
    const body = await this.get(path);
    try {
      return JSON.parse(body) as T;
    } catch (error) {
      throw new CliError("log_answer", `${this.#url}/${path}: the answer is not JSON`, { cause: error });
    }
  }
}

async function readBounded(answer: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of answer.body ?? []) {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) throw new Error(`the answer has more than ${MOST_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/**
 * Answers a question about a log that runs, by what it says over HTTP.
 *
 * @param token file with an auditor's token
 * @throws CliError `log_unreachable`, `log_refused`, `log_answer`, `usage`
 */
export async function inspectUrl(url: string, token: string | undefined, question: Question): Promise<Inspection> {
  const log = new LogClient(url, token === undefined ? undefined : readToken(token));
  switch (question.about) {
    case "log":
      return describe(log);
    case "entry": {
      const { tree_size } = await log.json<{ tree_size: number }>("ct/v1/get-sth");
      const path = `ct/v1/get-entry-and-proof?leaf_index=${question.index}&tree_size=${tree_size}`;
      const { leaf_input, audit_path } = await log.json<{ leaf_input: string; audit_path: string[] }>(path);
      return entryFacts(question.index, Buffer.from(leaf_input, "base64"), tree_size, audit_path);
    }
    case "source": {
      const found = (await sources(log)).find(({ name }) => name === question.name);
      if (found === undefined) throw new CliError("log_refused", `the log knows no source ${printable(question.name)}`);
      return { about: "source", ...found, epochs: [] };
    }
    case "disclosures": {
      const path = `api/v1/entries/${question.index}/disclosures`;
      const { disclosures } = await log.json<{ disclosures: string[] }>(path);
      return {
        about: "disclosures",
        index: question.index,
        disclosures: disclosures.map((each) => disclosed(Buffer.from(each, "base64url"))),
      };
    }
  }
}

function readToken(file: string): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    throw new CliError("usage", `--token-file ${file}: ${oneLine(error)}`, { cause: error });
  }
}

async function sources(log: LogClient): Promise<SourceState[]> {
  return (await log.json<{ sources: SourceState[] }>("api/v1/sources")).sources;
}

async function describe(log: LogClient): Promise<Inspection> {
  const checkpoint = await log.get("checkpoint");
  const [origin = "", size = "", root = ""] = checkpoint.split("\n");
  if (!/^(?:0|[1-9][0-9]{0,15})$/.test(size)) throw new CliError("log_answer", "what the log serves as its checkpoint is none");
  return {
    about: "log",
    origin,
    size: Number(size),
    root,
    checkpoint,
    stored: undefined,
    levels: shapeOf(Number(size)),
    sources: await sources(log),
  };
}

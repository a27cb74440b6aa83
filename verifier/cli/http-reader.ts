import {
  type LogReader,
  maxBundleLength,
  maxNoteLength,
  maxTileLength,
  type TileLevel,
  tilePath,
  VerifierError,
} from "../src/index.ts";
import { type Answer, type HttpClient, sentence } from "./http.ts";
import { printableShort } from "./printable.ts";

/** Reads a log over HTTP (spec/tiles.md). */
export class HttpReader implements LogReader {
  readonly #http: HttpClient;

  constructor(http: HttpClient) {
    this.#http = http;
  }

  checkpoint(): Promise<Uint8Array | "missing"> {
    return this.#read("checkpoint", maxNoteLength);
  }

  tile(level: TileLevel, n: number, width: number): Promise<Uint8Array | "missing"> {
    return this.#read(tilePath(level, n, width), level === "entries" ? maxBundleLength : maxTileLength);
  }

  async #read(path: string, limit: number): Promise<Uint8Array | "missing"> {
    const answer = await this.#http.get(path, { limit });
    if (answer.status === 404 || answer.status === 410) return "missing";
    return contentOf(answer, path);
  }
}

/**
 * @param path that was asked for, for the message
 * @returns the body of an answer with status 200
 * @throws VerifierError `data_missing`: the log answered, and not with what it should have
 */
export function contentOf(answer: Answer, path: string): Uint8Array {
  const { status, headers } = answer;
  if (status !== 200) throw missing(path, `the log answers ${status}${redirect(answer)}${sentence(answer)}`);
  const encoding = headers["content-encoding"];
  if (encoding !== undefined && encoding.toLowerCase() !== "identity") {
    throw missing(path, `the log sends it with Content-Encoding ${printableShort(encoding)}, which was not asked for`);
  }
  return answer.body;
}

function redirect({ status, headers }: Answer): string {
  if (status < 300 || status > 399 || headers.location === undefined) return "";
  return `, a redirect to ${printableShort(headers.location)}, which is not followed: if you trust it, give it with --log`;
}

function missing(path: string, why: string): VerifierError {
  return new VerifierError("data_missing", `${path} could not be had: ${why}`, { where: path });
}

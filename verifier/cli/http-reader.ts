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

type Found = Uint8Array | "missing";

/** Reads a log over HTTP (spec/tiles.md). */
export class HttpReader implements LogReader {
  readonly #http: HttpClient;
  readonly #token: string | undefined;

  /** @param token goes with requests for entries: hashes and checkpoints are always public */
  constructor(http: HttpClient, token?: string) {
    this.#http = http;
    this.#token = token;
  }

  checkpoint(): Promise<Uint8Array | "missing"> {
    return this.#read("checkpoint", maxNoteLength);
  }

  tile(level: TileLevel, n: number, width: number): Promise<Uint8Array | "missing"> {
    const path = tilePath(level, n, width);
    return level === "entries" ? this.#entries(path) : this.#read(path, maxTileLength);
  }

  async #read(path: string, limit: number, headers: Readonly<Record<string, string>> = {}): Promise<Found> {
    const answer = await this.#http.get(path, { limit, headers });
    if (answer.status === 404 || answer.status === 410) return "missing";
    return contentOf(answer, path);
  }

  async #entries(path: string): Promise<Found> {
    const token = this.#token;
    if (token === undefined) return this.#read(path, maxBundleLength);
    try {
      return await this.#read(path, maxBundleLength, { authorization: `Bearer ${token}` });
    } catch (error) {
      // A log that repeats the token does not get it printed.
      if (!(error instanceof VerifierError)) throw error;
      throw new VerifierError(error.code, error.message.replaceAll(token, "..."), error.place);
    }
  }
}

/**
 * @param path that was asked for, for the message
 * @returns the body of an answer with status 200
 * @throws VerifierError `data_missing`: the log answered, and not with what it should have
 */
export function contentOf(answer: Answer, path: string): Uint8Array {
  const { status, headers } = answer;
  if (status !== 200)
    throw missing(path, `the log answers ${status}${redirect(answer)}${sentence(answer)}${asking(answer)}`);
  const encoding = headers["content-encoding"];
  if (encoding !== undefined && encoding.toLowerCase() !== "identity") {
    throw missing(path, `the log sends it with Content-Encoding ${printableShort(encoding)}, which was not asked for`);
  }
  return answer.body;
}

/** A log may give its entries to holders of a token alone. */
function asking({ status }: Answer): string {
  return status === 401 || status === 403 ? "; a token for it is given with --token" : "";
}

function redirect({ status, headers }: Answer): string {
  if (status < 300 || status > 399 || headers.location === undefined) return "";
  return `, a redirect to ${printableShort(headers.location)}, which is not followed: if you trust it, give it with --log`;
}

function missing(path: string, why: string): VerifierError {
  return new VerifierError("data_missing", `${path} could not be had: ${why}`, { where: path });
}

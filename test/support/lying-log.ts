/** A log that shows whatever it is told to: tiles, entry bundles, checkpoint and disclosures over HTTP. */
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Tree } from "./lying-tree.ts";

/** Bytes, or how the answer fails. */
export type Answer =
  | Uint8Array
  | string
  /** 404. */
  | { readonly missing: true }
  /** Bytes without end: these, again and again. */
  | { readonly endless: Uint8Array; readonly headers?: Record<string, string> }
  /** A few bytes of the many announced, and then the connection breaks. */
  | { readonly broken: Uint8Array }
  /** Nothing at all. */
  | { readonly silent: true }
  /** A byte, and another one after so many milliseconds, and so on. */
  | { readonly trickle: number }
  | { readonly status: number; readonly headers: Record<string, string>; readonly body: Uint8Array | string };

/** What the log shows. */
export interface View {
  readonly checkpoint: Answer;
  /** The entries in its bundles. */
  readonly entries: readonly Buffer[];
  /** The tree that the tiles of a level are cut from. */
  readonly tiles: (level: number) => Tree;
  /** By path, before anything else. */
  readonly answers?: Readonly<Record<string, Answer>>;
  /** By index, in base64url. */
  readonly disclosures?: ReadonlyMap<number, readonly string[]>;
  /** What it shows to who asks for the checkpoint a second time, and from then on. */
  readonly afterwards?: View;
}

const TILE = /^\/tile\/(entries|0|[1-9][0-9]?)\/((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/;
const DISCLOSURES = /^\/api\/v1\/entries\/(0|[1-9][0-9]*)\/disclosures(?:\?.*)?$/;

/** spec/tiles.md. */
export function tilePath(level: number | "entries", n: number, width = 256): string {
  const groups = [String(n % 1000).padStart(3, "0")];
  for (let rest = Math.floor(n / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    groups.unshift(`x${String(rest % 1000).padStart(3, "0")}`);
  }
  return `/tile/${level}/${groups.join("/")}${width === 256 ? "" : `.p/${width}`}`;
}

export function entryBundle(entries: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    entries.flatMap((entry) => [Buffer.from([Math.floor(entry.length / 256), entry.length % 256]), entry]),
  );
}

function answerTo(view: View, path: string): Answer {
  const given = view.answers?.[path];
  if (given !== undefined) return given;
  if (path === "/checkpoint") return view.checkpoint;
  const disclosures = DISCLOSURES.exec(path);
  if (disclosures !== null) {
    const index = Number(disclosures[1]);
    const body = JSON.stringify({ index, disclosures: view.disclosures?.get(index) ?? [] });
    return { status: 200, headers: { "content-type": "application/json" }, body };
  }
  const tile = TILE.exec(path);
  if (tile === null) return { missing: true };
  const n = Number(tile[2]!.replace(/[x/]/g, ""));
  const width = Number(tile[3] ?? 256);
  if (tile[1] !== "entries") {
    const level = Number(tile[1]);
    return view.tiles(level).hashes(level, n * 256, width) ?? { missing: true };
  }
  const bundle = view.entries.slice(n * 256, n * 256 + width);
  return bundle.length < width ? { missing: true } : entryBundle(bundle);
}

function send(response: ServerResponse, answer: Answer): void {
  if (typeof answer === "string" || answer instanceof Uint8Array) {
    response.writeHead(200, { "content-type": "application/octet-stream" }).end(answer);
  } else if ("missing" in answer) {
    const body = { error: { code: "beyond_tree", message: "there is no such tile" } };
    response.writeHead(404, { "content-type": "application/json" }).end(JSON.stringify(body));
  } else if ("broken" in answer) {
    response.writeHead(200, { "content-length": 1_000_000 });
    response.write(answer.broken, () => response.destroy());
  } else if ("endless" in answer) {
    response.writeHead(200, answer.headers);
    const more = (): void => {
      while (!response.destroyed && response.write(answer.endless));
    };
    response.on("drain", more);
    response.on("error", () => undefined); // the reader went away, as it should
    more();
  } else if ("silent" in answer) {
    // Until the reader gives up.
  } else if ("trickle" in answer) {
    const timer = setInterval(() => response.write("x"), answer.trickle);
    response.on("close", () => clearInterval(timer));
  } else {
    response.writeHead(answer.status, answer.headers).end(answer.body);
  }
}

export class LyingLog {
  readonly #server: Server;

  private constructor(view: View) {
    let now = view;
    let heads = 0;
    this.#server = createServer((request, response) => {
      const path = request.url ?? "";
      if (path === "/checkpoint" && heads++ > 0) now = view.afterwards ?? view;
      send(response, answerTo(now, path));
    });
  }

  static async serve(view: View): Promise<LyingLog> {
    const log = new LyingLog(view);
    await new Promise<void>((resolve) => log.#server.listen(0, "127.0.0.1", resolve));
    return log;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

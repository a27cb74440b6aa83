import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { makeCosigner, type TestCosigner } from "./cosigner.ts";

// A witness for the tests: honest by C2SP tlog-witness, with consistency checked by RFC 9162 section 2.1.4.2, unless it
// is told to do something else.

/** What a log sent. */
export interface Asked {
  readonly old: number;
  readonly proof: readonly Buffer[];
  readonly note: string;
  readonly text: string;
  readonly size: number;
  readonly root: Buffer;
}

export type Behaviour = (asked: Asked, response: ServerResponse, request: IncomingMessage) => void;

const sha256 = (...parts: Uint8Array[]): Buffer => {
  const digest = createHash("sha256");
  for (const part of parts) digest.update(part);
  return digest.digest();
};
const node = (left: Buffer, right: Buffer): Buffer => sha256(Buffer.of(1), left, right);

/** RFC 9162 section 2.1.4.2, with first and second above 0 and unequal. */
function consistent(first: number, second: number, proof: readonly Buffer[], from: Buffer, to: Buffer): boolean {
  const path = Number.isInteger(Math.log2(first)) ? [from, ...proof] : [...proof];
  if (path.length === 0) return false;
  let fn = first - 1;
  let sn = second - 1;
  while (fn % 2 === 1) [fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)];
  let fr = path[0]!;
  let sr = path[0]!;
  for (const hash of path.slice(1)) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      fr = node(hash, fr);
      sr = node(hash, sr);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)];
    } else {
      sr = node(sr, hash);
    }
    [fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)];
  }
  return fr.equals(from) && sr.equals(to) && sn === 0;
}

function parse(body: string): Asked {
  const at = body.indexOf("\n\n");
  const [first, ...lines] = body.slice(0, at).split("\n");
  const note = body.slice(at + 2);
  const text = note.slice(0, note.lastIndexOf("\n\n") + 1);
  const [, size, root] = text.split("\n");
  const proof = lines.map((line) => Buffer.from(line, "base64"));
  return { old: Number(first!.slice(4)), proof, note, text, size: Number(size), root: Buffer.from(root!, "base64") };
}

export class FakeWitness {
  readonly key: TestCosigner;
  readonly asked: Asked[] = [];
  /** The checkpoint that it has cosigned last. */
  size = 0;
  root: Buffer | undefined;
  /** What it shows as its latest checkpoint of any log. */
  shows: string | undefined;
  /** Instead of being honest. */
  behaviour: Behaviour | undefined;
  readonly #server: Server;

  constructor(name: string) {
    this.key = makeCosigner(name);
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        if (request.method === "GET" && this.shows !== undefined) {
          response.end(this.shows);
          return;
        }
        if (request.method !== "POST" || !request.url!.endsWith("/add-checkpoint")) {
          response.writeHead(404).end();
          return;
        }
        const asked = parse(Buffer.concat(chunks).toString());
        this.asked.push(asked);
        (this.behaviour ?? this.honest)(asked, response, request);
      });
    });
  }

  static async start(name: string): Promise<FakeWitness> {
    const witness = new FakeWitness(name);
    await new Promise<void>((resolve) => witness.#server.listen(0, "127.0.0.1", resolve));
    return witness;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** What the protocol says. */
  readonly honest: Behaviour = ({ old, proof, text, size, root }, response) => {
    if (old !== this.size) {
      response.writeHead(409, { "content-type": "text/x.tlog.size" }).end(`${this.size}\n`);
      return;
    }
    const same = old === size && proof.length === 0 && (old === 0 || root.equals(this.root!));
    const grown = old < size && (old === 0 ? proof.length === 0 : consistent(old, size, proof, this.root!, root));
    if (!same && !grown) {
      response.writeHead(422).end();
      return;
    }
    this.size = size;
    this.root = root;
    response.writeHead(200).end(this.key.line(text));
  };

  /** Closes every connection, as a server does with idle ones. */
  dropConnections(): void {
    this.#server.closeAllConnections();
  }

  /** Answers nothing, and takes no more connections, as long as it is not started again. */
  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

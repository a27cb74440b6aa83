import { createHash } from "node:crypto";
import { type IncomingHttpHeaders, request } from "node:http";
import { parseCheckpointText } from "../../src/formats/checkpoint.ts";
import { checkNote, parseNote, parseVerifierKey } from "../../src/formats/note.ts";
import { bundleEntries } from "../../src/formats/tile.ts";

// A client for the tests. Paths go out exactly as given, which fetch() would not do.

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The body as JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of it
  json(): any;
}

export function send(
  url: string,
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: Buffer,
): Promise<Answer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const req = request({ hostname, port, method, path, headers, agent: false }, (res) => {
      const chunks: Buffer[] = [];
      res.on("data", (chunk: Buffer) => chunks.push(chunk));
      res.on("error", reject);
      res.on("end", () => {
        const all = Buffer.concat(chunks);
        const json = (): unknown => JSON.parse(all.toString());
        resolve({ status: res.statusCode!, headers: res.headers, body: all, json });
      });
    });
    req.on("error", reject);
    req.end(body);
  });
}

export const get = (url: string, path: string, headers?: Record<string, string>): Promise<Answer> =>
  send(url, "GET", path, headers);

export const submit = (url: string, body: Buffer): Promise<Answer> =>
  send(url, "POST", "/api/v1/submissions", { "content-type": "application/octet-stream" }, body);

/** Waits until the log has published a checkpoint of at least this size. */
export async function published(url: string, size: number): Promise<{ note: string; size: number; root: Buffer }> {
  for (;;) {
    const note = (await get(url, "/checkpoint")).body.toString();
    const checkpoint = parseCheckpointText(parseNote(Buffer.from(note))!.text)!;
    if (checkpoint.size >= size) return { ...checkpoint, note };
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const sha256 = (...parts: Uint8Array[]): Buffer => {
  const digest = createHash("sha256");
  for (const part of parts) digest.update(part);
  return digest.digest();
};

/** RFC 6962 section 2.1, as it is written. */
export function treeRoot(entries: readonly Uint8Array[]): Buffer {
  if (entries.length === 0) return sha256();
  if (entries.length === 1) return sha256(Buffer.of(0), entries[0]!);
  let k = 1;
  while (k * 2 < entries.length) k *= 2;
  return sha256(Buffer.of(1), treeRoot(entries.slice(0, k)), treeRoot(entries.slice(k)));
}

/** Reads the whole log from its bundles, and checks its signature and its root. @returns the entries */
export async function auditLog(url: string, vkey: string): Promise<Buffer[]> {
  const note = parseNote((await get(url, "/checkpoint")).body)!;
  if (checkNote(note, parseVerifierKey(vkey)!) !== "good") throw new Error("the checkpoint is not signed by the log");
  const { size, root } = parseCheckpointText(note.text)!;
  const entries: Buffer[] = [];
  for (let number = 0; entries.length < size; number += 1) {
    const width = Math.min(256, size - entries.length);
    const path = `/tile/entries/${String(number).padStart(3, "0")}${width < 256 ? `.p/${width}` : ""}`;
    const answer = await get(url, path);
    if (answer.status !== 200) throw new Error(`${path}: ${answer.body}`);
    const found = bundleEntries(answer.body, width);
    if (found?.length !== width) throw new Error(`${path} has not ${width} entries`);
    entries.push(...found);
  }
  if (!treeRoot(entries).equals(root)) throw new Error(`the entries do not give the root of size ${size}`);
  return entries;
}

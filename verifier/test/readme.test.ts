import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import t from "tap";
import { findingVerdicts } from "../src/errors.ts";
import { type AuditReport, parseTilePath } from "../src/index.ts";
import { MemoryLog } from "./support/memory-log.ts";
import { TestSource } from "./support/test-source.ts";

const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");

t.test("the manual has each finding, in the order of the steps, with its verdict", async (t) => {
  const rows = [...readme.matchAll(/^\| `([a-z_]+)` \| (PASS|FAIL|NOT PROVEN) \|/gm)].map(([, code, verdict]) => [
    code,
    verdict,
  ]);
  t.same(rows, Object.entries(findingVerdicts));
});

type Example = {
  check(
    url: string,
    vkey: string,
    storage: object,
    index: number,
  ): Promise<{ audit: AuditReport; entry: { seq: number } }>;
};

t.test("the manual's program audits and proves, and carries on", async (t) => {
  // Inside the package, so that it finds the package by its name.
  const folder = new URL("../readme-example/", import.meta.url);
  mkdirSync(folder, { recursive: true });
  t.teardown(() => rmSync(folder, { recursive: true }));
  const [reader, program] = [...readme.matchAll(/^```js\n(.*?)^```$/gms)].map((match) => match[1]!);
  writeFileSync(new URL("fetch-reader.js", folder), reader!);
  writeFileSync(new URL("check.js", folder), program!.replace(/^.*console\.log.*$/gm, ""));
  const { check } = (await import(new URL("check.js", folder).href)) as Example;

  const source = new TestSource();
  source.run(300);
  const log = new MemoryLog(source.entries);
  let answer: (path: string) => Promise<Uint8Array | "missing"> = async (path) => {
    if (path === "checkpoint") return log.checkpoint();
    const tile = parseTilePath(path);
    return tile === undefined ? "missing" : log.tile(tile.level, tile.n, tile.width);
  };
  const server = createServer(async (request, response) => {
    const bytes = await answer(request.url!.slice(1));
    if (bytes === "missing") response.writeHead(404).end();
    else response.end(bytes);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const kept = new Map<string, string>();
  const storage = {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, text: string) => kept.set(name, text),
  };
  const first = await check(url, log.key.vkey, storage, 7);
  t.same([first.audit.verdict, first.audit.from, first.entry.seq], ["PASS", 0, 7]);
  const second = await check(url, log.key.vkey, storage, 8);
  t.same([second.audit.verdict, second.audit.from], ["PASS", log.size]);
  answer = async () => new Uint8Array(10000000);
  const endless = await check(url, log.key.vkey, storage, 8);
  t.match(endless.audit.findings, [{ code: "note_malformed" }]);
  server.close();
  server.closeAllConnections();
  await t.rejects(check(url, log.key.vkey, storage, 8), { code: "log_unreachable" });
});

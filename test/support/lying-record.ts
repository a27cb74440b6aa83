/** A real log to lie about: three epochs of a real proxy, the first of them killed, read back over HTTP. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Postgres } from "@vitrine/cli";
import pg from "pg";
import { tilePath } from "./lying-log.ts";
import { type Entry, type Stack, TOKEN } from "./stack.ts";

export interface Record {
  readonly entries: readonly Buffer[];
  /** The log's own checkpoint over them. */
  readonly checkpoint: string;
  /** By index, in base64url. */
  readonly disclosures: ReadonlyMap<number, readonly string[]>;
}

/** More than a source puts under one seal. */
const MANY = 1020;

async function work(stack: Stack, application: string, count: number): Promise<void> {
  const client = await stack.client("proxied", { application_name: application });
  await client.query("SELECT $1::int + 1 AS sum", [41]);
  await client.query("SELECT 'a secret value'");
  await client.query("SELECT 1/0").catch(() => undefined);
  await client.query("SELECT nonsense").catch(() => undefined);
  const text = Array.from({ length: 60 }, (_, i) => `SELECT ${i}`);
  for (let left = count; left > 0; left -= 60) await client.query(text.slice(0, left).join("; "));
  await client.end();
}

async function refused(stack: Stack): Promise<void> {
  const client = new pg.Client({ ...stack.connection(), password: "wrong" });
  client.on("error", () => undefined);
  await client.connect().then(
    () => Promise.reject(new Error("a wrong password was taken")),
    () => undefined,
  );
}

/** Kills the proxy while the server is executing a statement. */
async function killedMidway(stack: Stack, database: Postgres): Promise<void> {
  const client = await stack.client("proxied", { application_name: "killed" });
  const lost = client.query("SELECT pg_sleep(60)").catch(() => undefined);
  const admin = await database.connect("postgres");
  const running = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND pid <> pg_backend_pid()";
  while ((await admin.query(running)).rowCount === 0) await sleep(10);
  await stack.proxy.end("SIGKILL");
  await lost;
  await admin.query(`SELECT pg_terminate_backend(pid) FROM (${running}) AS sleeping`);
  await admin.end();
}

async function epoch(stack: Stack, count: number): Promise<void> {
  await Promise.all([work(stack, "one", 10), work(stack, "two", 10)]);
  await refused(stack);
  await work(stack, "many", count);
  await work(stack, "last", 10);
}

async function read(url: string): Promise<Buffer> {
  const answer = await fetch(url, { headers: { authorization: `Bearer ${TOKEN}` } });
  if (answer.status !== 200) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  return Buffer.from(await answer.arrayBuffer());
}

async function readEntries(stack: Stack, size: number): Promise<Buffer[]> {
  const entries: Buffer[] = [];
  for (let n = 0; n * 256 < size; n++) {
    const bundle = await read(stack.logUrl + tilePath("entries", n, Math.min(256, size - n * 256)));
    for (let at = 0; at < bundle.length; ) {
      const end = at + 2 + bundle.readUInt16BE(at);
      entries.push(bundle.subarray(at + 2, end));
      at = end;
    }
  }
  return entries;
}

async function readDisclosures(stack: Stack, entries: readonly Buffer[]): Promise<Map<number, string[]>> {
  const all = new Map<number, string[]>();
  const sealed = entries.flatMap((entry, index) => (entry.includes('"sealed":') ? [index] : []));
  // All would be one request each; those at both ends are of every kind.
  for (const index of [...sealed.slice(0, 30), ...sealed.slice(-30)]) {
    const answer = await read(`${stack.logUrl}/api/v1/entries/${index}/disclosures?reason=record`);
    all.set(index, (JSON.parse(answer.toString()) as { disclosures: string[] }).disclosures);
  }
  return all;
}

/** @param stack not started; stopped afterwards */
export async function recordLog(stack: Stack, database: Postgres): Promise<Record> {
  await stack.start();
  await epoch(stack, 30);
  await killedMidway(stack, database);
  await stack.proxy.start();
  await epoch(stack, 30);
  await stack.proxy.end("SIGTERM");
  await stack.proxy.start();
  await epoch(stack, MANY);
  await stack.proxy.end("SIGTERM");

  const stopped = ({ kind, epoch }: Entry): boolean => kind === "source.stop" && epoch === 3;
  await stack.settled((entries) => entries.some(stopped));
  const checkpoint = (await read(`${stack.logUrl}/checkpoint`)).toString();
  const entries = await readEntries(stack, Number(checkpoint.split("\n")[1]));
  const disclosures = await readDisclosures(stack, entries);
  await stack.log.end("SIGTERM");
  return { entries, checkpoint, disclosures };
}

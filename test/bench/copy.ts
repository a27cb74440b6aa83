/** Bulk through the proxy and without it: COPY both ways, a wide result; and connections a second. */
import { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Postgres } from "@vitrine/cli";
import copy from "pg-copy-streams";
import { Stack } from "../support/stack.ts";
import { median, peakMemory, table } from "./machine.ts";

const LINE = Buffer.from(`${"x".repeat(999)}\n`);
const CHUNK = Buffer.concat(Array.from({ length: 64 }, () => LINE));

export async function benchCopy(
  database: Postgres,
  options: { readonly megabytes: number; readonly rounds: number },
): Promise<void> {
  const stack = await (await Stack.create(database)).start();
  try {
    const chunks = Math.ceil((options.megabytes * 1e6) / CHUNK.length);
    const bytes = chunks * CHUNK.length;
    const loads: Record<string, (way: "direct" | "proxied") => Promise<void>> = {
      "COPY in": async (way) => {
        const client = await stack.client(way);
        await client.query("CREATE TEMP TABLE bulk (line text)");
        await pipeline(
          Readable.from(Array.from({ length: chunks }, () => CHUNK)),
          client.query(copy.from("COPY bulk FROM STDIN")),
        );
        await client.end();
      },
      "COPY out": async (way) => {
        const client = await stack.client(way);
        const lines = Math.floor(bytes / LINE.length);
        const out = client.query(copy.to(`COPY (SELECT repeat('x', 999) FROM generate_series(1, ${lines})) TO STDOUT`));
        await pipeline(out, new Writable({ write: (_chunk, _encoding, done) => done() }));
        await client.end();
      },
    };
    const rows = [["", "direct MB/s", "proxied MB/s", "ratio"]];
    for (const [name, load] of Object.entries(loads)) {
      const rates: Record<"direct" | "proxied", number[]> = { direct: [], proxied: [] };
      for (let round = 0; round < options.rounds; round += 1) {
        for (const way of ["direct", "proxied"] as const) {
          const began = performance.now();
          await load(way);
          rates[way].push(bytes / 1e3 / (performance.now() - began));
        }
      }
      const [direct, proxied] = [median(rates.direct), median(rates.proxied)];
      rows.push([name, direct.toFixed(0), proxied.toFixed(0), (proxied / direct).toFixed(2)]);
    }
    const connections = { direct: 0, proxied: 0 };
    for (const way of ["direct", "proxied"] as const) {
      const began = performance.now();
      for (let i = 0; i < 100; i += 1) await (await stack.client(way)).end();
      connections[way] = 100_000 / (performance.now() - began);
    }
    console.log(
      `\nbulk: ${(bytes / 1e6).toFixed(0)} MB, ${options.rounds} rounds in turn, medians; the client is node-postgres\n${table(rows)}`,
    );
    console.log(
      `connections, one after the other, SCRAM: direct ${connections.direct.toFixed(0)}/s, proxied ${connections.proxied.toFixed(0)}/s; ` +
        `peak memory of the proxy ${peakMemory(stack.proxy.pid!).toFixed(0)} MiB`,
    );
  } finally {
    await stack.destroy();
  }
}

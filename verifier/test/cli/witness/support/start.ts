import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CrashPoint, WitnessHooks } from "../../../../cli/witness/hooks.ts";
import { defaultLimits, type ServerLimits } from "../../../../cli/witness/server.ts";
import type { WitnessFlags } from "../../../../cli/witness/settings.ts";
import { type RunningWitness, startWitness } from "../../../../cli/witness/start.ts";

export type Teardown = { teardown(what: () => void | Promise<void>): void };

export function stateFolder(t: Teardown): string {
  const folder = mkdtempSync(join(tmpdir(), "vitrine-witness-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Clocks that stand still until they are moved. */
export class TestClocks {
  seconds = 1_800_000_000;
  ms = 0;
  wall(): number {
    return this.seconds;
  }
  steadyMs(): number {
    return this.ms;
  }
}

export type TestWitness = RunningWitness & {
  url: string;
  lines: string[];
  clocks: TestClocks;
  /** Where the process may die; what a test puts here runs there. */
  at: { run?: (point: CrashPoint) => void };
};

/** A witness in this process, on a port of its own, that is stopped when the test is over. */
export async function start(
  t: Teardown,
  flags: WitnessFlags,
  { compactAt, ...limits }: Partial<ServerLimits> & { compactAt?: number } = {},
): Promise<TestWitness> {
  const lines: string[] = [];
  const at: TestWitness["at"] = {};
  const hooks: WitnessHooks = { at: (point) => at.run?.(point), log: (line) => void lines.push(line) };
  const clocks = new TestClocks();
  const all = { listen: "127.0.0.1:0", name: "witness.example/w1", ...flags };
  const running = await startWitness(all, hooks, {
    clocks,
    limits: { ...defaultLimits, ...limits },
    ...(compactAt === undefined ? {} : { compactAt }),
  });
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopped ??= running.stop();
    return stopped;
  };
  t.teardown(stop);
  return {
    ...running,
    stop,
    url: `http://127.0.0.1:${running.port}${running.settings.prefix}`,
    lines,
    clocks,
    at,
  };
}

export type Answer = { status: number; type: string; headers: Record<string, unknown>; body: string };

/** One request on a connection of its own. */
export function ask(url: string, method = "GET", body?: Uint8Array | string, headers = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request(url, { method, agent: false, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => {
        const type = response.headers["content-type"] ?? "";
        resolve({ status: response.statusCode!, type, headers: response.headers, body: text });
      });
    });
    call.on("error", reject);
    call.end(body);
  });
}

export function submit(url: string, body: Uint8Array | string): Promise<Answer> {
  return ask(`${url}/add-checkpoint`, "POST", body);
}

export function latest(url: string, origin: string): Promise<Answer> {
  return ask(`${url}/${createHash("sha256").update(origin).digest("hex")}/checkpoint`);
}

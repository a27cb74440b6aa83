/** A program, run to its end, and what it took. */
import { spawn } from "node:child_process";
import { cpuSeconds, peakMemory } from "./machine.ts";

export interface Ran {
  readonly seconds: number;
  /** Seconds of processor time. */
  readonly cpu: number;
  /** Peak resident memory, MiB. */
  readonly memory: number;
  readonly code: number | null;
  readonly output: string;
}

/** Runs a program to its end, and watches what it takes. */
export async function watch(command: string, args: readonly string[]): Promise<Ran> {
  const began = performance.now();
  const child = spawn(command, args);
  let output = "";
  let cpu = 0;
  let memory = 0;
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      output += chunk;
    });
  }
  const timer = setInterval(() => {
    try {
      cpu = cpuSeconds(child.pid!);
      memory = Math.max(memory, peakMemory(child.pid!) || 0);
    } catch {
      // It has just ended.
    }
  }, 10);
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  clearInterval(timer);
  return { seconds: (performance.now() - began) / 1000, cpu, memory, code, output };
}

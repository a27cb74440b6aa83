/** What a figure was measured on. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";

export function version(command: string, ...args: string[]): string | undefined {
  try {
    return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
      .split("\n")[0]!
      .trim();
  } catch {
    return undefined;
  }
}

export function describeMachine(): string {
  const [first] = cpus();
  return [
    `machine   ${first?.model ?? "unknown CPU"}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    `system    Linux ${release()}, Node ${process.version}; load average before: ${loadavg()[0]!.toFixed(1)}`,
    `tools     ${version("pgbench", "--version") ?? "pgbench: not installed"}; ${version("pgbouncer", "--version") ?? "PgBouncer: not installed"}`,
  ].join("\n");
}

/** CPU seconds that a process has used, user and system; threads included, children not. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function statusMiB(pid: number, field: string): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return match === null ? Number.NaN : Number(match[1]) / 1024;
}

/** Peak resident memory of a process in MiB. */
export function peakMemory(pid: number): number {
  return statusMiB(pid, "VmHWM");
}

/**
 * Resident memory of a process in MiB: its own, and that of files which it has mapped, such as LevelDB's tables. The
 * latter is the system's cache of these files, which it takes back when it needs to.
 */
export function residentMemory(pid: number): { readonly own: number; readonly files: number } {
  return { own: statusMiB(pid, "RssAnon"), files: statusMiB(pid, "RssFile") };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function percentile(sorted: ArrayLike<number>, p: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? Number.NaN;
}

/** Aligned columns: the first to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  "))
    .join("\n");
}

/** Go programs as independent clients: built from what the module proxy has, or the reason why that cannot be. */
import { execFile } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./stack.ts";

/** https://github.com/transparency-dev/tessera, and what the checksum database says of it. */
const TESSERA = {
  path: "github.com/transparency-dev/tessera",
  version: "v1.0.4",
  sum: "h1:IXjGowubcLR0T3zUQrysSMKgtTh9KGKQ0iajUiubyP4=",
};

const GO = ["/usr/local/go/bin/go", "/usr/lib/go/bin/go"].find((path) => existsSync(path)) ?? "go";
const BUILD_MS = 240_000;

export interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export function run(
  program: string,
  args: readonly string[],
  cwd: string,
  timeout: number,
  env: Readonly<Record<string, string>> = {},
): Promise<Run> {
  return new Promise((resolve) => {
    const options = { cwd, timeout, maxBuffer: 2 ** 26, env: { ...process.env, ...env } };
    execFile(program, args, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
      resolve({ code, stdout, stderr: error === null ? stderr : `${error.message}\n${stderr}` });
    });
  });
}

/** What goes wrong where a machine has no Go, or nothing beyond itself: the tests cannot run there. */
const ELSEWHERE = /ENOENT|dial tcp|no such host|i\/o timeout|connection refused|GOPROXY=off|toolchain not available/;

/** @returns why there is no such program here, or undefined after it was built */
async function build(cwd: string, args: readonly string[]): Promise<string | undefined> {
  const { code, stderr } = await run(GO, ["build", ...args], cwd, BUILD_MS);
  if (code === 0) return undefined;
  if (ELSEWHERE.test(stderr))
    return `it cannot be built here: ${stderr.split("\n").find((line) => ELSEWHERE.test(line))}`;
  throw new Error(`go build ${args.join(" ")} in ${cwd}: ${stderr}`);
}

/** Builds the one program of a module with a go.sum. @returns why that cannot be done here, or undefined */
export async function buildGo(module: string, program: string): Promise<string | undefined> {
  return build(module, ["-mod=readonly", "-o", program, "."]);
}

/** Builds test/go into `bin/logcheck` of the folder. */
export async function buildLogcheck(folder: string): Promise<string | undefined> {
  return buildGo(join(ROOT, "test/go"), join(folder, "bin/logcheck"));
}

function writable(folder: string): void {
  chmodSync(folder, 0o755);
  for (const each of readdirSync(folder, { withFileTypes: true })) {
    if (each.isDirectory()) writable(join(folder, each.name));
  }
}

/**
 * Builds programs of Tessera, `fsck` and `hammer` unless others are named, into `bin` of the folder. The second is
 * internal to its module, so it is built in a copy of it.
 */
export async function buildTessera(
  folder: string,
  programs: readonly string[] = ["./cmd/fsck", "./internal/hammer"],
): Promise<string | undefined> {
  const { path, version, sum } = TESSERA;
  const { code, stdout, stderr } = await run(GO, ["mod", "download", "-json", `${path}@${version}`], folder, BUILD_MS);
  if (code !== 0 && ELSEWHERE.test(stdout + stderr)) return `${path} cannot be had here`;
  const found = JSON.parse(stdout) as { Dir: string; Sum: string };
  if (found.Sum !== sum) throw new Error(`${path}@${version} has the sum ${found.Sum}, and not ${sum}`);
  const copy = join(folder, "tessera");
  mkdirSync(copy, { recursive: true });
  cpSync(found.Dir, copy, { recursive: true });
  writable(copy);
  return build(copy, ["-o", `${join(folder, "bin")}/`, ...programs]);
}

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { TestLog } from "./log.ts";

/** Writes a log as the files of spec/tiles.md: full tiles, and the partial ones of its size. */
export function exportTo(
  folder: string,
  log: TestLog,
  fileOf: (path: string) => Uint8Array | undefined = (path) => log.file(path),
): void {
  const write = (path: string): void => {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, fileOf(path)!);
  };
  write("/checkpoint");
  for (const level of ["entries", 0, 1, 2]) {
    const length = Math.floor(log.size / 256 ** (level === "entries" ? 0 : Number(level)));
    for (let n = 0; n * 256 < length; n++) {
      const width = Math.min(256, length - n * 256);
      write(`/tile/${level}/${String(n).padStart(3, "0")}${width === 256 ? "" : `.p/${width}`}`);
    }
  }
}

import t from "tap";
import { auditLog, type LogReader, parseVerifierKey, VerifierError } from "../../src/index.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { TestSource } from "../support/test-source.ts";

const source = new TestSource();
source.run(600);
const log = new MemoryLog(source.entries);
const key = parseVerifierKey(log.key.vkey);
const later = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

function unreachable(): VerifierError {
  return new VerifierError("log_unreachable", "no answer");
}

/** The second bundle cannot be had, nor its tile; `first` of the two fails before the other. */
function breakingOff(first: "entries" | "tile"): LogReader {
  return {
    checkpoint: () => log.checkpoint(),
    tile: async (level, n, width) => {
      if (n === 0 || (level !== 0 && level !== "entries")) return log.tile(level, n, width);
      if ((level === "entries") !== (first === "entries")) await later();
      throw unreachable();
    },
  };
}

for (const first of ["entries", "tile"] as const) {
  t.test(`a log that breaks off gives no verdict, and one error (${first} first)`, async (t) => {
    const options = { key, now: () => source.now };
    await t.rejects(auditLog(breakingOff(first), options), { code: "log_unreachable" });
    await later(); // what nobody handled would end the process here
  });
}

t.test("leaf hashes that cannot be computed elsewhere end the audit with what was wrong", async (t) => {
  const slow: LogReader = {
    checkpoint: () => log.checkpoint(),
    tile: async (level, n, width) => {
      if (level === 0) await later();
      return log.tile(level, n, width);
    },
  };
  const hashLeaves = (): Promise<never> => Promise.reject(new Error("the thread is gone"));
  await t.rejects(auditLog(slow, { key, now: () => source.now, hashLeaves }), { message: "the thread is gone" });
  await later();
});

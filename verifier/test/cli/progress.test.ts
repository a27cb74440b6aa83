import t, { type Test } from "tap";
import { Progress } from "../../cli/progress.ts";

/** What is written while the clock stands where it is told. */
function watched(t: Test): { at(seconds: number): void; progress: Progress; lines: string[] } {
  const lines: string[] = [];
  let now = 0;
  const real = Date.now;
  Date.now = () => now;
  t.teardown(() => {
    Date.now = real;
  });
  const out = { isTTY: false, write: (line: string) => lines.push(line) } as unknown as NodeJS.WriteStream;
  return {
    at: (seconds) => {
      now = seconds * 1000;
    },
    progress: new Progress(out),
    lines,
  };
}

t.test("the rate is that of reading, and waiting is none", async (t) => {
  const { at, progress, lines } = watched(t);
  at(1);
  progress.entries(100, 1000);
  at(5);
  progress.entries(500, 1000);
  at(6);
  progress.waiting(15_000, "seals");
  at(16);
  progress.entries(500, 1000);
  at(20);
  progress.entries(900, 1000);
  t.same(lines, [
    "reading: 500 of 1000 entries (50 %), 100 a second\n",
    "reading: 500 of 1000 entries (50 %)\n",
    "reading: 900 of 1000 entries (90 %), 100 a second\n",
  ]);
});

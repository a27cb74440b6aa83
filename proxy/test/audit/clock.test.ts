import t from "tap";
import { nowMicros } from "../../src/audit/index.ts";

t.test("a process that stands still between the readings of the two clocks takes that for no step of either", (t) => {
  const clocks = [performance.now, Date.now] as const;
  t.teardown(() => {
    [performance.now, Date.now] = clocks;
  });
  nowMicros();
  const offset = Date.now() - performance.now();
  // So much later that the clocks are compared again.
  let at = performance.now() + 5000;
  let still = 300;
  performance.now = () => at;
  Date.now = () => {
    at += still;
    return Math.floor(offset + at);
  };
  const early = at;
  t.ok(Math.abs(nowMicros() / 1000 - (offset + early)) < 5, "not 300 ms ahead");
  still = 0;
  t.ok(Math.abs(nowMicros() / 1000 - (offset + at)) < 5);
  Date.now = () => Math.floor(offset + at) - 60_000;
  at += 2000;
  t.ok(Math.abs(nowMicros() / 1000 - (offset + at - 60_000)) < 5, "and a step is followed");
  t.end();
});

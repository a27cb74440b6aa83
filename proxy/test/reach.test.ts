import t from "tap";
import { Reach } from "../src/reach.ts";

t.test("asked at most once in a while, and not at all where sessions are opened", async (t) => {
  let now = 0;
  let probes = 0;
  let works = false;
  const reach = new Reach(
    async () => {
      probes += 1;
      if (!works) throw new Error("nobody there");
    },
    () => now,
  );
  t.equal(await reach.isReachable(), false);
  works = true;
  t.equal(await reach.isReachable(), false, "as it was a moment ago");
  t.equal(probes, 1);
  now += 5000;
  t.equal(await reach.isReachable(), true);
  reach.reached();
  works = false;
  now += 9999;
  t.equal(await reach.isReachable(), true);
  t.equal(probes, 2, "sessions say it");
  now += 1;
  t.equal(await reach.isReachable(), false);
  t.equal(probes, 3);
});

import t from "tap";
import { descriptorLimit, descriptorOf, leavesEnough } from "../../src/listen/descriptors.ts";
import { Refusals } from "../../src/listen/refusals.ts";

t.test("each cause is told at once, then once a minute, with how many there were", async (t) => {
  let now = 0;
  const told: [string, number][] = [];
  const refusals = new Refusals(
    (cause, count) => told.push([cause, count]),
    () => now,
  );
  for (let i = 0; i < 1000; i += 1) refusals.add("files");
  refusals.add("logins");
  t.same(told, [
    ["files", 1],
    ["logins", 1],
  ]);
  now = 59_999;
  refusals.add("files");
  t.equal(told.length, 2);
  now = 60_000;
  refusals.add("files");
  t.same(told.at(-1), ["files", 1001]);
  refusals.add("files");
  now = 120_000;
  refusals.add("files");
  t.same(told.at(-1), ["files", 2], "counted anew");
});

t.test("a client must leave descriptors for the spool, and for the servers of those before it", async (t) => {
  t.equal(leavesEnough(100, 256, 0), true);
  t.equal(leavesEnough(192, 256, 0), false);
  t.equal(leavesEnough(100, 256, 91), true);
  t.equal(leavesEnough(100, 256, 92), false);
  t.equal(leavesEnough(undefined, 256, 1000), true, "where it is not known the system decides");
  t.equal(leavesEnough(1000, undefined, 1000), true);
  t.equal(descriptorOf({}), undefined);
  t.equal(descriptorOf({ _handle: null }), undefined);
  t.equal(descriptorOf({ _handle: { fd: -1 } }), undefined);
  t.equal(descriptorOf({ _handle: { fd: 17 } }), 17);
  if (process.platform === "linux") t.ok((descriptorLimit() ?? Infinity) > 0);
});

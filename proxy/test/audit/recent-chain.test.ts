import { createHash } from "node:crypto";
import t from "tap";
import { Chain } from "../../src/audit/chain.ts";
import { RecentChain } from "../../src/audit/recent-chain.ts";

t.test("remembers the chain behind the last 65,536 entries of its epoch, and nothing else", async (t) => {
  const chain = new Chain();
  const recent = new RecentChain(3);
  t.equal(recent.at(3, 0), undefined, "in front of the first one nothing was added");
  t.equal(recent.at(3, 1), undefined);
  let value = Buffer.alloc(32);
  const all = [value.toString("base64")];
  for (let seq = 0; seq < 70_000; seq += 1) {
    const leaf = createHash("sha256").update(String(seq)).digest();
    value = createHash("sha256").update(value).update(leaf).digest();
    all.push(value.toString("base64"));
    chain.add(leaf.toString("latin1"));
    recent.add(chain);
  }
  t.equal(recent.at(3, 70_000), all[70_000]);
  t.equal(recent.at(3, 69_999), all[69_999]);
  t.equal(recent.at(3, 70_000 - 65_535), all[70_000 - 65_535]);
  t.equal(recent.at(3, 70_000 - 65_536), undefined, "its place was taken by a later one");
  t.equal(recent.at(3, 70_001), undefined, "not written yet");
  t.equal(recent.at(2, 70_000), undefined, "of another epoch");
});

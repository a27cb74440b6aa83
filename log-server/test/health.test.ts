import t from "tap";
import { checkpointText } from "../src/formats/checkpoint.ts";
import { generateKey, parseSignerKey, signNote } from "../src/formats/note.ts";
import { checkHealth, type HealthState } from "../src/health.ts";

const key = parseSignerKey(generateKey("o").skey)!;
const root = Buffer.alloc(32, 1);
const checkpoint = { origin: "o", size: 5, root };
const good: HealthState = {
  keys: [key],
  edge: "ok",
  witnesses: { quorum: true, of: 0, cosigned: [], missing: [], alarms: [] },
  witnessesRequired: false,
  served: { ...checkpoint, note: signNote(checkpointText(checkpoint), key), time: 0 },
  head: { size: 5, root },
  checkedAgo: 500,
  interval: 1000,
  indexed: 2,
  searchable: 0,
  failure: undefined,
};

const lacking = {
  quorum: false,
  of: 3,
  cosigned: [{ name: "w0", timestamp: 5 }],
  missing: [
    { name: "w1", failure: "timeout" as const, message: "no whole answer", since: 1000 },
    { name: "w2", failure: undefined, message: "its answer is awaited", since: undefined },
  ],
  alarms: [],
};

t.test("in order", async (t) => {
  t.match(checkHealth(good, 1500), {
    status: "ok",
    size: 5,
    tree_size: 5,
    publish_check_age_ms: 500,
    index_lag: 3,
  });
  t.equal(checkHealth({ ...good, head: { size: 9, root: Buffer.alloc(32) } }, 1500).status, "ok", "the tree has grown");
});

t.test("without a quorum it is degraded, and only that", async (t) => {
  const health = checkHealth({ ...good, witnesses: lacking }, 1500);
  t.equal(health.status, "degraded");
  t.match(health.witnesses, { quorum: false, cosigned: lacking.cosigned, missing: lacking.missing });
  t.equal(checkHealth({ ...good, witnesses: lacking, edge: "damaged" }, 1500).status, "failing");
});

t.test("each check fails by itself", async (t) => {
  const other = parseSignerKey(generateKey("o").skey)!;
  const changed = good.served.note.replace("\n5\n", "\n6\n");
  const resigned = signNote(checkpointText({ ...checkpoint, size: 4 }), key);
  const alarms = [
    { name: "w1", message: "it has more" },
    { name: "w2", message: "another" },
  ];
  const required = { witnesses: lacking, witnessesRequired: true };
  const cases: [string, RegExp, Partial<HealthState>][] = [
    ["signature", /\+[0-9a-f]{8} on the checkpoint served is missing/, { keys: [key, other] }],
    ["edge", /entry 3/, { edge: "entry 3 does not hash" }],
    ["signature", /is invalid/, { served: { ...good.served, note: changed } }],
    ["signature", /malformed/, { served: { ...good.served, note: "x" } }],
    ["signature", /not the one that the tiles are served by/, { served: { ...good.served, note: resigned } }],
    ["tree", /has the size 5, and the tree 4/, { head: { size: 4, root } }],
    ["tree", /another root/, { head: { size: 5, root: Buffer.alloc(32) } }],
    ["publishing", /no checkpoint was verified or signed for 99000 ms/, { checkedAgo: 99_000 }],
    ["writing", /disk/, { failure: "the disk is full" }],
    ["history", /witness w1: it has more; witness w2: another/, { witnesses: { ...good.witnesses, alarms } }],
    ["witnesses", /has 1 of 3.*w1 \(timeout since 1970-01-01T00:00:01\.000Z\), w2 \(awaited\)/, required],
  ];
  for (const [check, message, changes] of cases) {
    const health = checkHealth({ ...good, ...changes }, 2000);
    t.equal(health.status, "failing");
    const { [check as keyof typeof health.checks]: failed, ...rest } = health.checks;
    t.match(failed, message);
    t.ok(
      Object.values(rest).every((each) => each === "ok"),
      `${check} alone`,
    );
  }
});

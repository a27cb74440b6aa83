import t from "tap";
import { inTime } from "../../../cli/monitor/in-time.ts";
import type { View } from "../../../src/index.ts";

const never = new Promise<never>(() => undefined);
const late = { code: "log_unreachable", message: /^it takes longer than 0.03 s for what it is asked$/ };

t.test("a view that does not come to an end holds up nobody", async (t) => {
  const silent = inTime({ name: "mirror", checkpoint: () => never, tile: () => never }, 30);
  await t.rejects(silent.checkpoint(), late);
  await t.rejects(silent.tile!(0, 0, 1), late);
});

t.test("the time is for all that a round asks, and each round has its own", async (t) => {
  const note = Buffer.from("note");
  let answers = true;
  const tile: View["tile"] = () => (answers ? Promise.resolve(note) : never);
  const view = inTime({ name: "mirror", checkpoint: async () => note, tile }, 30);
  t.equal(view.name, "mirror");
  for (let round = 0; round < 2; round++) {
    answers = true;
    t.equal(await view.checkpoint(), note);
    answers = false;
    for (let i = 0; i < 5; i++) await t.rejects(view.tile!(0, i, 1), late);
  }
  t.notOk("tile" in inTime({ name: "note", checkpoint: async () => note }, 30), "who has no tiles has none");
});

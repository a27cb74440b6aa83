import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { verifyCosignature } from "../../../src/formats/cosignature.ts";
import { parseNote } from "../../../src/formats/note.ts";
import { type Bytes, bytesOf, readVectors } from "../../support/vectors.ts";
import { latest, start, stateFolder, submit } from "./support/start.ts";

type Step = { body: Bytes; status: number; code?: string; size?: number; kept?: string };
const vectors = readVectors<{
  logs: string;
  vkeys: string[];
  scenarios: { desc: string; steps: Step[] }[];
}>("witness.json");

for (const { desc, steps } of vectors.scenarios) {
  t.test(desc, async (t) => {
    const state = stateFolder(t);
    const logs = join(state, "logs");
    writeFileSync(logs, vectors.logs);
    let witness = await start(t, { state, logs: [logs], log: vectors.vkeys });
    const wrong: unknown[] = [];
    const check = async (kept: string, line?: string): Promise<void> => {
      const origin = kept.split("\n")[0]!;
      const { status, body } = await latest(witness.url, origin);
      const { vkey } = witness.witness.cosigner;
      const cosigned = verifyCosignature(parseNote(Buffer.from(body)), vkey);
      const one = body.split("\n").filter((each) => each.startsWith(`\u2014 ${vkey.name} `)).length === 1;
      if (status !== 200 || !body.startsWith(kept) || cosigned.state !== "good" || !one) wrong.push({ kept, body });
      if (line !== undefined && body !== kept + line) wrong.push({ kept, line, body });
    };
    const last = new Map<string, string>();
    for (const [position, step] of steps.entries()) {
      witness.clocks.seconds += 1;
      const answer = await submit(witness.url, bytesOf(step.body));
      const right =
        answer.status === step.status &&
        (step.status === 200
          ? answer.type.startsWith("text/plain")
          : step.size !== undefined
            ? answer.type === "text/x.tlog.size" && answer.body === `${step.size}\n`
            : answer.body.startsWith(`${step.code}: `) && answer.body.indexOf("\n") === answer.body.length - 1);
      if (!right) wrong.push({ position, step, answer });
      if (step.kept === undefined) continue;
      await check(step.kept, answer.body);
      last.set(step.kept.split("\n")[0]!, step.kept);
    }
    // What it knows after a restart is the same, to the byte.
    const before = await Promise.all([...last.keys()].map((origin) => latest(witness.url, origin)));
    await witness.stop();
    witness = await start(t, { state, logs: [logs], log: vectors.vkeys });
    for (const kept of last.values()) await check(kept);
    const after = await Promise.all([...last.keys()].map((origin) => latest(witness.url, origin)));
    t.same(
      after.map(({ body }) => body),
      before.map(({ body }) => body),
    );
    t.same(wrong, []);
  });
}

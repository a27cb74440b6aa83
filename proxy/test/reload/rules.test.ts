// Changed rules: the log has them before they decide, one change at a time, and a bad file changes nothing.
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { Access, readRules } from "../../src/access/index.ts";
import { RulesInForce } from "../../src/reload/rules.ts";

const text = (name: string): string => `version: 1\nrules:\n  - {name: ${name}, action: allow}\n`;

/** A recorder whose disk is slow: what is recorded becomes durable when it is told. */
class SlowRecorder {
  readonly recorded: string[] = [];
  readonly #waiting: (() => void)[] = [];

  record(kind: string, members: string): number {
    this.recorded.push(`${kind} ${members}`);
    return this.recorded.length;
  }

  durable(_position: number): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  sync(): void {
    for (const then of this.#waiting.splice(0)) then();
  }
}

/** Waits until so much is recorded: reading a file takes its time. */
async function recorded(recorder: SlowRecorder, count: number): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (recorder.recorded.length < count && Date.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 5));
}

t.test("rules in another encoding are refused: a name that is read wrongly denies nothing", async (t) => {
  const rules = "version: 1\nrules:\n  - {name: a, action: deny, what: {reads: [shop.caf\u00e9]}}\n";
  const dir = t.testdir({ latin1: Buffer.from(rules, "latin1"), utf8: Buffer.from(rules) });
  await t.rejects(readRules(join(dir, "latin1")), { code: "bad_config", message: /latin1: the file is not UTF-8$/ });
  t.equal((await readRules(join(dir, "utf8"))).rules.length, 1);
});

t.test("a change decides once it is durable, and changes come one after another", async (t) => {
  const path = join(t.testdir({ "rules.yaml": text("one") }), "rules.yaml");
  const access = new Access(await readRules(path));
  const recorder = new SlowRecorder();
  const rules = new RulesInForce(access, path, recorder, () => undefined);
  const one = access.set.digest;
  const announced = rules.announce();
  t.same(recorder.recorded, [`rules.change "rules":"${one}"`]);
  recorder.sync();
  await announced;

  writeFileSync(path, text("two"));
  const first = rules.reload();
  const second = rules.reload();
  await recorded(recorder, 2);
  t.equal(recorder.recorded.length, 2, "the second reload waits for the first");
  t.equal(access.set.rules[0]?.name, "one", "not durable yet");
  recorder.sync();
  t.match(await first, /^access rules [0-9a-f]{16}: 1 in force$/);
  t.equal(access.set.rules[0]?.name, "two");
  await second;
  t.equal(recorder.recorded.length, 2, "nothing has changed since");
  t.equal(recorder.recorded[1], `rules.change "rules":"${access.set.digest}","previous_rules":"${one}"`);

  writeFileSync(path, "version: 1\nrules: [{name: x}]\n");
  await t.rejects(rules.reload(), { code: "bad_config", message: /rules\.yaml:2:9: "action" must be one of/ });
  rmSync(path);
  await t.rejects(rules.reload(), { code: "bad_config", message: /cannot be read/ });
  t.equal(access.set.rules[0]?.name, "two");
  writeFileSync(path, text("three"));
  rules.close();
  await rules.reload();
  t.equal(recorder.recorded.length, 2, "a proxy that stops records no more changes");
});

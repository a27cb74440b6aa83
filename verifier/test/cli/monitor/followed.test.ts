import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type CrashPoint, Followed } from "../../../cli/monitor/followed.ts";
import { eventLine, type Told } from "../../../cli/monitor/lines.ts";
import { parseMonitorConfig } from "../../../cli/monitor/settings.ts";
import { exportTo } from "../support/folder.ts";
import { testKey } from "../support/keys.ts";
import { TestLog, vectors } from "../support/log.ts";
import { temporaryFolder } from "../support/run.ts";
import { TestSource } from "../support/source.ts";

const logKey = testKey("log.example/monitored");
const start = Date.UTC(2026, 10, 22);

/** A log in a folder, and what follows it. */
class Setting {
  readonly folder: string;
  readonly source = new TestSource("proxy-a.example", start);
  readonly told: Told[] = [];
  at = 0;
  /** Nobody can be told anything. */
  full = false;
  #died = false;

  constructor(t: Test) {
    this.folder = temporaryFolder(t);
    this.source.session("alice");
    this.source.seal();
    this.publish();
  }

  /** @param entries what is shown instead of the source's own */
  publish(entries: readonly string[] = this.source.entries, key = logKey): void {
    exportTo(join(this.folder, "log"), new TestLog(key, entries));
  }

  /** @param death the place at which the process dies */
  async open(death?: CrashPoint, keys = [logKey]): Promise<Followed> {
    const config = { logs: [{ log: "log", vkeys: keys.map(({ vkey }) => vkey), interval_s: 1 }] };
    const { logs } = parseMonitorConfig(JSON.stringify(config), join(this.folder, "config"));
    return Followed.open(logs[0]!, {
      folder: join(this.folder, "state"),
      sends: true,
      tell: async (events) => {
        if (this.full) throw new Error("no space left");
        this.told.push(...events);
      },
      signal: new AbortController().signal,
      now: () => start + this.at * 1000,
      hooks: {
        at: (point) => {
          this.#died = point === death;
          if (this.#died) throw new Error(`died at ${point}`);
        },
      },
    });
  }

  codes(): string[] {
    return this.told.splice(0).map(({ event, alert }) => `${event} ${alert.code}`);
  }

  files(): string[] {
    return readdirSync(join(this.folder, "state")).map((name) => name.replace(/^[0-9a-f]{64}/, ""));
  }

  /** How far the audit that is kept has come. */
  kept(): number | undefined {
    const [state] = readdirSync(join(this.folder, "state")).filter((name) => /^[0-9a-f]{64}\.json$/.test(name));
    if (state === undefined) return undefined;
    const text = readFileSync(join(this.folder, "state", state), "utf8");
    return (JSON.parse(text) as { body: { audit: { size: number } | null } }).body.audit?.size;
  }
}

t.test("a process that dies tells again what it told, and loses nothing", async (t) => {
  const cases: [CrashPoint, again: string[]][] = [
    ["round.told", ["raised session_break"]],
    ["round.remembered", []],
  ];
  for (const [point, again] of cases) {
    const setting = new Setting(t);
    const first = await setting.open();
    await first.round();
    t.equal(setting.kept(), 3);
    setting.source.statement({ session: "1.9" });
    setting.source.seal();
    setting.publish();
    const second = await setting.open(point);
    await t.rejects(second.round(), new RegExp(point));
    t.same([setting.codes(), setting.kept()], [["raised session_break"], 3], point);
    const third = await setting.open();
    await third.round();
    t.same(setting.codes(), again, point);
    t.same([third.verdict, third.watch.audited], ["FAIL", 5]);
    // The webhook is to be told what it was not, once at least.
    t.same([...new Set(third.unsent.map(({ alert }) => alert.code))], ["session_break"]);
  }
});

t.test("what nobody could be told is told by the next run", async (t) => {
  const setting = new Setting(t);
  await (await setting.open()).round();
  setting.source.statement({ session: "1.9" });
  setting.source.seal();
  setting.publish();
  setting.full = true;
  const second = await setting.open();
  await t.rejects(second.round(), /no space left/);
  await second.close();
  // A webhook may take it all the same; and gives up no other event for one that it was told too late.
  const [event] = second.unsent;
  t.match(event, { alert: { code: "session_break" } });
  second.sent({ ...event! });
  t.same([setting.codes(), setting.kept(), second.unsent.length], [[], 3, 1]);
  second.sent(event!);
  t.equal(second.unsent.length, 0);
  setting.full = false;
  await (await setting.open()).round();
  t.same(setting.codes(), ["raised session_break"]);
});

t.test("an audit without a fault is kept, and a death before that is no loss", async (t) => {
  const setting = new Setting(t);
  const first = await setting.open("round.remembered");
  await t.rejects(first.round());
  t.equal(setting.kept(), undefined);
  const second = await setting.open();
  await second.round();
  t.equal(setting.kept(), 3);
  t.same(setting.files().sort(), [".json", ".monitor.json"]);
});

t.test("the notes of a fork are kept, and the event names them", async (t) => {
  const setting = new Setting(t);
  await (await setting.open()).round();
  setting.publish(setting.source.entries.with(1, setting.source.entries[0]!));
  const second = await setting.open();
  await second.round();
  const [event] = setting.told;
  t.match(event, { event: "raised", alert: { code: "split_view", verdict: "FAIL" }, origin: logKey.name });
  t.match(JSON.parse(readFileSync(event!.evidence!, "utf8")), { found: "split_view", vkey: logKey.vkey });
  t.same(second.unsent[0]!.evidence, event!.evidence);
  t.match(eventLine(event!, false), /raised {2}FAIL {2}split_view {2}log.example\/monitored .*both notes are kept in/);
  t.match(JSON.parse(eventLine(event!, true)), {
    format: "vitrine/alert/v1",
    time: "2026-11-22T00:00:00.000000Z",
    event: "raised",
    alert: "split_view",
    log: join(setting.folder, "log"),
    evidence: event!.evidence,
  });
});

t.test("what is open stays open while the log changes its key, and under the new one alone", async (t) => {
  const next = testKey(logKey.name, Buffer.alloc(32, 7));
  const both = { ...logKey, sign: (text: string) => logKey.sign(text) + next.sign(text).slice(text.length + 1) };
  for (const during of [
    [logKey, next],
    [next, logKey],
  ]) {
    const setting = new Setting(t);
    await (await setting.open()).round();
    setting.publish(setting.source.entries.with(1, setting.source.entries[0]!));
    await (await setting.open()).round();
    t.same(setting.codes(), ["raised split_view"]);
    for (const [keys, key] of [
      [during, both],
      [[next], next],
    ] as const) {
      setting.publish(setting.source.entries, key);
      const followed = await setting.open(undefined, [...keys]);
      await followed.round();
      t.same([setting.codes(), followed.verdict, followed.unsent.length], [[], "FAIL", 1]);
    }
  }
});

t.test("a disk that takes nothing is an alert, and the log is followed on", async (t) => {
  const setting = new Setting(t);
  const followed = await setting.open();
  await followed.round();
  const state = join(setting.folder, "state");
  renameSync(state, `${state}.away`);
  setting.source.seal();
  setting.publish();
  await followed.round();
  t.same(setting.codes(), ["raised not_kept"]);
  setting.source.statement({ session: "1.9" });
  setting.source.seal();
  setting.publish();
  await followed.round();
  t.same(setting.codes(), ["raised session_break"]);
  renameSync(`${state}.away`, state);
  await followed.round();
  t.same(setting.codes(), ["resolved not_kept"]);
  t.equal(setting.kept(), 4);
  await followed.close();
});

t.test("what is remembered is demanded whole", async (t) => {
  const setting = new Setting(t);
  await (await setting.open()).round();
  const state = join(setting.folder, "state");
  const name = readdirSync(state).find((file) => file.endsWith(".monitor.json"))!;
  writeFileSync(join(state, name), "{}");
  await t.rejects(setting.open(), { code: "usage", message: /\.monitor\.json: .*move it away/ });
  rmSync(join(state, name));
  mkdirSync(join(state, name));
  await t.rejects(setting.open(), { code: "usage" });
});

t.test("a configuration that is wrong says where", async (t) => {
  const log = { log: "https://log.example/", vkeys: [vectors.vkey] };
  const good = { logs: [{ ...log, views: ["witness.note"], sources: [vectors.sources[0]!.vkey], stale_after_s: 60 }] };
  const { logs, state } = parseMonitorConfig(JSON.stringify({ ...good, state: "kept" }), "/etc/monitor/logs.json");
  t.match(logs[0], {
    log: log.log,
    vkeys: [vectors.vkey],
    staleAfterMs: 60_000,
    intervalMs: 10_000,
    timeoutMs: 20_000,
  });
  t.same(
    [logs[0]!.views, logs[0]!.sources, state],
    [["/etc/monitor/witness.note"], [vectors.sources[0]!.vkey], "/etc/monitor/kept"],
  );
  const cases: [unknown, RegExp][] = [
    ["{", /is not JSON/],
    [[], /is not an object/],
    [{}, /logs is empty or missing/],
    [{ logs: {} }, /logs is not a list/],
    [{ logs: [{ log: log.log }] }, /logs\[0\]: vkeys is empty or missing/],
    [{ logs: [{ ...log, log: 7 }] }, /logs\[0\]: log is not a text/],
    [{ logs: [log, { ...log, view: [] }] }, /logs\[1\]: there is no key view/],
    [{ logs: [{ ...log, views: [""] }] }, /views is not a list of texts/],
    [{ logs: [{ ...log, interval_s: "10" }] }, /interval_s is not a number/],
    [{ logs: [{ ...log, max_age_s: 60 }] }, /max_age_s is a whole number of seconds, and needs a policy/],
    [{ logs: [{ ...log, policy: "p", max_age_s: 0.5 }] }, /max_age_s is a whole number/],
    [{ logs: [{ ...log, interval_s: 0 }] }, /interval_s is not a number of seconds from 0.1 to 86400/],
    [{ ...good, webhooks: "" }, /there is no key webhooks/],
  ];
  for (const [config, message] of cases) {
    const text = typeof config === "string" ? config : JSON.stringify(config);
    t.throws(() => parseMonitorConfig(text, "c"), { code: "usage", message }, String(message));
  }
});

import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { encodeRecord, noCheck } from "../../../cli/witness/frame.ts";
import { originHash } from "../../../cli/witness/state.ts";
import { latest, start, stateFolder, submit } from "./support/start.ts";
import { TestLog } from "./support/test-log.ts";

const log = new TestLog("log.example/state");
const flags = { log: [log.key.vkey] };

t.test("nothing is told before it is durable: neither a cosignature, nor a size, nor a checkpoint", async (t) => {
  const { witness, at } = await start(t, { state: stateFolder(t), ...flags });
  const order: string[] = [];
  const durable: (number | undefined)[] = [];
  await witness.addCheckpoint(Buffer.from(log.request(0, 2)));
  at.run = (point) => {
    if (point.startsWith("append")) order.push(point);
    if (point === "append:written") durable.push(witness.state.log(log.key.name).durable?.size);
  };
  const answers = [log.request(2, 5), log.request(2, 5), log.request(2, 6), log.request(5, 7)].map(async (body, i) => {
    const answer = await witness.addCheckpoint(Buffer.from(body));
    order.push(`${i} ${answer.code}${answer.code === "size_conflict" ? ` ${answer.size}` : ""}`);
  });
  await Promise.all(answers);
  const writes = order.filter((one) => one.startsWith("append"));
  t.same(order.slice(0, 3), ["append:before", "append:written", "append:durable"]);
  t.equal(writes.length, 6, "what came while the first was written is written together");
  t.same(order.filter((one) => !one.startsWith("append")).sort(), [
    "0 cosigned",
    "1 size_conflict 5",
    "2 size_conflict 5",
    "3 cosigned",
  ]);
  t.same(durable, [2, 5]);
  t.ok(order.indexOf("1 size_conflict 5") > order.indexOf("append:durable"));
});

t.test("what a start finds is durable before it is told: who was killed may not have synced it", async (t) => {
  const state = stateFolder(t);
  const first = await start(t, { state, ...flags });
  await first.witness.addCheckpoint(Buffer.from(log.request(0, 2)));
  await first.stop();
  const handle = await open(state);
  const every = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  const { sync } = every;
  const synced: number[] = [];
  every.sync = async function (this: FileHandle): Promise<void> {
    synced.push((await this.stat()).ino);
    return sync.call(this);
  };
  t.teardown(() => {
    every.sync = sync;
  });
  await start(t, { state, ...flags });
  t.ok(synced.includes(statSync(join(state, "state")).ino), "what was written to the file");
  t.ok(synced.includes(statSync(state).ino), "that it is this file");
});

t.test("a state that cannot be written: nobody is answered, and the witness says so", async (t) => {
  const state = stateFolder(t);
  const { witness, at, failure } = await start(t, { state, ...flags });
  await witness.addCheckpoint(Buffer.from(log.request(0, 2)));
  const told: unknown[] = [];
  at.run = (point) => {
    if (point === "append:written") throw new Error("no space left on device");
  };
  const bodies = [log.request(2, 5), log.request(2, 5), log.request(5, 6)];
  for (const body of bodies) void witness.addCheckpoint(Buffer.from(body)).then((answer) => told.push(answer));
  await t.rejects(failure, {
    code: "write_failed",
    message: /state cannot be written: no space left on device; nothing that waited/,
  });
  at.run = () => undefined;
  void witness.addCheckpoint(Buffer.from(log.request(0, 9))).then((answer) => told.push(answer));
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  t.same(told, []);
  t.match(witness.checkpoint(originHash(log.key.name)), /^log.example\/state\n2\n/);
});

t.test("somebody else writes to the state, or replaces it", async (t) => {
  for (const harm of [
    (file: string): void => appendFileSync(file, "x"),
    (file: string): void => {
      copyFileSync(file, `${file}.copy`);
      rmSync(file);
    },
  ]) {
    const state = stateFolder(t);
    const { witness, failure } = await start(t, { state, ...flags });
    harm(join(state, "state"));
    void witness.addCheckpoint(Buffer.from(log.request(0, 2)));
    await t.rejects(failure, { code: "write_failed", message: /somebody else has written to it, or replaced it/ });
  }
});

t.test("the state is made anew when most of it is superseded, and keeps every log", async (t) => {
  const state = stateFolder(t);
  const logs = Array.from({ length: 5 }, (_, i) => new TestLog(`log.example/${i}`));
  const keys = { log: logs.map(({ key }) => key.vkey) };
  let witness = await start(t, { state, ...keys }, { compactAt: 4000 });
  const sizes: number[] = [];
  for (let size = 1; size <= 12; size++) {
    const bodies = logs.map((one, i) => one.request(Math.max(0, size - 1), i === 4 && size > 1 ? 0 : size));
    const answers = await Promise.all(bodies.map((body) => submit(witness.url, body)));
    t.same(
      answers.map(({ status }) => status),
      [200, 200, 200, 200, size === 1 ? 200 : 400],
    );
    sizes.push(statSync(join(state, "state")).size);
  }
  const { journal } = witness.witness.state;
  t.ok(journal.compactions >= 2, String(journal.compactions));
  t.ok(Math.max(...sizes) < 8000, String(sizes));
  t.equal(journal.length, sizes.at(-1));
  await witness.stop();
  witness = await start(t, { state, log: [keys.log[0]!] }, { compactAt: 4000 });
  // A log that is on no list any more is remembered all the same.
  for (const [i, one] of logs.entries()) {
    t.match(await latest(witness.url, one.key.name), { status: 200, body: `${one.key.name}\n${i === 4 ? 1 : 12}\n` });
  }
  t.match(await submit(witness.url, logs[1]!.request(12, 13)), { status: 404, body: /^unknown_log: / });
  t.same(readdirSync(state).sort(), ["lock", "state", "witness.key"]);
});

t.test("a state that is not whole, or not this witness's, is refused", async (t) => {
  const state = stateFolder(t);
  const file = join(state, "state");
  const witness = await start(t, { state, ...flags });
  for (const [old, size] of [
    [0, 1],
    [1, 2],
    [2, 3],
  ] as const)
    await submit(witness.url, log.request(old, size));
  await witness.stop();
  const good = readFileSync(file);
  const refused = async (bytes: Uint8Array | string, message: RegExp): Promise<void> => {
    writeFileSync(file, bytes);
    await t.rejects(start(t, { state, ...flags }), { code: "state_corrupt", message });
  };
  const changed = Buffer.from(good);
  changed[good.length - 100]! ^= 1;
  await refused(changed, /state is damaged at byte [0-9]+; keep it/);
  changed.set(good);
  changed[200]! ^= 1;
  await refused(changed, /state is damaged at byte/);
  await refused("", /it is not the state of a witness/);
  await refused(good.subarray(0, 50), /state is damaged at byte 0/);
  await refused(encodeRecord(noCheck, Buffer.from("vitrine/witness-state/v2\nx\n")).record, /of another version/);
  const other = encodeRecord(noCheck, Buffer.from("vitrine/witness-state/v1\nwitness.example/w2+00000000+BAAA\n"));
  await refused(other.record, /it belongs to the key witness.example\/w2\+/);
  const head = encodeRecord(noCheck, Buffer.from(`vitrine/witness-state/v1\n${witness.witness.cosigner.vkey.text}\n`));
  const append = (...texts: string[]): Buffer =>
    texts.reduce(
      ({ bytes, check }, text) => {
        const next = encodeRecord(check, Buffer.from(text));
        return { bytes: Buffer.concat([bytes, next.record]), check: next.check };
      },
      { bytes: head.record, check: head.check },
    ).bytes;
  await refused(append(`time x\n${log.note(3)}`), /a record has no time/);
  await refused(append("time 5\nno note\n"), /a record holds no checkpoint/);
  await refused(
    append(`time 5\n${log.note(3)}`, `time 5\n${log.note(2)}`),
    /tree of log.example\/state becomes smaller/,
  );
  writeFileSync(file, good);
  const again = await start(t, { state, ...flags });
  t.match(await submit(again.url, log.request(3, 4)), { status: 200 });
});

t.test("key and state belong together", async (t) => {
  const state = stateFolder(t);
  const [file, key] = [join(state, "state"), join(state, "witness.key")];
  await t.rejects(start(t, { state, ...flags, name: undefined }), {
    code: "usage",
    message: /--name, and a key is made/,
  });
  await t.rejects(start(t, { state, ...flags, name: "a b" }), { code: "usage", message: /a b cannot be the name/ });
  const first = await start(t, { state, ...flags });
  t.ok(first.created);
  const { vkey } = first.witness.cosigner;
  await submit(first.url, log.request(0, 1));
  await t.rejects(start(t, { state, ...flags }), { code: "state_locked" });
  await first.stop();
  t.equal(statSync(key).mode % 0o1000, 0o600);
  const again = await start(t, { state, ...flags, name: undefined });
  t.same([again.created, again.witness.cosigner.vkey], [false, vkey]);
  await again.stop();
  await t.rejects(start(t, { state, ...flags, name: "other" }), {
    code: "usage",
    message: /is that of witness.example\/w1, not of other/,
  });

  const saved = { state: readFileSync(file), key: readFileSync(key) };
  rmSync(key);
  await t.rejects(start(t, { state, ...flags }), {
    code: "state_corrupt",
    message: /key file .* is not there: put the key back/,
  });
  writeFileSync(key, saved.key, { mode: 0o600 });
  rmSync(file);
  await t.rejects(start(t, { state, ...flags }), {
    code: "state_missing",
    message: /never cosigned anything, start once with --fresh/,
  });
  const fresh = await start(t, { state, ...flags, fresh: true });
  t.match(await submit(fresh.url, log.request(0, 1)), { status: 200 });
  await fresh.stop();
  writeFileSync(file, saved.state);
  const kept = await start(t, { state, ...flags, fresh: true });
  t.match(
    await submit(kept.url, log.request(0, 1)),
    { status: 409, body: "1\n" },
    "--fresh drops nothing that is there",
  );
  await kept.stop();

  chmodSync(key, 0o640);
  await t.rejects(start(t, { state, ...flags }), { code: "usage", message: /is not private: .*mode 640.*chmod 600/ });
  chmodSync(key, 0o600);
  const secret = saved.key.toString().trim().split("+").slice(4).join("+");
  const bad: [string, RegExp][] = [
    ["", /has not the form PRIVATE\+KEY\+/],
    [saved.key.toString().replace("w1", "w2"), /its key id is not that of its name and key/],
    [saved.key.toString().replace(secret, `${secret.slice(0, -4)}====`), /not strict base64 of 33 bytes/],
    [saved.key.toString().replace(secret, `A${secret.slice(1)}`), /its type is not 04|signs notes/],
    [
      `PRIVATE+KEY+log.example+00000000+${Buffer.concat([Uint8Array.of(1), Buffer.alloc(32)]).toString("base64")}`,
      /signs notes \(type 01\), as a log does/,
    ],
    [`${saved.key}x\n`, /holds no witness's key/],
  ];
  for (const [text, message] of bad) {
    writeFileSync(key, text);
    const error = await start(t, { state, ...flags }).catch((thrown: Error) => thrown);
    t.match(error, { code: "usage", message });
    t.notMatch((error as Error).message, secret.slice(4, 20), "nothing of the key is shown");
  }
});

t.test("the time of a cosignature does not go back by an hour or less", async (t) => {
  const { witness, clocks } = await start(t, { state: stateFolder(t), ...flags });
  const times: (number | undefined)[] = [];
  const begin = clocks.seconds;
  for (const [size, at] of [0, 100, 50, 100 - 3600, 101, -3500].entries()) {
    clocks.seconds = begin + at;
    await witness.addCheckpoint(Buffer.from(log.request(size, size + 1)));
    times.push((witness.state.log(log.key.name).durable?.time ?? 0) - begin);
  }
  t.same(times, [0, 100, 100, 100, 101, -3500]);
});

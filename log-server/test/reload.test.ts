import { chmod, readFile, writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { LogServerConfig } from "../src/config/config.ts";
import { checkNote, parseNote, parseVerifierKey } from "../src/formats/note.ts";
import { createKey } from "../src/keys/keys.ts";
import { ignoredKeys, reloadLine } from "../src/reload.ts";
import { type RunningLogServer, startLogServer } from "../src/start.ts";
import { auditLog, get, submit } from "./support/client.ts";
import { FakeWitness } from "./support/fake-witness.ts";
import { type LogFolder, makeLogFolder, ORIGIN } from "./support/folder.ts";
import { TestSource } from "./support/source.ts";

// What changes while a log runs: its keys, its witnesses.

interface Scene {
  readonly folder: LogFolder;
  readonly source: TestSource;
  /** Writes a new key of the log. @returns its path and verifier key */
  newKey(file: string, name?: string): Promise<{ path: string; vkey: string }>;
  start(changes?: Partial<LogServerConfig>): Promise<RunningLogServer>;
}

async function scene(t: Test): Promise<Scene> {
  const source = new TestSource("s").start().fill(20);
  const folder = await makeLogFolder([source.key.vkey]);
  const running: RunningLogServer[] = [];
  t.after(async () => {
    for (const log of running) await log.close();
    await folder.remove();
  });
  return {
    folder,
    source,
    newKey: async (file, name = ORIGIN) => {
      const path = join(folder.path, file);
      const { skey, vkey } = createKey(name);
      await writeFile(path, skey, { mode: 0o600 });
      return { path, vkey };
    },
    start: async (changes = {}) => {
      const log = await startLogServer(folder.config({ checkpointIntervalMs: 10, ...changes }), { log: () => {} });
      running.push(log);
      return log;
    },
  };
}

/** Which of the keys have signed, as numbers in the order of the note's lines; all that have are good. */
function signers(note: string, vkeys: readonly string[]): number[] {
  const parsed = parseNote(Buffer.from(note))!;
  const keys = vkeys.map((vkey) => parseVerifierKey(vkey)!);
  return parsed.signatures.map(({ id }) => {
    const at = keys.findIndex((key) => key.id.equals(id));
    if (checkNote(parsed, keys[at]!) !== "good") throw new Error(`key ${at} has not signed`);
    return at;
  });
}

async function signedBy(log: RunningLogServer, vkeys: readonly string[], wanted: readonly number[]): Promise<string> {
  for (;;) {
    const note = (await get(log.url, "/checkpoint")).body.toString();
    if (signers(note, vkeys).join() === wanted.join()) return note;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

t.test("a key is changed in four steps, without a restart, and without a checkpoint between", async (t) => {
  const { folder, source, newKey, start } = await scene(t);
  const { key: old, guard } = folder.config();
  const { path: next, vkey } = await newKey("log-2.key");
  const vkeys = [folder.vkey, vkey];
  const log = await start();
  await submit(log.url, source.submission(ORIGIN, 0, 5));
  await signedBy(log, vkeys, [0]);
  t.match(await log.reload(folder.config({ moreKeys: [next] })), { keys: vkeys, witnesses: 0 });
  await signedBy(log, vkeys, [0, 1]);
  t.same(signers(await readFile(guard, "utf8"), vkeys), [0, 1]);
  await submit(log.url, source.submission(ORIGIN, 5, 7));
  await log.reload(folder.config({ key: next, moreKeys: [old] }));
  const swapped = await signedBy(log, vkeys, [1, 0]);
  const sth = (await get(log.url, "/ct/v1/get-sth")).json();
  const [first] = parseNote(Buffer.from(swapped))!.signatures;
  t.equal(sth.tree_head_signature, first!.signature.toString("base64"), "by `key`");
  t.equal((await get(log.url, "/healthz")).status, 200);
  await log.reload(folder.config({ key: next }));
  await signedBy(log, vkeys, [1]);
  await log.close();
  const again = await start({ key: next });
  t.equal(again.vkey, vkey);
  t.same(signers((await get(again.url, "/checkpoint")).body.toString(), vkeys), [1]);
});

t.test("what is served is in order until the next checkpoint has the keys that sign now", async (t) => {
  const { folder, source, newKey, start } = await scene(t);
  const { path: next, vkey } = await newKey("log-2.key");
  const log = await start({ checkpointIntervalMs: 60_000 });
  await submit(log.url, source.submission(ORIGIN, 0, 5));
  t.match(await log.reload(folder.config({ moreKeys: [next] })), { keys: [folder.vkey, vkey] });
  const health = await get(log.url, "/healthz");
  t.equal(health.status, 200);
  t.match(health.json(), { checks: { signature: "ok" } });
});

t.test("a clock that is set back does not hide how long ago the log last published", async (t) => {
  const { start } = await scene(t);
  const log = await start();
  const { now } = Date;
  t.after(() => {
    Date.now = now;
  });
  Date.now = () => now() - 3_600_000;
  const { status, publish_check_age_ms: age } = (await get(log.url, "/healthz")).json();
  t.equal(status, "ok");
  t.ok(age >= 0 && age < 60_000, `${age}`);
});

t.test("a key that is added at a start signs the checkpoint that is there", async (t) => {
  const { folder, source, newKey, start } = await scene(t);
  const { path: next, vkey } = await newKey("log-2.key");
  const vkeys = [folder.vkey, vkey];
  const log = await start();
  await submit(log.url, source.submission(ORIGIN, 0, 5));
  await log.close();
  const both = await start({ moreKeys: [next] });
  t.same(signers((await get(both.url, "/checkpoint")).body.toString(), vkeys), [0, 1]);
  await both.close();
  const swapped = await start({ key: next, moreKeys: [folder.config().key] });
  t.same(signers((await get(swapped.url, "/checkpoint")).body.toString(), vkeys), [1, 0]);
  await swapped.close();
  const same = await start({ key: next, moreKeys: [folder.config().key] });
  // Each is in the first tree that these keys have signed.
  const acts = (await auditLog(same.url, vkey)).slice(5).map((bytes) => JSON.parse(bytes.toString()));
  t.match(acts, [
    { kind: "source.start", epoch: 1 },
    { kind: "log.keys", keys: vkeys },
    { kind: "source.stop" },
    { kind: "source.start", epoch: 2 },
    { kind: "log.keys", keys: vkeys.toReversed() },
    { kind: "source.stop" },
  ]);
  t.equal(acts.length, 6, "a start with the keys from before is no act");
});

t.test("a swap without overlap is refused, at a start and at a reload, and so is a bad signature", async (t) => {
  const { folder, source, newKey, start } = await scene(t);
  const { path: next, vkey } = await newKey("log-2.key");
  const { key: old, guard } = folder.config();
  const log = await start();
  await submit(log.url, source.submission(ORIGIN, 0, 5));
  const refused = { code: "bad_key", message: /not by a key of this log.*"more_keys"/ };
  await t.rejects(log.reload(folder.config({ key: next })), refused);
  await signedBy(log, [folder.vkey], [0]);
  await log.reload(folder.config({ moreKeys: [next] }));
  await signedBy(log, [folder.vkey, vkey], [0, 1]);
  await log.close();
  const note = await readFile(guard, "utf8");
  const third = await newKey("log-3.key");
  await t.rejects(start({ key: third.path }), refused);
  // One good signature is enough only if the other is not bad.
  const lines = note.split("\n");
  const at = lines.length - 2;
  const blob = Buffer.from(lines[at]!.split(" ")[2]!, "base64");
  blob[20] = blob[20]! ^ 1;
  lines[at] = `\u2014 ${ORIGIN} ${blob.toString("base64")}`;
  await writeFile(guard, lines.join("\n"));
  await t.rejects(start({ moreKeys: [next] }), { code: "guard_missing", message: /damaged/ });
  await writeFile(guard, note);
  const only = await start({ key: old });
  t.same(signers((await get(only.url, "/checkpoint")).body.toString(), [folder.vkey]), [0]);
});

t.test(
  "killed while another key signs what was signed before: nothing is lost, whichever keys come next",
  async (t) => {
    for (const point of ["guard:before", "guard:renamed", "guard:durable", "checkpoint:recorded"]) {
      const { folder, source, newKey, start } = await scene(t);
      const { path: next, vkey } = await newKey("log-2.key");
      const log = await start();
      await submit(log.url, source.submission(ORIGIN, 0, 5));
      await log.close();
      const killed = (at: string): void => {
        if (at === point) throw new Error("killed");
      };
      await t.rejects(startLogServer(folder.config({ moreKeys: [next] }), { log: () => {}, at: killed }), {
        code: "write_failed",
      });
      const vkeys = [folder.vkey, vkey];
      const without = await start();
      t.same(signers((await get(without.url, "/checkpoint")).body.toString(), vkeys), [0], point);
      await without.close();
      const both = await start({ moreKeys: [next] });
      const note = (await get(both.url, "/checkpoint")).body.toString();
      t.ok(Number(note.split("\n")[1]) >= 5, point);
      t.same(
        (await auditLog(both.url, vkey)).slice(0, 5),
        source.entries.slice(0, 5).map(({ bytes }) => bytes),
        point,
      );
      t.same(signers(note, vkeys), [0, 1], point);
      await both.close();
    }
  },
);

t.test("keys that cannot be meant", async (t) => {
  const { folder, newKey, start } = await scene(t);
  const { path: other } = await newKey("other.key", "other.example");
  const { path: next } = await newKey("log-2.key");
  const { key } = folder.config();
  await t.rejects(start({ moreKeys: [other] }), { code: "bad_key", message: /is other\.example's/ });
  await t.rejects(start({ moreKeys: [key] }), { code: "bad_key", message: /configured already/ });
  await t.rejects(start({ moreKeys: Array<string>(8).fill(next) }), { code: "bad_key", message: /at most 8/ });
  await chmod(next, 0o644);
  await t.rejects(start({ moreKeys: [next] }), { code: "bad_key", message: /chmod 600/ });
});

t.test("witnesses come and go, and no connection is dropped", async (t) => {
  const { folder, source, start } = await scene(t);
  const fakes = await Promise.all(["w0", "w1"].map((name) => FakeWitness.start(name)));
  t.after(() => Promise.all(fakes.map((fake) => fake.close())));
  const policy = async (...which: number[]): Promise<LogServerConfig> => {
    const witnesses = join(folder.path, `policy-${which.join("-")}`);
    const lines = which.map((i) => `witness w${i} ${fakes[i]!.key.vkey} ${fakes[i]!.url}\n`);
    await writeFile(witnesses, `${lines.join("")}quorum w${which.at(-1)}\n`);
    return folder.config({ witnesses });
  };
  const cosigners = async (): Promise<string[]> =>
    parseNote((await get(log.url, "/checkpoint")).body)!
      .signatures.slice(1)
      .map(({ name }) => name);
  const until = async (...names: string[]): Promise<void> => {
    while ((await cosigners()).join() !== names.join()) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  const log = await start();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const reused = (): Promise<boolean> =>
    new Promise((resolve, reject) => {
      const sent = request(`${log.url}/checkpoint`, { agent }, (answer) => {
        answer.resume().on("end", () => resolve(sent.reusedSocket));
      });
      sent.on("error", reject).end();
    });
  await reused();
  await submit(log.url, source.submission(ORIGIN, 0, 5));
  while (parseNote((await get(log.url, "/checkpoint")).body)!.text.split("\n")[1] !== "5");
  t.match(await log.reload(await policy(0)), { witnesses: 1, ignored: [] });
  await until("w0");
  await log.reload(await policy(0, 1));
  await until("w0", "w1");
  t.equal(fakes[0]!.asked.length, 1, "one that stays is not asked anew for what it has cosigned");
  const broken = await policy(1);
  await writeFile(broken.witnesses!, "quorum w9\n");
  await t.rejects(log.reload(broken), { code: "bad_config", message: /policy-1:1: no witness or group w9/ });
  t.same(await cosigners(), ["w0", "w1"]);
  await log.reload(await policy(1));
  t.same(await cosigners(), ["w1"]);
  await log.reload(folder.config());
  t.same(await cosigners(), []);
  t.ok(await reused(), "the connection is the one from before");
});

t.test("a reload while a witness looks at the next checkpoint does not ask it for the one before", async (t) => {
  const { folder, source } = await scene(t);
  const fake = await FakeWitness.start("w");
  t.after(() => fake.close());
  const witnesses = join(folder.path, "policy");
  await writeFile(witnesses, `witness w ${fake.key.vkey} ${fake.url}\nquorum w\n`);
  const lines: string[] = [];
  const config = folder.config({ witnesses, checkpointIntervalMs: 10, witnessTimeoutMs: 30_000 });
  const log = await startLogServer(config, { log: (level, message) => lines.push(`${level} ${message}`) });
  t.after(() => log.close());
  const until = async (size: number): Promise<void> => {
    while (parseNote((await get(log.url, "/checkpoint")).body)!.text.split("\n")[1] !== String(size));
  };
  await submit(log.url, source.submission(ORIGIN, 0, 5));
  await until(5);
  let answer!: () => void;
  const looking = new Promise<void>((resolve) => {
    fake.behaviour = (...asked) => {
      fake.behaviour = undefined;
      answer = () => fake.honest(...asked);
      resolve();
    };
  });
  await submit(log.url, source.submission(ORIGIN, 5, 9));
  await looking;
  await log.reload(config);
  answer();
  await until(9);
  await submit(log.url, source.submission(ORIGIN, 9, 12));
  await until(12);
  t.same(
    fake.asked.map(({ old, size }) => [old, size]),
    [
      [0, 0],
      [0, 5],
      [5, 9],
      [9, 12],
    ],
  );
  t.same(lines, []);
  t.match((await get(log.url, "/healthz")).json(), { status: "ok", witnesses: { missing: [] } });
});

t.test("what needs a restart is named", async (t) => {
  const { folder } = await scene(t);
  const config = folder.config();
  t.same(ignoredKeys(config, folder.config({ key: "x", moreKeys: ["y"], witnesses: "z" })), []);
  const limits = { ...config.limits, bodyBytes: 16_777_216, waitingAdds: 1 };
  const changed = folder.config({ limits, checkpointIntervalMs: 5, tokens: "t", sources: [], origin: "o" });
  const { sources: _, ...rest } = changed;
  const ignored = ignoredKeys(config, rest as LogServerConfig);
  t.same(ignored, [
    "checkpoint_interval_ms",
    "limits.body_bytes",
    "limits.waiting_adds",
    "origin",
    "sources",
    "tokens",
  ]);
  t.equal(reloadLine({ keys: ["a"], witnesses: 0, ignored: [] }), "reloaded: 1 key signs, 0 witnesses");
  t.equal(
    reloadLine({ keys: ["a", "b"], witnesses: 1, ignored: ["listen"] }),
    "reloaded: 2 keys sign, 1 witness; not taken: listen, which has changed and needs a restart",
  );
});

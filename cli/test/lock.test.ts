import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import t from "tap";
import { lockFolder } from "../src/lock.ts";
import { isAlive, processIdentity } from "../src/processes.ts";

const never = (): void => {
  t.fail("waited");
};

t.test("a folder is locked once, and again after its release", async (t) => {
  const dir = t.testdir();
  const lock = await lockFolder(dir, never);
  await t.rejects(lockFolder(dir, never), { code: "data_in_use", message: new RegExp(`process ${process.pid}\\b`) });
  lock.release();
  (await lockFolder(dir, never)).release();
  t.notOk(existsSync(path.join(dir, "up.lock")));
});

t.test("a dead holder's lock is taken over, also when its number belongs to another process now", async (t) => {
  const dir = t.testdir();
  const dead = spawn(process.execPath, ["-e", ""]);
  await new Promise((resolve) => dead.once("close", resolve));
  for (const holder of [`${dead.pid} x/1`, `${process.pid} another-boot/1`, "", "nonsense"]) {
    writeFileSync(path.join(dir, "up.lock"), `${holder}\n`);
    const lock = await lockFolder(dir, never);
    t.equal(readFileSync(path.join(dir, "up.lock"), "utf8").trim(), processIdentity(process.pid));
    lock.release();
  }
});

t.test("what a dead holder started is waited for", async (t) => {
  const dir = t.testdir();
  const part = spawn(process.execPath, ["-e", "process.stdin.resume()"], { stdio: ["pipe", "ignore", "ignore"] });
  const identity = processIdentity(part.pid as number) as string;
  writeFileSync(path.join(dir, "up.lock"), `1 gone/1\n${identity}\n`);
  await t.rejects(
    lockFolder(dir, () => {}, undefined, 150),
    { code: "data_in_use", message: new RegExp(`process ${part.pid}\\b`) },
  );
  const lock = await lockFolder(dir, () => part.stdin?.end());
  t.notOk(isAlive(identity), "it had ended before the lock was given");
  lock.release();
});

t.test("of many that try at once, one gets it", async (t) => {
  const dir = t.testdir();
  const module = new URL("../src/lock.js", import.meta.url).href;
  const program = `import { lockFolder } from ${JSON.stringify(module)};
    process.stdin.once("data", () => lockFolder(${JSON.stringify(dir)}, () => {}).then(() => "got it", (e) => e.code).then(console.log));`;
  writeFileSync(path.join(dir, "up.lock"), "1 gone/1\n");
  const tries = Array.from({ length: 6 }, () => spawn(process.execPath, ["--input-type=module", "-e", program]));
  const answers = tries.map(
    (child) => new Promise<string>((resolve) => child.stdout.setEncoding("utf8").once("data", resolve)),
  );
  for (const child of tries) child.stdin.write("go\n");
  const got = (await Promise.all(answers)).map((answer) => answer.trim()).sort();
  for (const child of tries) child.stdin.end();
  t.same(got, [...Array(5).fill("data_in_use"), "got it"]);
});

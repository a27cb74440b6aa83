import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { createKey, readKey, vkeyOf } from "../../src/keys/keys.ts";

const folder = await mkdtemp(join(tmpdir(), "vitrine-keys-"));
t.after(() => rm(folder, { recursive: true }));

t.test("a key pair belongs together, and its name is checked", async (t) => {
  const { skey, vkey } = createKey("log.example/x");
  t.match(skey, /^PRIVATE\+KEY\+log\.example\/x\+[0-9a-f]{8}\+/);
  t.equal(vkeyOf(skey), vkey);
  t.not(createKey("log.example/x").skey, skey);
  for (const name of ["", "a b", "a+b", "a\u0085", "a\u3000", "a\u0001", "\ud800"]) {
    t.throws(() => createKey(name), { code: "bad_key" }, JSON.stringify(name));
  }
});

t.test("what is not a signing key is refused without repeating it", async (t) => {
  t.throws(() => vkeyOf("hunter2"), { code: "bad_key" });
  try {
    vkeyOf("PRIVATE+KEY+hunter2+00000000+AAAA");
  } catch (error) {
    t.notMatch((error as Error).message, /hunter2/);
  }
});

t.test("a key file is one line, and private", async (t) => {
  const path = join(folder, "key");
  const { skey, vkey } = createKey("k");
  await writeFile(path, skey, { mode: 0o600 });
  t.equal((await readKey(path)).vkey, vkey);
  await writeFile(path, `${skey}\n`);
  t.equal((await readKey(path)).vkey, vkey);
  for (const text of [`${skey}\n\n`, ` ${skey}`, `${skey}\r\n`, "", skey.slice(0, -1)]) {
    await writeFile(path, text);
    await t.rejects(readKey(path), { code: "bad_key" }, JSON.stringify(text.length));
  }
  await writeFile(path, skey);
  for (const mode of [0o640, 0o604, 0o610, 0o777]) {
    await chmod(path, mode);
    await t.rejects(readKey(path), { code: "bad_key", message: /chmod 600/ });
  }
  await chmod(path, 0o400);
  t.equal((await readKey(path)).vkey, vkey);
});

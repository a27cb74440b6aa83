import { createHash } from "node:crypto";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { createKey, readKey, vkeyOf } from "../src/keys.ts";
import { authorize, readTokens } from "../src/tokens.ts";

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

t.test("tokens are known by their digests", async (t) => {
  const path = join(folder, "tokens");
  const digest = (token: string): string => createHash("sha256").update(token).digest("hex");
  await writeFile(path, `# who\n${digest("one")} Ada\n\r\n${digest("two")}\n`);
  const tokens = await readTokens(path);
  t.equal(tokens.length, 2);
  t.equal(authorize("Bearer one", tokens), true);
  t.equal(authorize("bearer  two", tokens), true);
  t.equal(authorize(undefined, tokens), false);
  for (const header of [
    "",
    "Bearer",
    "Bearer ",
    "Bearer three",
    "Basic one",
    "one",
    "Bearer one two",
    `Bearer ${digest("one")}`,
  ]) {
    t.throws(() => authorize(header, tokens), { code: "unauthorized" }, header);
  }
  t.throws(
    () => authorize("Bearer ", [createHash("sha256").digest()]),
    { code: "unauthorized" },
    "the empty token is none",
  );
  for (const line of ["x", digest("a").toUpperCase(), ` ${digest("a")}`, `${digest("a")}\t`, digest("a").slice(1)]) {
    await writeFile(path, `# first\n${line}\n`);
    await t.rejects(readTokens(path), { code: "bad_config", message: /line 2/ }, line);
  }
  await t.rejects(readTokens(join(folder, "none")), { code: "bad_config" });
});

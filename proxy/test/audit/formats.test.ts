import { createHash } from "node:crypto";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { Chain, leafHash } from "../../src/audit/chain.ts";
import { formatTimestamp, nowMicros, sealValue } from "../../src/audit/index.ts";
import { readSourceKey } from "../../src/audit/key-file.ts";
import { parseSigningKey, verifierKeyName } from "../../src/audit/keys.ts";
import { newKeys, tempDir } from "./help.ts";

t.test("timestamps", (t) => {
  t.equal(formatTimestamp(1_795_385_400_123_456), "2026-11-22T22:10:00.123456Z");
  t.equal(formatTimestamp(1_795_385_400_000_007), "2026-11-22T22:10:00.000007Z");
  t.equal(formatTimestamp(1_795_385_399_999_999), "2026-11-22T22:09:59.999999Z");
  t.equal(formatTimestamp(0), "1970-01-01T00:00:00.000000Z");
  for (let i = 0; i < 1000; i++) {
    const before = Date.now();
    const text = formatTimestamp();
    // Between the two readings of the other clock, whatever this process had to wait for meanwhile.
    if (Date.parse(text) < before - 5 || Date.parse(text) > Date.now() + 5) t.fail(text);
  }
  let last = nowMicros();
  for (let i = 0; i < 10_000; i++) {
    const now = nowMicros();
    if (now < last) t.fail(`${now} after ${last}`);
    last = now;
  }
  t.ok(Number.isSafeInteger(last));
  t.end();
});

t.test("sealed values are RFC 9901 disclosures", (t) => {
  const salts = new Set<string>();
  for (const value of ["select 'é\u0001\ud800'", [null, "1", { base64: "AA==" }], "x".repeat(100_000)]) {
    const { json, disclosure } = sealValue("sql", value, 17);
    const text = Buffer.from(disclosure).toString("utf8");
    const [salt, name, disclosed] = JSON.parse(text);
    t.equal(JSON.stringify(JSON.parse(text)), text, "compact");
    t.match(salt, /^[A-Za-z0-9_-]{22}$/);
    t.same([name, disclosed], ["sql", value]);
    const digest = createHash("sha256").update(Buffer.from(disclosure).toString("base64url")).digest("base64url");
    t.equal(json, `{"sealed":"${digest}","bytes":17}`);
  }
  for (let i = 0; i < 2000; i++) salts.add(JSON.parse(Buffer.from(sealValue("sql", "", 0).disclosure).toString())[0]);
  t.equal(salts.size, 2000);
  t.end();
});

t.test("the chain is that of the definition", (t) => {
  const chain = new Chain();
  let expected = Buffer.alloc(32);
  t.equal(chain.value, expected.toString("base64"));
  for (const entry of ["", "{}", '{"ä":1}']) {
    const bytes = Buffer.from(`\u0007${entry}`);
    const leaf = leafHash(bytes, 1, bytes.length);
    t.equal(bytes[0], 7, "the byte in front is back");
    const hashed = createHash("sha256").update(Buffer.of(0)).update(entry).digest();
    t.equal(Buffer.from(leaf, "latin1").toString("hex"), hashed.toString("hex"));
    chain.add(leaf);
    expected = createHash("sha256").update(expected).update(hashed).digest();
    t.equal(chain.value, expected.toString("base64"));
  }
  const copy = new Chain();
  copy.value = chain.value;
  t.equal(copy.value, chain.value);
  t.end();
});

t.test("keys", async (t) => {
  const { skey, vkey } = newKeys("käse.example/1");
  const key = parseSigningKey(`${skey}\n`);
  t.same([key.name, key.vkey], ["käse.example/1", vkey]);
  t.equal(verifierKeyName(vkey), "käse.example/1");
  const secret = skey.split("+").slice(4).join("+");
  const bad = [
    "",
    skey.slice(1),
    skey.replace("käse", "kase"),
    skey.replace("käse", "k se"),
    skey.replace("käse", "k\u0085se"),
    `${skey}\n\n`,
    `${skey}=`,
    skey.slice(0, -4),
    skey.replace(/\+[0-9a-f]{8}\+/, "+00000000+"),
  ];
  for (const line of bad) {
    const error = await t.rejects(
      async () => parseSigningKey(line),
      { code: "bad_key" },
      JSON.stringify(line.slice(0, 30)),
    );
    if (String((error as unknown as Error)?.message).includes(secret.slice(0, 10))) t.fail("the message tells the key");
  }
  for (const text of ["", vkey.slice(1), `${vkey} `, vkey.replace("käse", "kase"), vkey.slice(0, -4)])
    t.throws(() => verifierKeyName(text), { code: "bad_key" });

  const path = join(await tempDir(t), "key");
  await t.rejects(readSourceKey(path), { code: "bad_key", message: /ENOENT/ });
  await writeFile(path, skey, { mode: 0o600 });
  t.equal(await readSourceKey(path), skey);
  await chmod(path, 0o640);
  await t.rejects(readSourceKey(path), { code: "bad_key", message: /chmod 600/ });
});

/** The specification's vectors, which neither side made. */
async function vectors(name: string): Promise<Record<string, Record<string, never>[]>> {
  return JSON.parse(await readFile(new URL(`../../../../spec/vectors/${name}.json`, import.meta.url), "utf8"));
}

t.test("vectors: verifier keys and signing keys", async (t) => {
  const { cases, signingKeys } = await vectors("vkeys");
  const wrong: string[] = [];
  const accepts = (desc: string, wantErr: unknown, parse: () => void): void => {
    let code: unknown;
    try {
      parse();
    } catch (error) {
      code = (error as { code?: unknown }).code;
    }
    if ((wantErr === undefined) !== (code === undefined) || (code !== undefined && code !== "bad_key"))
      wrong.push(`${desc}: ${code}`);
  };
  for (const { desc, vkey, name, wantErr } of cases!)
    accepts(desc!, wantErr, () => {
      const found = verifierKeyName(vkey!);
      if (found !== name) wrong.push(`${desc}: ${found}`);
    });
  for (const { desc, file, vkey, wantErr } of signingKeys!)
    accepts(desc!, wantErr, () => {
      const found = parseSigningKey(file!).vkey;
      if (found !== vkey) wrong.push(`${desc}: ${found}`);
    });
  t.same(wrong, [], `${cases!.length} and ${signingKeys!.length} cases`);
});

t.test("vectors: chains", async (t) => {
  const { cases } = await vectors("chains");
  const wrong: string[] = [];
  let entries = 0;
  for (const { desc, entries: texts, chain: expected } of cases! as unknown as {
    desc: string;
    entries: string[];
    chain?: string[];
  }[]) {
    if (expected === undefined || expected.length !== texts.length + 1) continue;
    const chain = new Chain();
    for (const [i, text] of texts.entries()) {
      if ((JSON.parse(text) as { seq: number }).seq === 0) chain.reset();
      else if (chain.value !== expected[i]) wrong.push(`${desc}, ${i}`);
      const bytes = Buffer.from(` ${text}`);
      chain.add(leafHash(bytes, 1, bytes.length));
      entries++;
    }
    if (chain.value !== expected.at(-1)) wrong.push(`${desc}, at the end`);
  }
  t.same(wrong, [], `${entries} entries`);
  t.ok(entries > 2);
});

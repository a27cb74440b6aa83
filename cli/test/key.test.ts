import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import path from "node:path";
import t from "tap";
import { vitrine } from "./run.ts";

t.test("a key pair is made, in the forms of the spec", async (t) => {
  const dir = t.testdir();
  const { status, stdout, stderr } = await vitrine(["key", "example.org/audit"], dir);
  t.equal(status, 0, stderr);
  const file = path.join(dir, "audit.key");
  t.equal(statSync(file).mode & 0o777, 0o600);
  const [, name, id, key] = /^([^+]+)\+([0-9a-f]{8})\+(.+)\n$/.exec(stdout) as RegExpExecArray;
  t.equal(name, "example.org/audit");
  const bytes = Buffer.from(key as string, "base64");
  t.equal(bytes.length, 33);
  // checkpoint.md: key id = first 4 bytes of SHA-256(name || 0x0A || 0x01 || public key).
  t.equal(createHash("sha256").update(`${name}\n`).update(bytes).digest("hex").slice(0, 8), id);
  t.match(
    readFileSync(file, "utf8"),
    new RegExp(`^PRIVATE\\+KEY\\+example\\.org/audit\\+${id}\\+[A-Za-z0-9+/]{44}\n$`),
  );

  const again = await vitrine(["key", "example.org/audit"], dir);
  t.equal(again.status, 1);
  t.match(again.stderr, /^vitrine: key_exists: audit\.key exists.*\n$/);
  const other = await vitrine(["key", "example.org/audit", "-o", "other.key"], dir);
  t.not(other.stdout, stdout);
  const nowhere = await vitrine(["key", "x", "-o", "none/x.key"], dir);
  t.equal(nowhere.status, 1);
  t.match(nowhere.stderr, /^vitrine: key_unwritable: .*none\/x\.key.*\n$/);
});

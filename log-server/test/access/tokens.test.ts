import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import t from "tap";
import {
  addToken,
  formatToken,
  isTokenName,
  parseTokens,
  readTokens,
  revokeToken,
} from "../../src/access/token-file.ts";
import { hasRole, Tokens } from "../../src/access/tokens.ts";
import { startLogServer } from "../../src/start.ts";
import { get, published, submit } from "../support/client.ts";
import { makeLogFolder, ORIGIN } from "../support/folder.ts";
import { TestSource } from "../support/source.ts";

const folder = await mkdtemp(join(tmpdir(), "vitrine-tokens-"));
t.after(() => rm(folder, { recursive: true }));
const path = join(folder, "tokens");
const digest = (token: string): string => createHash("sha256").update(token).digest("hex");
const none = (): void => {
  throw new Error("nothing to warn of");
};
const AUDITOR = `${digest("one")} auditor - ada`;

t.test("a file is read, and each mistake in it named with its line", async (t) => {
  await writeFile(
    path,
    `# who\n${AUDITOR}\n\r\n${digest("two")} viewer,admin 2027-01-31T00:00:00.000000Z bob@example\n`,
  );
  t.match(await readTokens(path), [
    { digest: Buffer.from(digest("one"), "hex"), roles: ["auditor"], expires: undefined, name: "ada" },
    { roles: ["viewer", "admin"], expires: "2027-01-31T00:00:00.000000Z", name: "bob@example" },
  ]);
  for (const line of [
    "x",
    digest("a"),
    `${digest("a")} `,
    `${digest("a").toUpperCase()} auditor - a`,
    ` ${digest("a")} auditor - a`,
    `${digest("a")} auditor -`,
    `${digest("a")} auditor - `,
    `${digest("a")}  auditor - a`,
    `${digest("a")} auditor - a b`,
    `${digest("a")} auditor - a `,
    `${digest("a")} auditor - a\tb`,
    `${digest("a")} auditors - a`,
    `${digest("a")} auditor,auditor - a`,
    `${digest("a")} auditor, - a`,
    `${digest("a")} Auditor - a`,
    `${digest("a")} auditor 2027-01-31 a`,
    `${digest("a")} auditor 2027-02-30T00:00:00.000000Z a`,
    `${digest("a")} auditor - ${"a".repeat(129)}`,
    `${digest("a")} auditor - ada`,
    `${digest("one")} auditor - other`,
  ]) {
    await writeFile(path, `${AUDITOR}\n${line}\n`);
    await t.rejects(readTokens(path), { code: "bad_config", message: /line 2: / }, line);
  }
  await t.rejects(readTokens(join(folder, "none")), { code: "bad_config", message: /cannot be read/ });
});

t.test("whatever a file holds, it is read or refused by its code", async () => {
  const part = fc.oneof(
    fc.string(),
    fc.constantFrom(digest("a"), digest("b"), "viewer", "auditor,admin", "-", "name", " ", "\n", "#"),
  );
  fc.assert(
    fc.property(fc.array(part), (parts) => {
      try {
        const tokens = parseTokens(parts.join(" ").replaceAll(" \n ", "\n"), "t");
        // What was read is written the same way.
        return parseTokens(tokens.map(formatToken).join(""), "t").length === tokens.length;
      } catch (error) {
        return (error as { code?: string }).code === "bad_config";
      }
    }),
  );
});

t.test("a token is known by its digest, until it expires", async (t) => {
  const expired = new Date(Date.now() - 1000).toISOString().replace("Z", "000Z");
  const later = new Date(Date.now() + 3_600_000).toISOString().replace("Z", "000Z");
  await writeFile(
    path,
    `${AUDITOR}\n${digest("two")} admin ${later} bob\n${digest("old")} auditor ${expired} old\n${digest("")} admin - empty\n`,
  );
  const tokens = await Tokens.open(path, none);
  t.equal((await tokens.identify("Bearer one"))?.name, "ada");
  t.equal((await tokens.identify("bearer  two"))?.name, "bob");
  t.equal(await tokens.identify(undefined), undefined);
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
    await t.rejects(tokens.identify(header), { code: "unauthorized" }, header);
  }
  await t.rejects(tokens.identify("Bearer old"), { code: "unauthorized", message: /expired at/ });
  await t.rejects(tokens.require(undefined, "viewer", "this"), {
    code: "unauthorized",
    message: /^this needs a token/,
  });
  t.equal((await tokens.require("Bearer one", "auditor", "this")).name, "ada");
  t.equal((await tokens.require("Bearer one", "viewer", "this")).name, "ada", "every role includes viewer");
  await t.rejects(tokens.require("Bearer one", "admin", "this"), {
    code: "forbidden",
    message: "this needs a token with the role admin, and ada has auditor",
  });
  await t.rejects(tokens.require("Bearer two", "auditor", "this"), { code: "forbidden" });
  t.notOk(hasRole((await tokens.identify("Bearer two"))!, "auditor"), "admin does not include auditor");
  await t.rejects((await Tokens.open(undefined, none)).identify("Bearer one"), { code: "unauthorized" });
});

t.test("a changed file counts from the next use on; a broken one leaves what was, and is told of", async (t) => {
  await writeFile(path, `${AUDITOR}\n`);
  const warnings: string[] = [];
  const tokens = await Tokens.open(path, (message) => warnings.push(message));
  t.ok(await tokens.identify("Bearer one"));
  await writeFile(path, `${digest("two")} admin - bob\n`);
  await t.rejects(tokens.identify("Bearer one"), { code: "unauthorized" });
  t.ok(await tokens.identify("Bearer two"));
  await writeFile(path, "nonsense\n");
  t.ok(await tokens.identify("Bearer two"));
  t.ok(await tokens.identify("Bearer two"));
  t.match(warnings, [/^the tokens are those from before: tokens: .*line 1/], "said once");
  await rm(path);
  t.ok(await tokens.identify("Bearer two"));
  t.match(warnings[1], /cannot be read/);
  await t.rejects(tokens.reload(), { code: "bad_config" });
  await writeFile(path, `${AUDITOR}\n`);
  await utimes(path, 0, 0);
  await tokens.reload();
  t.ok(await tokens.identify("Bearer one"));
  await t.rejects(Tokens.open(join(folder, "none"), none), { code: "bad_config" });
});

t.test("tokens are made, shown once, and revoked; the file is private and replaced as a whole", async (t) => {
  const file = join(folder, "made");
  const one = await addToken(file, { name: "ada", roles: ["auditor"] });
  const two = await addToken(file, { name: "bob", roles: ["viewer", "admin"], expires: "2027-01-31T00:00:00.000000Z" });
  t.match(one, /^[A-Za-z0-9_-]{43}$/);
  t.not(one, two);
  const text = await readFile(file, "utf8");
  t.equal(text, `${digest(one)} auditor - ada\n${digest(two)} viewer,admin 2027-01-31T00:00:00.000000Z bob\n`);
  t.equal((await stat(file)).mode & 0o777, 0o600);
  const { ino } = await stat(file);
  await t.rejects(addToken(file, { name: "ada", roles: ["viewer"] }), { code: "bad_config", message: /ada/ });
  await t.rejects(addToken(file, { name: "a b", roles: ["viewer"] }), { code: "bad_config" });
  t.equal((await stat(file)).ino, ino, "a refusal changes nothing");
  await writeFile(file, `# mine\n${text.trimEnd()}`);
  t.equal(await revokeToken(file, "nobody"), false);
  t.equal(await revokeToken(file, "ada"), true);
  t.equal(await readFile(file, "utf8"), `# mine\n${text.split("\n")[1]}`);
  await addToken(file, { name: "eve", roles: ["viewer"] });
  t.same(
    (await readTokens(file)).map(({ name }) => name),
    ["bob", "eve"],
  );
  t.equal(await revokeToken(join(folder, "never"), "ada"), false);
  t.notOk((await readdir(folder)).some((name) => name.endsWith(".new")));
  await t.rejects(addToken(join(folder, "no/such"), { name: "a", roles: ["viewer"] }), { code: "bad_config" });
});

t.test("entries that are not public need a token; checkpoints and hashes do not", async (t) => {
  const source = new TestSource("s").start().fill(2);
  const logFolder = await makeLogFolder([source.key.vkey]);
  t.after(() => logFolder.remove());
  await writeFile(path, `${digest("one")} viewer - vic\n`);
  const log = await startLogServer(logFolder.config({ tokens: path, publicEntries: false, checkpointIntervalMs: 10 }));
  t.after(() => log.close());
  await submit(log.url, source.submission(ORIGIN));
  await published(log.url, 3);
  for (const open of [
    "/checkpoint",
    "/tile/0/000.p/3",
    "/ct/v1/get-sth",
    "/ct/v1/get-sth-consistency?first=1&second=3",
  ]) {
    t.equal((await get(log.url, open)).status, 200, open);
  }
  for (const closed of [
    "/tile/entries/000.p/3",
    "/ct/v1/get-entries?start=0&end=2",
    "/ct/v1/get-entry-and-proof?leaf_index=0&tree_size=3",
    "/api/v1/entries/0/bundle",
  ]) {
    t.match((await get(log.url, closed)).json(), { error: { code: "unauthorized" } }, closed);
    const answer = await get(log.url, closed, { authorization: "Bearer one" });
    t.equal(answer.status, 200, closed);
    t.match(answer.headers["cache-control"], /^(?:private\b|no-store$)/, closed);
  }
});

t.test("names", async (t) => {
  for (const name of ["ada", "ada@example.org", "Ünal", "a".repeat(128)]) t.ok(isTokenName(name), name);
  for (const name of ["", "a b", "#a", "a\u0000", "a\u2028", "\ud800", "ü".repeat(65)])
    t.notOk(isTokenName(name), name);
});

import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import t from "tap";
import { InForce } from "../../src/auth/in-force.ts";
import { parsePasswords, readPasswords } from "../../src/auth/passwords.ts";
import { keysOf, verifierOf } from "../../src/auth/scram.ts";
import { formatUser, parseUser, timeOf, type User } from "../../src/auth/user.ts";
import { parseUsers, readUsers, type Users } from "../../src/auth/users.ts";
import { putUser, removeUser, type UserChange } from "../../src/auth/users-file.ts";
import { PENCIL, SECRET, users } from "./help.ts";

t.test("a file of users", async (t) => {
  const all = users(
    "# people",
    `"ann" "${PENCIL}" identity="Ann ""A"" Smith" groups=b,a,b expires=2027-01-31T00:00:00Z role=shop_ro\r`,
    "",
    `"o""hara" ""  certificate=o.example `,
  );
  const ann = all.byName.get("ann")!;
  t.equal(ann.identity, 'Ann "A" Smith');
  t.same(ann.groups, ["a", "b"]);
  t.equal(ann.expires, Date.UTC(2027, 0, 31));
  t.equal(ann.role, "shop_ro");
  t.match(all.byName.get('o"hara'), { verifier: undefined, certificate: "o.example", groups: [] });
});

t.test("what is wrong is named with its line, and no secret is repeated", async (t) => {
  const wrong: [string[], RegExp][] = [
    [["ann PASSWORD-X"], /^users:2: the line is not a name and a verifier/],
    [['"ann" "PASSWORD-X"'], /^users:2: the line has no SCRAM-SHA-256 verifier for "ann"/],
    [[`"" "${PENCIL}"`], /has a name that is empty/],
    [[`"a\u0007" "${PENCIL}"`], /has a name that has a control character/],
    [[`"${"a".repeat(257)}" "${PENCIL}"`], /more than 256 bytes/],
    [[`"ann" "${PENCIL}"`, `"ann" ""`], /^users:3: "ann" stands in line 2 already/],
    [[`"ann" "${PENCIL}" group=x`], /has no key "group"; the keys are/],
    [[`"ann" "${PENCIL}" role=a role=b`], /has the key "role" twice/],
    [[`"ann" "${PENCIL}" superuser`], /is not key=value/],
    [[`"ann" "${PENCIL}" expires=2027-02-31T00:00:00Z`], /is not a time/],
    [[`"ann" "${PENCIL}" groups=a,,b`], /an empty name among its groups/],
    [[`secret=${SECRET}`], /^users:2: a second secret/],
  ];
  for (const [lines, message] of wrong) {
    t.throws(() => users(...lines), { code: "bad_config", message });
    try {
      users(...lines);
    } catch (error) {
      t.notMatch((error as Error).message, /PASSWORD-X/);
    }
  }
  t.throws(() => parseUsers(`"ann" "${PENCIL}"\n`, "users"), { message: /has no line secret=/ });
  t.throws(() => parseUsers("secret=AAAA\n", "users"), { message: /^users:1: the secret is not 32 bytes/ });
});

t.test("an unknown user has iterations and a salt as often as users have such", async (t) => {
  const verifier = (saltBytes: number, iterations: number): string =>
    PENCIL.replace(/4096:[^$]*/, `${iterations}:${Buffer.alloc(saltBytes, 1).toString("base64")}`);
  const [plain, strong, long] = [verifier(16, 4096), verifier(16, 8192), verifier(100, 4096)];
  const named = (text: string, prefix: string, count: number): string[] =>
    Array.from({ length: count }, (_, i) => `"${prefix}${i}" "${text}"`);
  const lines = [...named(plain, "p", 7), ...named(strong, "s", 2), ...named(long, "l", 1), '"card" ""'];
  const [before, after] = [users(...lines), users(...lines, ...named(strong, "t", 1))];
  const kindOf = (all: Users, name: string): string => {
    const { iterations, salt } = all.mock(name);
    return `${iterations}:${salt.length}`;
  };
  const names = Array.from({ length: 4000 }, (_, i) => `nobody${i}`);
  const share = (kind: string): number => names.filter((name) => kindOf(before, name) === kind).length / names.length;
  for (const [kind, wanted] of [
    ["4096:16", 0.7],
    ["8192:16", 0.2],
    ["4096:100", 0.1],
  ] as const) {
    t.ok(Math.abs(share(kind) - wanted) < 0.03, `${kind}: ${share(kind)}`);
  }
  const moved = names.filter((name) => kindOf(before, name) !== kindOf(after, name));
  t.ok(moved.length > 0 && moved.length < names.length * 0.12, `${moved.length} look otherwise after one more`);
  t.ok(
    moved.every((name) => kindOf(after, name) === "8192:16"),
    "and all of them as the one that is new",
  );
  t.equal(kindOf(users(), "nobody"), "4096:16");
});

t.test("a file that others can read is refused", async (t) => {
  const dir = t.testdir({ users: `secret=${SECRET}\n` });
  const path = join(dir, "users");
  await t.rejects(readUsers(path), { code: "bad_config", message: /chmod 600/ });
  await t.rejects(readUsers(join(dir, "none")), { code: "bad_config", message: /cannot be read/ });
});

t.test("every user is written as it is read", async () => {
  const value = fc
    .string({ minLength: 1, maxLength: 30, unit: "grapheme" })
    .filter((text) => /^[^\p{Cc}]+$/u.test(text));
  const optional = fc.option(value, { nil: undefined });
  const user = fc.record({
    name: value,
    identity: optional,
    groups: fc.uniqueArray(value.filter((text) => !text.includes(","))).map((groups) => groups.sort()),
    role: optional,
    certificate: optional,
  });
  fc.assert(
    fc.property(user, (one) => {
      const line = formatUser(one, PENCIL, "2027-01-31T00:00:00Z");
      const read = parseUser(line) as User;
      const { verifier: _, ...rest } = read;
      return (
        JSON.stringify(rest, Object.keys(rest).sort()) ===
        JSON.stringify({ ...one, expires: timeOf("2027-01-31T00:00:00Z") }, Object.keys(rest).sort())
      );
    }),
    { numRuns: 200 },
  );
  fc.assert(
    fc.property(fc.string({ maxLength: 80 }), (line) => {
      const read = parseUser(line);
      return typeof read === "string" || line.startsWith('"');
    }),
  );
});

const change = (more: Partial<UserChange>): UserChange => ({
  name: "ann",
  password: "pencil",
  iterations: undefined,
  identity: undefined,
  groups: undefined,
  expires: undefined,
  role: undefined,
  certificate: undefined,
  ...more,
});

t.test("users are added, changed and removed; every other line stays", async (t) => {
  const path = join(t.testdir({}), "users");
  t.equal(await putUser(path, change({ identity: "Ann Smith", groups: ["x"] })), true);
  t.equal(statSync(path).mode % 0o1000, 0o600);
  const first = (await readUsers(path)).byName.get("ann")!;
  t.same(verifierOf(await keysOf("pencil", first.verifier!.salt, 4096)), first.verifier);
  const secret = readFileSync(path, "utf8").split("\n")[0]!;
  writeFileSync(path, `# mine\n${readFileSync(path, "utf8")}# the end`);
  t.equal(await putUser(path, change({ password: undefined, expires: "2027-01-31T00:00:00Z" })), false);
  t.equal(await putUser(path, change({ name: "bea", password: PENCIL })), true);
  const text = readFileSync(path, "utf8").split("\n");
  t.same([text[0], text[1], text[3]], ["# mine", secret, "# the end"]);
  t.equal(text[4], `"bea" "${PENCIL}"`, "a verifier is taken as it is");
  const ann = (await readUsers(path)).byName.get("ann")!;
  t.same(ann, { ...first, expires: Date.UTC(2027, 0, 31) });
  await putUser(path, change({ password: null, certificate: "ann.example", groups: [] }));
  t.match((await readUsers(path)).byName.get("ann"), { verifier: undefined, certificate: "ann.example", groups: [] });
  t.equal(await removeUser(path, "ann"), true);
  t.equal(await removeUser(path, "ann"), false);
  t.same([...(await readUsers(path)).byName.keys()], ["bea"]);
  t.notOk(existsSync(`${path}.next`));
});

t.test("what cannot be changes nothing", async (t) => {
  const path = join(t.testdir({}), "users");
  await putUser(path, change({}));
  const before = readFileSync(path);
  const bad = { code: "bad_config" };
  await t.rejects(putUser(path, change({ name: "new", password: undefined })), bad);
  await t.rejects(putUser(path, change({ name: "a\nb" })), bad);
  await t.rejects(putUser(path, change({ expires: "tomorrow" })), bad);
  await t.rejects(putUser(path, change({ groups: ["a,,b"] })), bad);
  t.notOk(existsSync(`${path}.next`));
  // What a process leaves behind that is killed before the new file has its name.
  writeFileSync(`${path}.next`, "secret=", { mode: 0o600 });
  await t.rejects(putUser(path, change({})), { code: "bad_config", message: /\.next is there: .* remove it/ });
  t.ok(existsSync(`${path}.next`), "it may be another's, at work");
  t.same(readFileSync(path), before);
  await t.rejects(removeUser(join(t.testdirName, "none"), "ann"), bad);
});

t.test("a file in force is read again, and stays in force when the new one is wrong", async (t) => {
  const path = join(t.testdir({}), "users");
  await putUser(path, change({}));
  const lines: string[] = [];
  const file = await InForce.load(path, "the users", readUsers, (line) => lines.push(line));
  await putUser(path, change({ name: "bea" }));
  t.same([...file.value.byName.keys()], ["ann"]);
  await file.reload();
  t.same([...file.value.byName.keys()], ["ann", "bea"]);
  writeFileSync(path, "nonsense");
  await file.reload();
  t.same([...file.value.byName.keys()], ["ann", "bea"]);
  t.match(lines, ["the users read again", /^the users stay as they were: bad_config: .*:1: the line is not/]);
});

t.test("changed users are announced, and let in only when that is done; not after the close", async (t) => {
  const path = join(t.testdir({}), "users");
  await putUser(path, change({}));
  const lines: string[] = [];
  const file = await InForce.load(path, "the users", readUsers, (line) => lines.push(line));
  const announced: string[][] = [];
  let durable = (): void => undefined;
  const asked = new Promise<void>((resolve) => {
    file.announce = (next, previous) => {
      announced.push([...previous.byName.keys(), "then", ...next.byName.keys()]);
      resolve();
      return new Promise((then) => {
        durable = then;
      });
    };
  });
  await putUser(path, change({ name: "bea" }));
  const reloaded = file.reload();
  await asked;
  t.same(announced, [["ann", "then", "ann", "bea"]]);
  t.same([...file.value.byName.keys()], ["ann"], "not durable yet");
  durable();
  await reloaded;
  t.same([...file.value.byName.keys()], ["ann", "bea"]);
  writeFileSync(path, "nonsense");
  await file.reload();
  t.equal(announced.length, 1, "a wrong file is no change");
  rmSync(path);
  await putUser(path, change({ name: "eve" }));
  file.close();
  await file.reload();
  t.same([announced.length, [...file.value.byName.keys()]], [1, ["ann", "bea"]]);
});

t.test("passwords for servers, in libpq's form", async (t) => {
  const all = parsePasswords(
    ["# mine", "", "db1:5432:shop:app:first", "*:5433:*:app:by\\:port", "[:1]:*:*:*:x", "*:*:*:a\\:b:c\\\\d", ""]
      .filter((line) => !line.startsWith("["))
      .join("\n"),
    "passwords",
  );
  t.equal(all.find("db1", 5432, "shop", "app"), "first");
  t.equal(all.find("db2", 5433, "shop", "app"), "by:port");
  t.equal(all.find("db2", 5432, "shop", "app"), undefined);
  t.equal(all.find("db2", 1, "x", "a:b"), "c\\d");
  t.throws(() => parsePasswords("\ndb:5432:shop:app\n", "passwords"), { code: "bad_config", message: /^passwords:2:/ });
  const dir = t.testdir({ passwords: "*:*:*:*:x\n" });
  await t.rejects(readPasswords(join(dir, "passwords")), { message: /the password file .* chmod 600/ });
});

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createKey } from "@vitrine/log-server";
import t from "tap";
import { FILES, openDataFolder } from "../src/data-folder.ts";

const never = (): void => {
  t.fail("waited");
};
const mode = (file: string): string => (statSync(file).mode & 0o777).toString(8);

t.test("a first start creates keys, tokens and configuration, readable by their owner only", async (t) => {
  const dir = path.join(t.testdir(), "new", "data");
  const data = await openDataFolder(dir, createKey, never);
  t.equal(data.created, true);
  t.equal(mode(dir), "700");
  for (const name of [
    "logKey",
    "sourceKey",
    "actsKey",
    "auditorToken",
    "tokens",
    "logServerYaml",
    "proxyYaml",
  ] as const) {
    t.equal(mode(data.file(name)), "600", name);
  }
  for (const name of ["keys", "log", "log/store", "log/index", "guard", "spool"])
    t.equal(mode(path.join(dir, name)), "700", name);
  const origin = data.read("logVkey").split("+", 1)[0] as string;
  t.match(origin, /^vitrine\.local\/[0-9a-f]{8}$/);
  t.equal(data.read("sourceVkey").split("+", 1)[0], `${origin}/proxy`);
  t.match(data.read("logServerYaml"), new RegExp(`^origin: ${origin} `, "m"));
  const digest = createHash("sha256").update(data.read("auditorToken")).digest("hex");
  t.equal(data.read("tokens"), `${digest} auditor - auditor`);
  t.notOk(existsSync(data.file("creating")));
  data.lock.release();
});

t.test("a later start changes nothing, and makes no key that is gone anew", async (t) => {
  const dir = t.testdir();
  const first = await openDataFolder(dir, createKey, never);
  first.lock.release();
  rmSync(first.file("logKey"));
  const contents = (): [string, string][] =>
    readdirSync(dir, { recursive: true, encoding: "utf8" })
      .filter((name) => name !== "up.lock" && statSync(path.join(dir, name)).isFile())
      .map((name) => [name, readFileSync(path.join(dir, name), "utf8")]);
  const before = contents();
  const second = await openDataFolder(dir, createKey, never);
  t.equal(second.created, false);
  t.same(contents(), before);
  second.lock.release();
});

t.test("a first start that did not finish is begun again", async (t) => {
  const dir = t.testdir();
  const died = (): never => {
    throw new Error("killed");
  };
  await t.rejects(openDataFolder(dir, died, never), { message: "killed" });
  t.ok(existsSync(path.join(dir, FILES.creating)));
  t.notOk(existsSync(path.join(dir, FILES.version)));
  writeFileSync(path.join(dir, FILES.auditorToken), "half", { mode: 0o644 });
  const data = await openDataFolder(dir, createKey, never);
  t.equal(data.created, true);
  t.equal(mode(data.file("auditorToken")), "600");
  data.lock.release();
});

t.test("another version, another's folder and a folder in use are refused, and left as they are", async (t) => {
  const dir = t.testdir({
    other: { VERSION: "vitrine data 2\n" },
    home: { "letter.txt": "dear" },
    file: "x",
    used: {},
  });
  const open = (name: string): Promise<unknown> => openDataFolder(path.join(dir, name), createKey, never);
  await t.rejects(open("other"), { code: "data_version", message: /"vitrine data 2".*"vitrine data 1"/ });
  await t.rejects(open("home"), { code: "data_foreign", message: /home is not empty/ });
  t.same(readdirSync(path.join(dir, "home")), ["letter.txt"]);
  await t.rejects(open("file"), { code: "data_unwritable", message: /--data DIR/ });
  await t.rejects(open("file/below"), { code: "data_unwritable" });
  if (process.platform === "linux")
    await t.rejects(openDataFolder("/proc/none/of/it", createKey, never), { code: "data_unwritable" });
  const data = await openDataFolder(path.join(dir, "used"), createKey, never);
  await t.rejects(open("used"), { code: "data_in_use" });
  data.lock.release();
});

t.test(
  "a folder that cannot be written is said to be so",
  { skip: process.getuid?.() === 0 && "root writes everywhere" },
  async (t) => {
    const dir = path.join(t.testdir(), "locked");
    mkdirSync(dir, { mode: 0o500 });
    await t.rejects(openDataFolder(dir, createKey, never), { code: "data_unwritable", message: /EACCES/ });
  },
);

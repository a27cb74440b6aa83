import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { parseLogList } from "../../../cli/witness/log-list.ts";
import { readLogs } from "../../../cli/witness/logs.ts";
import { testKey } from "../../support/keys.ts";
import { run } from "../support/run.ts";
import { stateFolder } from "./support/start.ts";

const [a, b] = [testKey("log.example/a").vkey, testKey("log.example/b").vkey];
/** A key of type 06 with a key id that is not looked at. */
const postQuantum = `log.example/pq+12345678+${Buffer.concat([Uint8Array.of(6), Buffer.alloc(1312)]).toString("base64")}`;

t.test("lists in the form of C2SP tlog-list, and plain keys", async (t) => {
  const logs = (text: string): unknown =>
    parseLogList(text, "list").logs.map(({ key, origin, perDay }) => [key.text, origin, perDay]);
  t.same(logs(`logs/v0\nvkey ${a}\nqpd 1\ncontact x\n`), [[a, "log.example/a", 1]]);
  t.same(logs(`\n# logs/v1\n\n logs/v0\t\n vkey  ${a}\n\torigin an origin\n# no\nqpd 2147483647\ncontact a b c`), [
    [a, "an origin", 2147483647],
  ]);
  t.same(logs(`logs/v0\nvkey ${a}\nqpd 5\ncontact x\n\nvkey ${b}\nqpd 6\ncontact y\n`), [
    [a, "log.example/a", 5],
    [b, "log.example/b", 6],
  ]);
  t.same(logs(`logs/v0\r\nvkey ${a}\r\nqpd 5\r\ncontact x\r\n`), [[a, "log.example/a", 5]], "lines of Windows");
  t.same(logs(`${a}\u00a0\r\n`), [[a, "log.example/a", undefined]]);
  t.same(logs("logs/v0"), []);
  t.same(logs(""), []);
  t.same(logs(`# mine\n${a}\n\n  ${b}\n`), [
    [a, "log.example/a", undefined],
    [b, "log.example/b", undefined],
  ]);
  const list = parseLogList(`logs/v0\nvkey ${postQuantum}\nqpd 5\ncontact x\nvkey ${a}\nqpd 5\ncontact x\n`, "list");
  t.same(list.skipped, ["list, line 2: a log is left out, its key is of type 06 and not 01 (Ed25519)"]);
  t.same(list.logs.length, 1);
});

t.test("a list that is wrong says where", async (t) => {
  const one = `vkey ${a}\nqpd 5\ncontact x\n`;
  const cases: [string, RegExp][] = [
    ["logs/v1\n", /^list, line 1: this is not a verifier key/],
    [`logs/v0 \nqpd 5\nvkey ${a}\ncontact x\n`, /line 2: it begins with qpd, where vkey should stand/],
    [`logs/v0\nvkey ${a}\ncontact x\nqpd 5\n`, /line 3: it begins with contact, where origin or qpd should stand/],
    [`logs/v0\nvkey ${a}\nqpd 5\norigin x\ncontact x\n`, /line 4: it begins with origin, where contact should stand/],
    [`logs/v0\nvkey ${a}\nvkey ${b}\n`, /line 3: it begins with vkey, where origin or qpd should stand/],
    [`logs/v0\n${one}bastion none\n`, /line 5: it begins with bastion, where vkey should stand/],
    [`logs/v0\nvkey ${a}\nqpd 5\n`, /list ends in the middle of a log: contact is missing/],
    [`logs/v0\nvkey ${a}\n`, /origin is missing|qpd is missing/],
    [`logs/v0\nvkey ${a}\nqpd 5\ncontact\n`, /line 4: there is nothing behind contact/],
    [`logs/v0\n${one}${one}`, /line 5: a log of the origin log.example\/a stands above/],
    [`logs/v0\n${one}vkey ${b}\norigin log.example/a\nqpd 5\ncontact x\n`, /line 5: a log of the origin/],
    [`logs/v0\nvkey ${a.slice(0, -4)}\nqpd 5\ncontact x\n`, /line 2: this is not a verifier key/],
    [`${a}\n${a.replace("log.example", "log.example\u001b[31m")}\n`, /^[ -~]*line 2[ -~]*$/],
    [`logs/v0\n${one}\u001b[31m x\n`, /line 5: it begins with \\x1b\[31m, where/],
  ];
  for (const qpd of ["0", "-1", "05", "2147483648", "99999999999", "1e3", "0x10", "1 2"])
    cases.push([`logs/v0\nvkey ${a}\nqpd ${qpd}\ncontact x\n`, /line 3: qpd is not a canonical decimal from 1/]);
  for (const [text, message] of cases) t.throws(() => parseLogList(text, "list"), { code: "usage", message }, text);
});

t.test("several lists: the keys of all, the highest limit, and what is left of it stays", async (t) => {
  const folder = stateFolder(t);
  const list = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const later = testKey("log.example/a", Buffer.alloc(32, 7)).vkey;
  const logs = [
    list("1", `logs/v0\nvkey ${a}\nqpd 20\ncontact x\n`),
    list("2", `logs/v0\nvkey ${a}\nqpd 30\ncontact x\n`),
    list("3", `${b}\n${b}\n`),
  ];
  const first = await readLogs({ log: [later], logs }, new Map(), 0);
  t.same([...first.logs.keys()].sort(), ["log.example/a", "log.example/b"]);
  const log = first.logs.get("log.example/a")!;
  t.same([log.keys.map(({ text }) => text), log.perDay], [[later, a], 30]);
  t.equal(first.logs.get("log.example/b")!.keys.length, 1);
  t.equal(first.logs.get("log.example/b")!.allowance, undefined);
  for (let i = 0; i < 10; i++) t.equal(log.allowance!.take(0, true), 0);
  t.ok(log.allowance!.take(0, true) > 0);
  const again = await readLogs({ log: [later], logs }, first.logs, 1);
  t.ok(again.logs.get("log.example/a")!.allowance!.take(1, true) > 0, "reading the lists again gives nothing back");
  list("2", "");
  const lower = await readLogs({ log: [], logs }, first.logs, 1);
  t.equal(lower.logs.get("log.example/a")!.perDay, 20);
  t.equal(lower.logs.get("log.example/a")!.allowance!.take(1, true), 0);
  await t.rejects(readLogs({ log: [], logs: [list("4", "\ufffd".repeat(3)), join(folder, "none")] }, new Map(), 0));
  writeFileSync(join(folder, "5"), Buffer.of(0xff, 0x0a));
  await t.rejects(readLogs({ log: [], logs: [join(folder, "5")] }, new Map(), 0), { message: /5 is not UTF-8/ });
});

t.test("a key for which anybody can sign is refused", async (t) => {
  // The point of order 1, one of order 8, and one in a spelling that is not its own.
  for (const hex of [
    `01${"00".repeat(31)}`,
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    `ee${"ff".repeat(30)}7f`,
    `02${"00".repeat(31)}`,
  ]) {
    const typed = Buffer.concat([Uint8Array.of(1), Buffer.from(hex, "hex")]);
    const { createHash } = await import("node:crypto");
    const id = createHash("sha256")
      .update(Buffer.concat([Buffer.from("weak\n"), typed]))
      .digest("hex")
      .slice(0, 8);
    const vkey = `weak+${id}+${typed.toString("base64")}`;
    await t.rejects(readLogs({ log: [vkey], logs: [] }, new Map(), 0), {
      code: "usage",
      message: /^--log: the key weak.* is no point, or one of small order/,
    });
  }
});

t.test("what the command says of a list that is wrong is one line", async (t) => {
  const state = stateFolder(t);
  writeFileSync(join(state, "logs"), "logs/v0\nkey\n");
  const result = await run(["witness", "--state", state, "--name", "w", "--logs", join(state, "logs")]);
  t.equal(result.status, 64);
  t.match(result.stderr, /^vitrine-verifier: usage: .*logs, line 2: it begins with key, where vkey should stand\n$/);
});

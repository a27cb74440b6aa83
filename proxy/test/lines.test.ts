import { readFileSync } from "node:fs";
import fc from "fast-check";
import t from "tap";
import { EVENTS, type EventName, Lines } from "../src/lines/index.ts";

const TIME = "2025-01-01T00:00:00.000Z";

function lines(level: "error" | "warn" | "info" | "debug", format: "text" | "json"): { all: string[]; lines: Lines } {
  const all: string[] = [];
  return {
    all,
    lines: new Lines(
      (line) => all.push(line),
      { level, format },
      () => TIME,
    ),
  };
}

t.test("one line an event, as text and as JSON", async (t) => {
  const text = lines("info", "text");
  text.lines.say("login.refused", "refused by the proxy", {
    code: "too_many_connections",
    user: 'a"b c',
    n: undefined,
  });
  t.same(text.all, [`${TIME} info login.refused: refused by the proxy code=too_many_connections user="a\\"b c"`]);
  const json = lines("info", "json");
  json.lines.say("login.refused", "refused by the proxy", { code: "x", user: "ann" });
  t.same(JSON.parse(json.all[0]!), {
    time: TIME,
    level: "info",
    event: "login.refused",
    message: "refused by the proxy",
    code: "x",
    user: "ann",
  });
});

t.test("a level has those before it, and can change", async (t) => {
  for (const [level, wanted] of [
    ["error", ["error"]],
    ["warn", ["error", "warn"]],
    ["info", ["error", "warn", "info"]],
    ["debug", ["error", "warn", "info", "debug"]],
  ] as const) {
    const one = lines("error", "text");
    one.lines.options = { level, format: "json" };
    for (const event of Object.keys(EVENTS) as EventName[]) one.lines.say(event, "");
    const told = one.all.map((line) => (JSON.parse(line) as { level: string }).level);
    t.same([...new Set(told)].sort(), [...wanted].sort(), level);
    one.lines.close();
  }
});

t.test("many of a kind are counted instead of written; codes apart, debug and the console whole", async (t) => {
  const one = lines("debug", "text");
  for (let i = 0; i < 500; i += 1) one.lines.say("login.refused", "no", { code: "a" });
  for (let i = 0; i < 3; i += 1) one.lines.say("login.refused", "no", { code: "b" });
  for (let i = 0; i < 100; i += 1) one.lines.say("session.end", "over");
  for (let i = 0; i < 100; i += 1) one.lines.say("console.command", "done");
  t.equal(one.all.length, 10 + 3 + 100 + 100);
  one.lines.close();
  t.equal(one.all.at(-1), `${TIME} info login.refused: last message repeated 490 times code=a`);
  t.equal(one.all.length, 214);
});

t.test("whatever strangers choose, it stays one line that a terminal shows as it is", async () => {
  const anything = fc
    .array(fc.integer({ min: 0, max: 0x10ffff }), { maxLength: 40 })
    .map((all) => String.fromCodePoint(...all));
  fc.assert(
    fc.property(anything, anything, fc.constantFrom("text" as const, "json" as const), (message, user, format) => {
      const one = lines("info", format);
      one.lines.say("notice", message, { user });
      const line = one.all[0]!;
      if (/[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}]/u.test(line)) return false;
      if (format === "text") return true;
      const told = JSON.parse(line) as { message: string; user: string };
      return told.message === message && told.user === user;
    }),
  );
});

t.test("the manual has every event with its level", async (t) => {
  const manual = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const chapter = manual.slice(manual.indexOf("### Lines"), manual.indexOf("### Health"));
  const rows = [...chapter.matchAll(/^\| `([a-z.]+)` \| ([a-z]+) \|/gm)].map(([, event, level]) => [event, level]);
  t.same(rows, Object.entries(EVENTS));
});

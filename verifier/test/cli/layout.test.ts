import t from "tap";
import { escapeJson, fit, printable, printableJson, widthOfText } from "../../cli/printable.ts";
import { layTable } from "../../cli/table.ts";
import { parseTime } from "../../cli/time.ts";

t.test("text that is fit for a terminal", (t) => {
  const cases: [string, string][] = [
    ["plain text, naïve, 日本, é, 👍", "plain text, naïve, 日本, é, 👍"],
    ["a\nb\r\tc", "a\\nb\\r\\tc"],
    ["\u0000\u001b[31m\u007f\u009b", "\\x00\\x1b[31m\\x7f\\x9b"],
    ["\u202eabc\u2066\u200b\ufeff", "\\u{202e}abc\\u{2066}\\u{200b}\\u{feff}"],
    ["\u2028\u2029\ud800\u{e0041}\ue000", "\\u{2028}\\u{2029}\\u{d800}\\u{e0041}\\u{e000}"],
  ];
  for (const [text, expected] of cases) t.equal(printable(text), expected);
  t.end();
});

t.test("JSON keeps its meaning when it is made fit for a terminal", (t) => {
  const value = { "\u202ekey": ["\u009b\u{e0041}\u2028", "line\nend", "\ud800"], n: 1 };
  const json = printableJson(value);
  t.match(json, /^[ -~]*$/);
  t.same(JSON.parse(json), value);
  const laid = escapeJson(JSON.stringify(value, undefined, 2));
  t.same(JSON.parse(laid), value);
  t.equal(laid.split("\n").length, JSON.stringify(value, undefined, 2).split("\n").length);
  t.end();
});

t.test("columns are those of a terminal", (t) => {
  t.equal(widthOfText("abc"), 3);
  t.equal(widthOfText("日本語"), 6);
  t.equal(widthOfText("e\u0301"), 1);
  t.equal(widthOfText("👍"), 2);
  t.equal(fit("abcdef", 6), "abcdef");
  t.equal(fit("abcdefg", 6), "abcde…");
  t.equal(fit("日本語日本語", 6), "日本…");
  t.end();
});

t.test("a table is as wide as it is allowed to be, and no narrower than its columns may get", (t) => {
  const columns = [
    { title: "n", align: "right", least: 20 },
    { title: "name", align: "left", least: 4 },
    { title: "more", align: "left", least: 6 },
  ] as const;
  const rows = [
    ["1", "short", "x"],
    ["1000", "a name that is much longer", "and a text that is also long"],
  ];
  t.same(layTable(columns, rows, 100), [
    "   n  name                        more",
    "   1  short                       x",
    "1000  a name that is much longer  and a text that is also long",
  ]);
  for (const width of [40, 30, 20]) {
    for (const line of layTable(columns, rows, width)) t.ok(widthOfText(line) <= width, `${width}: ${line}`);
  }
  t.equal(layTable(columns, rows, 5)[2], "1000  a n…  and a…");
  t.same(layTable(columns, [], 80), ["n  name  more"]);
  t.end();
});

t.test("points in time", (t) => {
  const cases: [string, string][] = [
    ["2026-11-22", "2026-11-22T00:00:00.000000Z"],
    ["2026-11-22T18:00", "2026-11-22T18:00:00.000000Z"],
    ["2026-11-22 18:00:01", "2026-11-22T18:00:01.000000Z"],
    ["2026-11-22t18:00:01.5z", "2026-11-22T18:00:01.500000Z"],
    ["2026-11-22T18:00:01.123456+05:30", "2026-11-22T12:30:01.123456Z"],
    ["2026-12-31T23:30-01:00", "2027-01-01T00:30:00.000000Z"],
    ["2024-02-29", "2024-02-29T00:00:00.000000Z"],
  ];
  for (const [text, expected] of cases) t.equal(parseTime(text, "--since"), expected);
  const wrong = [
    "",
    "now",
    "22.11.2026",
    "2026-11-22T",
    "2026-13-01",
    "2026-02-29",
    "2026-11-22T24:00",
    "2026-11-22T18:60",
  ];
  wrong.push("2026-11-22T18:00:00.1234567Z", "2026-11-22T18:00+24:00", "9999-12-31T23:00-02:00", "2026-11-22Z");
  for (const text of wrong) t.throws(() => parseTime(text, "--since"), { code: "usage", message: /^--since / }, text);
  t.end();
});

// A file of rules says what is wrong with it, and where; and never more than it means.
import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import t from "tap";
import { parseRules, RULE_KEYS } from "../../src/access/index.ts";
import { rules } from "./help.ts";

const rule = (lines: string): string => `version: 1\nrules:\n  - name: a\n    action: allow\n    ${lines}\n`;

t.test("what is wrong, and where", async (t) => {
  const wrong: [string, string][] = [
    ["", "1:1 the file must be a map"],
    ["[]", "1:1 the file must be a map"],
    ["rules: []", '1:1 "version" must be 1'],
    ["version: 2\nrules: []", '1:10 "version" must be 1'],
    ["version: 1", '1:1 "rules" must be a list'],
    ["version: 1\nrules: x", '2:1 "rules" must be a list'],
    ["version: 1\nrules: []\nrule: []", '3:1 the file has no key "rule"'],
    ["version: 1\nversion: 1\nrules: []", "2:1 YAML: Map keys must be unique"],
    ["version: 1\ntime_zone: Mars/Olympus\nrules: []", '2:12 there is no time zone "Mars/Olympus"'],
    ["version: 1\nuser_schemas: maybe\nrules: []", '2:15 "user_schemas" must be true or false'],
    ["version: 1\ngroups: [a]\nrules: []", '2:9 "groups" must be a map'],
    ["version: 1\ngroups: {a: [1]}\nrules: []", '2:14 the group "a" must be a text: put it in quotes'],
    ["version: 1\nrules:\n  - x", "3:5 a rule must be a map"],
    ["version: 1\nrules:\n  - action: deny", '3:5 a rule must have a "name"'],
    ["version: 1\nrules:\n  - name: a", '3:5 "action" must be one of'],
    ["version: 1\nrules:\n  - {name: a, action: permit}", '3:23 "action" must be one of allow, deny, observe'],
    ["version: 1\nrules:\n  - {name: a b, action: deny}", '3:12 "name" must be'],
    ["version: 1\nrules:\n  - {name: default, action: deny}", '3:12 "default" is what decides'],
    [
      "version: 1\nrules:\n  - {name: a, action: deny}\n  - {name: a, action: deny}",
      '4:5 a rule of the name "a" stands in line 3',
    ],
    [
      "version: 1\nrules:\n  - {name: a, action: deny, limits: {rows: 1}}",
      '3:29 "limits" belong to a rule that allows',
    ],
    [rule("who: {}"), '5:5 "who" is empty'],
    [rule("who: ann"), '5:10 "who" must be a map'],
    [rule("who: {login: ann}"), '5:11 "who" has no key "login"'],
    [rule("who: {user: []}"), '5:17 "user" is an empty list'],
    [rule("who: {user: 5}"), '5:17 "user" must be a text: put it in quotes'],
    [rule("who: {user: a*b*}"), '5:17 "user": "a*b*" is too long, or has more than one *'],
    [rule("who: {auth: [trust, kerberos]}"), '5:25 "auth" has no "kerberos"'],
    [rule("who: {network: 10.0.0.0/33}"), '5:20 "network": "10.0.0.0/33" is neither'],
    [rule("who: {network: '::ffff:10.0.0.0/95'}"), '5:20 "network": "::ffff:10.0.0.0/95" is neither'],
    [rule("who: {network: '::ffff:10.0.0.0/0104'}"), '5:20 "network": "::ffff:10.0.0.0/0104" is neither'],
    [rule("who: {network: example.org}"), '5:20 "network": "example.org" is neither'],
    [rule("what: {class: [read, reads]}"), '5:26 "class" has no "reads"'],
    [rule("what: {reads: orders}"), '5:19 "reads": "orders" is not schema.name'],
    [rule("what: {reads: a.b.c}"), '5:19 "reads": "a.b.c" is not schema.name'],
    [rule("what: {functions: shop.}"), '5:23 "functions": "shop." is not schema.name'],
    [rule("what: {without_where: 1}"), '5:27 "without_where" must be true or false'],
    [rule("when: {hours: 8-18}"), '5:19 "hours": "8-18" are not hours'],
    [rule("when: {hours: 08:00-08:00}"), '5:19 "hours"'],
    [rule("when: {days: monday}"), '5:18 "days": "monday" is not a day'],
    [rule("when: {until: 2027-02-30T00:00:00Z}"), '5:19 "until" must be a time with its zone'],
    [rule("when: {until: 2027-02-01}"), '5:19 "until" must be a time with its zone'],
    [rule("when: {from: 2027-02-02T00:00:00Z, until: 2027-02-01T00:00:00Z}"), '5:40 "until" is not after "from"'],
    [rule("limits: {statements_per_minute: 0}"), '5:37 "statements_per_minute" must be a whole number'],
    [rule("limits: {rows: 1.5}"), '5:20 "rows" must be a whole number'],
    [rule("limits: {bytes: 1 MB}"), '5:21 "bytes" must be a whole number'],
    [rule('hint: "a\\nb"'), '5:11 "hint" must be one line'],
    [rule("what: {reads: *.orders}"), '5:19 "reads": a name that begins with * stands in quotes in YAML: "*.orders"'],
    [
      "version: 1\nrule: []\nrules: []",
      '2:1 the file has no key "rule"; the keys are version, time_zone, user_schemas, groups, rules; did you mean "rules"?',
    ],
    ["version: 1\nrules:\n  - name: a\n   action: deny", "4:1 YAML: Sequence item without - indicator"],
    ["version: 1\nrules: [", "2:9 "],
  ];
  for (const [text, message] of wrong) {
    const read = parseRules(text);
    const [first] = "problems" in read ? read.problems : [];
    const shown = first === undefined ? "nothing" : `${first.line}:${first.column} ${first.message}`;
    t.ok(shown.startsWith(message), `${JSON.stringify(text)}: ${shown}`);
  }
});

t.test("all that is wrong is said at once", async (t) => {
  const read = parseRules(rule("who: {login: a, user: 5}\n    when: {days: x}\n    hnt: y"));
  t.same("problems" in read && read.problems.map(({ line }) => line), [5, 5, 6, 7]);
});

t.test("a file that is in order", async (t) => {
  const set = rules(`version: 1
time_zone: Europe/Amsterdam
user_schemas: true
groups: {a: [ann, bob], b: ann}
rules:
  - name: one
    action: allow
    who: {user: [ann, "b*"], group: a, auth: [trust, "other:10"], network: [10.0.0.0/8, "::1"], application: psql}
    where: {database: shop}
    what: {class: [read, write], reads: ["*.a*"], writes: ['"od.d".t'], functions: pg_catalog.*, without_where: false}
    when: {hours: [08:00-12:00, 22:00-24:00], days: [sat-mon, wed], from: 2026-01-01T00:00Z, until: 2027-01-01T00:00:00+01:00}
    limits: {statements_per_minute: 10, rows: 5, bytes: 4096}
    hint: ask
`);
  t.equal(set.digest.length, 64);
  t.same(
    [...set.groups].map(([user, groups]) => [user, ...groups]),
    [
      ["ann", "a", "b"],
      ["bob", "a"],
    ],
  );
  const [one] = set.rules;
  t.equal(one?.line, 6);
  t.same([...(one?.when?.days ?? [])].sort(), [0, 2, 5, 6]);
  t.same(one?.when?.hours, [
    { from: 480, to: 720 },
    { from: 1320, to: 1440 },
  ]);
  t.equal(one?.when?.until, Date.UTC(2026, 11, 31, 23));
  t.equal(one?.what.writes?.[0]?.schema.text, "od.d");
  t.same(one?.limits, { statementsPerMinute: 10, rows: 5, bytes: 4096 });
});

t.test("whatever is read, it ends, and what is wrong has a place in the text", async () => {
  const word = fc.constantFrom(
    ...Object.values(RULE_KEYS).flat(),
    ..."allow deny any read mon-fri 08:00-18:00 *.a a.b 10.0.0.0/8 1 [ ] { } , : - * & ! | > # ? \" ' \n".split(" "),
    "\n  ",
    "\n    ",
    ": ",
    "- ",
  );
  const text = fc.oneof(
    fc.array(word, { maxLength: 40 }).map((words) => words.join("")),
    fc.string({ unit: "binary" }),
  );
  fc.assert(
    fc.property(text, (some) => {
      const body = `version: 1\nrules:\n  - name: a\n    action: allow\n    ${some}`;
      for (const one of [some, body]) {
        const read = parseRules(one);
        if ("set" in read) continue;
        const lines = one.split("\n").length + 1;
        for (const { line, column, message } of read.problems) {
          if (line < 1 || line > lines || column < 1 || message === "") throw new Error(`${line}:${column} ${message}`);
        }
        if (read.problems.length === 0) throw new Error("nothing is wrong, and it is not read");
      }
    }),
    { numRuns: 500 },
  );
});

t.test("the specification has every key, and the examples are in order", async (t) => {
  const page = readFileSync(new URL("../../../../spec/access.md", import.meta.url), "utf8");
  const keys = [...page.matchAll(/^\| `([a-z_.]+)` \|/gm)].map(([, key]) => key!);
  const { file, rule, ...maps } = RULE_KEYS;
  const inner = Object.entries(maps).flatMap(([map, names]) => names.map((name) => `${map}.${name}`));
  const outer = rule.filter((name) => !(name in maps));
  t.same(keys.sort(), [...file, ...outer, ...inner].sort());
  const folder = new URL("../../../share/rules/", import.meta.url);
  for (const name of readdirSync(folder))
    t.ok(rules(readFileSync(new URL(name, folder), "utf8")).rules.length > 0, name);
  for (const [, example] of page.matchAll(/```yaml\n(.*?)```/gs)) t.ok(rules(example!).rules.length > 0);
});

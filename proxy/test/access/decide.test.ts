// Which rule decides: each condition by itself, the traps of names and of statements, and the examples.
import { readFileSync } from "node:fs";
import t from "tap";
import { Access, parseRules, type RuleSet, SessionAccess } from "../../src/access/index.ts";
import { Rates } from "../../src/access/rates.ts";
import { Analyzer } from "../../src/statements/index.ts";
import { ANN, ask, rules, told } from "./help.ts";

const file = (...list: string[]): RuleSet =>
  rules(
    `version: 1\ngroups: {a: [ann]}\nrules:\n${list.map((rule, i) => `  - {name: r${i + 1}, ${rule}}\n`).join("")}`,
  );

t.test("who, where and when", async (t) => {
  const cases: [string, Parameters<typeof told>[2], boolean][] = [
    ["who: {user: ann}", {}, true],
    ["who: {user: ann}", { user: "anna" }, false],
    ["who: {user: an*n}", { user: "an" }, false],
    ["who: {user: a*}", { user: "anna" }, true],
    ["who: {group: a}", {}, true],
    ["who: {group: [b, c]}", { groups: ["c"] }, true],
    ["who: {group: b}", {}, false],
    ["who: {auth: trust}", {}, false],
    ["who: {auth: [trust, scram-sha-256]}", {}, true],
    ["who: {network: 10.20.0.0/16}", {}, true],
    ["who: {network: 10.20.0.0/16}", { host: "::ffff:10.20.1.2" }, true],
    ["who: {network: '::ffff:10.20.0.0/112'}", { host: "10.20.1.2" }, true],
    ["who: {network: '::ffff:10.20.0.0/112'}", { host: "::ffff:10.20.1.2" }, true],
    ["who: {network: '::FFFF:a14:0/112'}", { host: "10.20.1.2" }, true],
    ["who: {network: '::ffff:10.20.0.0/112'}", { host: "10.21.1.2" }, false],
    ["who: {network: '::ffff:10.20.1.2'}", { host: "10.20.1.2" }, true],
    ["who: {network: '::ffff:0.0.0.0/96'}", { host: "10.20.1.2" }, true],
    ["who: {network: '::ffff:0.0.0.0/96'}", { host: "2001:db8::1" }, false],
    ["who: {network: 10.20.0.0/16}", { host: "10.21.0.1" }, false],
    ["who: {network: 10.20.1.2}", { host: "10.20.1.3" }, false],
    ['who: {network: "2001:db8::/32"}', { host: "2001:db8::7" }, true],
    ['who: {network: "::/0"}', { host: "10.20.1.2" }, false],
    ["who: {network: 0.0.0.0/0}", { host: undefined }, false],
    ["who: {network: 0.0.0.0/0}", { host: "[local]" }, false],
    ["who: {network: local}", { host: "[local]" }, true],
    ["who: {network: local}", { host: "127.0.0.1" }, false],
    ["who: {network: local}", { host: undefined }, false],
    ["who: {network: [local, 127.0.0.1]}", { host: "127.0.0.1" }, true],
    ["who: {application: psql}", { application: "" }, false],
    ["where: {database: [crm, sh*]}", {}, true],
    ["where: {database: crm}", {}, false],
    ["when: {hours: 08:00-18:00}", { at: "2026-11-23T08:00:00Z" }, true],
    ["when: {hours: 08:00-18:00}", { at: "2026-11-23T18:00:00Z" }, false],
    ["when: {hours: 22:00-06:00}", { at: "2026-11-23T05:59:59Z" }, true],
    ["when: {hours: 22:00-06:00}", { at: "2026-11-23T06:00:00Z" }, false],
    ["when: {days: mon-fri}", { at: "2026-11-23T00:00:00Z" }, true],
    ["when: {days: mon-fri}", { at: "2026-11-22T23:59:59Z" }, false],
    ["when: {days: sat-mon}", { at: "2026-11-22T12:00:00Z" }, true],
    ["when: {until: 2026-11-23T00:00:00Z}", { at: "2026-11-22T23:59:59.999Z" }, true],
    ["when: {until: 2026-11-23T00:00:00Z}", { at: "2026-11-23T00:00:00Z" }, false],
    ["when: {from: 2026-11-23T00:00:00+01:00}", { at: "2026-11-22T23:00:00Z" }, true],
    ["when: {from: 2026-11-23T00:00:00+01:00}", { at: "2026-11-22T22:59:59Z" }, false],
  ];
  for (const [condition, asked, fits] of cases) {
    const name = `${condition} ${JSON.stringify(asked)}`;
    t.equal(await told(file(`action: allow, ${condition}`), "SELECT 1", asked), fits ? "r1" : "!default", name);
    t.equal(
      await told(file(`action: deny, ${condition}`, "action: allow"), "SELECT 1", asked),
      fits ? "!r1" : "r2",
      name,
    );
  }
  const zone = rules(
    "version: 1\ntime_zone: America/New_York\nrules:\n  - {name: r1, action: allow, when: {hours: 08:00-09:00, days: sun}}",
  );
  t.equal(await told(zone, "SELECT 1", { at: "2026-11-22T13:30:00Z" }), "r1");
  t.equal(await told(zone, "SELECT 1", { at: "2026-07-05T12:30:00Z" }), "r1", "in summer too");
  t.equal(await told(zone, "SELECT 1", { at: "2026-07-05T13:30:00Z" }), "!default");
});

t.test("what: an allow rule covers all, a deny rule any", async (t) => {
  const reads = file("action: allow, what: {class: [read, session], reads: [shop.*, public.a]}");
  const cards = file("action: deny, what: {reads: [shop.cards]}", "action: allow, what: {class: any}");
  const cases: [RuleSet, string, string][] = [
    [reads, "SELECT * FROM shop.orders", "r1"],
    [reads, "SELECT * FROM shop.orders JOIN hr.pay USING (id)", "!default"],
    [reads, "SELECT * FROM a", "r1"],
    [reads, "SELECT * FROM b", "!default"],
    [reads, "WITH b AS (SELECT 1) SELECT * FROM b", "r1"],
    [reads, 'SELECT * FROM "A"', "!default"],
    [reads, "SELECT * FROM shop.orders FOR UPDATE", "!default"],
    [reads, "SELECT 1; DROP TABLE shop.orders", "r1 !default"],
    [reads, "EXPLAIN DELETE FROM shop.orders", "r1"],
    [reads, "EXPLAIN ANALYZE DELETE FROM shop.orders", "!default"],
    [reads, "SELECT lo_import('/etc/passwd')", "!default"],
    [reads, "SELECT shop.f()", "!default"],
    [reads, "SELECT query_to_xml('delete from t', true, true, '')", "!default"],
    [reads, "BEGIN; SELECT 1; COMMIT; ROLLBACK; SAVEPOINT a", "- r1 - - -"],
    [reads, "PREPARE TRANSACTION 'x'", "r1"],
    [reads, "SELEC", "!default"],
    [reads, "", ""],
    [reads, "DECLARE c CURSOR FOR SELECT * FROM hr.pay", "!default"],
    [reads, "COPY (DELETE FROM shop.orders RETURNING *) TO STDOUT", "!default"],
    [cards, "SELECT * FROM shop.cards", "!r1"],
    [cards, "SELECT 1 WHERE EXISTS (SELECT FROM shop.cards)", "!r1"],
    [cards, "COPY (SELECT * FROM shop.cards) TO STDOUT", "!r1"],
    [cards, "COPY shop.cards TO STDOUT", "!r1"],
    [cards, "COPY shop.cards FROM STDIN", "r2"],
    [cards, "UPDATE shop.cards SET a = 1", "r2"],
    [cards, "UPDATE shop.cards SET a = 1 RETURNING *", "!r1"],
    [cards, "INSERT INTO o SELECT * FROM shop.cards", "!r1"],
    [cards, "TABLE shop.cards", "!r1"],
    [cards, "SELECT * FROM ONLY (shop.cards)", "!r1"],
    [cards, 'SELECT * FROM U&"sh\\006fp".cards', "!r1"],
    [cards, "CREATE VIEW v AS SELECT * FROM shop.cards", "!r1"],
    [cards, "PREPARE p AS SELECT * FROM shop.cards", "!r1"],
    [cards, "SELECT * FROM cards", "r2"],
    [file("action: allow, what: {class: write, writes: [a.*]}"), "INSERT INTO a.t SELECT * FROM b.t", "!default"],
    [
      file("action: allow, what: {class: write, writes: [a.*], reads: [b.*]}"),
      "INSERT INTO a.t SELECT * FROM b.t",
      "r1",
    ],
    [file("action: allow, what: {class: ddl, writes: [a.*]}"), "DROP SCHEMA b", "!default"],
    [file("action: allow, what: {class: ddl, writes: [a.*]}"), "DROP TABLE a.t", "r1"],
    [file("action: allow, what: {class: ddl, writes: [a.*]}"), "DROP TABLE a.t, b.t", "!default"],
    [file("action: allow"), "DO 'x'", "!default"],
    [file("action: allow, what: {class: unknown}"), "DO 'x'", "r1"],
    [file("action: deny, what: {without_where: true}", "action: allow"), "DELETE FROM t", "!r1"],
    [file("action: deny, what: {without_where: true}", "action: allow"), "DELETE FROM t WHERE a", "r2"],
    [
      file("action: deny, what: {without_where: true}", "action: allow"),
      "WITH x AS (UPDATE t SET a = 1) SELECT",
      "!r1",
    ],
    [file("action: deny, what: {without_where: true}", "action: allow"), "EXPLAIN DELETE FROM t", "r2"],
    [file("action: observe, what: {class: read}", "action: allow"), "SELECT 1", "r2"],
    [file("action: observe"), "SELECT 1", "!default"],
  ];
  for (const [set, sql, expected] of cases) t.equal(await told(set, sql), expected, sql);
  const [observed] = await ask(file("action: observe", "action: observe", "action: allow"), "SELECT 1");
  t.equal(observed?.observed, "r1");
});

t.test("functions", async (t) => {
  const set = file("action: allow, what: {class: [read, write, function], functions: [shop.*, pg_catalog.nextval]}");
  const cases: [string, string][] = [
    ["SELECT count(*), lower('A'), now()", "r1"],
    ["SELECT shop.f(lower('A'))", "r1"],
    ["CALL shop.f()", "r1"],
    ["SELECT hr.f()", "!default"],
    ["SELECT f()", "!default"],
    ["SELECT shop.f(hr.g())", "!default"],
    ["SELECT pg_catalog.nextval('s')", "r1"],
    ["SELECT 1 OPERATOR(shop.+) 2", "!default"],
    ["SELECT shop.f() <~~> 1", "!default"],
    ["SELECT * FROM t TABLESAMPLE hr.m(1)", "!default"],
  ];
  for (const [sql, expected] of cases) t.equal(await told(set, sql), expected, sql);
  t.equal(await told(set, "SELECT f()", { path: "shop" }), "!default", "it may be pg_catalog's");
  const sleep = file("action: deny, what: {functions: [pg_catalog.pg_sleep]}", "action: allow, what: {class: any}");
  for (const sql of ["SELECT pg_sleep(1)", "SELECT pg_catalog.pg_sleep(1)", 'SELECT "pg_sleep"(1)']) {
    t.equal(await told(sleep, sql), "!r1", sql);
  }
  t.equal(await told(sleep, "SELECT other.pg_sleep(1)"), "r2");
});

t.test("names without a schema", async (t) => {
  const allow = file("action: allow, what: {class: [read, session, function], reads: [shop.*, b.t, pg_catalog.*]}");
  const deny = file("action: deny, what: {reads: [hr.*]}", "action: allow, what: {class: any}");
  const any = file('action: allow, what: {class: [read, session], reads: ["*.t"]}');
  const cases: [RuleSet, string, string, string][] = [
    [allow, "shop", "SELECT * FROM t", "r1"],
    [allow, "shop, b", "SELECT * FROM t", "r1"],
    [allow, "shop, b", "SELECT * FROM u", "!default"],
    [allow, '"$user", shop', "SELECT * FROM t", "r1"],
    [allow, "SHOP", "SELECT * FROM t", "r1"],
    [allow, '"SHOP"', "SELECT * FROM t", "!default"],
    [allow, "", "SELECT * FROM t", "!default"],
    [allow, '"a', "SELECT * FROM t", "!default"],
    [allow, "shop", "SELECT * FROM pg_class", "r1"],
    [allow, "shop, c", "SELECT * FROM pg_class", "!default"],
    [allow, "shop", "SET search_path = hr; SELECT * FROM t", "r1 !default"],
    [allow, "shop", "SET statement_timeout = 1; SELECT * FROM t", "r1 r1"],
    [allow, "shop", "SELECT set_config('search_path', 'hr', false); SELECT * FROM t", "!default !default"],
    [any, "shop", "SET search_path = hr; SELECT * FROM t", "r1 r1"],
    [deny, "shop", "SELECT * FROM pay", "r2"],
    [deny, "shop, hr", "SELECT * FROM pay", "!r1"],
    [deny, "shop", "SET search_path = hr; SELECT * FROM pay", "r2 !r1"],
    [deny, "shop", "SET LOCAL schema 'hr'; SELECT * FROM pay", "r2 !r1"],
    [deny, "shop", "DO 'x'; SELECT * FROM pay", "r2 !r1"],
    [deny, "shop", "BEGIN; SELECT * FROM pay; COMMIT; SELECT * FROM pay", "- r2 - r2"],
    [deny, "shop", "DISCARD ALL; SELECT * FROM pay", "r2 !r1"],
    [deny, "shop", "RESET ALL; SELECT * FROM pay", "r2 !r1"],
    [deny, "shop", "SET ROLE bob; SELECT * FROM pay", "r2 !r1"],
  ];
  for (const [set, path, sql, expected] of cases) t.equal(await told(set, sql, { path }), expected, `${path}: ${sql}`);
  const users = rules(
    "version: 1\nuser_schemas: true\nrules:\n  - {name: r1, action: allow, what: {reads: [public.*]}}",
  );
  t.equal(await told(users, "SELECT * FROM t", { path: '"$user", public' }), "!default");
  t.equal(await told(users, "SELECT * FROM t", { path: "public" }), "r1");
});

t.test("PREPARE and EXECUTE in one text", async (t) => {
  const set = file("action: allow, what: {class: [read, session], reads: [a.*]}");
  t.equal(await told(set, "PREPARE p AS SELECT * FROM a.t; EXECUTE p"), "r1 r1");
  t.equal(await told(set, "PREPARE p AS DELETE FROM a.t; EXECUTE p"), "!default !default");
  t.equal(await told(set, "EXECUTE p"), "!default");
});

t.test("why: each rule that was passed says its reason", async (t) => {
  const set = file(
    "action: allow, who: {user: bob}",
    "action: allow, what: {reads: [a.*]}",
    "action: deny, what: {reads: [hr.*]}, when: {until: 2020-01-01T00:00:00Z}",
    "action: deny, what: {reads: [hr.*]}",
  );
  const [answer] = await ask(set, "SELECT * FROM hr.pay");
  t.same(
    answer?.passed.map(({ why }) => why),
    ["not user ann", "does not cover read of hr.pay", "not in force at this time"],
  );
  t.equal(answer?.why, 'rule "r4": read of hr.pay');
  t.equal((await ask(set, "SELECT * FROM x.y"))[0]?.why, "no rule allows it: class read, read of x.y");
});

t.test("statements a minute: a minute's worth at once, then evenly; each login by itself", async (t) => {
  const rates = new Rates();
  const take = (user: string, now: number): boolean => rates.take("r", user, 60, now);
  for (let i = 0; i < 60; i++) t.ok(take("ann", 0));
  t.notOk(take("ann", 0));
  t.notOk(take("ann", 999));
  t.ok(take("ann", 1000));
  t.notOk(take("ann", 1000));
  t.ok(take("bob", 1000));
  t.ok(rates.take("other", "ann", 60, 1000));
  let taken = 0;
  for (let now = 2000; now < 122_000; now += 100) if (take("ann", now)) taken += 1;
  t.ok(taken >= 119 && taken <= 121, `${taken}`);
  take("ann", 10_000_000);
  t.equal(rates.size, 1, "what is full again is forgotten");
});

t.test("the same facts are decided once, and again when the rules or the session change", async (t) => {
  const analyzer = await Analyzer.load();
  const [one] = analyzer.analyze(Buffer.from("SELECT * FROM t WHERE a = 1"), "utf8");
  const [two] = analyzer.analyze(Buffer.from("SELECT * FROM t WHERE a = 2"), "utf8");
  t.equal(one!.facts, two!.facts, "texts of one shape share them");
  const access = new Access(file("action: allow, who: {application: psql}, what: {reads: [a.*]}"));
  let application = "psql";
  const session = new SessionAccess(access, () => ({ ...ANN, application }));
  t.notOk(session.decide(one!.facts, true).allowed, "the path was not reported");
  session.searchPath("a");
  const first = session.decide(one!.facts, true);
  t.ok(first.allowed);
  t.equal(session.decide(two!.facts, true), first);
  t.equal(first.members, ',"rule":"r1"');
  session.searchPath("b");
  t.notOk(session.decide(one!.facts, true).allowed);
  session.searchPath("a");
  application = "other";
  session.changed();
  t.notOk(session.decide(one!.facts, true).allowed);
  access.replace(file("action: observe", "action: allow"));
  t.equal(session.decide(one!.facts, true).members, ',"rule":"r2","would_deny":"r1"');
});

t.test("the examples do what they say", async (t) => {
  const example = (name: string): RuleSet => {
    const read = parseRules(readFileSync(new URL(`../../../share/rules/${name}.yaml`, import.meta.url), "utf8"));
    if ("set" in read) return read.set;
    throw new Error(name);
  };
  const analysts = example("read-only-analysts");
  const monday = { database: "warehouse", at: "2026-11-23T09:00:00Z" };
  t.equal(await told(analysts, "SET a.b = 1; SELECT * FROM sales.orders", monday), "analysts-session analysts-read");
  t.equal(await told(analysts, "SELECT * FROM sales.orders", { ...monday, at: "2026-11-22T09:00:00Z" }), "!default");
  t.equal(await told(analysts, "SELECT * FROM sales.orders", { ...monday, at: "2026-11-23T19:30:00Z" }), "!default");
  t.equal(await told(analysts, "SELECT * FROM sales.orders", { ...monday, user: "eve" }), "!default");
  t.equal(await told(analysts, "SELECT * FROM hr.pay", monday), "!default");
  t.equal(await told(analysts, "DELETE FROM sales.orders", monday), "!default");

  const shop = example("application");
  const app = { user: "shop_app", host: "10.30.0.9" };
  t.equal(await told(shop, "UPDATE shop.orders SET a = 1 WHERE b", app), "shop");
  t.equal(await told(shop, "UPDATE shop.orders SET a = 1", app), "!whole-tables");
  t.equal(await told(shop, "INSERT INTO shop.orders VALUES (nextval('shop.s'))", { ...app, path: "shop" }), "!default");
  t.equal(await told(shop, "SELECT shop.place_order(1)", app), "shop");
  t.equal(await told(shop, "SELECT shop.drop_all()", app), "!default");
  t.equal(await told(shop, "SELECT 1", { ...app, host: "10.31.0.1" }), "!default");
  t.equal(await told(shop, "SELECT 1", { ...app, auth: "password" }), "!default");
  t.equal(await told(shop, "DROP TABLE shop.orders", app), "!default");
  t.equal(await told(shop, "DROP TABLE shop.orders", { user: "shop_migrate", host: "10.30.1.7" }), "migrations");

  const onCall = example("on-call");
  const carol = { user: "carol", at: "2026-11-23T01:00:00Z" };
  t.equal(await told(onCall, "DELETE FROM t WHERE a", carol), "incident-2026-118");
  t.equal(await told(onCall, "DELETE FROM t WHERE a", { ...carol, at: "2026-11-23T06:00:00Z" }), "!default");
  t.equal(await told(onCall, "DELETE FROM t WHERE a", { ...carol, user: "bob" }), "!default");
  const [copy] = await ask(onCall, "COPY t TO STDOUT", { user: "bob" });
  t.match(copy, { allowed: true, rule: "engineers-read", observed: "copy-out" });

  const cards = example("card-table");
  t.equal(await told(cards, "SELECT * FROM shop.cards"), "!cards");
  t.equal(await told(cards, "SELECT number FROM shop.cards_2026 c"), "!cards");
  t.equal(await told(cards, "SELECT * FROM cards", { path: "shop" }), "!cards");
  t.equal(await told(cards, "SELECT shop.read_card(1)"), "!default");
  t.equal(await told(cards, "SELECT shop.order_total(1)"), "known-functions");
  t.equal(await told(cards, "INSERT INTO shop.orders VALUES (1)"), "rest");
});

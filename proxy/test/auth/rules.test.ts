import t from "tap";
import { AUTH_METHODS, methodFor, parseAuthRules } from "../../src/auth/rules.ts";

const parse = (value: unknown): ReturnType<typeof parseAuthRules> => parseAuthRules(value, (what) => new Error(what));

t.test("the first rule that fits decides", async (t) => {
  const rules = parse([
    { user: ["deploy", "root"], network: "127.0.0.0/8", method: "relay" },
    { user: "svc-*", method: "certificate" },
    { database: ["shop", "shop_*"], method: "terminate" },
    { network: ["10.0.0.0/8", "fd00::/8"], method: "password" },
  ]);
  const ask = (user: string, database: string, host: string | undefined): string =>
    methodFor(rules, { user, database, host });
  t.equal(ask("deploy", "shop", "127.0.0.1"), "relay");
  t.equal(ask("deploy", "shop", "192.0.2.1"), "terminate");
  t.equal(ask("svc-a", "shop", "127.0.0.1"), "certificate");
  t.equal(ask("ann", "shop_eu", undefined), "terminate");
  t.equal(ask("ann", "hr", "::ffff:10.1.2.3"), "password");
  t.equal(ask("ann", "hr", "fd00::1"), "password");
  t.equal(ask("ann", "hr", undefined), "relay", "a Unix socket is in no network");
  t.equal(ask("ann", "hr", "192.0.2.1"), "relay");
  t.equal(methodFor([], { user: "x", database: "y", host: "::1" }), "relay");
});

t.test("a list that is not in order is refused", async (t) => {
  for (const method of AUTH_METHODS) t.equal(parse([{ method }]).length, 1);
  for (const wrong of [
    "terminate",
    [1],
    [null],
    [[]],
    [{}],
    [{ method: "ident" }],
    [{ method: "terminate", users: "ann" }],
    [{ method: "terminate", user: [] }],
    [{ method: "terminate", user: "" }],
    [{ method: "terminate", user: "a*b*" }],
    [{ method: "terminate", user: 7 }],
    [{ method: "terminate", network: "10.0.0.0/33" }],
    [{ method: "terminate", network: "db.example" }],
  ]) {
    t.throws(() => parse(wrong), JSON.stringify(wrong));
  }
  t.throws(() => parse([{ method: "trust" }, { method: "x" }]), { message: /item 2 has a method of relay, / });
});

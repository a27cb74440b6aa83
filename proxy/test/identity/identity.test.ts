// Who stands behind a login: what is authenticated and what is claimed, from hostile values too.
import fc from "fast-check";
import t from "tap";
import { readComment } from "../../src/identity/comment.ts";
import { Identity, type IdentityRule, parseIdentityRules } from "../../src/identity/index.ts";
import { B, F, Stage } from "../session/stage.ts";

const read = (sql: string): object => Object.fromEntries(readComment(Buffer.from(sql)));
const wrong = (wanted: string): Error => new Error(wanted);

const RULES: readonly IdentityRule[] = [
  { from: "login", pattern: "^app_(?<user>.+)$" },
  { from: "certificate", pattern: undefined },
  { from: "comment", key: "user", pattern: undefined },
  { from: "application_name", pattern: "^(?<user>[^@]+)@" },
  { from: "traceparent" },
];
const identity = new Identity(RULES);
const claimed = (application: string | undefined, sql?: string): unknown => {
  const text = identity.claimed(application, sql === undefined ? undefined : Buffer.from(sql));
  return text === "" ? undefined : (JSON.parse(`{${text.slice(1)}}`) as { claimed: unknown }).claimed;
};

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";

t.test("comments in the form of sqlcommenter, at the beginning or the end", async (t) => {
  const pairs = { user: "ann@example.org", route: "/polls 1000", note: "it's" };
  const text = "/*user='ann%40example.org', route='%2Fpolls%201000',note='it\\'s'*/";
  t.same(read(`${text} SELECT 1`), pairs);
  t.same(read(` \n${text}SELECT 1`), pairs);
  t.same(read(`SELECT 1 ${text}`), pairs);
  t.same(read(`SELECT 1 ${text} ; `), pairs);
  t.same(read(`/*user='first'*/ SELECT 1 /*user='last'*/`), { user: "first" });
  t.same(read("/*user='a',user='b'*/"), { user: "a" });
});

t.test("comments that say nothing", async (t) => {
  const nothing = [
    ...[
      "",
      "/*",
      "*/",
      "/**/",
      "/*/",
      "SELECT 1",
      "/* user */ SELECT 1",
      "/*user=ann*/",
      "/*user='ann*/",
      "--user='ann'",
    ],
    ...["/*a /*user='ann'*/ */ SELECT 1", "/*user='%zz'*/", "/*user='ann' or more*/", "SELECT '/*user=''ann''*/'"],
    ...["SELECT /*user='ann'*/ 1", `/*${" ".repeat(5000)}user='ann'*/`, `SELECT /*user='ann'${" ".repeat(5000)}*/`],
  ];
  for (const sql of nothing) t.same(read(sql), {}, sql.slice(0, 60));
  t.same([...readComment(Buffer.from([0x2f, 0x2a, 0x61, 0x3d, 0x27, 0xff, 0x27, 0x2a, 0x2f]))], [], "not UTF-8");
  const large = Buffer.alloc(1 << 20, "/*user='x'");
  const before = process.cpuUsage();
  t.equal(readComment(large).size, 0);
  t.ok(process.cpuUsage(before).user < 500_000, "a megabyte is not searched");
});

t.test("any bytes: never throws, and says only what has the form", async () => {
  const piece = fc.constantFrom("/*", "*/", "'", "=", ",", "\\", "%4", "%41", "user", " ", ";", "é", "\0");
  fc.assert(
    fc.property(fc.array(fc.oneof(piece, fc.string({ maxLength: 3 })), { maxLength: 30 }), (parts) => {
      for (const [key] of readComment(Buffer.from(parts.join("")))) if (key === "") return false;
      return true;
    }),
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => readComment(bytes).size >= 0));
  const text = fc.string({ unit: "binary", minLength: 1, maxLength: 40 }).filter((one) => !/\p{Cs}/u.test(one));
  const encoded = (one: string): string => encodeURIComponent(one).replaceAll("'", "\\'");
  fc.assert(
    fc.property(text, text, (key, value) => {
      const said = readComment(Buffer.from(`/*${encoded(key)}='${encoded(value)}'*/SELECT 1`));
      // Stars and such stand as themselves, and may end the comment early.
      return /[*'=,]/.test(key + value) || key.length > 20 || said.get(key) === value;
    }),
  );
});

t.test("what is claimed, by the first source that tells", async (t) => {
  t.equal(claimed(undefined), undefined);
  t.equal(claimed("psql", "SELECT 1"), undefined);
  t.same(claimed("ann@psql"), { user: { name: "ann", from: "application_name" } });
  t.same(claimed("ann@psql", "/*user='bob'*/ SELECT 1"), { user: { name: "bob", from: "comment" } });
  const traced = (traceparent: string): unknown => claimed(undefined, `SELECT 1 /*traceparent='${traceparent}'*/`);
  t.same(traced(`00-${TRACE}-${SPAN}-01`), { trace: { id: TRACE, span: SPAN } });
  t.same(traced(`01-${TRACE}-${SPAN}-01-more`), { trace: { id: TRACE, span: SPAN } });
  for (const bad of [
    `00-${TRACE}-${SPAN}-01-more`,
    `ff-${TRACE}-${SPAN}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${"0".repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${"0".repeat(16)}-01`,
    `00-${TRACE}-${SPAN}`,
  ])
    t.equal(traced(bad), undefined, bad);
});

t.test("a name that cannot be one is none", async (t) => {
  for (const name of ["a%00b", "a%0ab", "%1b%5b31m", "%c2%85", "x".repeat(257), "%C3%A9".repeat(129)])
    t.equal(claimed(undefined, `/*user='${name}'*/`), undefined, name.slice(0, 20));
  t.same(claimed(undefined, `/*user='${"x".repeat(256)}'*/`), { user: { name: "x".repeat(256), from: "comment" } });
  t.same(claimed(undefined, `/*user='%22%5C'*/`), { user: { name: '"\\', from: "comment" } });
});

t.test("what is authenticated, by the first source that tells", async (t) => {
  t.equal(identity.authenticated({ login: "app_ann", certificate: ["bob"] }), "ann");
  t.equal(identity.authenticated({ login: "alice", certificate: ["bob"] }), "bob");
  t.equal(identity.authenticated({ login: "alice", certificate: [] }), undefined);
  t.equal(new Identity([]).authenticated({ login: "app_ann", certificate: ["bob"] }), undefined);
});

t.test("entries have the one and the other, and never mixed", async (t) => {
  const stage = new Stage({ user: "app_ann", parameters: { application_name: "eve@x" }, identity });
  stage.client(
    F.query("/*user='one'*/ SELECT 1; /*user='two'*/ SELECT 2; SELECT 0; SELECT 2 /*user='mal'*/;"),
    F.parse("/*user='p'*/ SELECT 3"),
  );
  stage.server(...Array.from({ length: 4 }, () => B.complete("SELECT 1")), B.ready(), B.parsed());
  stage.client(F.bind(), F.execute(), F.functionCall(1));
  stage.server(B.bound(), B.complete("SELECT 1"), B.functionResult("x"), B.ready());
  stage.server(B.status("client_encoding", "LATIN1"));
  stage.client(F.query("/*user='q'*/ SELECT 4")).server(B.complete("SELECT 1"), B.ready());
  stage.end();
  for (const { kind, actor } of stage.spool.entries) {
    t.same(actor, { login: "app_ann", auth: "trust", identity: "ann" }, kind);
  }
  const said = stage.spool.statements().map((entry) => (entry.claimed as { user: { name: string } }).user.name);
  t.same(
    said,
    ["one", "two", "eve", "mal", "p", "eve", "eve"],
    "each statement by its own text, then by the application's name",
  );
});

t.test("the names in a certificate, the subject's first", async (t) => {
  const rules: IdentityRule[] = [{ from: "certificate", pattern: "^(?<user>[^@]+)@example\\.org$" }];
  const actor = (commonName: string | undefined, alternatives: string[]): unknown => {
    const stage = new Stage({ loggedIn: false, identity: new Identity(rules) });
    const names = { commonName, alternatives, dns: [], ips: [] };
    stage.session.encryption = { certificate: { digest: "0".repeat(64), names }, endPoint: undefined };
    stage.server(B.auth(0), B.ready());
    return (stage.spool.entries[0]!.actor as { identity?: string }).identity;
  };
  t.equal(actor("ann@example.org", ["bob@example.org"]), "ann");
  t.equal(actor("ann", ["dns.example", "bob@example.org"]), "bob");
  t.equal(actor(undefined, ["bob@other.example"]), undefined);
});

t.test("the configuration", async (t) => {
  const good = parseIdentityRules(
    [{ from: "login", pattern: "(?<user>.)" }, { from: "comment", key: "u" }, { from: "traceparent" }],
    wrong,
  );
  t.equal(good.length, 3);
  const cases: [unknown, RegExp][] = [
    ["login", /a list of at most 32 sources/],
    [Array(33).fill({ from: "login" }), /at most 32/],
    [["login"], /the 1\. is not a map/],
    [[{}], /needs "from": one of login, certificate/],
    [[{ from: "oracle" }], /needs "from"/],
    [[{ from: "login", patern: "x" }], /has a key "patern", which there is not/],
    [[{ from: "login", key: "x" }], /has a "key", which is for comments/],
    [[{ from: "comment" }], /needs "key"/],
    [[{ from: "traceparent", pattern: "x" }], /has a form of its own/],
    [[{ from: "login", pattern: 1 }], /that is not a text/],
    [[{ from: "login" }, { from: "login", pattern: "(" }], /the 2\. has a "pattern" that is no regular expression/],
    [[{ from: "login", pattern: "^(.*)$" }], /without a group \(\?<user>…\)/],
  ];
  for (const [value, message] of cases) t.throws(() => parseIdentityRules(value, wrong), message);
});

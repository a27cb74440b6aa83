import path from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { vitrine } from "../run.ts";

const cards = fileURLToPath(new URL("../../../../proxy/share/rules/card-table.yaml", import.meta.url));

t.test("check: a file in order, and one that is not", async (t) => {
  const good = await vitrine(["proxy", "rules", "check", cards]);
  t.equal(good.status, 0);
  t.match(good.stdout, /card-table\.yaml: 3 rules, SHA-256 [0-9a-f]{64}\n$/);
  const dir = t.testdir({ "bad.yaml": 'version: 1\nrules:\n  - {name: "\\e[2J", action: x}\n' });
  const bad = await vitrine(["proxy", "rules", "check", "bad.yaml", cards], dir);
  t.equal(bad.status, 64);
  t.match(
    bad.stderr,
    /^bad\.yaml:3:12: "name" must be .*\nbad\.yaml:3:\d+: "action" must be .*\nvitrine: bad_config: there are 2 errors.*\n$/,
  );
  const json = await vitrine(["proxy", "rules", "check", "--json", "bad.yaml"], dir);
  t.match(JSON.parse(json.stdout), { file: "bad.yaml", problems: [{ line: 3, column: 12 }, { line: 3 }] });
  const none = await vitrine(["proxy", "rules", "check", path.join(dir, "none.yaml")]);
  t.match(none, { status: 64, stderr: /^vitrine: bad_config: the rules cannot be read: .*none\.yaml.*\n$/ });
});

t.test("check: what is in order and hardly meant so is a note, and no error", async (t) => {
  const dir = t.testdir({
    "notes.yaml":
      "version: 1\nrules:\n  - {name: a, action: allow, who: {group: gests}}\n  - {name: b, action: deny}\n",
    "near.yaml": "version: 1\nrules:\n  - {name: a, action: alow, what: {reads: *.cards}}\n",
  });
  const { stdout, stderr } = await vitrine(["proxy", "rules", "check", "notes.yaml", "near.yaml"], dir);
  t.match(stdout, /^notes\.yaml: 2 rules, SHA-256 [0-9a-f]{64}\nnotes\.yaml:3: note: rule "a" is about .*"gests".*\n$/);
  t.match(stderr, /did you mean "allow"\?\n.*"reads": a name that begins with \* stands in quotes/);
  const json = await vitrine(["proxy", "rules", "check", "--json", "notes.yaml"], dir);
  t.equal(json.status, 0);
  t.match(JSON.parse(json.stdout), { rules: 2, notes: [{ line: 3, message: /gests/ }] });
});

t.test("test: what else a client reads, what is limited, and why a text is unknown", async (t) => {
  const dir = t.testdir({
    "rules.yaml": `version: 1
rules:
  - {name: no, action: deny, what: {reads: ["*.cards"]}, hint: ask the payment service}
  - {name: trial, action: observe, what: {class: read}}
  - {name: few, action: allow, what: {class: read}, limits: {rows: 5, bytes: 1000, statements_per_minute: 9}}
`,
  });
  const ask = (sql: string): ReturnType<typeof vitrine> =>
    vitrine(["proxy", "rules", "test", "rules.yaml", "--user", "ann", "--sql", sql], dir);
  const { stdout } = await ask("SELECT 1; TABLE cards; DO 'x'");
  t.match(stdout, /\n {2}line 4, trial: would deny this, but only observes\n/);
  t.match(stdout, /allowed: rule "few", up to 5 rows, 1000 bytes, 9 statements a minute\n/);
  t.match(stdout, /denied: rule "no": .*\n {2}hint to the client: ask the payment service\n/);
  t.match(stdout, /DO, class unknown: what it executes is not in the text\n/);
  t.match((await ask("SELEC")).stdout, /UNKNOWN, class unknown: PostgreSQL's grammar rejects the text\n/);
});

t.test("test: which rule, why, and the status", async (t) => {
  const ask = (...more: string[]): ReturnType<typeof vitrine> =>
    vitrine(["proxy", "rules", "test", cards, "--user", "ann", ...more]);
  const denied = await ask("--sql", "SELECT 1; SELECT '\u001b[2J' FROM shop.cards");
  t.equal(denied.status, 2);
  t.notOk(denied.stdout.includes("\u001b"), "nothing of the text reaches the terminal as it is");
  t.match(denied.stdout, /allowed: rule "rest"\n/);
  t.match(
    denied.stdout,
    /denied: rule "cards": read of shop\.cards\n {2}hint to the client: .*\nsent as one text, none/,
  );
  const allowed = await ask("--sql", "SELECT * FROM cards", "--search-path", "public", "--json");
  t.equal(allowed.status, 0);
  t.match(JSON.parse(allowed.stdout), {
    allowed: true,
    statements: [{ rule: "rest", passed: [{ rule: "cards" }, {}] }],
  });
  t.equal((await ask("--sql", "SELECT * FROM cards", "--search-path", "shop")).status, 2);
  for (const wrong of [["--sql", "x", "--at", "noon"], [], ["--sql", "x", "more.yaml"]]) {
    t.match(await ask(...wrong), { status: 64, stderr: /^vitrine: usage: .*\n$/ });
  }
  for (const address of ["300.1.1.1", "10.0.0.0/8", "local"])
    t.match(await vitrine(["proxy", "rules", "test", cards, "--user", "a", "--sql", "b", "--address", address]), {
      status: 64,
      stderr: /^vitrine: usage: --address "[^"]+" is not an IP address; see vitrine proxy rules --help\n$/,
    });
  const dir = t.testdir({ "latin-1.yaml": Buffer.from("version: 1 # \xe9\n", "latin1") });
  const file = path.join(dir, "latin-1.yaml");
  for (const args of [
    ["check", file],
    ["test", file, "--user", "a", "--sql", "b"],
  ])
    t.match(await vitrine(["proxy", "rules", ...args]), {
      status: 64,
      stderr: /^vitrine: bad_config: .*latin-1\.yaml: the file is not UTF-8\n$/,
    });
  t.match(await vitrine(["proxy", "rules"]), { status: 64, stderr: /check FILE, or test FILE/ });
});

import path from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { vitrine } from "./run.ts";

const cards = fileURLToPath(new URL("../../../proxy/share/rules/card-table.yaml", import.meta.url));

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

t.test("test: which rule, why, and the status", async (t) => {
  const ask = (...more: string[]): ReturnType<typeof vitrine> =>
    vitrine(["proxy", "rules", "test", cards, "--user", "ann", ...more]);
  const denied = await ask("--sql", "SELECT 1; SELECT '\u001b[2J' FROM shop.cards");
  t.equal(denied.status, 2);
  t.notOk(denied.stdout.includes("\u001b"), "nothing of the text reaches the terminal as it is");
  t.match(denied.stdout, /allowed: rule "rest"\n/);
  t.match(denied.stdout, /denied: rule "cards": read of shop\.cards\nsent as one text, none/);
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
  t.match(await vitrine(["proxy", "rules"]), { status: 64, stderr: /check FILE, or test FILE/ });
});

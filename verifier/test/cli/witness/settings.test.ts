import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { Allowance } from "../../../cli/witness/rate.ts";
import { parseConfig, readSettings } from "../../../cli/witness/settings.ts";
import { stateFolder } from "./support/start.ts";

t.test("the command line goes before the file, and logs of both count", async (t) => {
  const folder = stateFolder(t);
  const config = join(folder, "witness.conf");
  writeFileSync(
    config,
    "# a witness\n\nlisten [::1]:80\nname\twitness.example/w1 \nstate st\nkey /k/witness.key\nlog A\nlog B\n" +
      "logs list\nlogs /l/list\nprefix /w1/x/\nurl https://witness.example/w1/\n",
  );
  t.same(await readSettings({ config }), {
    host: "::1",
    port: 80,
    name: "witness.example/w1",
    state: join(folder, "st"),
    key: "/k/witness.key",
    log: ["A", "B"],
    logs: [join(folder, "list"), "/l/list"],
    prefix: "/w1/x",
    url: "https://witness.example/w1",
  });
  const flags = { listen: "0.0.0.0:8080", name: "n", state: "s", log: ["C"], logs: ["more"], prefix: "/", key: "k" };
  t.match(await readSettings({ config, ...flags }), {
    host: "0.0.0.0",
    port: 8080,
    name: "n",
    state: "s",
    key: "k",
    log: ["A", "B", "C"],
    logs: [join(folder, "list"), "/l/list", "more"],
    prefix: "",
  });
  const none = await readSettings({});
  t.match(none, { host: "127.0.0.1", port: 7380, name: undefined, log: [], logs: [], prefix: "", url: undefined });
  t.match(none.state, /vitrine-verifier\/witness$/);
  t.equal(none.key, join(none.state, "witness.key"));
});

t.test("settings that are wrong say what is", async (t) => {
  const config =
    (text: string): (() => unknown) =>
    () =>
      parseConfig(text, "witness.conf");
  t.throws(config("listen 127.0.0.1:1\nfresh\n"), {
    code: "usage",
    message: /^witness.conf, line 2: there is no key fresh; the keys are listen,/,
  });
  t.throws(config("name\n"), { message: /line 1: name has no value/ });
  t.throws(config("name a\nname b\n"), { message: /line 2: name stands in the file twice/ });
  t.throws(config("\u001b[31m x\n"), { message: /no key \\x1b\[31m;/ });
  t.throws(config("na\u2028me\n"), { code: "usage" });
  t.throws(config("\u007fELF\u0002 \u0000\u2029x\u2028\n"), { code: "usage", message: /line 1: there is no key/ });
  t.throws(config("__proto__ x\n"), { message: /no key __proto__/ });
  for (const listen of ["7380", ":7380", "a:b", "a:65536", "::1:80", "[::1]", "a:1:2", "[x]:1", "a:"])
    await t.rejects(readSettings({ listen }), { code: "usage", message: /^--listen is not HOST:PORT/ }, listen);
  for (const prefix of ["w1", "//", "/w1?", "/a b", "/%20", "/w\u0000"])
    await t.rejects(readSettings({ prefix }), { code: "usage", message: /^--prefix is not a path/ }, prefix);
  for (const url of ["witness.example", "https://", "https://a b", "ftp://a", "https://a\u202e"])
    await t.rejects(readSettings({ url }), { code: "usage", message: /^--url/ }, url);
});

t.test("requests a day come evenly, and add up to an hour's share, at least ten", async (t) => {
  const day = 86_400_000;
  const taken = (allowance: Allowance, at: number): number => {
    let n = 0;
    while (n < 1e6 && allowance.take(at, true) === 0) n++;
    return n;
  };
  const few = new Allowance(24, 5);
  t.equal(taken(few, 5), 10);
  t.equal(few.take(5, true), 3600, "one an hour");
  t.equal(few.take(5 + 1_800_000, true), 1800);
  t.equal(few.take(5 + 3_600_000, true), 0);
  t.equal(few.take(5 + 3_600_000, true), 3600);
  t.equal(taken(few, 10 * day), 10);
  const many = new Allowance(86_400, 0);
  t.equal(taken(many, 0), 3600);
  t.equal(many.take(0, true), 1);
  t.equal(taken(many, 5000), 5);
  t.equal(taken(many, day), 3600);
  // Over a day of asking all the time: what was agreed on, and the share that had added up before.
  const steady = new Allowance(1000, 0);
  let n = 0;
  for (let at = 0; at <= day; at += 10_000) n += taken(steady, at);
  t.ok(n === 1000 + 42 || n === 1000 + 41, String(n));
});

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createKey, readLogServerConfig, startLogServer } from "@vitrine/log-server";
import t from "tap";
import { readCommandLine } from "../src/args/command-line.ts";
import { vitrine } from "./run.ts";

/** An entry, once a checkpoint covers it. */
async function entryAt(url: string, index: number): Promise<unknown> {
  for (;;) {
    const answer = await fetch(`${url}/ct/v1/get-entries?start=${index}&end=${index}`);
    if (answer.status === 200) {
      const { entries } = (await answer.json()) as { entries: { leaf_input: string }[] };
      return JSON.parse(Buffer.from(entries[0]!.leaf_input, "base64").toString("utf8"));
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

t.test("sources and erasures, at a log that runs", async (t) => {
  const dir = t.testdir({});
  const file = (name: string, text: string): string => {
    writeFileSync(path.join(dir, name), `${text}\n`, { mode: 0o600 });
    return path.join(dir, name);
  };
  const { skey } = createKey("log.example/orders");
  file("log.key", skey);
  const digest = (token: string): string => createHash("sha256").update(token).digest("hex");
  file("tokens", `${digest("root")} admin - root\n${digest("ada")} auditor - ada`);
  const config = file("log.yaml", "listen: 127.0.0.1:0\norigin: log.example/orders\nsources: []\ntokens: tokens");
  const log = await startLogServer(await readLogServerConfig(config), { log: () => {} });
  t.teardown(() => log.close());
  const who = ["--log", log.url, "--token-file", file("root", "root"), "--reason", "test"];
  const { vkey } = createKey("proxy.example/\u202e");
  const registered = await vitrine(["log", "source", "register", vkey, ...who]);
  t.match(registered, { status: 0, stderr: "", stdout: /^proxy\.example\/\\u\{202e\} is registered with the key / });
  t.match(await vitrine(["log", "source", "register", "x", ...who]), {
    status: 1,
    stderr: /^vitrine: log_refused: .*400, bad_parameter: vkey: [^\n]+\n$/,
  });
  t.match(await vitrine(["log", "source", "retire", "proxy.example/\u202e", ...who]), {
    status: 0,
    stdout: /is retired/,
  });
  t.match(await vitrine(["log", "source", "retire", "none", ...who]), { status: 1, stderr: /not_found/ });
  const erased = await vitrine(["log", "erase", ...who, "--login", "alice"]);
  t.match(erased, {
    status: 0,
    stdout: /^The erasure is ordered by entry \d+,.*\nErased: 0 sealed values, of 0 entries\.\n$/,
  });
  // The fourth after the log's own start, but that a seal by the clock may stand before it.
  const index = Number(/entry (\d+),/.exec(erased.stdout)?.[1]);
  t.ok(index >= 4);
  t.match(await entryAt(log.url, index), { kind: "erasure.ordered", scope: { login: "alice" } });
  const auditor = ["--log", log.url, "--token-file", file("ada", "ada"), "--reason", "test"];
  t.match(await vitrine(["log", "erase", ...auditor, "--index", "0"]), { status: 1, stderr: /403, forbidden/ });
  t.equal(readFileSync(path.join(dir, "acts.key"), "utf8").startsWith("PRIVATE+KEY+log.example/orders/acts+"), true);
  t.notMatch(JSON.stringify([registered, erased]), /root/);
});

t.test("a wrong command line is one line", async (t) => {
  const token = path.join(t.testdir({ token: "abc" }), "token");
  const who = ["--log", "http://127.0.0.1:1", "--token-file", token, "--reason", "x"];
  const wrong: [string[], RegExp][] = [
    [["source"], /expected vitrine log source register VKEY/],
    [["source", "register"], /expected/],
    [["source", "rename", "x", ...who], /expected/],
    [["source", "retire", "a", "b", ...who], /expected/],
    [["source", "retire", "a"], /--log URL is missing/],
    [["source", "retire", "a", "--log", "http://x"], /--token-file FILE is missing/],
    [["source", "retire", "a", "--log", "http://x", "--token-file", token], /--reason TEXT is missing/],
    [["erase", ...who], /exactly one of/],
    [["erase", ...who, "--index", "1", "--login", "a"], /exactly one of/],
    [["erase", ...who, "--index", "01"], /--index "01"/],
    [["erase", ...who, "--login", ""], /--login ROLE is empty/],
    [["erase", ...who, "--before", "soon"], /"soon" is not a time/],
  ];
  for (const [args, message] of wrong) {
    try {
      readCommandLine(["log", ...args]);
      t.fail(`accepted: ${args.join(" ")}`);
    } catch (error) {
      t.match(error, { code: "usage", message }, args.join(" "));
    }
  }
});

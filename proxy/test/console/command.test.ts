import fc from "fast-check";
import t from "tap";
import { parseCommand } from "../../src/console/command.ts";
import { SHOWN } from "../../src/console/shown.ts";
import { ProxyError } from "../../src/errors.ts";

t.test("what can be said", async (t) => {
  const act = (what: object): object => ({ kind: "act", act: what });
  const said: [string, object | undefined][] = [
    ["", undefined],
    [" ; ", undefined],
    ["-- nothing\n", undefined],
    ["show pools", { kind: "show", what: "pools" }],
    ["/* by hand */ SHOW Stats_Totals ;", { kind: "show", what: "stats_totals" }],
    ["PAUSE", act({ kind: "pause", database: undefined })],
    ["pause Shop;", act({ kind: "pause", database: "shop" })],
    ['resume "My ""Shop"""', act({ kind: "resume", database: 'My "Shop"' })],
    ["reconnect läden", act({ kind: "reconnect", database: "läden" })],
    ["KILL shop", act({ kind: "kill", database: "shop" })],
    ["kill_client 3.17", act({ kind: "kill_client", session: "3.17" })],
    ["KILL_CLIENT 3.17 2;", act({ kind: "kill_client", session: "3.17", worker: 2 })],
    ["reload", act({ kind: "reload" })],
    ["shutdown", act({ kind: "shutdown", wait: "none" })],
    ["shutdown wait_for_servers", act({ kind: "shutdown", wait: "servers" })],
    ["SHUTDOWN WAIT_FOR_CLIENTS", act({ kind: "shutdown", wait: "clients" })],
    ["SET extra_float_digits = 3", { kind: "ignored", tag: "SET" }],
    ["DISCARD ALL", { kind: "ignored", tag: "DISCARD" }],
  ];
  for (const [text, command] of said) t.same(parseCommand(text), command, text);
});

t.test("what cannot", async (t) => {
  const wrong = [
    "SHOW",
    "SHOW passwords",
    "SHOW __proto__",
    "SHOW constructor",
    'SHOW "pools"',
    "SHOW pools; SHOW clients",
    "SET x = 1; SHUTDOWN",
    "PAUSE a b",
    "PAUSE 'a'",
    'PAUSE ""',
    "KILL",
    "KILL_CLIENT",
    "KILL_CLIENT 3",
    "KILL_CLIENT 3.1 3.2",
    "KILL_CLIENT 3.1 0",
    "KILL_CLIENT 3.1 2 3",
    "KILL_CLIENT 3.1 'x'",
    "RELOAD now",
    "SHUTDOWN wait_for_godot",
    "SELECT 1",
    "vitrine.denied",
    "/* PAUSE",
    '"pause',
  ];
  for (const text of wrong) {
    try {
      parseCommand(text);
      t.fail(text);
    } catch (error) {
      t.match(error, { code: "console_syntax", message: /SHOW HELP lists the commands$/ }, text);
    }
  }
});

t.test("whatever is said, it is a command or an error of ours, and the same in capitals", async () => {
  const word = fc.constantFrom(
    "show",
    "pause",
    "kill",
    "shutdown",
    "wait_for_clients",
    "shop",
    '"a b"',
    "1.2",
    ";",
    ...SHOWN,
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(fc.oneof(word, fc.string({ maxLength: 4 })), { maxLength: 5 }).map((all) => all.join(" ")),
  );
  const outcome = (said: string): string => {
    try {
      return JSON.stringify(parseCommand(said) ?? null);
    } catch (error) {
      if (error instanceof ProxyError && error.code === "console_syntax") return "error";
      throw error;
    }
  };
  fc.assert(
    fc.property(text, (said) => {
      const told = outcome(said);
      return /[^a-z ._;0-9]/.test(said) || outcome(said.toUpperCase()) === told;
    }),
    { numRuns: 500 },
  );
});

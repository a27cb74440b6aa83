// What is said of a statement's text is never too little: thousands of generated ones against what the server did.
import { readFileSync } from "node:fs";
import t, { type Test } from "tap";
import { Analyzer, CLASSES, type Statement } from "../../src/statements/index.ts";
import { judge } from "../statements/oracle/judge.ts";
import { startServer } from "../statements/oracle/server.ts";
import { Witness } from "../statements/oracle/witness.ts";
import { builtinCalls } from "../statements/world/builtins.ts";
import { CALLS } from "../statements/world/calls.ts";
import { DEFINITIONS } from "../statements/world/definitions.ts";
import { READS } from "../statements/world/reads.ts";
import type { Run } from "../statements/world/run.ts";
import { SESSION, WORLD } from "../statements/world/schema.ts";
import { type Tried, tryAll } from "../statements/world/tried.ts";
import { UNSEEN } from "../statements/world/unseen.ts";
import { WRITES } from "../statements/world/writes.ts";

const analyzer = await Analyzer.load();
const server = await startServer({ settings: ["max_locks_per_transaction=256"] });

t.test(
  "the server's own account",
  { skip: typeof server === "string" ? server : false, timeout: 600_000 },
  async (t) => {
    if (typeof server === "string") return;
    t.teardown(() => server.stop());
    const witness = await Witness.create(server.socket, WORLD, SESSION);
    t.teardown(() => witness.end());
    let total = 0;

    /** @param least how many of the list must have run, so that nothing passes for want of a table */
    const hold = async (t: Pick<Test, "same" | "ok">, runs: readonly Run[], least: number): Promise<Tried> => {
      const tried = await tryAll(analyzer, witness, runs);
      t.same(
        [...tried.wrong],
        [],
        `${tried.ran} of ${runs.length} ran, and nothing was too little; ${tried.incomplete} are incomplete`,
      );
      t.ok(tried.ran >= least, `at least ${least}`);
      total += tried.ran;
      return tried;
    };

    await t.test("reads, in every clause and of every kind of relation", async (t) => {
      const { incomplete, pairs } = await hold(t, READS, 2100);
      t.equal(incomplete, 0, "and all of them can be told from the text");
      sensitive(t, pairs);
    });

    await t.test("writes and locks, wherever they may stand", async (t) => {
      const { incomplete, pairs } = await hold(t, WRITES, 1950);
      t.equal(incomplete, 0);
      sensitive(t, pairs);
    });

    await t.test("definitions", async (t) => {
      await hold(t, DEFINITIONS, 600);
    });

    await t.test("calls, operators, casts, settings, strings that are executed", async (t) => {
      await hold(t, CALLS, 2300);
    });

    await t.test("each function of PostgreSQL's that is taken to be without effect", async (t) => {
      const { incomplete } = await hold(t, await builtinCalls(witness.client), 2000);
      t.ok(incomplete < 100, `${incomplete} are for an array type by its own name, or for a sequence by number`);
    });

    await t.test("the same text in other clothes", async (t) => {
      const plain = [...READS, ...WRITES].filter(({ sql }) => /^[\w *().,=<>+]+$/.test(sql) && !sql.includes("COPY"));
      const dressed = plain.map((run, i) => ({ ...run, sql: dress(run.sql, i) }));
      const differ = dressed.filter(({ sql }, i) => {
        const [before, after] = [plain[i]!.sql, sql].map((text) => analyzer.analyze(Buffer.from(text), "utf8"));
        return before!.length !== 1 || after!.length !== 1 || before![0]!.members !== after![0]!.members;
      });
      // libpg_query looks one token ahead to tell WITH from WITH ORDINALITY, and takes a comment for that token.
      t.same(
        differ.filter(
          ({ sql }) => !/ordinality/i.test(sql) || analyzer.analyze(Buffer.from(sql), "utf8")[0]?.complete !== false,
        ),
        [],
        `${dressed.length} texts`,
      );
      await hold(
        t,
        dressed.filter((_, i) => i % 20 === 0),
        100,
      );
    });

    await t.test("what a text does not tell is what the manual says", async (t) => {
      for (const [name, { sql, before }] of UNSEEN) {
        const [said] = analyzer.analyze(Buffer.from(sql), "utf8");
        const seen = await witness.run(sql, before);
        t.equal(seen.error, undefined, name);
        const names = new Set(said?.relations.map((relation) => `${relation.schema ?? "public"}.${relation.name}`));
        t.ok(
          seen.functions.length > 0 || seen.changed.some((changed) => !names.has(changed)),
          `${name}: more was done`,
        );
        t.ok(said?.complete, "and nothing says so");
      }
      const manual = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");
      const section = /### What a text does not tell\n([\s\S]*?)\n#/.exec(manual)?.[1] ?? "";
      const rows = [...section.matchAll(/^\| ([^|]+?) \|/gm)].map(([, name]) => name!).slice(1);
      t.same(rows, [...UNSEEN.keys()]);
    });

    t.ok(total >= 9000, `${total} statements in all`);
  },
);

/** What is said less by one relation, or calls one that is written a read, or is of a weaker class, is found out. */
function sensitive(t: Pick<Test, "ok" | "same">, pairs: Tried["pairs"]): void {
  const unnoticed: string[] = [];
  let tried = 0;
  const attempt = (run: Run, said: Statement, seen: Parameters<typeof judge>[1], what: string): void => {
    tried++;
    if (judge(said, seen, run.path).length === 0) unnoticed.push(`${what}: ${run.sql}`);
  };
  for (const [run, said, seen] of pairs) {
    // Plain EXPLAIN and definitions take weaker locks on what they only name.
    if (!said.complete || !["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "COPY"].includes(said.operation)) continue;
    const names = new Set(said.relations.map(({ schema, name }) => `${schema}\0${name}`));
    for (const left of names) {
      const relations = said.relations.filter(({ schema, name }) => `${schema}\0${name}` !== left);
      attempt(run, { ...said, relations }, seen, `without ${left}`);
    }
    if (said.relations.some(({ access }) => access === "write")) {
      const relations = said.relations.map((relation) => ({ ...relation, access: "read" as const }));
      attempt(run, { ...said, relations }, seen, "only read");
      if (seen.wrote) attempt(run, { ...said, class: CLASSES[0] }, seen, "class read");
    }
  }
  t.ok(tried > 1000, `${tried} falsehoods`);
  // A partition, a child and its parent are one another's relatives, and LOCK … ACCESS SHARE is a reader's lock.
  t.same(
    unnoticed.filter((text) => !/\bp1?\b|parent|child|ACCESS SHARE/.test(text)),
    [],
    "each is found out",
  );
}

function dress(sql: string, seed: number): string {
  const gaps = ["/* ; DROP TABLE a */", "\n", "\t -- '; DELETE FROM a\n", "/* /* nested */ ' */", " \f "];
  let n = seed;
  return sql.replace(/\w+| /g, (part) => {
    n++;
    if (part === " ") return gaps[n % gaps.length]!;
    return n % 3 === 0 ? part.toUpperCase() : part;
  });
}

t.end();

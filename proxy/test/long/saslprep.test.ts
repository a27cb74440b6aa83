// A password's verifier is the one that PostgreSQL makes of it, whatever characters it has.
import t from "tap";
import { keysOf, parseVerifier, verifierOf } from "../../src/auth/scram.ts";
import { ask, postgres } from "../pool/help.ts";

const started = await postgres();
if (typeof started === "string") {
  t.pass(`skipped: ${started}`);
  process.exit(0);
}
const database = started;
t.teardown(() => database.stop());

/** Some of each table, what normalization folds into another table, and what it composes. */
const CHARACTERS = [
  ..."a A1 !",
  ..."\t\x7f\u00a0\u00ad\u00aa\u00e9\u200b\u200d\u0300\u0340\u0345\u034f\u037a\u1100\u1161\u1680\u180e\u1e9e\u212b\u2163",
  ..."\u05d0\u05d1\u0627\u064a\u0661\ufb1d\ufb2a\ufc5e\ufe70\u2135\u20a8",
  ..."\u0221\u0234\u1d2c\u2090\u32ff\ufa70\ua69c\u{1f100}\u{1f600}\u{1d7cb}",
  ..."\u06dd\u2028\u206a\u2ff0\ue000\ufdd0\ufeff\ufff9\u{1d173}\u{e0001}\u{10fffd}",
];

function* passwords(): Generator<string> {
  for (const character of CHARACTERS) yield* [character, `a${character}b`, `${character}${character}`];
  // Each block of the basic plane, and some beyond.
  for (let code = 0x80; code < 0x20000; code += code < 0x3000 ? 7 : 61) {
    if (code < 0xd800 || code > 0xdfff) yield `a${String.fromCodePoint(code)}`;
  }
  let state = 7;
  const next = (below: number): number => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
  for (let i = 0; i < 3000; i += 1) {
    yield Array.from({ length: 1 + next(5) }, () => CHARACTERS[next(CHARACTERS.length)]).join("");
  }
}

t.test("PostgreSQL's own verifiers", async (t) => {
  const admin = await database.direct({ user: "postgres" });
  await ask(admin, "SET password_encryption = 'scram-sha-256'");
  await ask(admin, "SET scram_iterations = 1");
  const wrong: string[] = [];
  let count = 0;
  for (const password of passwords()) {
    const literal = `'${password.replaceAll("'", "''")}'`;
    await ask(admin, `ALTER ROLE ann PASSWORD ${literal}`);
    const rows = await ask(admin, "SELECT rolpassword FROM pg_authid WHERE rolname = 'ann'");
    const theirs = parseVerifier(String(typeof rows === "string" ? rows : rows[0]![0]));
    if (theirs === undefined) throw new Error(`${JSON.stringify(password)}: ${JSON.stringify(rows)}`);
    const ours = verifierOf(await keysOf(password, theirs.salt, theirs.iterations));
    if (!ours.storedKey.equals(theirs.storedKey)) wrong.push(JSON.stringify(password));
    count += 1;
  }
  t.same(wrong, [], `${count} passwords`);
  await admin.end();
});

t.end();

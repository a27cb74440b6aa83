import t from "tap";
import { EntryShapes } from "../../src/entries/entry-shapes.ts";
import { parseSubmission } from "../../src/entries/submission.ts";
import { RightEdge } from "../../src/formats/merkle.ts";
import { checkSubmission } from "../../src/intake/check.ts";
import { CHAIN_START, Sources } from "../../src/intake/sources.ts";
import { Turn } from "../../src/intake/turn.ts";
import { seal, TestSource } from "../support/source.ts";

t.test("of a repetition that goes on, the disclosures of new entries are kept, and no others", async (t) => {
  const source = new TestSource("s").start();
  const address = seal("client.address", "127.0.0.1:5");
  const sql = [1, 2, 3].map((n) => seal("sql", `SELECT ${n}`));
  for (const each of sql) {
    const members = { client: { address: address.sealed }, sql: each.sealed };
    source.add({ ...source.head("test.event"), ...members }, [address.disclosure, each.disclosure]);
  }
  const checked = await checkSubmission(
    parseSubmission(source.submission("o")),
    "o",
    new Sources([source.key.vkey]),
    new EntryShapes(),
  );
  const before = { epoch: 1, next: 0, chain: CHAIN_START, vkey: source.key.vkey };
  const kept = (known: number): unknown[] => {
    const turn = new Turn(new RightEdge(0, []));
    turn.add(checked, known, { ...before, next: known });
    const { disclosures, shared } = turn.finish();
    return [disclosures.map(({ index, block }) => [index, block.includes("SELECT")]), shared.length];
  };
  t.same(kept(0), [[1, 2, 3].map((index) => [index, true]), 1]);
  t.same(kept(3), [[[0, true]], 1], "the address came with a known entry, and comes with a new one");
  t.same(kept(4), [[], 0]);
});

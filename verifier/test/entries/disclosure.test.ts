import fc from "fast-check";
import t from "tap";
import { parseDisclosure, verifyDisclosure, verifyDisclosures } from "../../src/entries/disclosure.ts";
import { parseEntry } from "../../src/entries/entry.ts";
import { sealedValues } from "../../src/entries/sealed.ts";
import { sha256 } from "../support/naive-tree.ts";
import { TestSource } from "../support/test-source.ts";
import { type Bytes, bytesOf, checkCases, codeOr, readVectors } from "../support/vectors.ts";

type Case = { desc: string; disclosure: string; json?: Bytes; wantErr?: string };
const vectors = readVectors<{
  cases: Case[];
  matches: { desc: string; entry: string; disclosure: string; wantErr?: string }[];
}>("disclosures.json");

checkCases("disclosures", vectors.cases, ({ disclosure }) =>
  codeOr(() => {
    const { salt, name, value, digest } = parseDisclosure(disclosure);
    return { salt, name, value, digest };
  }),
);

// The form in which a disclosure travels in a submission.
checkCases(
  "disclosures, from JSON",
  vectors.cases.filter(({ json }) => json !== undefined),
  ({ json }) =>
    codeOr(() => {
      const { salt, name, value, digest } = parseDisclosure(Buffer.from(bytesOf(json!)).toString("base64url"));
      return { salt, name, value, digest };
    }),
);

checkCases("matches", vectors.matches, ({ desc, entry, disclosure }) =>
  codeOr(() => {
    verifyDisclosure(disclosure, parseEntry(Buffer.from(entry)));
    return { desc };
  }),
);

t.test("a member with a dot in its name does not pass for an inner member", async (t) => {
  const disclose = (value: string): string =>
    Buffer.from(JSON.stringify(["A".repeat(22), "client.address", value])).toString("base64url");
  const sealed = (text: string): object => ({ sealed: sha256(Buffer.from(text)).toString("base64url"), bytes: 9 });
  const source = new TestSource();
  source.start();
  source.session(1);
  const members = { client: { address: sealed(disclose("true:1")) } };
  const { client, ...others } = JSON.parse(source.statement(1, members)) as Record<string, unknown>;
  const dotted = { "client.address": sealed(disclose("false:1")) };
  for (const forged of [
    { ...others, client, ...dotted },
    { ...others, ...dotted, client },
  ]) {
    const entry = parseEntry(Buffer.from(JSON.stringify(forged)));
    t.same([...sealedValues(entry).keys()], ["client.address"]);
    t.equal(verifyDisclosure(disclose("true:1"), entry).value, "true:1");
    t.same(
      codeOr(() => verifyDisclosure(disclose("false:1"), entry)),
      { wantErr: "disclosure_mismatch" },
    );
  }
});

t.test("an entry is looked through once, however many disclosures it is to have", async (t) => {
  const text = Buffer.from(JSON.stringify(["A".repeat(22), "sql", "x"])).toString("base64url");
  let looked = 0;
  const entry = {
    get sql(): object {
      looked++;
      return { sealed: sha256(Buffer.from(text)).toString("base64url"), bytes: 1 };
    },
  };
  t.equal(
    verifyDisclosures(
      Array.from({ length: 100 }, () => text),
      entry,
    ).length,
    100,
  );
  t.equal(looked, 1);
});

t.test("any text is a disclosure or refused as disclosure_mismatch", async (t) => {
  const json = fc.json().map((text) => Buffer.from(text).toString("base64url"));
  fc.assert(
    fc.property(fc.oneof(fc.string(), json), (text) => {
      const found = codeOr(() => parseDisclosure(text));
      return !("wantErr" in found) || found.wantErr === "disclosure_mismatch";
    }),
    { numRuns: 500 },
  );
  t.pass();
});

// What is in order and hardly meant so; and that of what is meant nothing is said.
import { readdirSync, readFileSync } from "node:fs";
import t from "tap";
import { notesOn } from "../../src/access/index.ts";
import { didYouMean } from "../../src/access/nearest.ts";
import { rules } from "./help.ts";

const NOW = Date.parse("2026-11-23T12:00:00Z");
const notes = (...list: string[]): string[] =>
  notesOn(
    rules(
      `version: 1\ngroups: {staff: [ann]}\nrules:\n${list.map((rule, i) => `  - {name: r${i}, ${rule}}\n`).join("")}`,
    ),
    NOW,
  ).map(({ line, message }) => `${line}: ${message}`);

t.test("each note, and what is near it but meant", async (t) => {
  t.match(notes("action: deny, who: {group: [staff, gests]}"), [
    /^4: rule "r0" is about the group "gests", which this/,
  ]);
  t.same(notes("action: deny, who: {group: staff}"), []);
  t.match(notes("action: allow, who: {application: a}"), [/by application alone/]);
  t.same(notes("action: allow, who: {application: a, user: b}"), []);
  t.same(notes("action: deny, who: {application: a}"), []);
  t.match(notes("action: allow, what: {class: [read, write], reads: [a.*]}"), [/"reads" and no "writes"/]);
  t.same(notes("action: allow, what: {class: [read, write], reads: [a.*], writes: [a.*]}"), []);
  t.same(notes("action: allow, what: {reads: [a.*]}"), []);
  t.match(notes("action: allow, when: {until: 2026-11-23T12:00:00Z}"), [/has ended/]);
  t.same(notes("action: allow, when: {until: 2026-11-23T12:00:01Z}"), []);
});

t.test("rules behind one that decides everything are never asked", async (t) => {
  const never = /^5: rule "r0" before it decides everything: it is never asked$/;
  for (const first of ["action: deny", "action: allow, what: {class: any}", "action: deny, what: {class: any}"]) {
    t.match(notes(first, "action: allow, who: {user: ann}"), [never], first);
  }
  for (const first of [
    "action: allow",
    "action: observe",
    "action: deny, who: {user: ann}",
    "action: deny, where: {database: a}",
    "action: deny, what: {class: read}",
    "action: deny, what: {without_where: true}",
    "action: deny, when: {days: mon}",
  ]) {
    t.same(notes(first, "action: allow, who: {user: ann}"), [], first);
  }
});

t.test("of the examples nothing is said but what has ended", async (t) => {
  const folder = new URL("../../../share/rules/", import.meta.url);
  for (const file of readdirSync(folder)) {
    const said = notesOn(rules(readFileSync(new URL(file, folder), "utf8")), Date.parse("2026-11-22T20:00:00Z"));
    t.same(said, [], file);
  }
});

t.test("what was meant", async (t) => {
  const keys = ["reads", "writes", "without_where"];
  t.equal(didYouMean("read", keys), '; did you mean "reads"?');
  t.equal(didYouMean("without_were", keys), '; did you mean "without_where"?');
  for (const far of ["", "functions", "x".repeat(100_000)]) t.equal(didYouMean(far, keys), "", far.slice(0, 10));
});

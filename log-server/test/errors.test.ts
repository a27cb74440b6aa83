import { readFileSync } from "node:fs";
import t from "tap";
import { exitStatus, httpStatus } from "../src/errors.ts";

const page = readFileSync(new URL("../../../spec/errors.md", import.meta.url), "utf8");

/** The rows of a table in a section: their first two cells. */
function rows(section: string): [string, string][] {
  const text = page.split("\n## ").find((part) => part.startsWith(`${section}\n`))!;
  return [...text.matchAll(/^\| `([a-z_]+)` \| ([^|]+) \|/gm)].map((match) => [match[1]!, match[2]!]);
}

t.test("the codes over HTTP are those of spec/errors.md, with their status", async (t) => {
  const found = Object.entries(httpStatus).map(([code, status]) => [code, String(status)]);
  t.same(found.sort(), rows("Log-server, over HTTP").sort());
});

t.test("the codes at start are those of spec/errors.md", async (t) => {
  t.same(
    Object.keys(exitStatus).sort(),
    rows("Log-server, at start")
      .map(([code]) => code)
      .sort(),
  );
  t.equal(exitStatus.bad_config, 64);
});

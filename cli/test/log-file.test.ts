import { appendFileSync } from "node:fs";
import path from "node:path";
import t from "tap";
import { lastLine, sizeOf } from "../src/log-file.ts";

t.test("the telling line of this run is found, or else the last", async (t) => {
  const file = path.join(t.testdir({ log: "Error: of an earlier run\n" }), "log");
  const from = sizeOf(file);
  t.equal(lastLine(file, from, /^Error/), undefined);
  appendFileSync(file, "starting\nsomething\n\n");
  t.equal(lastLine(file, from, /^Error/), "something");
  appendFileSync(file, `Error: the cause\n    at ${"x".repeat(10_000)}\n\nNode.js v20\n`);
  t.equal(lastLine(file, from, /^Error/), "Error: the cause");
  t.equal(sizeOf(`${file}.none`), 0);
});

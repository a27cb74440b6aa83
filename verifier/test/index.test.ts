import { readdirSync, readFileSync } from "node:fs";
import t from "tap";
import { vectorFiles } from "./support/vectors.ts";

const root = new URL("../../", import.meta.url);

t.test("the core imports @noble and itself, nothing else", async (t) => {
  const files = readdirSync(new URL("src/", root), { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".ts"),
  );
  t.ok(files.length > 30);
  const wrong: string[] = [];
  for (const file of files) {
    const text = readFileSync(new URL(`src/${file}`, root), "utf8");
    for (const [, from] of text.matchAll(/(?:(?<!")\bfrom|\bimport\(?) ?"([^"]+)"/g)) {
      if (!/^(?:\.\.?\/[a-z0-9/-]+\.ts|@noble\/(?:ed25519|hashes\/sha2\.js))$/.test(from!))
        wrong.push(`${file}: ${from}`);
    }
    if (/(?<!this\.)\b(?:process|Buffer|require|global)\b[.(]/.test(text)) wrong.push(`${file}: a name of Node`);
  }
  t.same(wrong, []);
});

t.test("each file of vectors is run by a test here", async (t) => {
  const files = readdirSync(new URL("test/", root), { recursive: true, encoding: "utf8" });
  const tests = files.filter((name) => name.endsWith(".test.ts"));
  const texts = tests.map((name) => readFileSync(new URL(`test/${name}`, root), "utf8")).join("\n");
  const unused = vectorFiles().filter((name) => !texts.includes(`("${name}")`) && !texts.includes(`\n  "${name}",\n`));
  // Submissions are between a source and the log: no verifier sees one.
  t.same(unused, ["submissions.json"]);
});

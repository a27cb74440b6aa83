// What the pages say of one another and of the code: links lead somewhere, and what is named is there.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import t from "tap";
import { ROOT } from "./support/stack.ts";

const folders = ["", "cli", "docs", "log-server", "proxy", "spec", "spec/vectors", "verifier"];
const pages = folders.flatMap((folder) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(folder, name)),
);
const text = (page: string): string => readFileSync(join(ROOT, page), "utf8");
const prose = (page: string): string => text(page).replace(/^```[\s\S]*?^```$/gm, "");

/** The anchors of a page's headings, as they are made of them where Markdown is shown. */
function anchors(page: string): string[] {
  return [...prose(page).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, "")
      .replaceAll(" ", "-"),
  );
}

t.test("every link leads to a file that is there, and to a heading of it", async (t) => {
  const broken: string[] = [];
  let links = 0;
  for (const page of pages) {
    for (const [, target] of prose(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue;
      links += 1;
      const [path, anchor] = target!.split("#");
      const file = path === "" ? page : relative(ROOT, join(ROOT, dirname(page), path!));
      const found = existsSync(join(ROOT, file)) && (anchor === undefined || anchors(file).includes(anchor));
      if (!found) broken.push(`${page}: ${target}`);
    }
  }
  t.same(broken, []);
  t.ok(links > 100, `${links} links`);
});

t.test("what the pages on operation and controls name is in the manuals", async (t) => {
  const manuals = ["proxy/README.md", "log-server/README.md", "verifier/README.md", "cli/README.md"].map(text).join();
  const entry = text("spec/entry.md");
  const spec = readdirSync(join(ROOT, "spec"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => text(join("spec", name)))
    .join();
  for (const page of ["docs/operation.md", "docs/controls.md"]) {
    const named = [...text(page).matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
    const missing = named.filter((name) => {
      const metric = /vitrine_(?:proxy|log)_[a-z_]+?(?=_bucket|\b)/.exec(name)?.[0];
      if (metric !== undefined) return !manuals.includes(`\`${metric}\``);
      // A kind or member of an entry, a key of a configuration.
      if (/^[a-z]+(?:[._][a-z_]+)+$/.test(name) && !name.endsWith(".conf"))
        return ![manuals, entry, spec].some((where) => where.includes(name.split(".").at(-1)!));
      const option = /^(--[a-z-]+)$/.exec(name)?.[1];
      return option !== undefined && !manuals.includes(option);
    });
    t.same(missing, [], page);
    t.ok(named.length > 40, page);
  }
});

t.test("the services run commands that there are", async (t) => {
  const folder = join(ROOT, "cli/share/systemd");
  const help = text("cli/src/help.ts");
  for (const name of readdirSync(folder)) {
    const unit = readFileSync(join(folder, name), "utf8");
    const command = /^ExecStart=\S*\/vitrine (\S+) --config \/etc\/vitrine\/\1\.yaml$/m.exec(unit)?.[1];
    t.ok(help.includes(`vitrine ${command} --config FILE`), name);
    const user = /^User=(.*)$/m.exec(unit)?.[1];
    t.equal(/^StateDirectory=(.*)$/m.exec(unit)?.[1], user, "its folder has the name of its user");
    t.ok(text("docs/operation.md").includes(`/var/lib/${user}`), name);
  }
});

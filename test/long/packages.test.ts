// What would be published: packed as npm does it, unpacked into an empty folder, and used there.
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { ROOT } from "../support/stack.ts";

const folder = t.testdir();

interface Manifest {
  readonly name: string;
  readonly license: string;
  readonly bin?: Record<string, string>;
  readonly dependencies: Record<string, string>;
  readonly exports: Record<string, Record<string, string>>;
}

/** Packs a workspace and unpacks it where an installation would put it. */
function unpacked(name: string): string {
  const [packed] = JSON.parse(
    execFileSync("npm", ["pack", "--json", "--silent", "-w", `@vitrine/${name}`, "--pack-destination", folder], {
      cwd: ROOT,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).replace(/^[^[]*/, ""),
  ) as [{ filename: string }];
  const target = join(folder, "node_modules/@vitrine", name);
  mkdirSync(target, { recursive: true });
  execFileSync("tar", ["-xzf", join(folder, packed.filename), "-C", target, "--strip-components=1"]);
  return target;
}

for (const name of ["log-server", "proxy", "verifier", "cli"]) {
  t.test(name, async (t) => {
    const target = unpacked(name);
    const manifest = JSON.parse(readFileSync(join(target, "package.json"), "utf8")) as Manifest;
    const files = readdirSync(target, { recursive: true }).map(String);
    for (const file of ["LICENSE", "README.md", ...Object.values(manifest.bin ?? {})]) t.ok(files.includes(file), file);
    for (const entry of Object.values(manifest.exports).flatMap((one) => Object.values(one)))
      t.ok(existsSync(join(target, entry)), entry);
    t.same(
      files.filter((file) => /\.map$|\.tsbuildinfo$|(^|\/)test\//.test(file)),
      [],
      "nothing that is of use to nobody",
    );
    for (const [dependency, version] of Object.entries(manifest.dependencies))
      t.match(version, /^\d+\.\d+\.\d+(-[\w.]+)?$/, `${dependency} is exact`);
    t.notOk(existsSync(join(ROOT, name, "LICENSE")), "what packing made is gone");
  });
}

t.test("the verifier alone checks evidence", async (t) => {
  const { vkey, cases } = JSON.parse(readFileSync(join(ROOT, "spec/vectors/bundles.json"), "utf8")) as {
    vkey: string;
    cases: { desc: string; bundle: unknown; wantErr?: string }[];
  };
  cpSync(join(ROOT, "node_modules/@noble"), join(folder, "node_modules/@noble"), { recursive: true });
  const command = join(folder, "node_modules/@vitrine/verifier/bin/vitrine-verifier.js");
  const verify = (bundle: string): number | null => {
    writeFileSync(join(folder, "evidence.json"), bundle);
    const ran = spawnSync(process.execPath, [command, "verify", "evidence.json", "--vkey", vkey], { cwd: folder });
    return ran.status;
  };
  const good = cases.find(({ bundle, wantErr }) => typeof bundle === "string" && wantErr === undefined);
  const bad = cases.find(({ bundle, wantErr }) => typeof bundle === "string" && wantErr === "inclusion_invalid");
  t.equal(verify(String(good!.bundle)), 0, good!.desc);
  t.equal(verify(String(bad!.bundle)), 1, bad!.desc);
});

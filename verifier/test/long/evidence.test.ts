import { createHash } from "node:crypto";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { testKey } from "../cli/support/keys.ts";
import { TestLog, vectorLog, vectors } from "../cli/support/log.ts";
import { run, temporaryFolder } from "../cli/support/run.ts";
import { type Hook, serve } from "../cli/support/server.ts";
import { TestSource } from "../cli/support/source.ts";

const token = "dG9rZW4.an-auditor~1";

function seal(name: string, value: unknown): { sealed: { sealed: string; bytes: number }; disclosure: string } {
  const salt = Buffer.alloc(16, name).toString("base64url");
  const disclosure = Buffer.from(JSON.stringify([salt, name, value])).toString("base64url");
  const sealed = createHash("sha256").update(disclosure).digest("base64url");
  return { sealed: { sealed, bytes: JSON.stringify(value).length }, disclosure };
}

const sql = seal("sql", "UPDATE accounts\nSET balance = 0");
const params = seal("params", ["1", null]);
const address = seal("client.address", "192.0.2.7:4711");

/** A log whose entry 2 has three sealed values, of which the log discloses two to holders of the token. */
function sealedLog(): TestLog {
  const source = new TestSource("proxy.example", Date.now());
  source.session("alice");
  source.statement({
    sql: sql.sealed,
    params: params.sealed,
    params_count: 2,
    client: { address: address.sealed },
    protocol: "extended",
  });
  source.seal();
  return new TestLog(testKey("log.example"), source.entries);
}

function discloser(disclosures: unknown = [sql.disclosure, address.disclosure]): Hook {
  return (path, response, { headers }) => {
    if (!/^\/api\/v1\/entries\/2\/disclosures\?reason=(?:x|case%201%20%26%20more)$/.test(path)) return false;
    if (headers.authorization !== `Bearer ${token}`) {
      response.writeHead(401, { "www-authenticate": "Bearer" });
      response.end(
        JSON.stringify({ error: { code: "unauthorized", message: `${headers.authorization} is not known` } }),
      );
    } else response.end(JSON.stringify({ index: 2, disclosures }));
    return true;
  };
}

async function proving(t: { teardown(what: () => unknown): void }, log: TestLog, hook?: Hook): Promise<string[]> {
  const server = await serve(log, hook);
  t.teardown(() => server.close());
  return ["prove", "--log", server.url, "--vkey", log.key.vkey, "--state", temporaryFolder(t)];
}

t.test("a bundle of every entry proves it, offline", async (t) => {
  const log = vectorLog();
  const args = await proving(t, log);
  for (const index of [0, 255, 256, 300]) {
    const proof = await run([...args, "--index", String(index)]);
    t.equal(proof.status, 0, proof.stderr);
    t.match(proof.stderr, /^PASS$/m);
    const bundle = JSON.parse(proof.stdout) as { format: string; entry: string; proof: string; disclosures: string[] };
    const hashes = log.tree.path(index, 0, 301).map((hash) => `${hash.toString("base64")}\n`);
    t.same(bundle, {
      format: "vitrine/evidence/v1",
      entry: vectors.entries[index],
      proof: `c2sp.org/tlog-proof@v1\nindex ${index}\n${hashes.join("")}\n${log.checkpoint()}`,
      disclosures: [],
    });
    const verify = await run(["verify", "-", "--vkey", vectors.vkey], { input: proof.stdout });
    t.equal(verify.status, 0, verify.stdout);
    t.match(verify.stdout, new RegExp(`^Entry ${index}$`, "m"));
  }
});

t.test("with a token the bundle discloses what the log has", async (t) => {
  const args = await proving(t, sealedLog(), discloser());
  const folder = temporaryFolder(t);
  const file = join(folder, "bundle.json");
  const tokenFile = join(folder, "token");
  writeFileSync(tokenFile, `${token}\n`);
  const proof = await run([...args, "--index", "2", "--token", tokenFile, "--reason", "case 1 & more", "-o", file]);
  t.equal(proof.status, 0, proof.stderr);
  t.equal(proof.stdout, "");
  t.match(proof.stderr, `The evidence bundle is in ${file}`);
  t.notMatch(proof.stderr, token);
  t.equal(statSync(file).mode % 0o1000, 0o600, "it discloses what is secret");

  const vkey = args[4]!;
  const verify = await run(["verify", file, "--vkey", vkey]);
  t.equal(verify.status, 0, verify.stdout);
  t.match(verify.stdout, "2 of 3 sealed values disclosed");
  t.match(verify.stdout, /^ {2}sql +\(sealed, disclosed:\)\n +\| UPDATE accounts\n +\| SET balance = 0$/m);
  t.match(verify.stdout, /^ {2}client\.address +\(sealed, disclosed:\)\n +\| 192\.0\.2\.7:4711$/m);
  t.match(verify.stdout, /^ {2}params +\(sealed, 10 bytes, not disclosed\)$/m);
  for (const step of ["B1", "B2", "B3", "B4", "B5"]) t.match(verify.stdout, new RegExp(`^  ${step}  passed  `, "m"));
  t.match(verify.stdout, /^PASS\nEstablished: .* index 2\. Not established: .*nothing was left out.*params\.$/m);

  const json = await run(["verify", file, "--vkey", vkey, "--json"]);
  t.match(json.json, { command: "verify", verdict: "PASS", index: 2, findings: [], checkpoint: { size: 4 } });
  t.same(json.json.sealed, ["client.address", "sql", "params"]);
  t.same(
    new Set(json.json.disclosures as unknown[]),
    new Set([
      { name: "sql", value: "UPDATE accounts\nSET balance = 0" },
      { name: "client.address", value: "192.0.2.7:4711" },
    ]),
  );
  t.match(json.json.entry, { kind: "statement", n: 1 });
  t.same(JSON.parse(json.json.entryText as string), json.json.entry);
  t.same(
    (json.json.steps as { passed: boolean }[]).map(({ passed }) => passed),
    [true, true, true, true, true],
  );

  const whole = await run([...args, "--index", "2", "--token", token, "--reason", "x", "--json"]);
  t.match(whole.json, { command: "prove", verdict: "PASS", index: 2, output: null, bundle: { format: /evidence/ } });
  t.same(whole.json.bundle, JSON.parse(readFileSync(file, "utf8")));
});

t.test("a token that the log refuses", async (t) => {
  const args = await proving(t, sealedLog(), discloser());
  const folder = temporaryFolder(t);
  const file = join(folder, "bundle.json");
  const refused = await run([...args, "--index", "2", "--token", "wrong-secret", "--reason", "x", "-o", file]);
  t.equal(refused.status, 64);
  t.match(refused.stderr, /^vitrine-verifier: usage: the log refuses the token \(401\)/);
  t.notMatch(refused.stderr, "wrong-secret", "a secret is never printed, not even when the log repeats it");
  t.throws(() => statSync(file), { code: "ENOENT" });
  const malformed = await run([...args, "--index", "2", "--token", "two words", "--reason", "x"]);
  t.equal(malformed.status, 64);
  t.notMatch(malformed.stderr, "two words");
});

t.test("disclosures that are not the entry's are not put into a bundle", async (t) => {
  const cases: [unknown, number, string][] = [
    [[sql.disclosure, seal("sql", "SELECT 1").disclosure], 1, "disclosure_mismatch"],
    [["not base64url!"], 2, "data_missing"],
    ["none", 2, "data_missing"],
  ];
  for (const [disclosures, status, code] of cases) {
    const args = await proving(t, sealedLog(), discloser(disclosures));
    const file = join(temporaryFolder(t), "bundle.json");
    const result = await run([...args, "--index", "2", "--token", token, "--reason", "x", "-o", file, "--json"]);
    t.equal(result.status, status);
    t.match(result.json, { findings: [{ code }], bundle: null, output: null });
    t.throws(() => statSync(file), { code: "ENOENT" });
  }
});

t.test("nothing is written when the log does not prove it", async (t) => {
  const log = vectorLog();
  const swapped: Hook = (path, response) => {
    if (path !== "/tile/entries/001.p/45") return false;
    const bytes = Buffer.from(log.file(path)!);
    bytes.write('"X"', bytes.length - 10);
    response.end(bytes);
    return true;
  };
  const args = await proving(t, log, swapped);
  const result = await run([...args, "--index", "300"]);
  t.equal(result.status, 1);
  t.equal(result.stdout, "");
  t.match(result.stderr, /^ {2}leaf_mismatch {2}at entry 300/m);
  t.match(result.stderr, /^FAIL$/m);

  const beyond = await run([...args, "--index", "301"]);
  t.equal(beyond.status, 64);
  t.match(beyond.stderr, "the log's tree has 301 entries");
});

t.test("a bundle that was changed fails at the step that finds it", async (t) => {
  const log = sealedLog();
  const args = await proving(t, log, discloser());
  const bundle = JSON.parse((await run([...args, "--index", "2", "--token", token, "--reason", "x"])).stdout) as Record<
    string,
    string
  >;
  const another = seal("sql", "UPDATE accounts SET balance = 1").disclosure;
  const cases: [string, unknown, string, string][] = [
    ["B1", { ...bundle, format: "vitrine/evidence/v2" }, "bundle_malformed", log.key.vkey],
    ["B2", bundle, "origin_mismatch", vectors.vkey],
    ["B2", { ...bundle, proof: bundle.proof!.replace("\n4\n", "\n5\n") }, "signature_invalid", log.key.vkey],
    ["B3", { ...bundle, entry: bundle.entry!.replace("alice", "mallory") }, "inclusion_invalid", log.key.vkey],
    ["B5", { ...bundle, disclosures: [another] }, "disclosure_mismatch", log.key.vkey],
  ];
  for (const [step, changed, code, vkey] of cases) {
    const input = JSON.stringify(changed);
    const text = await run(["verify", "-", "--vkey", vkey], { input });
    t.equal(text.status, 1, step);
    t.match(text.stdout, new RegExp(`^  ${step}  FAILED  `, "m"));
    t.match(text.stdout, /^FAIL$/m);
    const json = await run(["verify", "-", "--vkey", vkey, "--json"], { input });
    t.equal(json.status, 1);
    t.match(json.json, { verdict: "FAIL", findings: [{ code }] });
    if (step === "B5") {
      t.match(text.stdout, "none shown, since step B5 failed");
      t.notMatch(text.stdout, "balance");
    }
  }
  const nonsense = await run(["verify", "-", "--vkey", log.key.vkey], { input: "\u0000" });
  t.equal(nonsense.status, 1);
  t.match(nonsense.stdout, /B1 {2}FAILED.*B5 {4}- +not reached/s);
});

// A witness that is not ours, litewitness of filippo.io/torchwood, cosigns for our log; and our verifier takes it.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createKey, readLogServerConfig, startLogServer } from "@vitrine/log-server";
import t from "tap";
import { stringify } from "yaml";
import { startLitewitness } from "../bench/witness-peer.ts";
import { ROOT, runNode, temporaryFolder } from "../support/stack.ts";

const VERIFIER = join(ROOT, "verifier/bin/vitrine-verifier.js");
const ORIGIN = "test.example/foreign";
/** What litewitness is started as. */
const NAME = "bench.example/peer";

const folder = temporaryFolder("foreign");
t.after(() => rmSync(folder, { recursive: true, force: true }));

/** The cosigner's key of an OpenSSH public key: type 0x04 of C2SP signed-note. */
function cosignerKey(file: string): string {
  const blob = Buffer.from(readFileSync(file, "utf8").split(" ")[1]!, "base64");
  const key = Buffer.concat([Buffer.of(4), blob.subarray(-32)]);
  const id = createHash("sha256").update(`${NAME}\n`).update(key).digest("hex").slice(0, 8);
  return `${NAME}+${id}+${key.toString("base64")}`;
}

const { skey, vkey } = createKey(ORIGIN);
mkdirSync(join(folder, "witness"));
const witness = await startLitewitness(join(folder, "witness"), [{ origin: ORIGIN, vkey }]);

t.test(
  "a witness that is not ours cosigns each checkpoint, and a verifier with a policy takes it",
  { skip: witness === undefined ? "litewitness, ssh-agent or sqlite3 is not installed" : false },
  async (t) => {
    t.teardown(() => witness!.stop());
    const policy = join(folder, "policy");
    const line = `witness peer ${cosignerKey(join(folder, "witness/id.pub"))} http://127.0.0.1:${witness!.port}`;
    writeFileSync(policy, `log ${vkey}\n${line}\nquorum peer\n`);
    writeFileSync(join(folder, "log.key"), skey, { mode: 0o600 });
    const settings = { listen: "127.0.0.1:0", origin: ORIGIN, sources: [], add: true, checkpoint_interval_ms: 20 };
    writeFileSync(join(folder, "log.yaml"), stringify({ ...settings, witnesses: policy, witness_timeout_ms: 5000 }));
    const log = await startLogServer(await readLogServerConfig(join(folder, "log.yaml")), { log: () => undefined });
    t.teardown(() => log.close());
    for (let size = 1; size <= 5; size += 1) {
      await fetch(`${log.url}/add`, { method: "POST", body: `entry ${size}` });
      let note = "";
      while (!note.startsWith(`${ORIGIN}\n${size}\n`)) note = await (await fetch(`${log.url}/checkpoint`)).text();
      t.match(note, `\u2014 ${NAME} `, `the checkpoint of size ${size} is cosigned`);
      const args = ["--log", log.url, "--vkey", vkey, "--policy", policy, "--state", join(folder, "state")];
      const { code, stdout } = await runNode(VERIFIER, ["head", ...args]);
      t.equal(code, 0, "PASS", { stdout });
    }
  },
);

t.end();

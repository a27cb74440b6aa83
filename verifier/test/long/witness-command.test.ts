import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { parseCosignerKey } from "../../src/formats/key.ts";
import { run } from "../cli/support/run.ts";
import { ask, stateFolder, submit, type Teardown } from "../cli/witness/support/start.ts";
import { TestLog } from "../cli/witness/support/test-log.ts";

const program = fileURLToPath(new URL("../../../bin/vitrine-verifier.js", import.meta.url));
const log = new TestLog("log.example/command");
const other = new TestLog("log.example/later");

type Running = {
  child: ChildProcess;
  url: string;
  stdout(): string;
  stderr(): string;
  /** When a line of what it says of itself matches. */
  says(what: RegExp): Promise<void>;
  ended: Promise<number | null>;
};

async function startCommand(t: Teardown, args: readonly string[], limit?: string): Promise<Running> {
  const command = [process.execPath, program, "witness", "--listen", "127.0.0.1:0", ...args];
  const child =
    limit === undefined
      ? spawn(command[0]!, command.slice(1))
      : // Whoever runs the tests may have each process load something that writes files of its own.
        spawn("/bin/sh", ["-c", `unset NODE_OPTIONS; ulimit ${limit}; exec "$@"`, "sh", ...command]);
  let [stdout, stderr] = ["", ""];
  const ended = new Promise<number | null>((resolve) => child.once("close", (status) => resolve(status)));
  t.teardown(() => void child.kill("SIGKILL"));
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const says = async (what: RegExp): Promise<void> => {
    while (!what.test(stderr)) {
      const [chunk] = (await Promise.race([once(child.stderr, "data"), ended.then(() => [undefined])])) as unknown[];
      if (chunk === undefined && !what.test(stderr)) throw new Error(`it ended: ${stdout}${stderr}`);
    }
  };
  for (;;) {
    const url = /^ready at (http:\/\/\S+)\/$/m.exec(stdout)?.[1];
    if (url !== undefined) return { child, url, stdout: () => stdout, stderr: () => stderr, says, ended };
    const [chunk] = (await Promise.race([once(child.stdout, "data"), ended.then(() => [undefined])])) as unknown[];
    if (chunk === undefined) throw new Error(`it ended: ${stdout}${stderr}`);
  }
}

t.test("from its first start to its stop", async (t) => {
  const state = join(stateFolder(t), "a", "folder");
  const list = join(stateFolder(t), "logs");
  writeFileSync(list, "");
  const args = ["--state", state, "--log", log.key.vkey, "--logs", list];
  const first = await startCommand(t, [...args, "--name", "witness.example/w1", "--url", "https://witness.example/"]);
  const vkey = parseCosignerKey(/^vkey +(\S+)$/m.exec(first.stdout())![1]!);
  t.equal(vkey.name, "witness.example/w1");
  const policy = `witness witness.example/w1 ${vkey.text} https://witness.example`;
  t.match(first.stdout(), `\npolicy   ${policy}\n`);
  t.match(first.stdout(), /^witness {2}witness.example\/w1, whose key was made just now: .*witness.key\n/);
  t.match(first.stdout(), /\nlogs {5}1, 0 of them cosigned before/);
  t.match(await submit(first.url, log.request(0, 3)), { status: 200 });
  t.match((await ask(`${first.url}/`)).body, policy);

  // The lists again.
  t.match(await submit(first.url, other.request(0, 1)), { status: 404 });
  writeFileSync(list, `${other.key.vkey}\n`);
  first.child.kill("SIGHUP");
  await first.says(/the lists were read again: 2 logs\n/);
  t.match(await submit(first.url, other.request(0, 1)), { status: 200 });
  writeFileSync(list, "logs/v0\nno\n");
  first.child.kill("SIGHUP");
  await first.says(/the lists could not be read again, and the logs stay as they were: .*logs, line 2: [^\n]*\n/);
  t.match(await submit(first.url, other.request(1, 2)), { status: 200 });
  writeFileSync(list, "");

  // Another on the same folder, and on the same port.
  const second = await run(["witness", ...args, "--listen", "127.0.0.1:0"]);
  t.match(second, {
    status: 75,
    stdout: "",
    stderr: /^vitrine-verifier: state_locked: another witness uses [^\n]*\n$/,
  });
  const taken = first.url.slice("http://".length);
  const third = await run(["witness", "--state", join(state, "b"), "--name", "w", "--listen", taken]);
  t.match(third, { status: 69, stdout: "", stderr: /^vitrine-verifier: port_in_use: 127[^\n]* is taken; [^\n]*\n$/ });

  first.child.kill("SIGTERM");
  t.equal(await first.ended, 0);
  t.notMatch(first.stdout() + first.stderr(), /PRIVATE|\n\n/);
  t.equal(statSync(join(state, "state")).mode % 0o1000, 0o600);
  const again = await startCommand(t, args);
  t.match(again.stdout(), `\nvkey     ${vkey.text}\n`);
  t.match(again.stdout(), /^witness {2}witness.example\/w1\n/);
  t.match(again.stdout(), /\nlogs {5}1, 1 of them cosigned before/);
  t.match(await submit(again.url, log.request(3, 4)), { status: 200 });
  again.child.kill("SIGINT");
  t.equal(await again.ended, 0);
});

t.test("a full disk: the request is not answered, and the witness ends with one line", async (t) => {
  const state = stateFolder(t);
  // Blocks of 512 bytes: the header, the first two records and a part of the third.
  const limited = await startCommand(t, ["--state", state, "--name", "w", "--log", log.key.vkey], "-f 2");
  let old = 0;
  let size = 1;
  for (; size < 20; size++) {
    const answer = await submit(limited.url, log.request(old, size)).catch(
      (error: NodeJS.ErrnoException) => error.code,
    );
    if (typeof answer !== "object") {
      t.match(answer, /^(ECONNRESET|EPIPE)$/);
      break;
    }
    t.equal(answer.status, 200);
    old = size;
  }
  t.ok(old > 0 && size < 20);
  t.equal(await limited.ended, 74);
  t.match(limited.stderr(), /^vitrine-verifier: write_failed: the state \S+ cannot be written: EFBIG[^\n]*\n$/);
  const more = await startCommand(t, ["--state", state, "--log", log.key.vkey]);
  t.match(await submit(more.url, log.request(0, 30)), { status: 409, body: `${old}\n` });
  t.match(await submit(more.url, log.request(old, 30)), { status: 200 });
  more.child.kill("SIGTERM");
  t.equal(await more.ended, 0);
});

t.test("addresses and folders that cannot be used", async (t) => {
  const state = stateFolder(t);
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  t.teardown(() => void taken.close());
  writeFileSync(join(state, "file"), "");
  writeFileSync(join(state, "binary"), Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0xff, 0x0a]));
  const cases: [string[], number, RegExp][] = [
    [["--state", join(state, "file"), "--name", "w"], 64, /usage: the state folder .*file cannot be used/],
    [["--state", join(state, "new"), "--name", "w", "--listen", "192.0.2.1:80"], 64, /usage: --listen 192.0.2.1:80: /],
    [["--state", state], 64, /usage: there is no key file .*: name the witness with --name/],
    [["--state", state, "--name", ""], 64, /usage: --name is empty/],
    [["--config", join(state, "none")], 64, /usage: --config: .*none cannot be read/],
    [["--log", "nonsense", "--name", "w"], 64, /usage: --log, line 1: this is not a verifier key.*--logs a file/],
    [["--config", process.execPath], 64, /usage: .* is too long for a configuration/],
    [["--config", join(state, "binary")], 64, /usage: .*binary is not UTF-8, and no configuration/],
    [["extra"], 64, /usage: .*'extra'.*witness --help/],
  ];
  for (const [args, status, message] of cases) {
    const result = await run(["witness", ...args]);
    t.match(result, { status, stdout: "", stderr: message }, args.join(" "));
    t.match(result.stderr, /^[^\n]+\n$/);
  }
  t.throws(() => readFileSync(join(state, "witness.key")));
});
t.end();

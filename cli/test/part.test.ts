import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { createKey } from "@vitrine/log-server";
import t from "tap";
import { BIN } from "./run.ts";

/** Tells, with the line that says that it has stopped, what would keep the process from ending. */
const WATCH = `const write = process.stdout.write.bind(process.stdout);
process.stdout.write = (text, ...more) => {
  if (/ stopped/.test(text)) process.stderr.write(JSON.stringify(process.getActiveResourcesInfo()) + "\\n");
  return write(text, ...more);
};`;

t.test("a part that has stopped waits for nothing more", async (t) => {
  const dir = t.testdir({ "watch.mjs": WATCH });
  const file = (name: string, text: string): string => {
    writeFileSync(path.join(dir, name), `${text}\n`, { mode: 0o600 });
    return path.join(dir, name);
  };
  file("log.key", createKey("log.example/orders").skey);
  const config = file("log.yaml", "listen: 127.0.0.1:0\norigin: log.example/orders\nsources: []");
  const args = ["--import", path.join(dir, "watch.mjs"), BIN, "log-server", "--config", config];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  let kept = "";
  const ready = new Promise<void>((resolve) =>
    child.stdout.setEncoding("utf8").on("data", (text) => {
      said += text;
      if (/ ready at /.test(said)) resolve();
    }),
  );
  child.stderr.setEncoding("utf8").on("data", (text) => (kept += text));
  const ended = new Promise((resolve) => child.once("close", resolve));
  await Promise.race([ready, ended]);
  child.kill("SIGTERM");
  t.equal(await ended, 0, kept);
  t.match(said, /^vitrine: log-server stopped$/m);
  t.notOk((JSON.parse(kept.trim()) as string[]).includes("Timeout"), kept);
});

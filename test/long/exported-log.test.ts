// A log that was exported as files is the log: to the independent verifier, over a web server that knows only files, and
// straight from the folder.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import t from "tap";
import { LoneLog } from "../support/lone-log.ts";

async function serveFiles(root: string): Promise<{ url: string; close: () => void }> {
  const server = createServer((request, response) => {
    try {
      response.end(readFileSync(join(root, new URL(request.url!, "http://x").pathname)));
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() };
}

t.test("a stopped log is checked, exported, grown, exported again, and audited each time", async (t) => {
  const log = await (await LoneLog.create({ add: true })).start();
  t.teardown(() => log.destroy());
  const { source } = log;
  await log.submit(0);
  source.refuse(600).stop();
  await log.submit(1);
  t.equal(await log.part.end("SIGTERM"), 0);

  const out = join(log.folder, "out");
  const exporting = ["log", "export", "--config", log.config, "--out", out, "--json"];
  t.same(await log.vitrine("log", "fsck", "--config", log.config).then(({ code }) => code), 0);
  t.equal((await log.vitrine(...exporting)).code, 0);
  const files = await serveFiles(out);
  t.teardown(() => files.close());
  for (const where of [files.url, out]) {
    const { code, stdout, stderr } = await log.audit(where);
    t.equal(code, 0, `${stdout}${stderr}`);
    t.match(stdout, /602 entries/);
  }

  // A second epoch; the verifier's state holds the export to what it was before.
  await log.start();
  source.restart(true).refuse(500).stop();
  await log.submit(0);
  t.equal(await log.part.end("SIGTERM"), 0);
  const again = await log.vitrine(...exporting, "--resume");
  t.match(JSON.parse(again.stdout), { size: 1104, before: 602 });
  const { code, stdout } = await log.audit(files.url);
  t.equal(code, 0, stdout);

  // Entries without a source in between: the verifier has to be told that there are some.
  await log.start();
  for (let i = 0; i < 3; i += 1) t.equal((await log.post("/add", Buffer.from(`added ${i}`))).status, 200);
  source.restart(true).refuse(20).stop();
  await log.submit(0);
  await log.published(1104 + 3 + 22);
  t.equal((await log.audit(log.url)).code, 1, "without that, an entry of no source is a malformed one");
  const any = await log.audit(log.url, "--entries", "any", "--all");
  t.equal(any.code, 0, any.stdout);
  t.equal(await log.part.end("SIGTERM"), 0);
  t.equal((await log.vitrine("log", "fsck", "--config", log.config)).code, 0, "the store is in order all the same");
});

t.end();

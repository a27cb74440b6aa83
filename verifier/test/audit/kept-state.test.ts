import t from "tap";
import { auditLog, type Kept, parseVerifierKey } from "../../src/index.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { TestSource } from "../support/test-source.ts";

t.test("an audit that comes to nothing leaves what was kept as it was", async (t) => {
  const source = new TestSource();
  source.start();
  source.session(1);
  source.statement(1);
  source.seal();
  source.statement(1);
  const log = new MemoryLog(source.entries);
  const key = parseVerifierKey(log.key.vkey);
  const now = (): number => source.now;
  const first = await auditLog(log, { key, now });
  t.same(
    first.findings.map(({ code }) => code),
    ["unsealed"],
  );
  const kept: Kept = first.keep!;
  const before = JSON.stringify(kept.audit);

  const written = source.entries.length;
  for (let i = 0; i < 400; i++) source.statement(1);
  source.seal();
  log.append(...source.entries.slice(written));
  const bundle = `tile/entries/001.p/${log.size - 256}`;
  log.served.set(bundle, "missing");
  const second = await auditLog(log, { key, now, kept });
  t.same(
    second.findings.map(({ code }) => code),
    ["data_missing"],
  );
  t.equal(JSON.stringify(kept.audit), before, "the first bundle was read, and nothing of it stayed behind");
  t.equal(second.keep!.checkpoint.size, log.size, "the checkpoint is advanced");
  t.equal(JSON.stringify(second.keep!.audit), before, "the audit is not");

  log.served.delete(bundle);
  const third = await auditLog(log, { key, now, kept: second.keep });
  t.same([third.verdict, third.from, third.findings], ["PASS", written, []]);
});

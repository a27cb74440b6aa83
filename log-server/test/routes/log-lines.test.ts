import { Level } from "level";
import t from "tap";
import { disclosuresKey, runKey } from "../../src/store/level-keys.ts";
import { type ActingLog, AUDITOR, actingLog, post, secret, start } from "../support/acting.ts";
import { get, published, submit } from "../support/client.ts";
import { ORIGIN } from "../support/folder.ts";
import { seal, TestSource } from "../support/source.ts";

// What the log writes for whoever runs it says where something is wrong, and nothing of what is kept secret.

interface Damaged {
  readonly acting: ActingLog;
  readonly lines: string[];
  /** Stands in the disclosure and in the entry at index 1, right behind what is no JSON any more. */
  readonly value: string;
}

/** @param key of what is damaged: the quote that its value begins with becomes another character */
async function damaged(key: Buffer): Promise<Damaged> {
  const value = secret();
  const source = new TestSource("s").start();
  const { sealed, disclosure } = seal("sql", value);
  source.add({ ...source.head("test.event"), sql: sealed, names: ["sql", value] }, [disclosure]).fill(298);
  const acting = await actingLog(t, [source.key.vkey]);
  await submit(acting.log.url, source.submission(ORIGIN));
  await published(acting.log.url, 300);
  await acting.log.close();
  const db = new Level<Buffer, Buffer>(acting.config.store, { keyEncoding: "buffer", valueEncoding: "buffer" });
  const bytes = (await db.get(key))!;
  bytes[bytes.indexOf(`"sql","${value.slice(0, 8)}`) + 6] = "x".charCodeAt(0);
  await db.put(key, bytes);
  await db.close();
  const lines: string[] = [];
  const log = (level: string, message: string): void => {
    lines.push(`${level} ${message}`);
  };
  return { acting: await start(acting.config, acting.folder, { log }), lines, value };
}

t.test("a disclosure that was damaged: neither it nor the reason for reading it", async (t) => {
  const { acting, lines, value } = await damaged(disclosuresKey(1));
  const answer = await get(acting.log.url, "/api/v1/entries/1/disclosures?reason=the+case+of+Mr+X", AUDITOR);
  t.equal(answer.status, 500);
  t.match(answer.json(), { error: { code: "internal" } });
  t.equal(lines.length, 1);
  t.match(lines[0], /GET \/api\/v1\/entries\/1\/disclosures: a disclosure of entry 1 is no JSON any more/);
  t.notMatch(lines[0], /case/);
  t.notOk(lines[0]!.includes(value.slice(0, 4)) || answer.body.includes(value.slice(0, 4)));
  await acting.log.close();
});

t.test("an entry that was damaged ends an erasure, which says where, and not what stands there", async (t) => {
  const { acting, lines, value } = await damaged(runKey("entries", 0));
  const scope = { before: "2999-01-01T00:00:00.000000Z" };
  t.equal((await post(acting.log.url, "/api/v1/erasures", { scope, reason: "x" })).status, 202);
  t.match(await acting.log.failed, { code: "store_corrupt", details: { index: 1 }, message: /entry 1 .* fsck/ });
  t.match(lines, [/^error store_corrupt: entry 1 /]);
  t.notOk(lines[0]!.includes(value.slice(0, 4)));
  await acting.log.close();
});

// Plays the dishonest operator: changes one byte of an entry in the store of a stopped log, and nothing else.

import { realpathSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Level } from "level";

/**
 * Changes one character inside a string of the entry, so that it stays well-formed JSON.
 * @returns the text before and after
 * @throws Error when the log has no such entry
 */
export async function tamper(
  store: string,
  index: number,
): Promise<{ readonly before: string; readonly after: string }> {
  const db = new Level<Buffer, Buffer>(store, {
    keyEncoding: "buffer",
    valueEncoding: "buffer",
    createIfMissing: false,
  });
  await db.open();
  try {
    // Entries lie in runs: the key is "e" and the index of the first, the value each entry behind its u16 length.
    const key = Buffer.alloc(9, "e");
    key.writeBigUInt64BE(BigInt(index), 1);
    for await (const [runKey, run] of db.iterator({
      gte: Buffer.alloc(9, "e").fill(0, 1),
      lte: key,
      reverse: true,
      limit: 1,
    })) {
      let at = 0;
      let number = Number(runKey.readBigUInt64BE(1));
      for (; at < run.length && number < index; number += 1) at += 2 + run.readUInt16BE(at);
      if (at >= run.length) break;
      const entry = run.subarray(at + 2, at + 2 + run.readUInt16BE(at));
      const before = entry.toString();
      const where = entry.indexOf('"time":"') + '"time":"'.length + 3;
      entry[where] = entry[where] === 0x30 ? 0x31 : 0x30;
      await db.put(runKey, run, { sync: true });
      return { before, after: entry.toString() };
    }
  } finally {
    await db.close();
  }
  throw new Error(`the log in ${store} has no entry ${index}`);
}

if (process.argv[1] !== undefined && import.meta.filename === realpathSync(process.argv[1])) {
  const { values } = parseArgs({ options: { data: { type: "string" }, index: { type: "string" } } });
  if (values.data === undefined || values.index === undefined) {
    console.error("usage: npm run tamper -- --data DIR --index N    (stop vitrine first)");
    process.exit(64);
  }
  const { before, after } = await tamper(join(values.data, "log/store"), Number(values.index));
  console.log(`entry ${values.index} was\n${before}\nand is now\n${after}`);
}

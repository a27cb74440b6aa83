import type { Test } from "tap";
import { startLogServer } from "../../src/start.ts";
import { get, published, send, submit } from "../support/client.ts";
import { type LogFolder, makeLogFolder, ORIGIN } from "../support/folder.ts";
import { seal, TestSource } from "../support/source.ts";

const ADDRESS = seal("client.address", "192.0.2.1:5432");

/** Entries in a full folder; 600 of source a (in two epochs), 40 of source b, 60 without a source. */
export const SIZE = 700;

export interface StoppedFolder extends LogFolder {
  readonly sources: readonly TestSource[];
}

/** Adds entries of which every tenth has disclosures of its own and every fifth shares one. */
export function fill(source: TestSource, count: number): TestSource {
  for (let i = 0; i < count; i += 1) {
    const head = source.head("test.event");
    if (i % 10 === 0) {
      const sql = seal("sql", `SELECT ${i}`);
      const params = seal("params", [`${i}`]);
      source.add({ ...head, sql: sql.sealed, params: params.sealed }, [sql.disclosure, params.disclosure]);
    } else if (i % 5 === 0) {
      source.add({ ...head, client: { address: ADDRESS.sealed } }, [ADDRESS.disclosure]);
    } else source.add(head);
  }
  return source;
}

/** A log that was stopped in order, with entries of two sources and of none. */
export async function stoppedLog(t: Test): Promise<StoppedFolder> {
  const a = new TestSource("a").start();
  const b = new TestSource("b").start();
  const folder = await makeLogFolder([a.key.vkey, b.key.vkey]);
  t.teardown(() => folder.remove());
  const log = await startLogServer(folder.config({ add: true }), { log: () => {} });
  const add = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i += 1) await send(log.url, "POST", "/add", {}, Buffer.from(`added ${i}`));
  };
  fill(a, 299);
  await submit(log.url, a.submission(ORIGIN, 0, 100));
  await add(10);
  await submit(log.url, fill(b, 39).submission(ORIGIN));
  await submit(log.url, a.submission(ORIGIN, 100));
  await add(50);
  await submit(log.url, fill(a.start(), 299).submission(ORIGIN));
  await log.close();
  return { ...folder, sources: [a, b] };
}

/** Lets the log grow by entries of its second source. */
export async function growBy(folder: StoppedFolder, count: number): Promise<number> {
  const log = await startLogServer(folder.config({ add: true, checkpointIntervalMs: 10 }), { log: () => {} });
  const source = folder.sources[1]!;
  const from = source.entries.length;
  await submit(log.url, fill(source, count).submission(ORIGIN, from));
  const size = (await get(log.url, "/healthz")).json().tree_size;
  await published(log.url, size);
  await log.close();
  return size;
}

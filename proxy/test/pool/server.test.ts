import { Duplex } from "node:stream";
import t from "tap";
import { PooledServer } from "../../src/pool/server.ts";
import { BACKEND } from "../../src/wire/messages.ts";
import { B } from "../session/stage.ts";

/** What a server says to nobody in particular. @returns whether it is still listened to */
async function isHeard(...chunks: readonly Buffer[]): Promise<boolean> {
  const stream = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
  const opened = { stream, parameters: new Map(), key: undefined, address: "x:1", cancel: async () => undefined };
  const server = new PooledServer(opened, () => undefined);
  server.holder = {
    begin: (type, size) => (type === BACKEND.readyForQuery ? size : 0),
    end: () => undefined,
    flush: () => undefined,
    drained: () => undefined,
    closed: () => undefined,
  };
  for (const chunk of chunks) stream.push(chunk);
  await new Promise((resolve) => setImmediate(resolve));
  return !server.closed;
}

/** The beginning of a message of so many bytes. */
function head(type: number, size: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes[0] = type;
  bytes.writeUInt32BE(size - 1, 1);
  return bytes;
}

t.test("a server cannot make the proxy keep what it likes", async (t) => {
  t.equal(await isHeard(B.status("TimeZone", "UTC"), B.ready()), true);
  const long = (size: number): Buffer => B.status("search_path", "a".repeat(size));
  t.equal(await isHeard(long(900_000), long(5), long(900_000)), true);
  t.equal(await isHeard(head(BACKEND.dataRow, 1 << 29)), true, "what passes may be long");
  for (const type of [BACKEND.parameterStatus, BACKEND.readyForQuery])
    t.equal(await isHeard(head(type, (1 << 20) + 1)), false, "what is kept may not");
  const many = (count: number): Buffer[] =>
    Array.from({ length: count }, (_, i) => B.status(`name ${i}`, "a".repeat(10_000)));
  t.equal(await isHeard(...many(100), ...many(100)), true);
  t.equal(await isHeard(...many(110)), false);
});

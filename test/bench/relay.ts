/** A relay that does nothing but relay: the least that a proxy in Node can use of the processor. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { freePort } from "../support/stack.ts";

export async function startRelay(upstream: number): Promise<{ port: number; pid: number; stop: () => void }> {
  const port = await freePort();
  const child = fork(fileURLToPath(import.meta.url), [String(port), String(upstream)]);
  await once(child, "message");
  return { port, pid: child.pid!, stop: () => void child.kill("SIGTERM") };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [port, upstream] = process.argv.slice(2).map(Number);
  const server = createServer({ noDelay: true }, (client) => {
    const database = connect({ host: "127.0.0.1", port: upstream!, noDelay: true });
    client.on("error", () => database.destroy()).pipe(database);
    database.on("error", () => client.destroy()).pipe(client);
  });
  server.listen(port, "127.0.0.1", () => process.send!("ready"));
  process.on("disconnect", () => process.exit());
}

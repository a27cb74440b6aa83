import { randomBytes, randomInt } from "node:crypto";
import { writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { type ProxyConfig, readProxyConfig } from "../src/config/config.ts";
import type { RunningProxy } from "../src/running.ts";
import { startProxy } from "../src/start.ts";
import { newKeys, tempDir, until } from "./audit/help.ts";
import { TestLog } from "./audit/log.ts";
import { FakePostgres } from "./fake-postgres.ts";
import { Client, startup } from "./help.ts";
import { B } from "./session/stage.ts";

interface Teardown {
  teardown(f: () => unknown): unknown;
}

/** A port that nobody listens on, below those that the system gives to tests beside this one. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_081, 32_000); // fetch refuses 10080
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}

export interface Whole {
  readonly log: TestLog;
  readonly upstream: FakePostgres;
  readonly proxy: RunningProxy;
  readonly config: ProxyConfig;
  /** What it told its operator. */
  readonly lines: string[];
  readonly status: string;
  /** Where the configuration file is. */
  readonly folder: string;
  /** Gives the configuration file another text. */
  rewrite(change: (text: string) => string): void;
  login(user: string, database?: string): Promise<Client>;
  /** How often somebody at the console asked for the end. */
  stops: number;
}

/** A proxy as `vitrine proxy` starts it, with a log and a database that do what the test wants. @param files beside its configuration */
export async function whole(t: Teardown, more: string, files: Readonly<Record<string, string>> = {}): Promise<Whole> {
  const dir = await tempDir(t);
  const keys = newKeys("proxy-1.example");
  const log = await new TestLog(keys.vkey, newKeys("log.example/test").vkey).listen();
  t.teardown(() => log.close());
  const upstream = await new FakePostgres().listen();
  t.teardown(() => upstream.close());
  writeFileSync(join(dir, "users"), `secret=${randomBytes(32).toString("base64")}\n"ops" ""\n"eve" ""\n"ann" ""\n`, {
    mode: 0o600,
  });
  writeFileSync(join(dir, "source.key"), `${keys.skey}\n`, { mode: 0o600 });
  for (const [name, content] of Object.entries(files)) writeFileSync(join(dir, name), content);
  const port = await freePort();
  const text = `
listen: 127.0.0.1:0
status: 127.0.0.1:${port}
upstream: postgres://127.0.0.1:${upstream.port}
log: { url: "${log.url}", vkey: "${log.vkey}", level: debug, format: json }
source: { key: source.key }
spool: { dir: . }
${more}`;
  const file = join(dir, "proxy.yaml");
  writeFileSync(file, text);
  const config = await readProxyConfig(file);
  const lines: string[] = [];
  const proxy = await startProxy(config, {
    line: (line) => lines.push(line),
    stop: () => {
      whole.stops += 1;
    },
  });
  const clients: Client[] = [];
  t.teardown(async () => {
    for (const { socket } of clients) socket.destroy();
    await proxy.close();
  });
  const whole: Whole = {
    folder: dir,
    stops: 0,
    log,
    upstream,
    proxy,
    config,
    lines,
    rewrite: (change) => writeFileSync(file, change(text)),
    status: `http://127.0.0.1:${port}`,
    login: async (user, database = user) => {
      const client = new Client(connect({ ...proxy.address, allowHalfOpen: true }));
      clients.push(client);
      client.socket.write(startup({ user, database }));
      await until("the login is through", () => client.received.includes(B.ready()) || client.ended);
      return client;
    },
  };
  return whole;
}

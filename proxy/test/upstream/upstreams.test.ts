// Which server a session gets, and what is done when one does not answer.
import { createServer, type Server } from "node:net";
import t from "tap";
import type { Backend as OpenedBackend } from "../../src/backend.ts";
import { Metrics } from "../../src/metrics/metrics.ts";
import { relayTo } from "../../src/servers/relay.ts";
import { dial } from "../../src/upstream/dial.ts";
import { Retries, type Upstream } from "../../src/upstream/index.ts";
import { until } from "../audit/help.ts";
import { FakePostgres } from "../fake-postgres.ts";
import { QUICK, rig, startup, upstreamsAt } from "../help.ts";
import { B } from "../session/stage.ts";

const LOGIN = startup({ user: "alice" });
const NOT_NOW = B.error("57P03", "FATAL");

async function servers(t: { teardown(f: () => unknown): unknown }, count: number): Promise<FakePostgres[]> {
  const all = await Promise.all(Array.from({ length: count }, () => new FakePostgres().listen()));
  t.teardown(() => Promise.all(all.map((one) => one.close())));
  return all;
}

interface Target {
  open(): Promise<OpenedBackend>;
  metric(name: string, labels: Record<string, string>): Promise<number | undefined>;
  readonly upstreams: ReturnType<typeof upstreamsAt>;
}

function target(
  t: { teardown(f: () => unknown): unknown },
  ports: readonly number[],
  options: Partial<Upstream> = {},
  retries?: Retries,
  random?: () => number,
): Target {
  const metrics = new Metrics();
  const upstreams = upstreamsAt(ports, metrics, options, retries, random);
  const relay = relayTo(upstreams);
  return {
    upstreams,
    open: async () => {
      const opened = await relay({
        startup: { user: "alice", database: "alice", parameters: new Map(), protocol: "3.0" },
        raw: LOGIN,
        address: "127.0.0.1:1",
      });
      t.teardown(() => opened.stream.destroy());
      return opened;
    },
    metric: async (name, labels) => {
      const found = await metrics.registry.getSingleMetric(name)?.get();
      return found?.values.find((value) =>
        Object.entries(labels).every(([label, text]) => (value.labels as Record<string, string>)[label] === text),
      )?.value;
    },
  };
}

async function firstOf({ stream }: OpenedBackend): Promise<string> {
  for await (const chunk of stream) return (chunk as Buffer).toString("latin1");
  return "";
}

t.test(
  "one that refuses, one that closes, one that takes none now are passed over; what was tried is told",
  async (t) => {
    const [closing, starting, good] = (await servers(t, 3)) as [FakePostgres, FakePostgres, FakePostgres];
    const refusing = await new FakePostgres().listen();
    await refusing.close();
    closing.onStartup = ({ socket }) => socket.destroy();
    starting.onStartup = (backend) => {
      // In two pieces, as it may arrive.
      backend.send(NOT_NOW.subarray(0, 9));
      setTimeout(() => backend.send(NOT_NOW.subarray(9)), 10);
    };
    const all = target(
      t,
      [refusing, closing, starting, good].map(({ port }) => port),
    );
    const opened = await all.open();
    t.match(opened, { attempts: 4, host: `127.0.0.1:${good.port}` });
    t.match(await firstOf(opened), /^R/, "nothing of its answer is lost");
    t.match(await all.open(), { attempts: 1 }, "those that failed are last for a while");
    for (const [{ port }, result, count] of [
      [refusing, "failed", 1],
      [closing, "failed", 1],
      [starting, "unready", 1],
      [good, "connected", 2],
    ] as const) {
      const labels = { host: `127.0.0.1:${port}`, result };
      t.equal(await all.metric("vitrine_proxy_upstream_connections_total", labels), count, result);
    }
  },
);

t.test("when all take none now, after retries the client hears it in the server's words", async (t) => {
  const [one] = (await servers(t, 1)) as [FakePostgres];
  one.onStartup = (backend) => backend.send(NOT_NOW);
  const all = target(t, [one.port]);
  const opened = await all.open();
  t.match(opened, { attempts: QUICK.attempts, host: undefined });
  t.match(await firstOf(opened), /57P03/);
  t.equal(one.backends.length, QUICK.attempts);
});

t.test("one that takes none now, and breaks its connection while others are tried, brings nothing down", async (t) => {
  for (const way of ["reset", "end"] as const) {
    const [starting, slow, gone] = (await servers(t, 3)) as [FakePostgres, FakePostgres, FakePostgres];
    const broken: (() => void)[] = [];
    starting.onStartup = (backend) => {
      backend.send(NOT_NOW);
      broken.push(() => (way === "reset" ? backend.socket.resetAndDestroy() : backend.socket.end()));
    };
    slow.onStartup = async (backend) => {
      broken.at(-1)!();
      await new Promise((resolve) => setTimeout(resolve, 60));
      backend.send(B.auth(0));
    };
    t.match(await firstOf(await target(t, [starting.port, slow.port]).open()), /^R/);
    // And when none of the others will do.
    gone.onStartup = async (backend) => {
      broken.at(-1)!();
      await new Promise((resolve) => setTimeout(resolve, 60));
      backend.socket.destroy();
    };
    const opened = await target(t, [starting.port, gone.port], {}, new Retries({ ...QUICK, attempts: 1 }))
      .open()
      .catch((error: unknown) => error);
    if (opened instanceof Error) t.match(opened, { code: "upstream_lost" });
    else t.match(await firstOf(opened as OpenedBackend), /57P03/);
  }
});

t.test("a server that comes back while it is tried again", async (t) => {
  const [one] = (await servers(t, 1)) as [FakePostgres];
  one.onStartup = (backend) => {
    if (one.backends.length < 3) backend.socket.destroy();
    else backend.send(B.auth(0), B.key(1), B.ready());
  };
  const all = target(t, [one.port], {}, new Retries({ ...QUICK, attempts: 3 }));
  t.match(await all.open(), { attempts: 3 });
  t.equal(await all.metric("vitrine_proxy_retries_total", { what: "connect" }), 2);
});

t.test("without a budget it is tried once; a refused login is not tried elsewhere", async (t) => {
  const [one, two] = (await servers(t, 2)) as [FakePostgres, FakePostgres];
  one.onStartup = ({ socket }) => socket.destroy();
  const none = new Retries({ ...QUICK, attempts: 9, reserve: 0, budgetPercent: 0 });
  await t.rejects(target(t, [one.port], {}, none).open(), { code: "upstream_lost" });
  t.equal(one.backends.length, 1);
  one.onStartup = (backend) => backend.send(B.error("28P01", "FATAL"));
  t.match(await firstOf(await target(t, [one.port, two.port]).open()), /28P01/);
  t.equal(two.backends.length, 0);
});

t.test("a breaker that is open: nothing is tried, and clients hear it at once; then one attempt tells", async (t) => {
  const [one] = (await servers(t, 1)) as [FakePostgres];
  one.onStartup = ({ socket }) => socket.destroy();
  const all = target(t, [one.port], {}, new Retries({ ...QUICK, attempts: 1 }));
  for (let i = 0; i < 5; i += 1) await t.rejects(all.open(), { code: "upstream_lost" });
  await t.rejects(all.open(), { code: "upstream_unreachable", message: /failed again and again/ });
  t.equal(one.backends.length, 5);
  t.equal(await all.metric("vitrine_proxy_breaker_state", {}), 2);
  one.onStartup = (backend) => backend.send(B.auth(0));
  await until("it is half open", () => all.upstreams.hosts[0]?.breaker.state === "half-open");
  await Promise.all([
    all.open(),
    t.rejects(all.open(), { code: "upstream_unreachable", message: /until one attempt/ }, "one at a time"),
  ]);
  await all.open();
  t.equal(await all.metric("vitrine_proxy_breaker_state", {}), 0);
});

t.test("random order reaches every host, and a cancel the one where the session is", async (t) => {
  const all = await servers(t, 3);
  let seed = 0;
  // biome-ignore lint/suspicious/noAssignInExpressions: a generator of a line
  const random = (): number => (seed = (seed * 16807 + 11) % 2147483647) / 2147483647;
  const { open } = target(
    t,
    all.map(({ port }) => port),
    { shuffled: true },
    undefined,
    random,
  );
  for (let i = 0; i < 30; i += 1) await open();
  t.ok(
    all.every(({ backends }) => backends.length > 3),
    String(all.map(({ backends }) => backends.length)),
  );
  const opened = await open();
  const own = all.find(({ port }) => opened.host === `127.0.0.1:${port}`)!;
  const before = all.map(({ backends }) => backends.length);
  own.onStartup = ({ socket }) => socket.end();
  await opened.cancel({ pid: 7, key: Buffer.alloc(4) });
  t.same(
    all.map(({ backends }, i) => backends.length - before[i]!),
    all.map((one) => (one === own ? 1 : 0)),
  );
});

t.test("a session on a standby is refused before its first statement, and the next one goes elsewhere", async (t) => {
  const [second] = (await servers(t, 1)) as [FakePostgres];
  const role = (standby: "on" | "off"): Buffer =>
    Buffer.concat([B.status("in_hot_standby", standby), B.status("default_transaction_read_only", "off")]);
  const logIn = (server: FakePostgres, standby: "on" | "off"): void => {
    server.onStartup = (backend) => backend.send(B.auth(0), role(standby), B.key(77), B.ready());
  };
  const all = await rig(t, { target: "primary", second });
  logIn(all.upstream, "on");
  logIn(second, "off");
  const refused = await all.client();
  refused.socket.write(LOGIN);
  await until("it is refused", () => refused.ended);
  t.equal(refused.refusal, "57P03");
  await all.session();
  t.equal(second.backends.length, 1);
  await all.session();
  t.equal(all.upstream.backends.length, 1, "what is known to be a standby is not even asked");
  // A failover: the old primary is gone, the standby was promoted.
  await second.close();
  logIn(all.upstream, "off");
  await all.session();
  await all.proxy.close(0);
  const kinds = await all.stop();
  t.equal(kinds.filter((kind) => kind === "session.start").length, 3);
  t.match(all.bench.log.ofKind("access.refused")[0]!.json, { by: "proxy", sqlstate: "57P03" });
  const [direct, , over] = all.bench.log.ofKind("session.start").map(({ json }) => json);
  t.match(direct, { server: { host: `127.0.0.1:${second.port}` } });
  t.notOk("attempts" in direct!);
  t.match(over, { server: { host: `127.0.0.1:${all.upstream.port}` }, attempts: 2 });
});

t.test("a promotion is learned from a session that lives on", async (t) => {
  const [one, two] = (await servers(t, 2)) as [FakePostgres, FakePostgres];
  const all = target(t, [one.port, two.port], { target: "prefer-standby" });
  const opened = await all.open();
  opened.reported?.("in_hot_standby", "off");
  opened.reported?.("default_transaction_read_only", "off");
  t.equal(opened.refusal?.(), undefined, "rather a primary than none");
  t.equal((await all.open()).host, `127.0.0.1:${two.port}`, "another one may be a standby");
  opened.reported?.("in_hot_standby", "on");
  t.equal((await all.open()).host, `127.0.0.1:${one.port}`);
});

t.test("of a name's addresses the first that answers is taken", async (t) => {
  const server: Server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as { port: number };
  // Reserved for documentation: nobody answers there, or the system says so at once.
  for (const addresses of [["127.0.0.1"], ["2001:db8::1", "127.0.0.1"], ["127.0.0.9", "192.0.2.1", "127.0.0.1"]]) {
    const socket = await dial({ host: "db.example", port }, 2000, async () => addresses);
    t.equal(socket.remoteAddress, "127.0.0.1");
    socket.destroy();
  }
  const message = /127\.0\.0\.8: ECONNREFUSED, 127\.0\.0\.9: ECONNREFUSED/;
  const both = async (): Promise<string[]> => ["127.0.0.8", "127.0.0.9"];
  await t.rejects(dial({ host: "db.example", port: 1 }, 2000, both), { code: "upstream_unreachable", message });
  await t.rejects(
    dial({ host: "db.example", port }, 2000, async () => []),
    { code: "upstream_unreachable", message: /no address/ },
  );
  await t.rejects(
    dial({ host: "db.example", port }, 30, () => new Promise(() => undefined)),
    { code: "upstream_unreachable", message: /no address for db\.example within/ },
  );
  await t.rejects(dial({ host: "no-such-host.invalid", port }, 5000), { code: "upstream_unreachable" });
});

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import t, { type Test } from "tap";
import { Delivery } from "../../../cli/monitor/delivery.ts";
import type { Followed } from "../../../cli/monitor/followed.ts";
import type { Told } from "../../../cli/monitor/lines.ts";
import { Webhook } from "../../../cli/monitor/webhook.ts";
import type { AlertEvent } from "../../../src/index.ts";

type Hook = { url: string; bodies: unknown[]; statuses: number[] };

/** Answers with one status after the other, then 204. */
async function hook(t: Test, statuses: number[] = []): Promise<Hook> {
  const bodies: unknown[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => {
      body += chunk;
    });
    request.on("end", () => {
      t.equal(request.headers["content-type"], "application/json");
      const status = statuses.shift() ?? 204;
      if (status === 204) bodies.push(JSON.parse(body));
      response.writeHead(status, status === 302 ? { location: "http://127.0.0.1:9/" } : {}).end("whatever");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/T0P-SECRET?k=v`, bodies, statuses };
}

function event(code: "stale" | "unreachable"): AlertEvent {
  const alert = { code, verdict: "NOT PROVEN", scope: "stale", message: "\u001b[2J", since: 0 } as const;
  return { event: "raised", at: 0, alert };
}

/** What a delivery needs of a log: its queue. */
function queue(...unsent: AlertEvent[]): Followed {
  const one = {
    unsent,
    sent: (event: AlertEvent) => t.equal(unsent.shift(), event),
    toTold: (what: AlertEvent): Told => ({ ...what, log: "https://log.example", origin: "log.example" }),
  };
  return one as unknown as Followed;
}

t.test("everything is sent in order, as often as it takes", async (t) => {
  const { url, bodies } = await hook(t, [500, 302]);
  const log = queue(event("stale"), event("unreachable"));
  const told: Told[] = [];
  const delivery = new Delivery(new Webhook(url, [5, 5]), [log], async (events) => void told.push(...events));
  delivery.wake();
  await delivery.stop(5000);
  t.match(bodies, [
    { format: "vitrine/alert/v1", event: "raised", alert: "stale", origin: "log.example", message: "\u001b[2J" },
    { alert: "unreachable" },
  ]);
  t.same([log.unsent.length, told, delivery.failing], [0, [], false]);
});

t.test("a webhook that fails is an alert of its own, names no secret, and gets everything later", async (t) => {
  const { url, bodies } = await hook(t, [404, 404]);
  const log = queue(event("stale"), event("unreachable"));
  const told: Told[] = [];
  const delivery = new Delivery(new Webhook(url, [5]), [log], async (events) => void told.push(...events));
  delivery.wake();
  while (told.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  t.match(told, [{ event: "raised", alert: { code: "webhook_failed", message: /127\.0\.0\.1:[0-9]+ .*answers 404/ } }]);
  t.notMatch(JSON.stringify(told), "SECRET");
  t.same([log.unsent.length, bodies.length, delivery.failing], [2, 0, true]);
  delivery.wake(); // too early: it is left in peace
  t.equal(bodies.length, 0);
  await delivery.stop(5000);
  t.same([log.unsent.length, bodies.length, delivery.failing], [0, 2, false]);
  t.match(told[1], { event: "resolved", alert: { code: "webhook_failed" } });
});

t.test("nobody there, or nobody who answers, does not hold up the end", async (t) => {
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    silent.closeAllConnections();
    silent.close();
  });
  for (const port of [9, (silent.address() as AddressInfo).port]) {
    const log = queue(event("stale"));
    const told: Told[] = [];
    const delivery = new Delivery(
      new Webhook(`http://127.0.0.1:${port}/`),
      [log],
      async (events) => void told.push(...events),
    );
    delivery.wake();
    await delivery.stop(100);
    t.match(told, [{ alert: { code: "webhook_failed" } }]);
    t.equal(log.unsent.length, 1);
  }
});

t.test("what is no webhook", async (t) => {
  for (const url of ["ftp://host/", "host", "https://me:secret@host/"]) {
    t.throws(() => new Webhook(url), { code: "usage", message: /^(?!.*secret)--webhook/ });
  }
});

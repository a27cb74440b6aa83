import { writeFile } from "node:fs/promises";
import t from "tap";
import { createKey } from "../../src/keys/keys.ts";
import { startLogServer } from "../../src/start.ts";
import { ADMIN, actingLog, actsOf, post } from "../support/acting.ts";
import { get, send, submit } from "../support/client.ts";
import { ORIGIN } from "../support/folder.ts";
import { rotate, TestSource } from "../support/source.ts";

t.test("a source is registered and retired without a restart, and each is an entry", async (t) => {
  let acting = await actingLog(t);
  const name = "schlüssel.example/a b".replace(" ", "%");
  const source = new TestSource(name).start().fill(2);
  const { vkey } = source.key;
  t.match((await submit(acting.log.url, source.submission(ORIGIN))).json(), { error: { code: "unknown_source" } });
  const registered = await post(acting.log.url, "/api/v1/sources", { vkey, reason: "the new shop" });
  t.equal(registered.status, 201);
  t.match(registered.json(), { name, vkey, epoch: 0, next: 0, retired: false });
  t.equal((await post(acting.log.url, "/api/v1/sources", { vkey, reason: "again" })).status, 200);
  t.equal((await submit(acting.log.url, source.submission(ORIGIN))).status, 200);
  const path = `/api/v1/sources/${encodeURIComponent(name)}/retire`;
  t.match((await post(acting.log.url, path, { reason: "closed" })).json(), { name, next: 3, retired: true });
  t.equal((await post(acting.log.url, path, { reason: "again" })).status, 200);
  source.fill(1);
  const refused = await submit(acting.log.url, source.submission(ORIGIN, 3));
  t.match([refused.status, refused.json().error.code], [403, "source_retired"]);
  t.match((await submit(acting.log.url, source.submission(ORIGIN, 0, 3))).json(), {
    error: { code: "source_retired" },
  });

  acting = await acting.restart();
  t.match((await submit(acting.log.url, source.submission(ORIGIN, 3))).json(), { error: { code: "source_retired" } });
  t.equal((await post(acting.log.url, "/api/v1/sources", { vkey, reason: "open again" })).status, 201);
  t.equal((await submit(acting.log.url, source.submission(ORIGIN, 3))).status, 200);
  const acts = await actsOf(acting.log.url);
  t.match(
    acts.filter(({ kind }) => kind.startsWith("source.re")),
    [
      { kind: "source.registered", registered: { name, vkey }, by: "the-admin", reason: { bytes: 12 } },
      { kind: "source.retired", retired: { name, vkey }, by: "the-admin", reason: { bytes: 6 } },
      { kind: "source.registered", registered: { name, vkey } },
    ],
  );
  acting = await acting.restart();
  t.equal((await submit(acting.log.url, source.fill(1).submission(ORIGIN, 4))).status, 200);
  await acting.log.close();
});

t.test("what is wrong with a request changes nothing", async (t) => {
  const source = new TestSource("s");
  const acting = await actingLog(t, [source.key.vkey]);
  const { url } = acting.log;
  const vkey = createKey("fresh").vkey;
  const cases: [string, unknown, number, string, string?][] = [
    ["/api/v1/sources", { vkey }, 400, "bad_parameter", "reason"],
    ["/api/v1/sources", { reason: "x" }, 400, "bad_parameter", "vkey"],
    ["/api/v1/sources", { vkey, reason: "" }, 400, "bad_parameter", "reason"],
    ["/api/v1/sources", { vkey, reason: "a\nb" }, 400, "bad_parameter", "reason"],
    ["/api/v1/sources", { vkey: 1, reason: "x" }, 400, "bad_parameter", "vkey"],
    ["/api/v1/sources", { vkey: `${vkey}x`, reason: "x" }, 400, "bad_parameter", "vkey"],
    ["/api/v1/sources", { vkey: createKey("x".repeat(256)).vkey, reason: "x" }, 400, "bad_parameter", "vkey"],
    ["/api/v1/sources", { vkey: createKey(`${ORIGIN}/acts`).vkey, reason: "x" }, 400, "bad_parameter", "vkey"],
    ["/api/v1/sources", { vkey, reason: "x", more: 1 }, 400, "bad_parameter", "body"],
    ["/api/v1/sources", [vkey], 400, "bad_parameter", "body"],
    ["/api/v1/sources", { vkey: createKey("s").vkey, reason: "x" }, 409, "source_conflict"],
    ["/api/v1/sources/none/retire", { reason: "x" }, 404, "not_found"],
    [`/api/v1/sources/${encodeURIComponent(`${ORIGIN}/acts`)}/retire`, { reason: "x" }, 404, "not_found"],
    ["/api/v1/sources/%73/retire", { reason: "x" }, 400, "bad_parameter", "name"],
    ["/api/v1/sources/s/retire", {}, 400, "bad_parameter", "reason"],
    ["/api/v1/sources/s/retire", { reason: "x", name: "s" }, 400, "bad_parameter", "body"],
  ];
  for (const [path, body, status, code, parameter] of cases) {
    const answer = await post(url, path, body);
    const { message: _, ...error } = answer.json().error;
    t.same(
      [answer.status, error],
      [status, parameter === undefined ? { code } : { code, parameter }],
      JSON.stringify(body),
    );
  }
  for (const [headers, status] of [
    [{ "content-type": "application/json" }, 401],
    [{ ...ADMIN, authorization: "Bearer auditor" }, 403],
    [{ authorization: ADMIN.authorization, "content-type": "text/plain" }, 415],
  ] as const) {
    t.equal((await post(url, "/api/v1/sources", { vkey, reason: "x" }, headers)).status, status);
  }
  t.match((await send(url, "POST", "/api/v1/sources", ADMIN, Buffer.from("{"))).json(), {
    error: { parameter: "body" },
  });
  t.match((await send(url, "POST", "/api/v1/sources", ADMIN, Buffer.from('"\xff"', "latin1"))).json(), {
    error: { parameter: "body" },
  });
  const large = await send(
    url,
    "POST",
    "/api/v1/sources",
    { ...ADMIN, "transfer-encoding": "chunked" },
    Buffer.alloc(70_000),
  );
  t.same([large.status, large.json().error.limit], [413, 65_536]);
  t.match((await get(url, "/api/v1/sources")).json().sources, [{ name: "s", retired: false }]);
  t.same(await actsOf(url), []);
  await acting.log.close();
});

t.test("a change of key outlives restarts; the configuration may name the old key or the new one", async (t) => {
  const source = new TestSource("s").start().fill(1);
  let acting = await actingLog(t, [source.key.vkey]);
  const old = rotate(source);
  const { key } = source;
  Object.assign(source, { key: old });
  t.equal((await submit(acting.log.url, source.submission(ORIGIN, 0, 3))).status, 200);
  t.match((await get(acting.log.url, "/api/v1/sources")).json().sources, [{ name: "s", vkey: key.vkey }]);
  source.fill(1);
  t.match((await submit(acting.log.url, source.submission(ORIGIN, 3))).json(), { error: { code: "bad_signature" } });
  acting = await acting.restart();
  t.match((await submit(acting.log.url, source.submission(ORIGIN, 3))).json(), { error: { code: "bad_signature" } });
  t.equal((await submit(acting.log.url, source.submission(ORIGIN, 1, 3))).status, 200, "a repetition");
  Object.assign(source, { key });
  t.equal((await submit(acting.log.url, source.submission(ORIGIN, 0))).status, 200);
  await acting.log.close();
  const config = { ...acting.config, sources: [key.vkey] };
  const log = await startLogServer(config, { log: () => {} });
  t.equal((await submit(log.url, source.fill(1).submission(ORIGIN, 4))).status, 200);
  const retired = await post(log.url, "/api/v1/sources/s/retire", { reason: "x" });
  t.match(retired.json(), { vkey: key.vkey, retired: true });
  await log.close();
  await t.rejects(startLogServer({ ...config, sources: [createKey("s").vkey] }, { log: () => {} }), {
    code: "bad_config",
  });
});

t.test(
  "what was on its way when the key changed, or the source was retired, is judged by what is then in force",
  async (t) => {
    let hold: (() => void) | undefined;
    let held: Promise<void> | undefined;
    const source = new TestSource("s").start().fill(3);
    const acting = await actingLog(t, [source.key.vkey], {
      at: async (point) => {
        if (point === "append:before") await held;
      },
    });
    const { url } = acting.log;
    const old = rotate(source);
    const { key } = source;
    source.fill(2);
    Object.assign(source, { key: old });
    held = new Promise((resolve) => {
      hold = resolve;
    });
    const first = submit(url, source.submission(ORIGIN, 0, 1));
    const inFlight = [submit(url, source.submission(ORIGIN, 1, 5)), submit(url, source.submission(ORIGIN, 5, 6))];
    const waiting = async (count: number): Promise<void> => {
      while (!(await get(url, "/metrics")).body.includes(`vitrine_log_waiting_submissions ${count}\n`));
    };
    await waiting(3);
    hold!();
    t.equal((await first).status, 200);
    const [rotated, behind] = await Promise.all(inFlight);
    t.equal(rotated!.status, 200);
    t.match(behind!.json(), { error: { code: "bad_signature", message: /in force by now/ } });

    Object.assign(source, { key });
    held = new Promise((resolve) => {
      hold = resolve;
    });
    const blocker = submit(url, source.submission(ORIGIN, 5, 6));
    await waiting(1);
    const retiring = post(url, "/api/v1/sources/s/retire", { reason: "x" });
    await new Promise((resolve) => setTimeout(resolve, 500));
    const late = submit(url, source.submission(ORIGIN, 6, 7));
    await waiting(2);
    hold!();
    t.equal((await blocker).status, 200);
    t.equal((await retiring).status, 200);
    t.match((await late).json(), { error: { code: "source_retired" } });
    await acting.log.close();
  },
);

t.test("a change of key that becomes durable together with the source's retirement is not lost", async (t) => {
  let hold: (() => void) | undefined;
  let held: Promise<void> | undefined;
  const source = new TestSource("s").start().fill(2);
  const acting = await actingLog(t, [source.key.vkey], {
    at: async (point) => {
      if (point === "append:before") await held;
    },
  });
  const { url } = acting.log;
  // The first act begins an epoch of the log's own; the next ones are an entry each.
  await post(url, "/api/v1/sources", { vkey: createKey("other").vkey, reason: "x" });
  const old = rotate(source);
  const { key } = source;
  Object.assign(source, { key: old });
  held = new Promise((resolve) => {
    hold = resolve;
  });
  const first = submit(url, source.submission(ORIGIN, 0, 1));
  const rotated = submit(url, source.submission(ORIGIN, 1));
  while (!(await get(url, "/metrics")).body.includes("vitrine_log_waiting_submissions 2\n"));
  const retiring = post(url, "/api/v1/sources/s/retire", { reason: "x" });
  await new Promise((resolve) => setTimeout(resolve, 500));
  hold!();
  t.same([(await first).status, (await rotated).status, (await retiring).status], [200, 200, 200]);
  const { log } = await acting.restart();
  t.match((await get(log.url, "/api/v1/sources")).json().sources.at(-1), { name: "s", vkey: key.vkey, retired: true });
  t.equal((await post(log.url, "/api/v1/sources", { vkey: key.vkey, reason: "again" })).status, 201);
  Object.assign(source, { key });
  t.equal((await submit(log.url, source.fill(1).submission(ORIGIN, 4))).status, 200);
  await log.close();
});

t.test("a log that changes its keys says so", async (t) => {
  const acting = await actingLog(t);
  const more = `${acting.folder.path}/more.key`;
  const { skey, vkey } = createKey(ORIGIN);
  await writeFile(more, `${skey}\n`, { mode: 0o600 });
  await acting.log.reload({ ...acting.config, moreKeys: [more] });
  await acting.log.reload({ ...acting.config, moreKeys: [more] });
  const acts = await actsOf(acting.log.url);
  t.match(
    acts.map(({ kind, keys }) => [kind, keys]),
    [
      ["source.start", undefined],
      ["log.keys", [acting.log.vkey]],
      ["log.keys", [acting.log.vkey, vkey]],
    ],
  );
  t.equal(acts.length, 3);
  await acting.log.close();
});

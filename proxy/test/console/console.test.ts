// The console as a client sees it: drivers' messages, every split of them, hostile ones.
import t from "tap";
import type { Act } from "../../src/console/command.ts";
import { Console } from "../../src/console/console.ts";
import type { Desk } from "../../src/console/desk.ts";
import type { Row } from "../../src/console/table.ts";
import { ProxyError } from "../../src/errors.ts";
import { AUTHENTICATION_OK } from "../../src/pool/welcome.ts";
import { until } from "../audit/help.ts";
import { F } from "../session/stage.ts";

class TestDesk implements Desk {
  readonly acts: { readonly act: Act; readonly user: string }[] = [];
  /** What an act waits for. */
  hold: Promise<void> | undefined;
  cancelled = 0;
  rows: readonly Row[] = [
    { database: "shop", user: "ann", cl_active: 3, maxwait: 9_007_199_254_740_991, pool_mode: "relay" },
  ];

  async show(): Promise<readonly Row[]> {
    return this.rows;
  }

  async act(act: Act, user: string, signal: AbortSignal): Promise<void> {
    this.acts.push({ act, user });
    if (this.hold === undefined) return;
    const aborted = new Promise<void>((_, reject) =>
      signal.addEventListener("abort", () => {
        this.cancelled += 1;
        reject(new ProxyError("console_cancelled", "not waited for"));
      }),
    );
    await Promise.race([this.hold, aborted]);
  }
}

interface Seat {
  readonly desk: TestDesk;
  readonly console: Console;
  /** Types of the messages that came, and all of their bytes. */
  types(): string;
  readonly bytes: () => Buffer;
  error: Error | undefined;
}

async function sit(user: "admin" | "viewer" | "stranger" = "admin"): Promise<Seat> {
  const desk = new TestDesk();
  const parts: Buffer[] = [];
  const startup = { protocol: "3.0", user, database: "vitrine", parameters: new Map([["user", user]]) };
  const one = new Console(
    { startup, raw: Buffer.alloc(0), address: "192.0.2.1:5" },
    {
      door: {
        begin: async () => ({ kind: "accepted", send: AUTHENTICATION_OK, accepted: { role: user } }),
        feed: async () => ({ kind: "refused", error: new ProxyError("authentication_failed", "no") }),
      },
      operatorOf: (name) => (name === "stranger" ? undefined : { user: name, admin: name === "admin" }),
      desk,
      version: "1.2.3/vitrine",
    },
  );
  const seat: Seat = {
    desk,
    console: one,
    types: () => typesOf(Buffer.concat(parts)),
    bytes: () => Buffer.concat(parts),
    error: undefined,
  };
  one.on("data", (chunk: Buffer) => parts.push(chunk));
  one.on("error", (error) => {
    seat.error = error;
  });
  await until("the login is through", () => seat.types().endsWith("Z") || seat.error !== undefined);
  parts.length = 0;
  return seat;
}

function typesOf(bytes: Buffer): string {
  let types = "";
  for (let at = 0; at + 5 <= bytes.length; at += 1 + bytes.readUInt32BE(at + 1))
    types += String.fromCharCode(bytes[at]!);
  return types;
}

const sqlstates = (bytes: Buffer): string[] =>
  [...bytes.toString("latin1").matchAll(/\0C([0-9A-Z]{5})\0/g)].map(([, state]) => state!);

/** A Bind that asks for all columns in this format. */
function bindAs(format: number): Buffer {
  const body = Buffer.from([0, 0, 0, 0, 0, 0, 0, 1, 0, format]);
  return Buffer.concat([Buffer.from([0x42, 0, 0, 0, 4 + body.length]), body]);
}

t.test("a Query and its table", async (t) => {
  const seat = await sit();
  seat.console.write(F.query("SHOW POOLS"));
  await until("it is answered", () => seat.types().endsWith("Z"));
  t.equal(seat.types(), "TDCZ");
  t.match(seat.bytes().toString("latin1"), /database\0.*user\0.*shop.*ann.*9007199254740991.*SHOW\0/s);
  seat.console.write(Buffer.concat([F.query(""), F.query("PAUSE shop"), F.query("nonsense"), F.query("SET a = 1")]));
  await until("all are answered", () => seat.types().length === 4 + 2 + 2 + 2 + 2);
  t.equal(seat.types(), "TDCZIZCZEZCZ");
  t.same(sqlstates(seat.bytes()), ["42601"]);
  t.same(seat.desk.acts, [{ act: { kind: "pause", database: "shop" }, user: "admin" }]);
});

t.test("the extended protocol, text and binary, rows in parts", async (t) => {
  const seat = await sit();
  seat.desk.rows = [1, 2, 3].map((cl_active) => ({ database: "shop", cl_active }));
  const describe = (what: string): Buffer => Buffer.from([0x44, 0, 0, 0, 6, what.charCodeAt(0), 0]);
  seat.console.write(
    Buffer.concat([F.parse("SHOW POOLS", ""), describe("S"), bindAs(1), describe("P"), F.execute(), F.sync()]),
  );
  await until("it is answered", () => seat.types().endsWith("Z"));
  t.equal(seat.types(), "1tT2TDDDCZ");
  const binary = Buffer.concat([Buffer.from([0, 0, 0, 8]), Buffer.alloc(7), Buffer.from([3])]);
  t.ok(seat.bytes().includes(binary), "int8 in eight bytes");
  const limited = (rows: number): Buffer => Buffer.from([0x45, 0, 0, 0, 9, 0, 0, 0, 0, rows]);
  seat.console.write(Buffer.concat([bindAs(0), limited(2), limited(2), F.sync()]));
  await until("its parts are there", () => seat.types().endsWith("DCZ"));
  t.equal(seat.types(), "1tT2TDDDCZ" + "2DDsDCZ");
});

t.test("an error in a pipeline: what stands behind it is skipped up to Sync", async (t) => {
  const seat = await sit("viewer");
  seat.console.write(
    Buffer.concat([
      F.parse("SHUTDOWN", ""),
      F.bind("", ""),
      F.execute(),
      F.parse("SHOW POOLS", ""),
      F.execute(),
      F.sync(),
      F.query("SHOW POOLS"),
    ]),
  );
  await until("the next one is answered", () => seat.types().endsWith("TDCZ"));
  t.equal(seat.types(), "12EZTDCZ");
  t.same(sqlstates(seat.bytes()), ["42501"], "who may look cannot do anything");
  t.same(seat.desk.acts, []);
  for (const bad of [F.parse("nonsense", ""), F.bind("none", ""), F.execute("none")]) {
    const other = await sit();
    other.console.write(Buffer.concat([bad, F.sync()]));
    await until("it is refused", () => other.types() === "EZ");
  }
});

t.test("however the bytes are split, the answer is the same", async (t) => {
  const stream = Buffer.concat([
    F.query("SHOW POOLS"),
    F.parse("SHOW POOLS", "s"),
    F.bind("s", "p"),
    F.execute("p"),
    F.sync(),
  ]);
  const whole = await sit();
  whole.console.write(stream);
  await until("it is answered", () => whole.types() === "TDCZ12DCZ");
  for (let at = 1; at < stream.length; at += 1) {
    const split = await sit();
    split.console.write(Buffer.from(stream.subarray(0, at)));
    split.console.write(Buffer.from(stream.subarray(at)));
    await until("it is answered", () => split.types().length === whole.types().length);
    if (!split.bytes().equals(whole.bytes())) t.fail(`split at ${at}`);
    split.console.destroy();
  }
});

t.test("somebody who waits can be cancelled, and is when nobody waits any more", async (t) => {
  const seat = await sit();
  seat.desk.hold = new Promise(() => undefined);
  seat.console.write(F.query("PAUSE"));
  await until("it waits", () => seat.desk.acts.length === 1);
  t.equal(seat.types(), "");
  await seat.console.cancel();
  await until("it is told", () => seat.types() === "EZ");
  t.same(sqlstates(seat.bytes()), ["57014"]);
  seat.console.write(F.query("PAUSE"));
  await until("it waits again", () => seat.desk.acts.length === 2);
  seat.console.end();
  await until("nobody waits", () => seat.desk.cancelled === 2);
});

t.test("who may not use it gets no session; what is no message ends one", async (t) => {
  const stranger = await sit("stranger");
  t.match(stranger.error, { code: "not_authorized" });
  t.equal(stranger.types(), "", "not even that the password was right");
  const hostile = [
    Buffer.from([0x51, 0xff, 0xff, 0xff, 0xff]),
    Buffer.from([0x51, 0x00, 0x10, 0x00, 0x00]),
    Buffer.from([0x51, 0, 0, 0, 5, 0x41]),
    Buffer.concat([F.parse("SHOW POOLS", ""), Buffer.from([0x42, 0, 0, 0, 8, 0, 0, 0, 9])]),
    Buffer.from([0x45, 0, 0, 0, 5, 0]),
  ];
  for (const bytes of hostile) {
    const seat = await sit();
    let ended = false;
    seat.console.on("end", () => {
      ended = true;
    });
    seat.console.write(bytes);
    await until("it is ended", () => ended);
    t.same(sqlstates(seat.bytes()), ["08P01"], bytes.toString("hex"));
  }
  const full = await sit();
  full.console.write(Buffer.concat(Array.from({ length: 1001 }, (_, i) => F.parse("SHOW POOLS", `s${i}`))));
  full.console.write(F.sync());
  await until("names have an end", () => full.types().endsWith("EZ"));
});

import t from "tap";
import { type FirstPacket, StartupReader } from "../../src/wire/startup.ts";
import { cancelRequest } from "../../src/wire/write.ts";

function packet(code: number, body: Buffer): Buffer {
  const bytes = Buffer.alloc(8 + body.length);
  bytes.writeUInt32BE(bytes.length, 0);
  bytes.writeUInt32BE(code, 4);
  body.copy(bytes, 8);
  return bytes;
}

function startup(pairs: readonly string[], version = 196608): Buffer {
  return packet(version, Buffer.from(`${pairs.map((text) => `${text}\0`).join("")}\0`));
}

const read = (bytes: Buffer): FirstPacket | undefined => new StartupReader().feed(bytes);

t.test("a startup packet, split at every byte", async () => {
  const bytes = startup(["user", "alice", "database", "shop", "application_name", "psql", "options", "-c a=b"]);
  for (let cut = 1; cut < bytes.length; cut += 1) {
    const reader = new StartupReader();
    t.equal(reader.feed(bytes.subarray(0, cut)), undefined);
    const got = reader.feed(bytes.subarray(cut));
    t.equal(got?.kind, "startup");
    if (got?.kind !== "startup") continue;
    t.ok(got.raw.equals(bytes));
    t.equal(got.startup.user, "alice");
    t.equal(got.startup.database, "shop");
    t.equal(got.startup.protocol, "3.0");
    t.equal(got.startup.parameters.get("options"), "-c a=b");
  }
});

t.test("the database is the user's name when none or an empty one is given", async () => {
  for (const pairs of [
    ["user", "alice"],
    ["user", "alice", "database", ""],
  ]) {
    const got = read(startup(pairs));
    t.equal(got?.kind === "startup" && got.startup.database, "alice");
  }
});

t.test("protocol 3.2 and greater minors are passed on for the server to negotiate", async () => {
  for (const [version, text] of [
    [196610, "3.2"],
    [196608 + 9999, "3.9999"],
  ] as const) {
    const got = read(startup(["user", "a"], version));
    t.equal(got?.kind === "startup" && got.startup.protocol, text);
  }
});

t.test("encryption requests, TLS, cancel", async () => {
  t.same(read(packet(80877103, Buffer.alloc(0))), { kind: "ssl" });
  t.same(read(packet(80877104, Buffer.alloc(0))), { kind: "gssenc" });
  t.same(read(Buffer.from([0x16, 3, 1])), { kind: "tls" });
  for (const size of [4, 32, 256]) {
    const key = Buffer.alloc(size, 7);
    t.same(read(cancelRequest(4711, key)), { kind: "cancel", pid: 4711, key });
  }
});

t.test("what is malformed is refused", async () => {
  const bad: Record<string, Buffer> = {
    "bytes smuggled behind an SSLRequest": Buffer.concat([packet(80877103, Buffer.alloc(0)), Buffer.from("Q")]),
    "length below 8": Buffer.from([0, 0, 0, 7, 0, 3, 0, 0]),
    "length over 10,000": Buffer.from([0, 0, 0x27, 0x11]),
    "length of a gibibyte": Buffer.from([0x40, 0, 0, 0]),
    "no user": startup(["database", "a"]),
    "empty user": startup(["user", ""]),
    "a value without end": packet(196608, Buffer.from("user\0a")),
    "protocol 2": startup(["user", "a"], 131072),
    "protocol 4": startup(["user", "a"], 262144),
    "a name that is not UTF-8": packet(196608, Buffer.from("757365720061ff0000", "hex")),
    "a user's name that is too long": startup(["user", "a".repeat(257)]),
    "a database's name that is too long": startup(["user", "a", "database", "a".repeat(257)]),
    "cancel key of 3 bytes": packet(80877102, Buffer.alloc(7)),
    "cancel key of 257 bytes": packet(80877102, Buffer.alloc(261)),
    "SSLRequest with a body": packet(80877103, Buffer.alloc(1)),
  };
  for (const [name, bytes] of Object.entries(bad)) t.throws(() => read(bytes), { code: "protocol_violation" }, name);
});

t.test("what is malformed and names its user is refused by that name", async () => {
  const bad: Record<string, Buffer> = {
    "bytes behind a startup packet": Buffer.concat([startup(["user", "a"]), Buffer.from([0])]),
    "a parameter twice": startup(["user", "a", "user", "b"]),
    "no final NUL": packet(196608, Buffer.from("user\0a\0")),
    "a later value without end": packet(196608, Buffer.from("user\0a\0x\0y")),
    "a later value that is not UTF-8": packet(196608, Buffer.from("757365720061007800ff0000", "hex")),
    "bytes behind the list": packet(196608, Buffer.from("user\0a\0\0x\0")),
  };
  for (const [name, bytes] of Object.entries(bad)) {
    t.match(
      read(bytes),
      { kind: "refused", startup: { user: "a", database: "a" }, error: { code: "protocol_violation" } },
      name,
    );
  }
});

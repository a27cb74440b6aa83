import fc from "fast-check";
import t from "tap";
import { addressOf, hostOf, LOCAL } from "../../src/address/client.ts";
import { socketPath } from "../../src/address/unix-socket.ts";
import { ProxyError } from "../../src/errors.ts";
import { type ListenAddress, parseListen, shownAddress } from "../../src/listen/address.ts";

const parse = (value: unknown): readonly ListenAddress[] =>
  parseListen(value, (wanted) => new ProxyError("bad_config", wanted));

t.test("one address or several, by TCP or in a folder", async (t) => {
  t.same(parse("127.0.0.1:6432"), [{ host: "127.0.0.1", port: 6432 }]);
  t.same(parse(["[::1]:0", "db.example:1", "/run/vitrine:6432"]), [
    { host: "::1", port: 0 },
    { host: "db.example", port: 1 },
    { host: "/run/vitrine", port: 6432 },
  ]);
  t.same(parse("/a:b/c:5432"), [{ host: "/a:b/c", port: 5432 }], "the port is behind the last colon");
  t.equal(socketPath({ host: "/run/vitrine/", port: 6432 }), "/run/vitrine/.s.PGSQL.6432");
  t.equal(socketPath({ host: "/", port: 1 }), "/.s.PGSQL.1");
  t.same(parse(["[::1]:1", "/run:2", "h:3"]).map(shownAddress), ["[::1]:1", "/run:2", "h:3"]);
});

t.test("what is no address is refused", async (t) => {
  for (const [value, message] of [
    ["127.0.0.1", /HOST:PORT/],
    ["/run/vitrine", /FOLDER:PORT/],
    ["run/vitrine:6432", /FOLDER:PORT/],
    ["@abstract:6432/", /FOLDER:PORT/],
    ["/run/vitrine:0", /from 1 on/],
    ["/run/vitrine:65536", /HOST:PORT/],
    ["/run/\0:1", /HOST:PORT/],
    [`/${"x".repeat(120)}:6432`, /shorter folder/],
    [[], /one address, or a list/],
    [Array.from({ length: 17 }, (_, i) => `h:${i}`), /up to 16/],
    [["h:1", "h:1"], /names h:1 once/],
    [["h:1", 6432], /HOST:PORT/],
    [{ host: "h" }, /HOST:PORT/],
    [null, /HOST:PORT/],
  ] as const) {
    t.throws(() => parse(value), { code: "bad_config", message }, JSON.stringify(value));
  }
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map((text) => `/${text}:5432`),
        fc.jsonValue(),
      ),
      (value) => {
        try {
          return parse(value).every(({ host, port }) => host !== "" && port >= 0 && port <= 65_535);
        } catch (error) {
          return error instanceof ProxyError;
        }
      },
    ),
  );
});

t.test("a client on a Unix socket is local, and no address is taken for one", async (t) => {
  const socket = (remoteAddress?: string): never => ({ remoteAddress, remotePort: 7 }) as never;
  t.equal(addressOf(socket(), true), LOCAL);
  t.equal(addressOf(socket(), false), "unknown");
  t.equal(addressOf(socket("::1"), false), "[::1]:7");
  t.equal(hostOf(addressOf(socket("::1"), false)), "::1");
  t.equal(hostOf(addressOf(socket("10.0.0.1"), false)), "10.0.0.1");
  t.equal(hostOf(LOCAL), LOCAL);
  t.equal(hostOf("unknown"), undefined);
});

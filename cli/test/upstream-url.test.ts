import path from "node:path";
import t from "tap";
import { connectionString, parseUpstream } from "../src/upstream-url.ts";

t.test("host, port, user and database are taken, a password is not", async (t) => {
  const upstream = parseUpstream(
    "postgresql://ann%40x:secret@db.example:5433/my%20db?application_name=a&sslmode=prefer&password=p",
  );
  t.same(upstream, {
    host: "db.example",
    port: 5433,
    user: "ann@x",
    database: "my db",
    parameters: "application_name=a",
    tls: "sslmode=prefer",
  });
  t.equal(
    connectionString({ host: "127.0.0.1", port: 6432 }, upstream),
    "postgres://ann%40x@127.0.0.1:6432/my%20db?application_name=a",
  );
});

t.test("what is left out has libpq's default or stays out", async (t) => {
  t.same(parseUpstream("postgres://[::1]"), {
    host: "::1",
    port: 5432,
    user: undefined,
    database: undefined,
    parameters: "",
    tls: "",
  });
  t.equal(connectionString({ host: "::1", port: 1 }, {}), "postgres://[::1]:1");
});

t.test("what concerns TLS is the proxy's, with files where the command was given", async (t) => {
  for (const [given, tls] of [
    ["sslmode=verify-full&sslrootcert=system&sslsni=0", "sslmode=verify-full&sslrootcert=system&sslsni=0"],
    ["sslmode=disable", "sslmode=disable"],
    ["sslmode=allow", ""],
    ["ssl=true", "sslmode=require"],
    ["requiressl=1", "sslmode=require"],
    ["ssl=false", ""],
    ["ssl_min_protocol_version=TLSv1.3", "ssl_min_protocol_version=TLSv1.3"],
  ] as const) {
    const upstream = parseUpstream(`postgres://db/x?${given}&application_name=a`);
    t.same([upstream.tls, upstream.parameters], [tls, "application_name=a"]);
  }
  const { tls } = parseUpstream("postgres://db/x?sslrootcert=root.crt&sslkey=/etc/key");
  t.same(
    [...new URLSearchParams(tls)],
    [
      ["sslrootcert", path.resolve("root.crt")],
      ["sslkey", "/etc/key"],
    ],
  );
});

t.test("a demand for what ends at the proxy is refused in its own words", async (t) => {
  for (const demand of ["gssencmode=require", "channel_binding=require"]) {
    t.throws(() => parseUpstream(`postgres://db/x?${demand}`), { code: "upstream_tls", message: new RegExp(demand) });
  }
});

t.test("a Unix socket, in libpq's forms", async (t) => {
  for (const [url, host, port] of [
    ["postgres://%2Fvar%2Frun%2Fpostgresql/db", "/var/run/postgresql", 5432],
    ["postgres://ann@%2Frun:5433/db", "/run", 5433],
    ["postgres:///db?host=/run/a:b", "/run/a:b", 5432],
    ["postgres:///db?host=%2Frun&port=5433&sslmode=disable", "/run", 5433],
  ] as const) {
    const upstream = parseUpstream(url);
    t.same([upstream.host, upstream.port, upstream.database, upstream.parameters], [host, port, "db", ""], url);
    const printed = connectionString(upstream, upstream);
    t.match(parseUpstream(printed), { host, port, database: "db", user: upstream.user }, printed);
  }
  t.equal(connectionString({ host: "/run", port: 6432 }, {}), "postgres://%2Frun:6432");
});

t.test("other URLs are refused", async (t) => {
  const wrong = [
    "db:5432",
    "http://db",
    "postgres://",
    "postgres:///db",
    "postgres:///db?host=",
    "postgres:///db?host=/a,/b",
    "postgres:///db?host=relative/folder",
    "postgres:///db?host=/tmp&port=0",
    "postgres:///db?host=/tmp&port=65536",
    "postgres:///db?host=/tmp&port=x",
    "postgres://%2Ftmp%0A/db",
    "postgres://%2Ftmp%zz/db",
    "postgres://db?host=/tmp",
    "postgres://db:1?port=2",
    "postgres://a,b/x",
    "postgres://db:0/",
    "postgres://db:x/",
    "postgres://db/%zz",
  ];
  for (const url of wrong) t.throws(() => parseUpstream(url), { code: "usage" }, url);
});

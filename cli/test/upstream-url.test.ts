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
    parameters: "application_name=a&sslmode=prefer",
  });
  t.equal(
    connectionString({ host: "127.0.0.1", port: 6432 }, upstream),
    "postgres://ann%40x@127.0.0.1:6432/my%20db?application_name=a&sslmode=prefer",
  );
});

t.test("what is left out has libpq's default or stays out", async (t) => {
  t.same(parseUpstream("postgres://[::1]"), {
    host: "::1",
    port: 5432,
    user: undefined,
    database: undefined,
    parameters: "",
  });
  t.equal(connectionString({ host: "::1", port: 1 }, {}), "postgres://[::1]:1");
});

t.test("a demand for encryption is refused in its own words", async (t) => {
  for (const demand of [
    "sslmode=require",
    "sslmode=verify-ca",
    "ssl=true",
    "requiressl=1",
    "gssencmode=require",
    "channel_binding=require",
  ]) {
    t.throws(() => parseUpstream(`postgres://db/x?${demand}`), { code: "upstream_tls", message: new RegExp(demand) });
  }
  for (const harmless of ["sslmode=disable", "sslmode=allow", "sslmode=prefer", "ssl=false"]) {
    t.equal(parseUpstream(`postgres://db/x?${harmless}`).parameters, harmless);
  }
});

t.test("other URLs are refused", async (t) => {
  const wrong = [
    "db:5432",
    "http://db",
    "postgres://",
    "postgres:///db",
    "postgres://%2Ftmp/db",
    "postgres://db?host=/tmp",
    "postgres://a,b/x",
    "postgres://db:0/",
    "postgres://db:x/",
    "postgres://db/%zz",
  ];
  for (const url of wrong) t.throws(() => parseUpstream(url), { code: "usage" }, url);
});

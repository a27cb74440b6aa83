import fc from "fast-check";
import t from "tap";
import { ProxyError } from "../../src/errors.ts";
import { hostPort, parseUpstreamUrl, type Upstream } from "../../src/upstream/index.ts";

const wrong = (wanted: string): ProxyError => new ProxyError("bad_config", wanted);
const parse = (text: unknown): Upstream => parseUpstreamUrl(text, wrong);

t.test("libpq's forms", async (t) => {
  const plain = { target: "any", shuffled: false, connectTimeoutMs: undefined, parameters: new Map() };
  t.same(parse("postgres://db"), { ...plain, hosts: [{ host: "db", port: 5432 }] });
  t.same(parse("postgresql://u:p%40ss@db.example:6000/shop?application_name=x"), {
    ...plain,
    hosts: [{ host: "db.example", port: 6000 }],
  });
  t.same(
    parse(
      "postgres://h1:5433,[2001:db8::5],10.0.0.7:1/?target_session_attrs=read-write&load_balance_hosts=random&connect_timeout=7&sslmode=prefer",
    ),
    {
      hosts: [
        { host: "h1", port: 5433 },
        { host: "2001:db8::5", port: 5432 },
        { host: "10.0.0.7", port: 1 },
      ],
      target: "read-write",
      shuffled: true,
      connectTimeoutMs: 7000,
      parameters: new Map([["sslmode", "prefer"]]),
    },
  );
});

t.test("Unix sockets, in libpq's forms", async (t) => {
  const hosts = (text: string): readonly string[] => parse(text).hosts.map(hostPort);
  t.same(hosts("postgres://%2Fvar%2Frun%2Fpostgresql/db"), ["/var/run/postgresql:5432"]);
  t.same(hosts("postgresql://u@%2Frun:6000/db?sslmode=prefer"), ["/run:6000"]);
  t.same(hosts("postgres:///db?host=/run/postgresql"), ["/run/postgresql:5432"]);
  t.same(hosts("postgres:///db?host=%2Frun%2Fpostgresql&port=5433"), ["/run/postgresql:5433"]);
  t.same(hosts("postgres:///?host=/a,db,::1&port=1,2,3"), ["/a:1", "db:2", "[::1]:3"]);
  t.same(hosts("postgres://%2Fa,db?port=7"), ["/a:7", "db:7"]);
  t.same(hosts("postgres://%2Fa%3Ab"), ["/a:b:5432"], "a colon in a folder is no port");
});

t.test("what is wrong is named, and a password is never repeated", async (t) => {
  for (const [text, message] of [
    ["http://db", /^postgres:/],
    ["postgres://", /^postgres:/],
    ["postgres://:5432", /^postgres:/],
    ["postgres://h1,,h2", /^postgres:/],
    ["postgres://h1:0", /^postgres:/],
    ["postgres://h1:65536", /^postgres:/],
    ["postgres://[2001:db8::5", /^postgres:/],
    ["postgres:///", /^postgres:/],
    ["postgres:///?host=", /^postgres:/],
    ["postgres:///?host=/run,,h", /^postgres:/],
    ["postgres://%2Frun%00", /control characters/],
    [`postgres://%2F${"x".repeat(120)}`, /shorter folder/],
    ["postgres://%2Frun:5432/?port=5433", /parameter port behind a port/],
    ["postgres:///?host=/a,/b,/c&port=1,2", /one port for all/],
    ["postgres:///?host=/run&port=65536", /^postgres:/],
    ["postgres:///?host=/run&port=1e3", /^postgres:/],
    ["postgres://db%", /^postgres:/],
    ["postgres://db/?target_session_attrs=master", /one of any, read-write/],
    ["postgres://db/?load_balance_hosts=yes", /disable or random/],
    ["postgres://db/?connect_timeout=0", /seconds/],
    ["postgres://db/?connect_timeout=1e3", /seconds/],
    ["postgres://db/?connect_timeout=1&connect_timeout=2", /second connect_timeout/],
    ["postgres://db/?target_session_attr=primary", /the parameter target_session_attr,/],
    ["postgres://db/?host=other", /the parameter host behind a host/],
    [`postgres://${Array.from({ length: 33 }, (_, i) => `h${i}`).join(",")}`, /at most 32/],
    [7, /^postgres:/],
    [null, /^postgres:/],
  ] as const) {
    t.throws(() => parse(text), { code: "bad_config", message }, String(text));
  }
  fc.assert(
    fc.property(fc.string(), fc.constantFrom("postgres://", "postgres://db/?", "postgres://u:"), (text, before) => {
      try {
        const { hosts } = parse(`${before}${text}`);
        return hosts.length > 0 && hosts.every(({ host, port }) => host !== "" && port > 0 && port < 65_536);
      } catch (error) {
        // Nothing that was given is in the message but a parameter's plain name.
        const shown = /the parameter ([a-z_]{1,40}),/.exec((error as Error).message)?.[1];
        return error instanceof ProxyError && (shown === undefined || `${before}${text}`.includes(shown));
      }
    }),
  );
});

import t from "tap";
import { formatAddress, parseAddress, parseSocketOrAddress, reachableHost, socketFile } from "../src/address.ts";

t.test("an address is read and written back", async (t) => {
  for (const text of ["127.0.0.1:6432", "[::1]:6432", "localhost:0", "db.example:65535", "[fe80::1]:1"]) {
    t.equal(formatAddress(parseAddress(text, "--proxy")), text);
  }
});

t.test("what is no address is refused, and the option named", async (t) => {
  const wrong = [
    "",
    ":",
    "6432",
    ":6432",
    "host:",
    "host:65536",
    "host:06432",
    "host:-1",
    "::1:6432",
    "[::1]",
    "a b:1",
    "u@h:1",
  ];
  for (const text of wrong) t.throws(() => parseAddress(text, "--log"), { code: "usage", message: /^--log / }, text);
});

t.test("a folder stands for the socket in it, where that is meant", async (t) => {
  for (const text of ["/run/vitrine:6432", "/a:b:1", "127.0.0.1:0", "[::1]:6432"]) {
    t.equal(formatAddress(parseSocketOrAddress(text, "--proxy")), text);
  }
  t.equal(socketFile(parseSocketOrAddress("/run/vitrine/:6432", "--proxy")), "/run/vitrine/.s.PGSQL.6432");
  for (const text of ["/run/vitrine", "/run:0", "/run:65536", "/run\n:1", "run:x"]) {
    t.throws(() => parseSocketOrAddress(text, "--proxy"), { code: "usage" }, text);
  }
  t.throws(() => parseAddress("/run/vitrine:6432", "--log"), { code: "usage" });
});

t.test("a wildcard is reached by loopback", async (t) => {
  t.equal(reachableHost("0.0.0.0"), "127.0.0.1");
  t.equal(reachableHost("::"), "::1");
  t.equal(reachableHost("10.0.0.7"), "10.0.0.7");
});

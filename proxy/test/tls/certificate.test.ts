// What is read of certificates: for whom they are, and what a login binds itself to.
import { createHash, X509Certificate } from "node:crypto";
import fc from "fast-check";
import t from "tap";
import { endPointOf, namesOf } from "../../src/tls/certificate.ts";
import { wrongHost } from "../../src/tls/host-name.ts";
import { Certificates } from "./certificates.ts";

const make = new Certificates(t.testdir());

t.test("names are those that OpenSSL shows", (t) => {
  const { der } = make.issue("named", {
    commonName: "Db.Example",
    dns: ["db.example", "*.wild.example"],
    ips: ["192.0.2.7", "2001:0db8:0:0:0:1:0:7"],
  });
  const names = namesOf(der)!;
  t.equal(names.commonName, "Db.Example");
  t.same(names.dns, ["db.example", "*.wild.example"]);
  t.same(
    names.ips.map((ip) => ip.toString("hex")),
    ["c0000207", "20010db8000000000000000100000007"],
  );
  t.equal(
    new X509Certificate(der).subjectAltName,
    "DNS:db.example, DNS:*.wild.example, IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:1:0:7",
  );
  t.same(namesOf(make.issue("bare", { commonName: "" }).der), {
    dns: [],
    alternatives: [],
    ips: [],
    commonName: undefined,
  });
  t.end();
});

t.test("a certificate is for a host by libpq's rules", (t) => {
  const names = ["db.example", "*.wild.example"];
  const both = make.issue("both", {
    commonName: "cn.example",
    dns: names,
    ips: ["192.0.2.7", "2001:0db8:0:0:0:0:0:7"],
  }).der;
  const onlyDns = make.issue("dns", { commonName: "192.0.2.9", dns: ["db.example", "192.0.2.8"] }).der;
  const onlyName = make.issue("cn", { commonName: "*.cn.example" }).der;
  const cases: readonly (readonly [Buffer, string, boolean])[] = [
    [both, "db.example", true],
    [both, "DB.Example", true],
    [both, "a.wild.example", true],
    [both, "a.b.wild.example", false],
    [both, "wild.example", false],
    [both, ".wild.example", false],
    [both, "cn.example", false],
    [both, "db.example.", false],
    [both, "192.0.2.7", true],
    [both, "192.0.2.70", false],
    [both, "2001:db8::7", true],
    [both, "2001:DB8:0:0::7", true],
    [both, "2001:db8::8", false],
    [both, "2001:db8::7%eth0", false],
    // Of no kind that the host is: the common name may say it, and a DNS name may be an address in letters.
    [onlyDns, "192.0.2.8", true],
    [onlyDns, "192.0.2.9", true],
    [onlyDns, "192.0.2.10", false],
    [onlyName, "a.cn.example", true],
    [onlyName, "cn.example", false],
  ];
  for (const [der, host, good] of cases) t.equal(wrongHost(der, host) === undefined, good, host);
  t.end();
});

t.test("the end point is the digest of the signature's kind, and SHA-256 for a weak one (RFC 5929)", (t) => {
  const kinds = [
    ["ECDSA", "sha256", "sha256"],
    ["ECDSA", "sha384", "sha384"],
    ["RSA", "sha1", "sha256"],
    ["RSA", "sha512", "sha512"],
    ["RSA-PSS", "sha384", "sha384"],
    ["RSA-PSS", "sha1", "sha256"],
  ] as const;
  for (const [kind, hash, digest] of kinds) {
    const { der } = make.issue(`${kind}-${hash}`, { kind, hash });
    t.equal(endPointOf(der)?.toString("hex"), createHash(digest).update(der).digest("hex"), `${kind} ${hash}`);
  }
  t.equal(endPointOf(make.issue("ed", { kind: "Ed25519" }).der), undefined, "none is defined");
  t.end();
});

t.test("nonsense has no names, and brings nothing down", (t) => {
  const { der } = make.issue("whole", { dns: ["db.example"], ips: ["192.0.2.7"] });
  fc.assert(
    fc.property(fc.nat(der.length - 1), fc.nat(255), fc.nat(der.length), (at, byte, length) => {
      const bytes = Buffer.from(der);
      bytes[at] = byte;
      const cut = bytes.subarray(0, length);
      for (const some of [bytes, cut]) {
        namesOf(some);
        endPointOf(some);
        wrongHost(some, "db.example");
      }
      if (cut.length < der.length) t.equal(namesOf(der.subarray(0, length)), undefined);
    }),
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => namesOf(Buffer.from(bytes)) === undefined));
  t.end();
});

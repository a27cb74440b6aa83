// Files of certificates and keys: which are taken, and that what changes is noticed.
import { chmodSync, chownSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { ClientTls, type ClientTlsSettings, ServerTls, serverTlsSettings, TlsInForce } from "../../src/tls/index.ts";
import { until } from "../audit/help.ts";
import { Certificates } from "./certificates.ts";

const folder = t.testdir({ "empty.crt": "", "text.key": "not a key\n", "is-a-folder": {} });
const make = new Certificates(folder);
const own = make.issue("own");
const other = make.issue("other");
const encrypted = join(folder, "encrypted.key");
writeFileSync(encrypted, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n", {
  mode: 0o600,
});
chmodSync(join(folder, "text.key"), 0o600);

const settings = (cert: string, key: string, clientCa?: string): ClientTlsSettings => ({
  mode: "prefer",
  cert,
  key,
  clientCa,
  clientCert: clientCa === undefined ? "none" : "require",
});

t.test("what is wrong with a file is said by its name, and by nothing of a key", async (t) => {
  const at = (name: string): string => join(folder, name);
  const cases: readonly (readonly [ClientTlsSettings, RegExp])[] = [
    [settings(at("none.crt"), own.keyFile), /"tls\.cert" names .*none\.crt, which cannot be read: ENOENT/],
    [settings(at("empty.crt"), own.keyFile), /holds no certificate/],
    [settings(at("is-a-folder"), own.keyFile), /is not a file/],
    [settings(own.certFile, at("text.key")), /"tls\.cert" and "tls\.key": not PEM that OpenSSL can read/],
    [settings(own.certFile, encrypted), /"tls\.key" names .* is encrypted with a password/],
    [settings(own.certFile, other.keyFile), /the key is not the certificate's/],
    [
      { ...settings(own.certFile, own.keyFile, own.certFile), clientCrl: own.keyFile },
      /"tls\.client_crl" names .*: not PEM that OpenSSL can read/,
    ],
    [settings(own.certFile, own.keyFile, own.keyFile), /"tls\.client_ca" names .*holds no certificate/],
  ];
  for (const [wrong, message] of cases) {
    await t.rejects(ClientTls.load(wrong), { code: "bad_certificate", message });
    await t.rejects(ClientTls.load(wrong), { message: /^(?!.*(PRIVATE|not a key))/s });
  }
});

t.test("a key that others can read is none", { skip: process.platform === "win32" }, async (t) => {
  const key = make.issue("open");
  for (const [mode, good] of [
    [0o600, true],
    [0o400, true],
    [0o604, false],
    [0o660, false],
    [0o644, false],
  ] as const) {
    chmodSync(key.keyFile, mode);
    const loaded = ClientTls.load(settings(key.certFile, key.keyFile));
    if (good) await loaded;
    else await t.rejects(loaded, { code: "bad_certificate", message: /mode 0[0-7]{3}\): chmod 600/ });
  }
  // A group may read what is root's, as PostgreSQL has it.
  if (process.getuid?.() !== 0) return;
  chmodSync(key.keyFile, 0o640);
  await ClientTls.load(settings(key.certFile, key.keyFile));
  chownSync(key.keyFile, 65_534, 65_534);
  await t.rejects(ClientTls.load(settings(key.certFile, key.keyFile)), { code: "bad_certificate" });
});

t.test("a changed file is noticed; one of a pair changes nothing until the other fits", async (t) => {
  const lines: string[] = [];
  const pair = make.issue("pair");
  const client = await ClientTls.load(settings(pair.certFile, pair.keyFile));
  const server = await ServerTls.load(serverTlsSettings(new Map(), "/", (wanted) => new Error(wanted)));
  const tls = new TlsInForce(client, server, (line) => lines.push(line));
  tls.watch();
  t.teardown(() => tls.close());
  const next = make.issue("next");
  writeFileSync(pair.certFile, next.cert);
  await tls.reload();
  t.match(lines, [/TLS with clients stays as it was: bad_certificate: .*the key is not the certificate's/]);
  make.issue("pair", { commonName: "later" });
  const later = /TLS for clients \(prefer\): "CN=later", valid until /;
  await until("it is noticed without being asked", () => lines.some((line) => later.test(line)));
  const said = lines.length;
  await tls.reload();
  t.equal(lines.length, said, "nothing is said when nothing changes");
});

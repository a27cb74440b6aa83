import { constants, createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { chmodSync, writeFileSync } from "node:fs";
import { isIPv4 } from "node:net";
import { join } from "node:path";

/** A certificate and its key, as files and in memory. */
export interface Certified {
  readonly cert: string;
  readonly der: Buffer;
  readonly serial: number;
  /** Hex SHA-256 of the DER. */
  readonly digest: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export interface Authority extends Certified {
  readonly name: string;
  readonly privateKey: KeyObject;
}

type Kind = "ECDSA" | "RSA" | "RSA-PSS" | "Ed25519";

export interface Wanted {
  readonly commonName?: string;
  readonly dns?: readonly string[];
  readonly ips?: readonly string[];
  /** Who signs it; itself when left out. */
  readonly by?: Authority;
  /** From when on it is valid; positive: it is not yet. */
  readonly from?: number;
  /** Until it expires; negative: it has. */
  readonly days?: number;
  /** What it may be used for; left out: anything. */
  readonly usage?: "server" | "client";
  /** Of its own key, and so of the signature where it signs itself. */
  readonly kind?: Kind;
  readonly hash?: string;
}

const DAY_MS = 86_400_000;

/** Makes certificates (RFC 5280) in a folder. */
export class Certificates {
  readonly #folder: string;
  #serial = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** One that issues others; an intermediate one, where another has issued it. */
  authority(name: string, by?: Authority): Authority {
    const { privateKey, publicKey } = generate("ECDSA");
    // BasicConstraints, critical: cA.
    const extensions = [
      sequence(oid("551d13"), der(0x01, Buffer.from([255])), der(0x04, sequence(der(0x01, Buffer.from([255]))))),
    ];
    const bytes = this.#sign(
      { subject: name, issuer: by?.name ?? name, publicKey, extensions, from: -30, days: 30 },
      by?.privateKey ?? privateKey,
      "ECDSA",
      "sha256",
    );
    return { ...this.#write(name, bytes, privateKey), name, privateKey };
  }

  issue(file: string, wanted: Wanted = {}): Certified {
    const { commonName = file, dns = [], ips = [], by, from = -30, days = 30, usage } = wanted;
    const { kind = "ECDSA", hash = "sha256" } = wanted;
    const { privateKey, publicKey } = generate(kind);
    const alternatives = [
      ...dns.map((name) => der(0x82, Buffer.from(name, "latin1"))),
      ...ips.map((ip) => der(0x87, octets(ip))),
    ];
    const extensions = alternatives.length === 0 ? [] : [sequence(oid("551d11"), der(0x04, sequence(...alternatives)))];
    const purpose = usage === "server" ? "2b06010505070301" : "2b06010505070302";
    if (usage !== undefined) extensions.push(sequence(oid("551d25"), der(0x04, sequence(oid(purpose)))));
    const what = { subject: commonName, issuer: by?.name ?? commonName, publicKey, extensions, from, days };
    const bytes =
      by === undefined ? this.#sign(what, privateKey, kind, hash) : this.#sign(what, by.privateKey, "ECDSA", hash);
    return this.#write(file, bytes, privateKey);
  }

  /** What an authority has revoked (RFC 5280 section 5.1). @returns PEM */
  revoke(by: Authority, ...revoked: readonly Certified[]): string {
    const algorithm = algorithmOf("ECDSA", "sha256");
    const serials = revoked.map(({ serial }) => sequence(der(0x02, Buffer.from([serial])), time(-1)));
    const list = serials.length === 0 ? [] : [sequence(...serials)];
    const tbs = sequence(der(0x02, Buffer.from([1])), algorithm, name(by.name), time(-1), time(30), ...list);
    const signature = der(0x03, Buffer.concat([Buffer.from([0]), sign("sha256", tbs, by.privateKey)]));
    return pem("X509 CRL", sequence(tbs, algorithm, signature));
  }

  #sign(
    what: { subject: string; issuer: string; publicKey: KeyObject; extensions: Buffer[]; from: number; days: number },
    key: KeyObject,
    kind: Kind,
    hash: string,
  ): Buffer {
    const algorithm = algorithmOf(kind, hash);
    this.#serial += 1;
    const tbs = sequence(
      der(0xa0, der(0x02, Buffer.from([2]))),
      der(0x02, Buffer.from([this.#serial])),
      algorithm,
      name(what.issuer),
      sequence(time(what.from), time(what.days)),
      name(what.subject),
      what.publicKey.export({ type: "spki", format: "der" }),
      ...(what.extensions.length === 0 ? [] : [der(0xa3, sequence(...what.extensions))]),
    );
    const pss = { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 20 };
    const signature = sign(kind === "Ed25519" ? null : hash, tbs, kind === "RSA-PSS" ? pss : key);
    return sequence(tbs, algorithm, der(0x03, Buffer.concat([Buffer.from([0]), signature])));
  }

  #write(file: string, bytes: Buffer, privateKey: KeyObject): Certified {
    const cert = pem("CERTIFICATE", bytes);
    const [certFile, keyFile] = [join(this.#folder, `${file}.crt`), join(this.#folder, `${file}.key`)];
    writeFileSync(certFile, cert);
    writeFileSync(keyFile, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
    chmodSync(keyFile, 0o600);
    const serial = this.#serial;
    return { cert, serial, der: bytes, digest: createHash("sha256").update(bytes).digest("hex"), certFile, keyFile };
  }
}

function pem(label: string, bytes: Buffer): string {
  const base64 = bytes.toString("base64").replace(/.{64}/g, "$&\n");
  return `-----BEGIN ${label}-----\n${base64}\n-----END ${label}-----\n`;
}

function generate(kind: Kind): { privateKey: KeyObject; publicKey: KeyObject } {
  if (kind === "ECDSA") return generateKeyPairSync("ec", { namedCurve: "P-256" });
  if (kind === "Ed25519") return generateKeyPairSync("ed25519");
  return generateKeyPairSync("rsa", { modulusLength: 2048 });
}

function algorithmOf(kind: Kind, hash: string): Buffer {
  const nothing = der(0x05, Buffer.alloc(0));
  if (kind === "Ed25519") return sequence(oid("2b6570"));
  if (kind === "ECDSA") return sequence(oid(`2a8648ce3d0403${{ sha256: "02", sha384: "03", sha512: "04" }[hash]}`));
  if (kind === "RSA") {
    return sequence(oid(`2a864886f70d0101${{ sha1: "05", sha256: "0b", sha384: "0c", sha512: "0d" }[hash]}`), nothing);
  }
  // RFC 4055 section 3.1: what is SHA-1, or a salt of 20 bytes, is left out.
  const digest = sequence(oid(`608648016503040${{ sha256: "201", sha384: "202", sha512: "203" }[hash]}`), nothing);
  const mask = sequence(oid("2a864886f70d010108"), digest);
  return sequence(
    oid("2a864886f70d01010a"),
    hash === "sha1" ? sequence() : sequence(der(0xa0, digest), der(0xa1, mask)),
  );
}

function name(commonName: string): Buffer {
  if (commonName === "") return sequence();
  return sequence(der(0x31, sequence(oid("550403"), der(0x0c, Buffer.from(commonName)))));
}

function time(days: number): Buffer {
  const text = new Date(Date.now() + days * DAY_MS).toISOString().replace(/[-:T]|\.\d+/g, "");
  return der(0x18, Buffer.from(text));
}

function octets(ip: string): Buffer {
  if (isIPv4(ip)) return Buffer.from(ip.split(".").map(Number));
  return Buffer.from(
    ip
      .split(":")
      .map((group) => group.padStart(4, "0"))
      .join(""),
    "hex",
  );
}

const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, "hex"));
const sequence = (...parts: readonly Buffer[]): Buffer => der(0x30, Buffer.concat(parts));

function der(tag: number, body: Buffer): Buffer {
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const head = Buffer.from([tag, 0x82, 0, 0]);
  head.writeUInt16BE(body.length, 2);
  return Buffer.concat([head, body]);
}

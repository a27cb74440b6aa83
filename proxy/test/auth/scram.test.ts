import { createHmac, pbkdf2Sync } from "node:crypto";
import fc from "fast-check";
import t from "tap";
import { preparedPassword } from "../../src/auth/password.ts";
import { formatVerifier, keysOf, makeVerifier, parseVerifier, verifierOf } from "../../src/auth/scram.ts";
import { ScramClient } from "../../src/auth/scram-client.ts";
import { ScramServer } from "../../src/auth/scram-server.ts";
import { ProxyError } from "../../src/errors.ts";

/** RFC 7677 section 3. */
const RFC = {
  salt: Buffer.from("W22ZaJ0SNY7soEsUEjb6gQ==", "base64"),
  clientNonce: "rOprNGfwEbeRWgbNEkqO",
  serverNonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
  clientFirst: "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
  serverFirst: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
  clientFinal:
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
  serverFinal: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
};

const rfcKeys = await keysOf("pencil", RFC.salt, 4096);

t.test("the server's side gives the RFC's example", async (t) => {
  const server = new ScramServer({ verifier: verifierOf(rfcKeys), binding: undefined, nonce: RFC.serverNonce });
  t.equal(server.first("SCRAM-SHA-256", Buffer.from(RFC.clientFirst)), RFC.serverFirst);
  const outcome = server.final(Buffer.from(RFC.clientFinal));
  t.ok(outcome.proven);
  if (!outcome.proven) return;
  t.equal(outcome.serverFinal, RFC.serverFinal);
  t.same(outcome.keys, rfcKeys, "the client's key is learnt from its proof");
});

t.test("the client's side gives the RFC's example, by password and by keys", async (t) => {
  for (const secret of [{ password: "pencil" }, { keys: rfcKeys }]) {
    const client = new ScramClient({
      secret,
      mechanism: "SCRAM-SHA-256",
      binding: undefined,
      nonce: RFC.clientNonce,
      name: "user",
    });
    t.equal(client.first(), RFC.clientFirst);
    t.equal(await client.final(RFC.serverFirst), RFC.clientFinal);
    client.verify(RFC.serverFinal);
    t.throws(() => client.verify(RFC.serverFinal.replace("6rri", "6rrj")), { code: "upstream_untrusted" });
    t.throws(() => client.verify("e=other-error"), { code: "upstream_untrusted" });
  }
});

t.test("a verifier is written as PostgreSQL writes it, and read in one spelling only", async (t) => {
  const text = formatVerifier(verifierOf(rfcKeys));
  t.equal(
    text,
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
  );
  t.same(parseVerifier(text), verifierOf(rfcKeys));
  for (const bad of [
    text.replace("4096", "04096"),
    text.replace("4096", "0"),
    text.replace("4096", "4294967296"),
    text.replace("gQ==", "gQ"),
    text.replace("gQ==", "gR=="),
    text.replace("$WG5d", "$WG"),
    `${text}A`,
    ` ${text}`,
    text.replace("SCRAM-SHA-256", "SCRAM-SHA-1"),
    "md5d41d8cd98f00b204e9800998ecf8427e",
    "",
  ]) {
    t.equal(parseVerifier(bad), undefined, JSON.stringify(bad));
  }
  const fresh = await makeVerifier("pencil");
  t.notSame(fresh.salt, (await makeVerifier("pencil")).salt);
  t.same(verifierOf(await keysOf("pencil", fresh.salt, 4096)), fresh);
});

t.test("keys by a second way", async (t) => {
  const salted = pbkdf2Sync("pencil", RFC.salt, 4096, 32, "sha256");
  t.same(rfcKeys.clientKey, createHmac("sha256", salted).update("Client Key").digest());
});

t.test("passwords are prepared as PostgreSQL does (RFC 4013 section 3, and src/common/saslprep.c)", async (t) => {
  const hex = (password: string | Buffer): string => preparedPassword(password).toString("hex");
  const raw = (text: string): string => Buffer.from(text).toString("hex");
  t.equal(hex("I\u00adX"), raw("IX"), "a soft hyphen is nothing");
  t.equal(hex("user"), raw("user"));
  t.equal(hex("USER"), raw("USER"), "case stays");
  t.equal(hex("\u00aa"), raw("a"), "NFKC");
  t.equal(hex("\u2168"), raw("IX"));
  t.equal(hex("a\u00a0b"), raw("a b"), "another space is a space");
  t.equal(hex("\u0007"), raw("\u0007"), "prohibited: taken as it is");
  t.equal(hex("\u0627\u0031"), raw("\u0627\u0031"), "bidirectional: taken as it is");
  t.equal(hex("\u00ad"), raw("\u00ad"), "nothing would be left");
  t.equal(hex(Buffer.from([0xff, 0x61])), "ff61", "not UTF-8: taken as it is");
  t.equal(hex(Buffer.from("\u2168")), raw("IX"));
});

async function exchange(
  binding: {
    client: Buffer | undefined;
    server: Buffer | undefined;
    mechanism: "SCRAM-SHA-256" | "SCRAM-SHA-256-PLUS";
  },
  password = "pencil",
): Promise<string> {
  const server = new ScramServer({ verifier: verifierOf(rfcKeys), binding: binding.server });
  const client = new ScramClient({ secret: { password }, mechanism: binding.mechanism, binding: binding.client });
  const outcome = server.final(
    Buffer.from(await client.final(server.first(binding.mechanism, Buffer.from(client.first())))),
  );
  if (!outcome.proven) return "refused";
  client.verify(outcome.serverFinal);
  return "in";
}

t.test("both sides together, with and without channel binding", async (t) => {
  const here = Buffer.alloc(32, 1);
  const there = Buffer.alloc(32, 2);
  const none = undefined;
  t.equal(await exchange({ client: none, server: none, mechanism: "SCRAM-SHA-256" }), "in");
  t.equal(await exchange({ client: none, server: none, mechanism: "SCRAM-SHA-256" }, "Pencil"), "refused");
  t.equal(await exchange({ client: none, server: here, mechanism: "SCRAM-SHA-256" }), "in", "n: it cannot bind");
  t.equal(await exchange({ client: here, server: here, mechanism: "SCRAM-SHA-256-PLUS" }), "in");
  t.equal(await exchange({ client: here, server: none, mechanism: "SCRAM-SHA-256" }), "in", "y: not offered indeed");
  await t.rejects(exchange({ client: here, server: there, mechanism: "SCRAM-SHA-256-PLUS" }), {
    code: "not_authorized",
    message: "SCRAM channel binding check failed",
  });
  await t.rejects(
    exchange({ client: here, server: here, mechanism: "SCRAM-SHA-256" }),
    { code: "not_authorized", message: /negotiation error/ },
    "y, although it was offered: the offer was taken out on the way",
  );
});

t.test("what a client may not send", async (t) => {
  const first = (mechanism: string, text: string | Buffer, binding?: Buffer): string => {
    try {
      new ScramServer({ verifier: verifierOf(rfcKeys), binding }).first(mechanism, Buffer.from(text as string));
      return "taken";
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      return error.code;
    }
  };
  const plain = "SCRAM-SHA-256";
  const plus = "SCRAM-SHA-256-PLUS";
  const bound = Buffer.alloc(32);
  const cases: [string, string, string | Buffer, Buffer?][] = [
    ["taken", plain, "n,,n=,r=abc"],
    ["taken", plain, "n,,n=x,r=abc,z=more"],
    ["protocol_violation", plus, "p=tls-server-end-point,,n=,r=abc"],
    ["protocol_violation", "SCRAM-SHA-1", "n,,n=,r=abc"],
    ["protocol_violation", "", "n,,n=,r=abc"],
    ["protocol_violation", plus, "n,,n=,r=abc", bound],
    ["protocol_violation", plus, "y,,n=,r=abc", bound],
    ["protocol_violation", plus, "p=tls-unique,,n=,r=abc", bound],
    ["protocol_violation", plain, "p=tls-server-end-point,,n=,r=abc", bound],
    ["protocol_violation", plain, "p=tls-server-end-point,,n=,r=abc"],
    ["not_authorized", plain, "y,,n=,r=abc", bound],
    ["not_supported", plain, "n,a=somebody,n=,r=abc"],
    ["not_supported", plain, "n,,m=ext,n=,r=abc"],
    ["protocol_violation", plain, "n,,n=,r="],
    ["protocol_violation", plain, "n,,n=,r=a b"],
    ["protocol_violation", plain, "n,,r=abc,n="],
    ["protocol_violation", plain, "n,,n=,r=abc\0"],
    ["protocol_violation", plain, Buffer.from([0x6e, 0x2c, 0x2c, 0xff])],
    ["protocol_violation", plain, `n,,n=,r=${"a".repeat(1024)}`],
    ["protocol_violation", plain, ""],
  ];
  for (const [wanted, mechanism, text, binding] of cases) {
    t.equal(first(mechanism, text, binding), wanted, `${mechanism}: ${text.toString().slice(0, 60)}`);
  }
});

t.test("a proof is good for its own exchange only", async (t) => {
  const verifier = verifierOf(rfcKeys);
  const client = new ScramClient({ secret: { password: "pencil" }, mechanism: "SCRAM-SHA-256", binding: undefined });
  const one = new ScramServer({ verifier, binding: undefined });
  const final = Buffer.from(await client.final(one.first("SCRAM-SHA-256", Buffer.from(client.first()))));
  const again = new ScramServer({ verifier, binding: undefined });
  again.first("SCRAM-SHA-256", Buffer.from(client.first()));
  t.throws(() => again.final(final), { code: "protocol_violation" }, "the nonce is another one");
  const text = final.toString();
  t.throws(() => one.final(Buffer.from(text.replace("c=biws", "c=eSws"))), { code: "not_authorized" });
  t.throws(() => one.final(Buffer.from(text.replace("c=biws", "c=n,,"))), { code: "protocol_violation" });
  t.throws(() => one.final(Buffer.from(text.replace(/,p=.*/, ""))), { code: "protocol_violation" });
  t.throws(() => one.final(Buffer.from(text.replace(/,p=.*/, ",p=AAAA"))), { code: "protocol_violation" });
  t.throws(() => one.final(Buffer.from(text.replace(/,p=(.*)=$/, ",p=$1"))), { code: "protocol_violation" });
  t.ok(one.final(final).proven);
});

t.test("what a server may not send", async (t) => {
  const final = (change: (serverFirst: string) => string, keys = false): Promise<string> => {
    const client = new ScramClient({
      secret: keys ? { keys: rfcKeys } : { password: "pencil" },
      mechanism: "SCRAM-SHA-256",
      binding: undefined,
      nonce: RFC.clientNonce,
    });
    client.first();
    return client.final(change(RFC.serverFirst));
  };
  const untrusted = { code: "upstream_untrusted" };
  await t.rejects(
    final((text) => text.replace("rOpr", "rOpq")),
    untrusted,
    "another nonce",
  );
  await t.rejects(
    final((text) => text.replace("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "")),
    untrusted,
    "our nonce and nothing more",
  );
  await t.rejects(
    final((text) => text.replace("4096", "4095")),
    untrusted,
    "an easy proof",
  );
  await t.rejects(
    final((text) => text.replace("4096", "2000000000")),
    untrusted,
    "an endless proof",
  );
  await t.rejects(
    final((text) => text.replace("gQ==", "gQ")),
    untrusted,
  );
  await t.rejects(
    final((text) => text.replace(/s=[^,]*/, "s=")),
    untrusted,
  );
  await t.rejects(
    final(() => ""),
    untrusted,
  );
  await t.rejects(
    final((text) => text.replace("4096", "4097"), true),
    { code: "upstream_refused" },
    "keys of another verifier",
  );
});

t.test("no message makes the server's side do anything but refuse", async () => {
  const attribute = fc.oneof(fc.string(), fc.constantFrom("n", "y", "p=x", "c=biws", "r=abc", "n=", "p=AAAA", "m=1"));
  const message = fc.oneof(
    fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
    fc.array(attribute, { maxLength: 6 }).map((parts) => Buffer.from(parts.join(","))),
    fc.array(fc.string({ maxLength: 6 }), { maxLength: 4 }).map((parts) => Buffer.from(`n,,n=,r=${parts.join(",")}`)),
  );
  const verifier = verifierOf(rfcKeys);
  fc.assert(
    fc.property(message, message, fc.boolean(), (first, final, bound) => {
      const server = new ScramServer({ verifier, binding: bound ? Buffer.alloc(32) : undefined });
      try {
        server.first("SCRAM-SHA-256", first);
        return !server.final(final).proven;
      } catch (error) {
        return error instanceof ProxyError;
      }
    }),
    { numRuns: 300 },
  );
});

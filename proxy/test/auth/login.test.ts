import { createHash } from "node:crypto";
import { Duplex } from "node:stream";
import fc from "fast-check";
import t from "tap";
import {
  type Credential,
  type LoggedIn,
  loginUpstream,
  type RefusedLogin,
  type UpstreamLogin,
  type UpstreamMethod,
} from "../../src/auth/login.ts";
import {
  AUTHENTICATION_OK,
  CLEARTEXT_PASSWORD,
  saslContinue,
  saslFinal,
  saslRequest,
} from "../../src/auth/messages.ts";
import { verifierOf } from "../../src/auth/scram.ts";
import { ScramServer } from "../../src/auth/scram-server.ts";
import { ProxyError } from "../../src/errors.ts";
import { frame } from "../../src/wire/write.ts";
import { B } from "../session/stage.ts";
import { pencilKeys } from "./help.ts";

/** A server at the other end of a stream: it is told what the client said, and answers. */
class Server extends Duplex {
  readonly heard: Buffer[] = [];
  readonly #answer: (message: Buffer, n: number) => Buffer | undefined;
  readonly #piece: number;

  constructor(answer: (message: Buffer, n: number) => Buffer | undefined, piece: number = Number.POSITIVE_INFINITY) {
    super({ allowHalfOpen: true });
    this.#answer = answer;
    this.#piece = piece;
  }

  override _read(): void {
    // Everything is pushed as it comes.
  }

  override _write(message: Buffer, _encoding: string, done: () => void): void {
    this.heard.push(message);
    const answer = this.#answer(message, this.heard.length - 1);
    if (answer === undefined) this.push(null);
    else for (let at = 0; at < answer.length; at += this.#piece) this.push(answer.subarray(at, at + this.#piece));
    done();
  }
}

const WELCOME = Buffer.concat([
  AUTHENTICATION_OK,
  B.status("server_version", "18.1"),
  B.status("client_encoding", "UTF8"),
  B.key(77),
  B.ready(),
]);

/** A server that does what PostgreSQL does under SCRAM, unless told otherwise. */
function scramServer(
  options: { mechanisms?: string[]; binding?: Buffer; final?: (honest: string) => Buffer; piece?: number } = {},
): Server {
  const scram = new ScramServer({ verifier: verifierOf(pencilKeys), binding: options.binding });
  return new Server((message, n) => {
    if (n === 0) return saslRequest(options.mechanisms ?? scram.mechanisms);
    if (n === 1) {
      const nul = message.indexOf(0, 5);
      return saslContinue(scram.first(message.toString("latin1", 5, nul), message.subarray(nul + 5)));
    }
    const outcome = scram.final(message.subarray(5));
    if (!outcome.proven) return B.error("28P01", "password authentication failed");
    return options.final?.(outcome.serverFinal) ?? Buffer.concat([saslFinal(outcome.serverFinal), WELCOME]);
  }, options.piece);
}

function login(
  stream: Duplex,
  options: {
    credential?: Credential;
    accepted?: UpstreamMethod[];
    tls?: UpstreamLogin["tls"];
    timeoutMs?: number;
  } = {},
): Promise<LoggedIn | RefusedLogin> {
  return loginUpstream({
    stream,
    role: "ann",
    database: "shop",
    parameters: [["application_name", "x"]],
    credential: options.credential ?? { password: "pencil" },
    accepted: options.accepted ?? ["scram-sha-256-plus", "scram-sha-256"],
    tls: options.tls,
    timeoutMs: options.timeoutMs ?? 20_000,
  });
}

t.test("SCRAM by password and by keys learnt, however the answers are split", async (t) => {
  for (const credential of [{ password: "pencil" }, { keys: pencilKeys }]) {
    for (const piece of [1, 2, 3, 7, 1000]) {
      const server = scramServer({ piece });
      const result = await login(server, { credential });
      if (result.kind !== "in") return t.fail(result.error.message);
      t.equal(result.auth, "scram-sha-256");
      t.same([...result.parameters.keys()], ["server_version", "client_encoding"]);
      t.equal(result.key?.pid, 77);
      t.equal(server.heard[0]!.toString("latin1", 8), "user\0ann\0database\0shop\0application_name\0x\0\0");
      t.equal(server.listenerCount("data"), 0);
    }
  }
});

t.test("what stands behind the login stays in the stream", async (t) => {
  const more = B.status("in_hot_standby", "on");
  const server = scramServer({ final: (honest) => Buffer.concat([saslFinal(honest), WELCOME, more]) });
  t.equal((await login(server)).kind, "in");
  t.same(server.read(), more);
  t.notOk(server.destroyed);
});

t.test("channel binding is used where it is offered and accepted", async (t) => {
  const binding = Buffer.alloc(32, 5);
  const result = await login(scramServer({ binding }), { tls: { binding, certificate: false } });
  t.equal(result.kind === "in" && result.auth, "scram-sha-256-plus");
  await t.rejects(
    login(scramServer({ binding }), { tls: { binding: Buffer.alloc(32, 6), certificate: false } }),
    { code: "not_authorized" },
    "the server's own check: another certificate stands in between",
  );
  const taken = scramServer({ binding, mechanisms: ["SCRAM-SHA-256"] });
  await t.rejects(
    login(taken, { tls: { binding, certificate: false } }),
    { message: /negotiation/ },
    "an offer that was taken out on the way shows",
  );
  const unbound = await login(scramServer({ binding }), {
    tls: { binding, certificate: false },
    accepted: ["scram-sha-256"],
  });
  t.equal(unbound.kind === "in" && unbound.auth, "scram-sha-256");
  await t.rejects(login(scramServer(), { accepted: ["scram-sha-256-plus"] }), { code: "upstream_untrusted" });
});

t.test("a server that is not what it should be", async (t) => {
  const untrusted = { code: "upstream_untrusted" };
  const says = (...messages: Buffer[]): Server => new Server(() => Buffer.concat(messages));
  await t.rejects(login(says(WELCOME)), untrusted, "anybody may come in");
  await t.rejects(login(says(CLEARTEXT_PASSWORD)), untrusted, "the password itself");
  await t.rejects(login(says(B.auth(5, "salt"))), untrusted, "MD5");
  await t.rejects(login(says(B.auth(7))), untrusted, "GSSAPI");
  await t.rejects(login(says(saslRequest(["SCRAM-SHA-1"]))), untrusted);
  await t.rejects(login(scramServer({ final: () => WELCOME })), untrusted, "no signature");
  await t.rejects(
    login(scramServer({ final: () => Buffer.concat([saslFinal(`v=${"A".repeat(43)}=`), WELCOME]) })),
    untrusted,
    "a wrong signature",
  );
  await t.rejects(
    login(scramServer({ final: (honest) => Buffer.concat([saslFinal(honest), CLEARTEXT_PASSWORD]) })),
    untrusted,
    "and now the password, please",
  );
  await t.rejects(login(says(saslFinal("v=x"))), untrusted, "out of order");
  await t.rejects(login(says(B.status("a", "b"))), untrusted, "settings before the login");
  await t.rejects(login(says(frame(0x52, Buffer.alloc(70_000)))), untrusted, "an endless message");
  await t.rejects(login(says(frame(0x4e, Buffer.from("SNOTICE\0\0"))), { timeoutMs: 50 }), {
    code: "upstream_lost",
    message: /took more than/,
  });
  const server = says(frame(0x52, Buffer.alloc(2)));
  await t.rejects(login(server), untrusted);
  t.ok(server.destroyed);
  await t.rejects(login(new Server(() => undefined)), { code: "upstream_lost" });
});

t.test("weaker ways, where they are accepted", async (t) => {
  const md5 = (text: string | Buffer): string => createHash("md5").update(text).digest("hex");
  const then = (request: Buffer): Server => new Server((_message, n) => (n === 0 ? request : WELCOME));
  const old = then(B.auth(5, "salt"));
  const result = await login(old, { accepted: ["md5"] });
  t.equal(result.kind === "in" && result.auth, "md5");
  t.equal(old.heard[1]!.toString("latin1", 5), `md5${md5(`${md5("pencilann")}salt`)}\0`);
  const clear = then(CLEARTEXT_PASSWORD);
  await t.rejects(login(clear, { accepted: ["password"] }), { message: /without TLS/ });
  const tls = { binding: undefined, certificate: true };
  const encrypted = then(CLEARTEXT_PASSWORD);
  t.equal((await login(encrypted, { accepted: ["password"], tls })).kind, "in");
  t.equal(encrypted.heard[1]!.toString("latin1", 5), "pencil\0");
  const open = (): Server => new Server(() => WELCOME);
  const card = await login(open(), { accepted: ["certificate"], tls });
  t.equal(card.kind === "in" && card.auth, "certificate");
  await t.rejects(login(open(), { accepted: ["certificate"] }), { code: "upstream_untrusted" });
  const trust = await login(open(), { accepted: ["trust"] });
  t.equal(trust.kind === "in" && trust.auth, "trust");
});

t.test("whatever a server says, the login ends, and nobody is let in who did not prove anything", async () => {
  const part = fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc
      .tuple(fc.constantFrom(..."RSKZENv1T"), fc.uint8Array({ maxLength: 30 }))
      .map(([type, bytes]) => frame(type.charCodeAt(0), Buffer.from(bytes))),
    fc
      .tuple(fc.constantFrom(0, 3, 5, 7, 10, 11, 12), fc.string({ maxLength: 30 }))
      .map(([code, text]) => B.auth(code, text)),
    fc.constantFrom(WELCOME, saslRequest(["SCRAM-SHA-256"]), saslContinue("r=x,s=AAAA,i=4096"), saslFinal("v=AAAA")),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(part, { maxLength: 3 }), { maxLength: 4 }), async (answers) => {
      const server = new Server((_message, n) => (answers[n] === undefined ? undefined : Buffer.concat(answers[n])));
      try {
        return (await login(server, { timeoutMs: 30 })).kind === "refused";
      } catch (error) {
        return error instanceof ProxyError && server.destroyed;
      }
    }),
    { numRuns: 150 },
  );
});

t.test("a server that lives and takes its time is not lost: the client's own parameters may hold it up", async (t) => {
  const silent = (...messages: Buffer[]): Server => new Server((_, n) => messages[n] ?? Buffer.alloc(0));
  const scram = saslRequest(["SCRAM-SHA-256"]);
  await t.rejects(login(silent(), { timeoutMs: 50 }), { code: "upstream_lost" });
  await t.rejects(login(silent(scram), { timeoutMs: 50 }), {
    code: "upstream_refused",
    message: /took more than 0.05 s/,
  });
  const trusting = login(silent(AUTHENTICATION_OK), { timeoutMs: 50, accepted: ["trust"] });
  await t.rejects(trusting, { code: "upstream_refused" });
});

t.test("no credential, and a refusal of the server's", async (t) => {
  await t.rejects(login(scramServer(), { credential: {} }), { code: "upstream_refused" });
  const refused = await login(scramServer(), { credential: { password: "wrong" } });
  if (refused.kind !== "refused") return t.fail();
  t.equal(refused.error.sqlstate, "28P01");
  t.equal(refused.response[0], 0x45);
  const none = await login(new Server(() => B.error("3D000", 'database "shop" does not exist')));
  t.equal(none.kind === "refused" && none.error.sqlstate, "3D000");
});

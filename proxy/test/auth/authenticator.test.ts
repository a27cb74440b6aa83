import fc from "fast-check";
import t from "tap";
import type { LearntKeys, Step } from "../../src/auth/authenticator.ts";
import { Guesses } from "../../src/auth/guesses.ts";
import { AUTHENTICATION_OK, passwordMessage, saslInitialResponse, saslResponse } from "../../src/auth/messages.ts";
import { formatVerifier, makeVerifier } from "../../src/auth/scram.ts";
import { frame } from "../../src/wire/write.ts";
import { authenticator, type Login, PENCIL, pencilKeys, scramLogin, users } from "./help.ts";

const all = users(
  `"ann" "${PENCIL}" identity=ann@example.com groups=oncall,analysts role=shop_ro`,
  `"old" "${PENCIL}" expires=2020-01-01T00:00:00Z`,
  `"new" "${PENCIL}" expires=2120-01-01T00:00:00Z`,
  `"card" "" certificate=card.example`,
);

function code(step: Step): string {
  return step.kind === "refused" ? step.error.code : step.kind;
}

t.test("a user with the right password is let in, and known", async (t) => {
  const { last } = await scramLogin(authenticator(all, {}), "pencil");
  if (last.kind !== "accepted") return t.fail(code(last));
  t.same(last.accepted, {
    login: "ann",
    auth: "scram-sha-256",
    identity: "ann@example.com",
    groups: ["analysts", "oncall"],
    role: "shop_ro",
    keys: pencilKeys,
  });
  t.same(last.send.subarray(-AUTHENTICATION_OK.length), AUTHENTICATION_OK);
  const bound = Buffer.alloc(32, 9);
  const plus = await scramLogin(authenticator(all, { binding: bound }), "pencil", bound);
  t.equal(plus.last.kind === "accepted" && plus.last.accepted.auth, "scram-sha-256-plus");
  const later = await scramLogin(authenticator(all, { user: "new" }), "pencil");
  t.equal(code(later.last), "accepted", "it has not expired yet");
});

t.test("wrong password, unknown user, expired user and user without a password cannot be told apart", async (t) => {
  const tries = [
    ["ann", "wrong"],
    ["nobody", "pencil"],
    ["old", "pencil"],
    ["card", "pencil"],
  ] as const;
  for (const [user, password] of tries) {
    const { last, kinds, serverFirst } = await scramLogin(authenticator(all, { user }), password);
    t.same(kinds, ["continue", "continue", "refused"], user);
    if (last.kind !== "refused") return t.fail();
    t.equal(last.error.code, "authentication_failed");
    t.equal(last.error.message, `password authentication failed for user "${user}"`);
    t.match(serverFirst, /^r=[!-+\--~]{48},s=[A-Za-z0-9+/]{22}==,i=4096$/, "the same form of salt");
  }
});

t.test("for a user who is there as much is computed as for one who is not", async (t) => {
  for (const method of ["terminate", "password"] as const) {
    for (const user of ["ann", "nobody"]) {
      const some = users(`"ann" "${PENCIL}"`);
      const mock = some.mock.bind(some);
      let mocked = 0;
      some.mock = (name) => {
        mocked += 1;
        return mock(name);
      };
      const one = authenticator(some, { user, method, tls: true });
      await one.begin();
      if (method === "password") await one.feed(passwordMessage("wrong"));
      t.equal(mocked, 1, `${method} ${user}`);
    }
  }
});

t.test("the salt of an unknown user stays, over reloads too, and is that of no other", async (t) => {
  const salt = async (user: string, from = all): Promise<string> => {
    const { serverFirst } = await scramLogin(authenticator(from, { user }), "x");
    return /,s=([^,]*),/.exec(serverFirst)![1]!;
  };
  const first = await salt("nobody");
  t.equal(await salt("nobody"), first);
  t.equal(await salt("nobody", users(`"bea" "${PENCIL}"`)), first);
  t.not(await salt("nobody2"), first);
  t.equal(await salt("old"), await salt("ann"), "an expired user has the salt it always had");
});

t.test("passwords in the clear over TLS only, for the same answers", async (t) => {
  const login = async (options: Login, password: string): Promise<Step> => {
    const one = authenticator(all, { method: "password", ...options });
    const step = await one.begin();
    return step.kind === "continue" ? one.feed(passwordMessage(password)) : step;
  };
  t.equal(code(await login({ tls: false }, "pencil")), "not_authorized");
  t.equal(code(await login({ tls: true }, "pencil")), "accepted");
  for (const user of ["ann", "nobody", "old", "card"]) {
    t.equal(code(await login({ tls: true, user }, user === "ann" ? "wrong" : "pencil")), "authentication_failed", user);
  }
  t.equal(code(await login({ tls: true }, "")), "authentication_failed");
  t.equal(code(await login({ tls: true }, "x".repeat(20_000))), "protocol_violation");
  const one = authenticator(all, { method: "password", tls: true });
  await one.begin();
  t.equal(code(await one.feed(frame(0x70, Buffer.from("pencil\0more\0")))), "protocol_violation");
});

t.test("certificates, trust and rejection", async (t) => {
  const begin = async (login: Login): Promise<string> => code(await authenticator(all, login).begin());
  const method = "certificate" as const;
  const names = (commonName: string | undefined, ...alternatives: string[]) => ({ commonName, alternatives });
  t.equal(await begin({ method }), "not_authorized");
  t.equal(await begin({ method, names: names("ann") }), "accepted");
  t.equal(await begin({ method, names: names(undefined, "x", "ann") }), "accepted");
  t.equal(await begin({ method, names: names("Ann") }), "not_authorized");
  t.equal(await begin({ method, names: names("old"), user: "old" }), "not_authorized");
  t.equal(await begin({ method, names: names("nobody"), user: "nobody" }), "not_authorized");
  t.equal(await begin({ method, names: names("card"), user: "card" }), "not_authorized", "another name is asked for");
  t.equal(await begin({ method, names: names("card.example"), user: "card" }), "accepted");
  t.equal(await begin({ method: "trust" }), "accepted");
  t.equal(await begin({ method: "trust", user: "nobody" }), "not_authorized");
  t.equal(await begin({ method: "trust", user: "old" }), "not_authorized");
  t.equal(await begin({ method: "reject" }), "not_authorized");
});

t.test(
  "keys that a password has shown are there for who comes with a certificate, while the password stays",
  async (t) => {
    const learnt: LearntKeys = new Map();
    const names = { commonName: "ann", alternatives: [] };
    const keys = async (from: typeof all, user = "ann"): Promise<unknown> => {
      const step = await authenticator(from, {
        method: "certificate",
        names: { ...names, commonName: user },
        user,
        learnt,
      }).begin();
      return step.kind === "accepted" && step.accepted.keys;
    };
    t.equal(await keys(all), undefined);
    await scramLogin(authenticator(all, { learnt }), "wrong");
    t.equal(await keys(all), undefined, "only what was proven");
    await scramLogin(authenticator(all, { learnt }), "pencil");
    t.same(await keys(all), pencilKeys);
    t.equal(await keys(all, "new"), undefined, "nobody else's");
    const changed = users(`"ann" "${formatVerifier(await makeVerifier("other"))}"`);
    t.equal(await keys(changed), undefined);
    t.equal(learnt.size, 0, "and they are forgotten");
  },
);

t.test("a client may leave the initial response out, and is asked for it", async (t) => {
  const one = authenticator(all, {});
  await one.begin();
  const asked = await one.feed(frame(0x70, Buffer.concat([Buffer.from("SCRAM-SHA-256\0"), Buffer.alloc(4, 0xff)])));
  t.equal(asked.kind === "continue" && asked.send.length, 9);
  t.equal(code(await one.feed(saslResponse("n,,n=,r=abc"))), "continue");
});

t.test("a password before it was asked for ends the login, whatever the one before it is worth", async (t) => {
  const one = authenticator(all, { method: "password", tls: true });
  await one.begin();
  const first = one.feed(passwordMessage("pencil"));
  t.equal(code(await one.feed(passwordMessage("pencil"))), "protocol_violation");
  t.equal(code(await first), "protocol_violation");
  t.equal(code(await one.feed(passwordMessage("pencil"))), "protocol_violation", "and nothing behind it is heard");
});

t.test("guesses: who fails too often waits, then is refused unheard; who succeeds does not", async (t) => {
  let now = 0;
  const guesses = new Guesses(60, () => now);
  const waits: number[] = [];
  const login = async (password: string): Promise<string> =>
    code((await scramLogin(authenticator(all, { guesses, waits }), password)).last);
  for (let i = 0; i < 30; i += 1) t.equal(await login("pencil"), "accepted");
  for (let i = 0; i < 10; i += 1) t.equal(await login("wrong"), "authentication_failed");
  t.same(waits, []);
  t.equal(await login("pencil"), "accepted", "after a second's wait");
  t.same(waits, [1000]);
  for (let i = 0; i < 5; i += 1) await login("wrong");
  t.same(waits, [1000, 1000, 2000, 3000, 4000, 5000]);
  t.equal(await login("pencil"), "too_many_failures");
  now += 60_000;
  t.equal(await login("pencil"), "accepted");
  t.equal(guesses.size, 0, "nobody is remembered who has nothing to wait for");
});

t.test("guesses are counted by address or IPv6 network, in bounded memory", async (t) => {
  const guesses = new Guesses(60, () => 0);
  const take = (host: string): number | undefined => guesses.take(host);
  for (let i = 0; i < 15; i += 1) take(`2001:db8::${i.toString(16)}`);
  t.equal(guesses.size, 1);
  t.equal(take("2001:db8:0:0:ffff::1"), undefined);
  t.equal(take("2001:db8:0:1::1"), 0);
  t.equal(take("::ffff:192.0.2.7"), 0);
  t.equal(take("192.0.2.7"), 0);
  t.equal(guesses.size, 3);
  for (let i = 0; i < 20_000; i += 1) take(`10.0.${Math.floor(i / 256)}.${i % 256}`);
  t.ok(guesses.size <= 10_000);
});

t.test("no sequence of messages lets anybody in who has not proven it", async () => {
  const message = fc.oneof(
    fc.uint8Array({ maxLength: 60 }).map((bytes) => frame(0x70, Buffer.from(bytes))),
    fc.string({ maxLength: 40 }).map((text) => saslInitialResponse("SCRAM-SHA-256", `n,,${text}`)),
    fc.constant(saslInitialResponse("SCRAM-SHA-256", "n,,n=,r=abc")),
    fc.string({ maxLength: 40 }).map((text) => saslResponse(`c=biws,r=abc${text},p=${PENCIL.slice(-44)}`)),
    fc.constant(passwordMessage("pencil")),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(message, { maxLength: 4 }), async (messages) => {
      const one = authenticator(all, {});
      let step = await one.begin();
      for (const each of messages) {
        if (step.kind !== "continue") break;
        step = await one.feed(each);
      }
      return step.kind !== "accepted";
    }),
    { numRuns: 200 },
  );
});

import fc from "fast-check";
import t from "tap";
import { Breaker } from "../../src/upstream/breaker.ts";
import { Retries } from "../../src/upstream/index.ts";
import { QUICK } from "../help.ts";

t.test("a breaker opens, lets one attempt through when it is time, and closes with its success", async (t) => {
  let now = 0;
  const breaker = new Breaker({ failures: 3, openMs: 1000 }, () => now);
  const fail = (): void => {
    t.ok(breaker.allows());
    breaker.failed();
  };
  fail();
  fail();
  t.ok(breaker.allows());
  breaker.succeeded();
  fail();
  fail();
  t.equal(breaker.state, "closed", "what lies before a success does not count");
  fail();
  t.equal(breaker.state, "open");
  now = 999;
  t.notOk(breaker.allows());
  t.equal(breaker.opensIn, 1);
  now = 1000;
  t.equal(breaker.state, "half-open");
  t.ok(breaker.allows());
  t.notOk(breaker.allows(), "one at a time");
  breaker.failed();
  t.equal(breaker.state, "open", "one failure is enough now");
  now = 2000;
  t.ok(breaker.allows());
  breaker.released();
  t.ok(breaker.allows(), "one that was given up is followed by another");
  breaker.succeeded();
  t.equal(breaker.state, "closed");
  fail();
  t.equal(breaker.state, "closed", "and it counts anew");
});

t.test("attempts, deadline and jitter", async (t) => {
  let now = 0;
  const settings = { ...QUICK, attempts: 5, backoffMs: 100, maxBackoffMs: 300, deadlineMs: 1000, reserve: 100 };
  const most = new Retries(
    settings,
    () => now,
    () => 0.999_999,
  );
  t.same(
    [1, 2, 3, 4, 5].map((made) => most.again(made, 0)),
    [99, 199, 299, 299, undefined],
  );
  const least = new Retries(
    settings,
    () => now,
    () => 0,
  );
  t.equal(least.again(4, 0), 0);
  now = 701;
  t.equal(most.again(3, 0), 299);
  now = 702;
  t.equal(most.again(3, 0), undefined, "it would be later than the deadline");
});

t.test("over any course of events there are no more retries than the budget", async (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom("try", "retry", "second")),
      fc.nat(100),
      fc.nat(20),
      (events, budgetPercent, reserve) => {
        let now = 0;
        const retries = new Retries({ ...QUICK, attempts: 2, deadlineMs: 1e9, budgetPercent, reserve }, () => now);
        let tried = 0;
        let made = 0;
        for (const event of events) {
          if (event === "second") now += 1000;
          else if (event === "try") {
            tried += 1;
            retries.tried();
          } else if (retries.again(1, now) !== undefined) made += 1;
        }
        return made <= (tried * budgetPercent) / 100 + reserve + now / 1000 + 1e-6;
      },
    ),
  );
  const none = new Retries({ ...QUICK, budgetPercent: 0, reserve: 0 });
  none.tried();
  t.equal(none.again(1, none.now()), undefined);
});

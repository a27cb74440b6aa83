import fc from "fast-check";
import t from "tap";
import { ReadRetry, Retries } from "../../src/upstream/index.ts";
import { QUICK } from "../help.ts";

const bytes = (text: string): Buffer => Buffer.from(text);

function retry(repeatable = true, settings = {}): { reads: ReadRetry; counted: string[] } {
  const counted: string[] = [];
  const reads = new ReadRetry(
    new Retries({ ...QUICK, attempts: 3, ...settings }),
    { retried: (what) => counted.push(what) },
    { repeatable, repeated: () => counted.push("repeated") },
  );
  return { reads, counted };
}

t.test("a read whose server is lost is sent again, as often as may be, and each time it is counted", async (t) => {
  const { reads, counted } = retry();
  t.equal(reads.lost(), undefined, "nothing was asked");
  reads.sent(bytes("ab"));
  reads.sent(bytes("c"));
  for (let i = 0; i < 2; i += 1) {
    const again = reads.lost();
    t.equal(Buffer.concat(again!.request).toString(), "abc");
    t.ok(again!.afterMs >= 0 && again!.afterMs <= QUICK.maxBackoffMs);
  }
  t.equal(reads.lost(), undefined, "three attempts");
  t.same(counted, ["repeated", "read", "repeated", "read"]);
  reads.settled();
  reads.sent(bytes("d"));
  t.equal(Buffer.concat(reads.lost()!.request).toString(), "d", "what was answered is forgotten");
});

t.test("not when a byte of the answer is out, when it is too long, when nobody vouches for it", async (t) => {
  const returned = retry().reads;
  returned.sent(bytes("a"));
  returned.returned();
  returned.sent(bytes("b"));
  t.equal(returned.lost(), undefined);
  const long = retry(true, { readBytes: 3 }).reads;
  long.sent(bytes("abc"));
  t.ok(long.lost());
  long.sent(bytes("d"));
  t.equal(long.lost(), undefined);
  long.settled();
  long.sent(bytes("e"));
  t.ok(long.lost(), "the next one is another matter");
  for (const reads of [
    retry(false).reads,
    new ReadRetry(new Retries(QUICK), { retried: () => undefined }, undefined),
    retry(true, { readBytes: 0 }).reads,
    retry(true, { attempts: 1 }).reads,
    retry(true, { reserve: 0, budgetPercent: 0 }).reads,
  ]) {
    reads.sent(bytes("a"));
    t.equal(reads.lost(), undefined);
  }
});

t.test("whatever happens, what is sent again is all that was asked and is not answered", async () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom("sent", "returned", "settled", "lost"), { maxLength: 40 }), (events) => {
      const { reads } = retry(true, { attempts: 100, readBytes: 20 });
      let asked = "";
      let out = false;
      for (const [i, event] of events.entries()) {
        if (event === "sent") {
          asked += `${i},`;
          reads.sent(bytes(`${i},`));
        } else if (event === "returned") {
          if (asked !== "") out = true;
          reads.returned();
        } else if (event === "settled") {
          asked = "";
          out = false;
          reads.settled();
        } else {
          const again = reads.lost();
          if (again === undefined) continue;
          if (out || asked === "" || asked.length > 20) return false;
          if (Buffer.concat(again.request).toString() !== asked) return false;
        }
      }
      return true;
    }),
  );
});

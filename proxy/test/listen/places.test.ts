import fc from "fast-check";
import t from "tap";
import { Places } from "../../src/listen/places.ts";
import { Office } from "../../src/workers/office.ts";

interface Desk {
  readonly places: Places;
  sessions: number;
  /** What was sent to it and not read yet. */
  readonly box: (() => void)[];
}

/** All that is there is read at once, as from a channel between processes: nothing runs in between. */
function send(desk: Desk, message: () => void): void {
  if (desk.box.push(message) > 1) return;
  setImmediate(() => {
    for (const each of desk.box.splice(0)) each();
  });
}

/** Time for what was sent to be read, and answered. */
async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) await new Promise(setImmediate);
}

/** Workers that share so many places, without processes between them. */
function house(
  limit: number,
  count: number,
  clock: { now: number } = { now: 0 },
): { office: Office<Desk>; desks: Desk[] } {
  const office = new Office<Desk>(limit, (desk, tight) => {
    send(desk, () => void desk.places.giveBack(tight).then((places) => office.returned(desk, places)));
  });
  const desks = Array.from({ length: count }, () => {
    const desk: Desk = {
      sessions: 0,
      box: [],
      places: new Places(
        () => desk,
        {
          ask: (wanted) =>
            new Promise((resolve) => {
              void office.grant(desk, wanted).then((places) => send(desk, () => resolve(places)));
            }),
          give: (places) => office.given(desk, places),
        },
        () => clock.now,
      ),
    };
    office.joined(desk);
    return desk;
  });
  return { office, desks };
}

async function login(desk: Desk): Promise<boolean> {
  try {
    await desk.places.prepare();
    desk.places.take();
    desk.sessions += 1;
    return true;
  } catch (error) {
    if ((error as { code?: string }).code !== "too_many_connections") throw error;
    return false;
  }
}

t.test("many at once: as many get in as there are places, wherever they come", async (t) => {
  const { desks } = house(10, 3);
  const inside = await Promise.all(Array.from({ length: 30 }, (_, i) => login(desks[i % 3]!)));
  t.equal(inside.filter(Boolean).length, 10);
});

t.test("whatever comes and goes: never more than there are places, and none is lost", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.tuple(fc.constantFrom("in", "out"), fc.nat(2)), { maxLength: 80 }),
      async (limit, events) => {
        const { desks } = house(limit, 3);
        for (const [what, at] of events) {
          const desk = desks[at]!;
          const before = desks.reduce((sum, { sessions }) => sum + sessions, 0);
          if (what === "out") desk.sessions = Math.max(0, desk.sessions - 1);
          else if ((await login(desk)) !== before < limit) return false;
        }
        return desks.reduce((sum, { sessions }) => sum + sessions, 0) <= limit;
      },
    ),
    { numRuns: 60 },
  );
});

t.test("who never logs in keeps nobody out for long; a worker that is gone leaves its places", async (t) => {
  const clock = { now: 0 };
  const { office, desks } = house(2, 2, clock);
  const [one, two] = desks as [Desk, Desk];
  await one.places.prepare();
  await one.places.prepare();
  t.equal(await login(two), false);
  clock.now = 2001;
  t.equal(await login(two), true);
  t.equal(await login(two), true);
  t.throws(() => one.places.take(), { code: "too_many_connections" });
  office.left(two);
  t.equal(await login(one), true);
  t.equal(await login(one), true);
});

t.test("a lower limit holds at once, for what a worker had before too", async (t) => {
  const { office, desks } = house(20, 2);
  const [one, two] = desks as [Desk, Desk];
  t.equal(await login(one), true);
  t.equal(await login(two), true);
  office.limit = 3;
  await turns(10);
  t.equal(await login(one), true);
  t.equal(await login(one), false);
  t.equal(await login(two), false);
});

t.test("more clients than a lower limit allows: who leaves is followed by nobody until they are fewer", async (t) => {
  const { office, desks } = house(20, 2);
  for (let i = 0; i < 8; i += 1) await login(desks[i % 2]!);
  office.limit = 5;
  await turns(10);
  const inside = (): number => desks.reduce((sum, { sessions }) => sum + sessions, 0);
  for (let i = 0; i < 8; i += 1) {
    const desk = desks[i % 2]!;
    desk.sessions -= 1;
    await login(desk);
  }
  t.equal(inside(), 5);
  office.limit = 20;
  for (let i = 0; i < 8; i += 1) await login(desks[i % 2]!);
  t.equal(inside(), 13);
});

t.test("as many as there are places get in, however they come between each other", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(2), fc.nat(6)), { minLength: 1, maxLength: 20 }),
      fc.nat(3),
      fc.boolean(),
      async (comers, more, lowered) => {
        const { office, desks } = house(100, 3);
        // Each holds more than there will be, and knows it.
        if (lowered) for (const desk of desks) await login(desk);
        const already = desks.reduce((sum, { sessions }) => sum + sessions, 0);
        office.limit = already + comers.length + more;
        await turns(5);
        const inside = await Promise.all(comers.map(([at, after]) => turns(after).then(() => login(desks[at]!))));
        return inside.every(Boolean);
      },
    ),
    { numRuns: 300 },
  );
});

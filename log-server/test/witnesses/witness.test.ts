import t, { type Test } from "tap";
import { checkpointText } from "../../src/formats/checkpoint.ts";
import { RightEdge } from "../../src/formats/merkle.ts";
import { generateKey, parseCosignerKey, parseSignerKey, signNote } from "../../src/formats/note.ts";
import type { Candidate } from "../../src/witnesses/protocol.ts";
import { Witness, type WitnessTiming } from "../../src/witnesses/witness.ts";
import { type Behaviour, FakeWitness } from "../support/fake-witness.ts";

// One witness, good and bad. Waits are made short, and nothing depends on how long they take: each test waits for what
// it is about.

const ORIGIN = "log.example/x";
const key = parseSignerKey(generateKey(ORIGIN).skey)!;
const leaves = Array.from({ length: 40 }, (_, i) => Buffer.alloc(32, i + 1));

function rootOf(size: number): Buffer {
  const edge = new RightEdge(0, []);
  for (const leaf of leaves.slice(0, size)) edge.append(leaf, () => {});
  return edge.root();
}

function candidate(size: number, root: Buffer = rootOf(size)): Candidate {
  const text = checkpointText({ origin: ORIGIN, size, root });
  return { size, text, note: signNote(text, key) };
}

/** RFC 6962 section 2.1.2, PROOF, as it is written. */
function proof(m: number, n: number, from = 0, whole = true): Buffer[] {
  const root = (start: number, end: number): Buffer => {
    const edge = new RightEdge(0, []);
    for (const leaf of leaves.slice(start, end)) edge.append(leaf, () => {});
    return edge.root();
  };
  if (m === 0) return [];
  if (m === n) return whole ? [] : [root(from, from + n)];
  let k = 1;
  while (k * 2 < n) k *= 2;
  if (m <= k) return [...proof(m, k, from, whole), root(from + k, from + n)];
  return [...proof(m - k, n - k, from + k, false), root(from, from + k)];
}

interface Bench {
  readonly fake: FakeWitness;
  readonly witness: Witness;
  readonly results: string[];
  readonly changes: string[];
  readonly suspicions: (string | undefined)[];
  /** Waits until so many exchanges are over. */
  exchanges(count: number): Promise<void>;
}

const QUICK: WitnessTiming = { deadline: 10_000, request: 20_000, backoff: 1, maxBackoff: 20, refresh: 60_000 };

async function bench(t: Test, timing: Partial<WitnessTiming> = {}): Promise<Bench> {
  const fake = await FakeWitness.start("witness.example/w");
  const results: string[] = [];
  const changes: string[] = [];
  const suspicions: (string | undefined)[] = [];
  const listeners = new Set<() => void>();
  const policy = { name: "w", key: parseCosignerKey(fake.key.vkey)!, url: fake.url };
  const witness = new Witness(
    policy,
    new URL(fake.url),
    { ...QUICK, ...timing },
    {
      prove: async (from, to) => proof(from, to),
      answered: (_, result) => {
        results.push(result);
        for (const listener of listeners) listener();
      },
      suspected: async (_, shown) => void suspicions.push(shown?.toString()),
      changed: ({ failing }) => changes.push(failing?.failure ?? "cosigned"),
    },
  );
  t.after(async () => {
    witness.close();
    await fake.close();
  });
  const exchanges = (count: number): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (results.length >= count) resolve();
      };
      listeners.add(look);
      look();
    });
  return { fake, witness, results, changes, suspicions, exchanges };
}

t.test("it cosigns as the log grows, and the proofs are right at every size", async (t) => {
  const { fake, witness, results } = await bench(t);
  for (let size = 0; size <= leaves.length; size += 1) {
    const next = candidate(size);
    await witness.want(next);
    t.equal(witness.cosigned?.text, next.text, `size ${size}`);
    t.equal(fake.asked.at(-1)!.note, next.note);
  }
  t.ok(results.every((result) => result === "cosigned"));
  t.equal(fake.asked.length, leaves.length + 1, "asked once each: it never had to say its size");
});

t.test("after a restart its size is learnt from a 409", async (t) => {
  const { fake, witness } = await bench(t);
  fake.size = 5;
  fake.root = rootOf(5);
  await witness.want(candidate(7));
  t.same(
    fake.asked.map(({ old }) => old),
    [0, 5],
  );
  t.equal(witness.cosigned?.text, candidate(7).text);
});

t.test("a witness that was set back is taken along again", async (t) => {
  const { fake, witness, results } = await bench(t);
  await witness.want(candidate(9));
  fake.size = 2;
  fake.root = rootOf(2);
  await witness.want(candidate(10));
  t.same(
    fake.asked.map(({ old }) => old),
    [0, 9, 2],
  );
  t.same(results, ["cosigned", "cosigned"]);
});

t.test("a head that has not changed is submitted again for its time, with an empty proof", async (t) => {
  const { fake, witness, exchanges } = await bench(t, { refresh: 2 });
  await witness.want(candidate(3));
  t.equal(witness.want(candidate(3)), undefined, "there is nothing to wait for");
  await exchanges(3);
  t.same(
    fake.asked.slice(0, 3).map(({ old, size, proof }) => [old, size, proof.length]),
    [
      [0, 3, 0],
      [3, 3, 0],
      [3, 3, 0],
    ],
  );
});

t.test("ahead: it has seen more than the log has", async (t) => {
  const { fake, witness, changes, suspicions } = await bench(t);
  fake.size = 12;
  fake.root = rootOf(12);
  fake.shows = candidate(12).note;
  await witness.want(candidate(11));
  t.same(suspicions, [candidate(12).note], "what it shows is looked at before anybody is told");
  t.match(witness.alarm, { failure: "ahead", message: /of size 12, and the log's last is of size 11/ });
  t.same(changes, ["ahead"]);
  t.equal(witness.want(candidate(11)), undefined, "nobody waits for it");
});

t.test("split: it has cosigned another tree, at the same size and at a smaller one", async (t) => {
  for (const size of [6, 9]) {
    const { fake, witness } = await bench(t);
    fake.size = 6;
    fake.root = Buffer.alloc(32, 99);
    await witness.want(candidate(size));
    t.match(witness.alarm, { failure: "split", message: /another tree of size 6/ }, `size ${size}`);
    t.equal(witness.cosigned, undefined);
  }
});

t.test("an alarm stays through other failures, until it cosigns", async (t) => {
  const { fake, witness, exchanges, changes } = await bench(t);
  fake.size = 12;
  fake.root = rootOf(12);
  await witness.want(candidate(11));
  fake.behaviour = (_, response) => response.writeHead(500).end();
  await exchanges(2);
  t.match(witness.failing, { failure: "unavailable" });
  t.match(witness.alarm, { failure: "ahead" });
  fake.behaviour = undefined;
  witness.want(candidate(12));
  while (witness.cosigned === undefined) await new Promise((resolve) => setTimeout(resolve, 1));
  t.equal(witness.alarm, undefined);
  t.same(changes, ["ahead", "cosigned"]);
});

t.test("each bad answer is a failure, and the next good one ends it", async (t) => {
  const endless: Behaviour = (_, response) => {
    const write = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(1000, 120)));
    };
    response.writeHead(200).on("drain", write);
    write();
  };
  const cases: [string, Behaviour][] = [
    ["redirect", (_, response) => response.writeHead(302, { location: "/elsewhere/add-checkpoint" }).end()],
    ["unknown_log", (_, response) => response.writeHead(404).end()],
    ["forbidden", (_, response) => response.writeHead(403).end()],
    ["busy", (_, response) => response.writeHead(429).end()],
    ["unavailable", (_, response) => response.writeHead(503).end()],
    ["conflict", (_, response) => response.writeHead(409).end()],
    ["bad_answer", (_, response) => response.writeHead(200).end("<html>\n")],
    ["no_cosignature", ({ text }, response) => response.writeHead(200).end(new FakeWitness("o").key.line(text))],
    ["bad_cosignature", ({ text }, response) => response.writeHead(200).end(fakeOf.key.line(`${text}x\n`))],
    ["bad_time", ({ text }, response) => response.writeHead(200).end(fakeOf.key.line(text, 1))],
    ["too_large", endless],
    ["unreachable", (_, response) => void response.destroy()],
    [
      "unreachable",
      (_, response) => void response.writeHead(200, { "content-length": "99" }).write("x", () => response.destroy()),
    ],
  ];
  let fakeOf: FakeWitness;
  for (const [failure, behaviour] of cases) {
    const { fake, witness, exchanges, results, changes } = await bench(t);
    fakeOf = fake;
    fake.behaviour = behaviour;
    await witness.want(candidate(4));
    t.same(results, [failure]);
    t.match(witness.failing, { failure });
    t.equal(witness.alarm, undefined, failure);
    fake.behaviour = undefined;
    await exchanges(2);
    t.equal(results.at(-1), "cosigned", `${failure}: it is asked again by itself`);
    t.equal(witness.failing, undefined);
    t.same(changes, [failure, "cosigned"]);
  }
});

t.test("timeout: silence, and an answer that never ends", async (t) => {
  const trickle: Behaviour = (_, response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write("x"), 5);
    response.on("close", () => clearInterval(timer));
  };
  for (const behaviour of [() => {}, trickle]) {
    const { fake, witness, results } = await bench(t, { deadline: 10, request: 60 });
    fake.behaviour = behaviour;
    await witness.want(candidate(4));
    t.same(results, ["timeout"]);
  }
});

t.test("nobody listens there", async (t) => {
  const { fake, witness, results } = await bench(t);
  await fake.close();
  await witness.want(candidate(1));
  t.same(results, ["unreachable"]);
});

t.test("somebody else tells it of the log all the time", async (t) => {
  const { fake, witness } = await bench(t);
  let size = 0;
  fake.behaviour = (_, response) => {
    size += 1;
    response.writeHead(409, { "content-type": "text/x.tlog.size" }).end(`${size}\n`);
  };
  await witness.want(candidate(30));
  t.match(witness.failing, { failure: "conflict", message: /3 times in a row/ });
});

t.test("while it is left alone nobody waits, and then the newest is asked for", async (t) => {
  const { fake, witness, exchanges } = await bench(t, { backoff: 30, maxBackoff: 30 });
  fake.behaviour = (_, response) => response.writeHead(503).end();
  await witness.want(candidate(4));
  fake.behaviour = undefined;
  for (const size of [5, 6, 7]) t.equal(witness.want(candidate(size)), undefined);
  await exchanges(2);
  t.same(
    fake.asked.map(({ size }) => size),
    [4, 7],
  );
});

t.test("Retry-After is kept", async (t) => {
  const { fake, witness, exchanges } = await bench(t);
  fake.behaviour = (_, response) => response.writeHead(429, { "retry-after": "1" }).end();
  const start = performance.now();
  await witness.want(candidate(4));
  fake.behaviour = undefined;
  await exchanges(2);
  t.ok(performance.now() - start >= 1000);
});

t.test("a slow one is not waited for the next time; its answer comes all the same, for the newest", async (t) => {
  const { fake, witness, exchanges, results } = await bench(t, { deadline: 1000, request: 20_000 });
  const held: (() => void)[] = [];
  fake.behaviour = (asked, response) => held.push(() => fake.honest(asked, response, undefined as never));
  const first = witness.want(candidate(4));
  t.ok(first, "it was prompt so far");
  while (held.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  for (const size of [5, 6]) t.equal(witness.want(candidate(size)), undefined, "one question at a time");
  await new Promise((resolve) => setTimeout(resolve, 1030));
  fake.behaviour = undefined;
  held[0]!();
  await exchanges(2);
  t.same(
    fake.asked.map(({ size }) => size),
    [4, 6],
  );
  t.same(results, ["cosigned", "cosigned"]);
  t.ok(witness.want(candidate(7)), "its last answer was prompt");
  await exchanges(3);
});

t.test("an idle connection that the witness has closed is no failure", async (t) => {
  const { fake, witness, results } = await bench(t);
  await witness.want(candidate(1));
  fake.dropConnections();
  await witness.want(candidate(2));
  t.same(results, ["cosigned", "cosigned"]);
});

t.test("closed while it is asked: it is silent from then on", async (t) => {
  const { fake, witness, results } = await bench(t);
  fake.behaviour = () => {};
  void witness.want(candidate(1));
  while (fake.asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  witness.close();
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.same(results, []);
});

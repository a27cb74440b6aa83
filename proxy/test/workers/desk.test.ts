import t from "tap";
import { CrewDesk } from "../../src/workers/desk.ts";
import type { Answer, Task } from "../../src/workers/messages.ts";

t.test("a worker that takes another's place is told what all were told", async (t) => {
  const asked: (readonly [Task, number | undefined])[] = [];
  const fail = async (): Promise<never> => t.fail("not asked for") as never;
  let left = 0;
  const crew = {
    leave: () => {
      left += 1;
    },
    cancel: fail,
    askEach: async (task: Task, { only }: { readonly only?: number | undefined } = {}) => {
      asked.push([task, only]);
      return [{ number: only ?? 1, answer: { done: true } satisfies Answer }];
    },
  };
  const desk = new CrewDesk(crew, () => undefined, fail, fail);
  const { signal } = new AbortController();
  await desk.followed(2);
  t.same(asked, []);
  const pause = { kind: "pause", database: "shop" } as const;
  const shutdown = { kind: "shutdown", wait: "clients" } as const;
  for (const act of [
    pause,
    { kind: "pause", database: "bank" },
    { kind: "resume", database: "bank" },
    shutdown,
  ] as const)
    t.same(await desk.answer({ act, user: "ops" }, signal), { done: true });
  asked.length = 0;
  await desk.followed(2);
  t.same(asked, [[{ act: pause }, 2]]);
  t.equal(left, 1, "whoever ends from then on is not followed");
});

import { mergeConfig, type ProxyConfig, parseProxyConfig } from "../config/config.ts";
import { ProxyError, type ProxyErrorCode } from "../errors.ts";
import { Places } from "../listen/places.ts";
import { RELOADED } from "../reload/config.ts";
import type { RunningProxy } from "../running.ts";
import { startProxy } from "../start.ts";
import type { Answer, FromWorker, Task, Texts, ToWorker, Wanted } from "./messages.ts";
import { workerConfig } from "./names.ts";

/**
 * Runs one worker in this process, for the one that started it. It ends when it is asked to, and with that one: its
 * channel's end ends the process at once.
 */
export function runWorker(): void {
  let running: RunningProxy | undefined;
  let places: Places | undefined;
  let asked = 0;
  const grants = new Map<number, (places: number) => void>();
  const wants = new Map<number, (answer: Answer) => void>();
  /** What is under way for the one that asked. */
  const under = new Map<number, AbortController>();
  process.on("message", (message: ToWorker) => {
    switch (message.type) {
      case "start":
        start(message, message.number).catch((error: unknown) => {
          if (!(error instanceof ProxyError)) throw error;
          tell({ type: "failed", code: error.code, message: error.message }, () => process.exit(1));
        });
        return;
      case "ask":
        if (running !== undefined) void answer(running, message.id, message.task, under);
        return;
      case "leave":
        under.get(message.id)?.abort();
        return;
      case "done":
        wants.get(message.id)?.(message.value);
        wants.delete(message.id);
        return;
      case "granted":
        grants.get(message.id)?.(message.places);
        grants.delete(message.id);
        return;
      case "give-back":
        void (async () => tell({ type: "returned", places: (await places?.giveBack(message.tight)) ?? 0 }))();
    }
  });
  // A signal that a terminal sends to all: the one that started this says what to do.
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => undefined);

  tell({ type: "here" });

  /** Has the one that started this ask all workers. */
  async function want(wanted: Wanted, signal?: AbortSignal): Promise<Answer> {
    asked += 1;
    const id = asked;
    const leave = (): void => tell({ type: "left", id });
    signal?.addEventListener("abort", leave);
    const value = await new Promise<Answer>((resolve) => {
      wants.set(id, resolve);
      tell({ type: "wanted", id, wanted });
    });
    signal?.removeEventListener("abort", leave);
    if ("error" in value) throw new ProxyError(value.error.code as ProxyErrorCode, value.error.message);
    return value;
  }

  async function start(texts: Texts, number: number): Promise<void> {
    const config = workerConfig(await inForce(texts), number);
    running = await startProxy(
      config,
      {
        line: (line) => tell({ type: "line", line }),
        notice: (line) => tell({ type: "notice", line: `worker ${number}: ${line}` }),
        stop: () => tell({ type: "empty" }),
      },
      {
        places: (counts) => {
          places = new Places(counts, {
            ask: (wanted) => {
              asked += 1;
              const id = asked;
              return new Promise((resolve) => {
                grants.set(id, resolve);
                tell({ type: "places", id, wanted });
              });
            },
            give: (count) => tell({ type: "given", places: count }),
          });
          return places;
        },
        cancel: async (key) => {
          await want({ cancel: key });
        },
        show: async (what) => {
          const answer = await want({ show: what });
          return "rows" in answer ? answer.rows : [];
        },
        act: async (act, user, signal) => {
          await want({ act, user }, signal);
        },
      },
    );
    const { address, source, epoch } = running;
    tell({ type: "ready", ...address, source, epoch });
  }
}

async function inForce({ file, text, reloaded }: Texts): Promise<ProxyConfig> {
  const begun = await parseProxyConfig(text, file);
  if (reloaded === undefined) return begun;
  return (await mergeConfig(begun, await parseProxyConfig(reloaded, file), RELOADED)).config;
}

async function answer(proxy: RunningProxy, id: number, task: Task, under: Map<number, AbortController>): Promise<void> {
  let value: Answer;
  const controller = new AbortController();
  under.set(id, controller);
  try {
    value = await perform(proxy, task, controller.signal);
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    value = { error: { code: error.code, message: error.message } };
  }
  under.delete(id);
  tell({ type: "answer", id, value }, () => {
    if (task === "close") process.exit(0);
  });
}

async function perform(proxy: RunningProxy, task: Task, signal: AbortSignal): Promise<Answer> {
  if (typeof task === "object") {
    if ("reload" in task) return { sentence: await proxy.reload(task.reload) };
    if ("show" in task) return { rows: (await proxy.share?.show(task.show)) ?? [] };
    if ("cancel" in task) return { done: await proxy.cancel({ ...task.cancel, key: Buffer.from(task.cancel.key) }) };
    await proxy.share?.perform(task.act, signal);
    return { done: true };
  }
  switch (task) {
    case "health":
      return { health: await proxy.health() };
    case "metrics":
      return { metrics: await proxy.metrics() };
    case "close":
      return await proxy.close();
  }
}

/** @param told once it is on its way; also when there is nobody any more to tell */
function tell(message: FromWorker, told: () => void = () => undefined): void {
  if (process.connected) process.send?.(message, undefined, undefined, told);
  else told();
}

import { readProxyConfig } from "../config.ts";
import { ProxyError } from "../errors.ts";
import type { RunningProxy } from "../running.ts";
import { startProxy } from "../start.ts";
import type { Answer, FromWorker, Task, ToWorker } from "./messages.ts";
import { workerConfig } from "./names.ts";
import { Places } from "./places.ts";

/**
 * Runs one worker in this process, for the one that started it. It ends when it is asked to, and with that one: its
 * channel's end ends the process at once.
 */
export function runWorker(): void {
  let running: RunningProxy | undefined;
  let places: Places | undefined;
  let asked = 0;
  const grants = new Map<number, (places: number) => void>();
  process.on("message", (message: ToWorker) => {
    switch (message.type) {
      case "start":
        start(message.file, message.number).catch((error: unknown) => {
          if (!(error instanceof ProxyError)) throw error;
          tell({ type: "failed", code: error.code, message: error.message }, () => process.exit(1));
        });
        return;
      case "ask":
        if (running !== undefined) void answer(running, message.id, message.task);
        return;
      case "granted":
        grants.get(message.id)?.(message.places);
        grants.delete(message.id);
        return;
      case "give-back":
        tell({ type: "returned", places: places?.giveBack() ?? 0 });
        return;
      case "cancel":
        void running?.cancel({ pid: message.pid, key: Buffer.from(message.key) });
    }
  });
  // A signal that a terminal sends to all: the one that started this says what to do.
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => undefined);

  tell({ type: "here" });

  async function start(file: string, number: number): Promise<void> {
    const config = workerConfig(await readProxyConfig(file), number);
    running = await startProxy(
      config,
      {
        line: (line) => tell({ type: "line", line }),
        notice: (line) => tell({ type: "notice", line: `worker ${number}: ${line}` }),
      },
      {
        places: (counts) => {
          places = new Places(counts, (wanted) => {
            asked += 1;
            const id = asked;
            return new Promise((resolve) => {
              grants.set(id, resolve);
              tell({ type: "places", id, wanted });
            });
          });
          return places;
        },
        cancel: ({ pid, key }) => tell({ type: "cancel", pid, key }),
      },
    );
    const { address, source, epoch } = running;
    tell({ type: "ready", ...address, source, epoch });
  }
}

async function answer(proxy: RunningProxy, id: number, task: Task): Promise<void> {
  let value: Answer;
  try {
    value = await perform(proxy, task);
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    value = { error: { code: error.code, message: error.message } };
  }
  tell({ type: "answer", id, value }, () => {
    if (task === "close") process.exit(0);
  });
}

async function perform(proxy: RunningProxy, task: Task): Promise<Answer> {
  switch (task) {
    case "reload":
      return { sentence: await proxy.reload() };
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

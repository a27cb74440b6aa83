import { watchTerminal } from "./terminal.ts";

export interface Interrupt {
  /** Aborts at the first signal. */
  readonly signal: AbortSignal;
  /** Resolves with the name of the first signal. */
  readonly received: Promise<NodeJS.Signals>;
}

/** Thrown out of a start that was interrupted: nothing went wrong. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

/**
 * Takes over Ctrl-C and its like for the rest of the process's life.
 *
 * @param again called at every signal after the first
 * @param reload called at a SIGHUP that is not the terminal's end
 */
export function watchSignals(again: () => void, reload: () => void): Interrupt {
  const terminal = watchTerminal();
  const controller = new AbortController();
  const received = new Promise<NodeJS.Signals>((resolve) => {
    const heard = (name: NodeJS.Signals): void => {
      if (controller.signal.aborted) {
        again();
        return;
      }
      resolve(name);
      controller.abort(new Interrupted(`interrupted by ${name}`));
    };
    for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, heard);
    process.on("SIGHUP", () => {
      // That the terminal was closed is no reason to leave anything running.
      if (terminal.wasClosed()) heard("SIGHUP");
      else reload();
    });
  });
  return { signal: controller.signal, received };
}

/** Waits for a promise, but not beyond an interruption. */
export async function orInterrupted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  // Once interrupted nobody looks at it any more, and how it ends says nothing.
  promise.catch(() => {});
  signal.throwIfAborted();
  const { promise: aborted, reject } = withReject();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function withReject(): { promise: Promise<never>; reject: (reason: unknown) => void } {
  let reject: (reason: unknown) => void = () => {};
  const promise = new Promise<never>((_, no) => {
    reject = no;
  });
  return { promise, reject };
}

type Patience = "idle" | "lingering" | "backing-off";

/** The one place where a loop waits, and how much it takes to move it on. */
export class Pause {
  #waiting: { readonly patience: Patience; readonly resume: () => void } | undefined;

  /** Until there is something to do. */
  idle(): Promise<void> {
    return this.#wait("idle");
  }

  /** So long, or until there is enough to do. */
  linger(ms: number): Promise<void> {
    return this.#wait("lingering", ms);
  }

  /** So long, whatever there is to do. */
  backOff(ms: number): Promise<void> {
    return this.#wait("backing-off", ms);
  }

  /** There is something to do. */
  nudge(): void {
    if (this.#waiting?.patience === "idle") this.#waiting.resume();
  }

  /** There is enough to do. */
  hurry(): void {
    if (this.#waiting !== undefined && this.#waiting.patience !== "backing-off") this.#waiting.resume();
  }

  /** Ends whatever wait there is. */
  interrupt(): void {
    this.#waiting?.resume();
  }

  #wait(patience: Patience, ms?: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(() => this.interrupt(), ms);
      this.#waiting = {
        patience,
        resume: () => {
          clearTimeout(timer);
          this.#waiting = undefined;
          resolve();
        },
      };
    });
  }
}

import { setTimeout as sleep } from "node:timers/promises";
import type { ConnectionInfo } from "../client/connection-info.ts";
import type { Act, Desk, Row, Shown } from "../console/index.ts";
import { ProxyError } from "../errors.ts";
import type { Lines } from "../lines/index.ts";
import type { Pools } from "../pool/index.ts";
import type { ProxyServer } from "../server.ts";
import { help } from "./help.ts";
import { config, poolTotals, spool, stats, totals } from "./show-figures.ts";
import { clients, databases, lists, pools, servers, users } from "./show-traffic.ts";
import type { View } from "./view.ts";

/** How often is looked whether all is quiet. */
const LOOK_MS = 20;

export interface Operated {
  readonly view: View;
  readonly server: Pick<
    ProxyServer,
    "surroundingsChanged" | "expire" | "drain" | "stopListening" | "infos" | "nameless" | "listening"
  >;
  readonly pools: Pick<Pools, "pause" | "resume" | "reconnect" | "kill"> | undefined;
  readonly lines: Pick<Lines, "say">;
  /** @throws ProxyError `bad_config` */
  reload(): Promise<unknown>;
  /** The process is to stop in order, now. */
  stop(): void;
}

/** What an operator asks of the proxy, done. */
export class Operations implements Desk {
  readonly #o: Operated;
  /** Somebody waits for everybody to leave. */
  #leaving = false;

  constructor(operated: Operated) {
    this.#o = operated;
  }

  async show(what: Shown): Promise<readonly Row[]> {
    const { view } = this.#o;
    switch (what) {
      case "clients":
        return clients(view);
      case "config":
        return config(view);
      case "databases":
        return databases(view);
      case "help":
        return help();
      case "lists":
        return lists(view);
      case "pool_totals":
        return poolTotals(view);
      case "pools":
        return pools(view);
      case "servers":
        return servers(view);
      case "spool":
        return spool(view);
      case "state":
        return this.#state();
      case "stats":
        return stats(view);
      case "stats_totals":
        return totals(view);
      case "users":
        return users(view);
      case "version":
        return [{ version: `Vitrine ${view.version}` }];
    }
  }

  async act(act: Act, user: string, signal: AbortSignal): Promise<void> {
    sayCommand(this.#o.lines, act, user);
    await this.perform(act, signal);
  }

  /** As `act`, for somebody who has said it already. */
  async perform(act: Act, signal: AbortSignal): Promise<void> {
    switch (act.kind) {
      case "pause":
        return this.#pause(act.database, signal);
      case "resume":
        return this.#resume(act.database);
      case "reconnect":
        this.#o.pools?.reconnect(act.database);
        return;
      case "kill":
        return this.#kill(act.database);
      case "kill_client":
        if (this.#o.server.expire(({ id }) => id === act.session, KILLED) > 0) return;
        throw new ProxyError("console_state", `there is no session ${act.session}; SHOW CLIENTS lists them`);
      case "reload":
        await this.#o.reload();
        return;
      case "shutdown":
        return this.#shutdown(act.wait);
    }
  }

  /** The pause stays when it is not waited for. */
  async #pause(database: string | undefined, signal: AbortSignal): Promise<void> {
    const { view, server } = this.#o;
    view.pauses.pause(database);
    // Its own promise waits for sessions that keep a server connection; whether they are quiet is seen here.
    void this.#o.pools?.pause(database);
    server.surroundingsChanged();
    while (this.#isBusy(database)) {
      if (signal.aborted) {
        throw new ProxyError("console_cancelled", "not waited for any more; the pause stays, and RESUME ends it");
      }
      await sleep(LOOK_MS);
      if (!isPaused(view, database)) throw new ProxyError("console_state", "it was resumed meanwhile");
    }
    this.#o.pools?.reconnect(database);
  }

  #resume(database: string | undefined): void {
    const { view, server } = this.#o;
    if (!view.pauses.resume(database)) {
      throw new ProxyError("console_state", database === undefined ? "nothing is paused" : "it is not paused");
    }
    this.#o.pools?.resume(database);
    server.surroundingsChanged();
  }

  #kill(database: string): void {
    const { view, server } = this.#o;
    view.pauses.pause(database);
    server.expire((info) => info.kind !== "console" && info.database === database, KILLED);
    this.#o.pools?.kill(database);
    server.surroundingsChanged();
  }

  #shutdown(wait: "none" | "servers" | "clients"): void {
    const { server, stop } = this.#o;
    if (wait === "none") {
      // The one who asked is still to be answered.
      setImmediate(stop);
      return;
    }
    server.stopListening();
    if (wait === "servers") server.drain(({ kind }) => kind !== "console");
    if (this.#leaving) return;
    this.#leaving = true;
    void this.#untilEmpty().then(stop);
  }

  async #untilEmpty(): Promise<void> {
    do await sleep(LOOK_MS);
    while (this.#clients(undefined).length + this.#o.server.nameless > 0);
  }

  /** Whether anything is under way at a server. Who waits for a connection of a pool has nothing under way. */
  #isBusy(database: string | undefined): boolean {
    const all = this.#o.view.pools?.clientStats() ?? [];
    const waiting = new Set(all.filter(({ state }) => state === "waiting").map(({ pid }) => pid));
    return this.#clients(database).some(
      ({ state, pid }) => (state === "active" || state === "transaction") && (pid === undefined || !waiting.has(pid)),
    );
  }

  #clients(database: string | undefined): ConnectionInfo[] {
    return this.#o.server
      .infos()
      .filter((info) => info.kind !== "console" && (database === undefined || info.database === database));
  }

  #state(): Row[] {
    const { view, server } = this.#o;
    const paused = view.pauses.all;
    return [
      { key: "active", value: server.listening && !paused ? "yes" : "no" },
      { key: "paused", value: paused ? "yes" : "no" },
      { key: "stopping", value: server.listening ? "no" : "yes" },
    ];
  }
}

/** The line that says that somebody changes something. */
export function sayCommand(lines: Pick<Lines, "say">, act: Act, user: string): void {
  const on = "database" in act ? act.database : "session" in act ? act.session : undefined;
  lines.say("console.command", act.kind.toUpperCase(), { on, by: user });
}

const KILLED = new ProxyError("killed", "terminating connection due to administrator command at the proxy's console");

function isPaused({ pauses }: View, database: string | undefined): boolean {
  return database === undefined ? pauses.all : pauses.holds(database);
}

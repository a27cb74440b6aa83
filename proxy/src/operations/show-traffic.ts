import { addressOf, type Row, timeText, waitOf } from "../console/index.ts";
import { clientsOf, relayed, type View } from "./view.ts";

/** The tables of clients, servers and pools, each by PgBouncer's columns. */

export function clients(view: View): Row[] {
  const pooled = new Map((view.pools?.clientStats() ?? []).map((client) => [client.pid, client]));
  return view.connections().map((info) => {
    const inPool = info.kind === "pool" && info.pid !== undefined ? pooled.get(info.pid) : undefined;
    const wait = waitOf(inPool?.waitedMs ?? 0);
    return {
      type: "C",
      user: info.user,
      database: info.database,
      state: inPool?.state === "waiting" ? "waiting" : info.state,
      ...addressOf(info.address),
      connect_time: timeText(info.connectedAt),
      request_time: timeText(info.heardAt),
      wait: wait.seconds,
      wait_us: wait.micros,
      link: info.kind === "relay" ? (info.pid ?? null) : (inPool?.server ?? null),
      remote_pid: info.pid ?? null,
      tls: info.encrypted ? "yes" : "",
      application_name: info.application ?? "",
      prepared_statements: inPool?.preparedStatements ?? 0,
      id: info.id ?? "",
      pins: inPool?.pins.join(" ") ?? "",
      worker: 1,
    };
  });
}

export function servers(view: View): Row[] {
  const own = relayed(view).map((info) => ({
    type: "S",
    user: info.user,
    database: info.database,
    state: info.state === "idle" ? "idle" : "active",
    addr: "",
    port: null,
    connect_time: timeText(info.connectedAt),
    link: info.pid ?? null,
    remote_pid: info.pid ?? null,
    tls: "",
    prepared_statements: 0,
    worker: 1,
  }));
  const lent = (view.pools?.serverStats() ?? []).map((server) => ({
    type: "S",
    user: server.user,
    database: server.database,
    state: server.state,
    ...addressOf(server.address),
    connect_time: timeText(server.connectedAt),
    link: server.client ?? null,
    remote_pid: server.pid ?? null,
    tls: "",
    prepared_statements: server.preparedStatements,
    worker: 1,
  }));
  return [...own, ...lent];
}

interface RelayPool {
  readonly database: string;
  readonly user: string;
  active: number;
  idle: number;
  login: number;
}

export function pools(view: View): Row[] {
  const groups = new Map<string, RelayPool>();
  for (const { kind, user, database, state } of clientsOf(view)) {
    if (kind !== "relay") continue;
    const name = JSON.stringify([database, user]);
    const group = groups.get(name) ?? { database, user, active: 0, idle: 0, login: 0 };
    groups.set(name, group);
    if (state === "login") group.login += 1;
    else if (state === "idle") group.idle += 1;
    else group.active += 1;
  }
  const relays = [...groups.values()].map(({ database, user, active, idle, login }) => ({
    database,
    user,
    cl_active: active + idle,
    cl_waiting: view.pauses.holds(database) ? login : 0,
    sv_active: active,
    sv_being_canceled: 0,
    sv_idle: idle,
    sv_tested: 0,
    sv_login: view.pauses.holds(database) ? 0 : login,
    maxwait: 0,
    maxwait_us: 0,
    pool_mode: "relay",
    paused: Number(view.pauses.holds(database)),
  }));
  const shared = (view.pools?.stats() ?? []).map((pool) => {
    const wait = waitOf(pool.longestWaitMs);
    return {
      database: pool.database,
      user: pool.user,
      cl_active: pool.clients.active,
      cl_waiting: pool.clients.waiting,
      sv_active: pool.servers.active,
      sv_being_canceled: pool.servers.cancelling,
      sv_idle: pool.servers.idle,
      sv_tested: pool.servers.testing,
      sv_login: pool.servers.opening,
      maxwait: wait.seconds,
      maxwait_us: wait.micros,
      pool_mode: pool.mode,
      paused: Number(pool.paused || view.pauses.holds(pool.database)),
    };
  });
  return [...relays, ...shared];
}

export function databases(view: View): Row[] {
  const names = new Set([
    ...clientsOf(view).map(({ database }) => database),
    ...(view.pools?.stats() ?? []).map(({ database }) => database),
  ]);
  const held = view.pools?.serverStats() ?? [];
  return [...names].sort().map((name) => {
    const own = relayed(view).filter(({ database }) => database === name).length;
    const lent = held.filter(({ database }) => database === name).length;
    const mode = view.pools?.stats().find(({ database }) => database === name)?.mode;
    return {
      name,
      pool_mode: mode ?? "relay",
      current_connections: own + lent,
      current_client_connections: clientsOf(view).filter(({ database }) => database === name).length,
      paused: Number(view.pauses.holds(name)),
    };
  });
}

export function users(view: View): Row[] {
  const counts = new Map<string, number>();
  for (const { user } of clientsOf(view)) counts.set(user, (counts.get(user) ?? 0) + 1);
  return [...counts].sort().map(([name, count]) => ({ name, current_client_connections: count }));
}

export function lists(view: View): Row[] {
  const all = clientsOf(view);
  const held = view.pools?.serverStats() ?? [];
  const own = relayed(view);
  const items = {
    databases: databases(view).length,
    users: users(view).length,
    pools: pools(view).length,
    used_clients: all.filter(({ state }) => state !== "login").length,
    login_clients: all.filter(({ state }) => state === "login").length + view.nameless(),
    free_servers: held.filter(({ state }) => state === "idle").length,
    used_servers: own.length + held.filter(({ state }) => state !== "idle").length,
  };
  return Object.entries(items).map(([list, count]) => ({ list, items: count }));
}

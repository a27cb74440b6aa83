/** The database that an operator connects to: what the proxy is doing, and what can be done about it. */
import type { ClientEnd } from "../backend.ts";
import type { Door, LetIn } from "../pool/index.ts";
import { CONSOLE_DATABASE, type ConsoleSettings } from "./config.ts";
import { Console } from "./console.ts";
import type { Desk } from "./desk.ts";
import type { Operator } from "./script.ts";

export type { Act } from "./command.ts";
export { CONSOLE_KEYS, type ConsoleSettings, consoleSettings } from "./config.ts";
export type { Desk } from "./desk.ts";
export { type Shown, TABLES } from "./shown.ts";
export { addressOf, type Row, timeText, waitOf } from "./table.ts";

/** Whether a client that asks for this database asks for the console. Closed, it is a database like any other. */
export function isConsole(database: string, { users, statsUsers, pgbouncer }: ConsoleSettings): boolean {
  if (users.length === 0 && statsUsers.length === 0) return false;
  return database === CONSOLE_DATABASE || (pgbouncer && database === "pgbouncer");
}

/**
 * @param door who lets the client in
 * @param settings asked once it is let in
 */
export function openConsole(
  client: ClientEnd,
  door: Door<LetIn>,
  settings: () => ConsoleSettings,
  desk: Desk,
  version: string,
): Console {
  const operatorOf = (user: string): Operator | undefined => {
    const { users, statsUsers } = settings();
    if (users.includes(user)) return { user, admin: true };
    return statsUsers.includes(user) ? { user, admin: false } : undefined;
  };
  return new Console(client, { door, operatorOf, desk, version });
}

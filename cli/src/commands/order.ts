import { setTimeout as sleep } from "node:timers/promises";
import type { OrderCommand } from "../args/log-order.ts";
import { CliError } from "../errors.ts";
import { askLog, parseJson } from "../log-http.ts";
import { printable } from "../printable.ts";

const POLL_MS = 250;
/** A line now and then, for erasures that take long. */
const REPORT_MS = 2000;

/**
 * `vitrine log source register|retire` and `vitrine log erase`: tells a log that runs to do something, and waits until
 * it has.
 *
 * @returns the exit status
 * @throws CliError `log_unreachable`, `log_refused`, `log_answer`
 */
export async function runOrder(command: OrderCommand): Promise<number> {
  const { url, token, reason } = command;
  switch (command.order) {
    case "register": {
      const { name, vkey } = members(await askLog(`${url}/api/v1/sources`, token, { vkey: command.vkey, reason }));
      say(`${text(name)} is registered with the key ${text(vkey)}`);
      return 0;
    }
    case "retire": {
      const path = `api/v1/sources/${encodeURIComponent(command.name)}/retire`;
      const { name } = members(await askLog(`${url}/${path}`, token, { reason }));
      say(`${text(name)} is retired: the log takes no more entries of it`);
      return 0;
    }
    case "erase":
      return erase(command);
  }
}

async function erase({ url, token, reason, scope }: OrderCommand & { order: "erase" }): Promise<number> {
  const order = integer(members(await askLog(`${url}/api/v1/erasures`, token, { scope, reason })).order);
  say(`The erasure is ordered by entry ${order}, and will be carried out, whatever becomes of this command.`);
  let reported = Date.now();
  for (;;) {
    const { state, scanned, entries, values } = members(await askLog(`${url}/api/v1/erasures/${order}`, token));
    if (state === "done") {
      const of = integer(entries) === 1 ? "1 entry" : `${integer(entries)} entries`;
      say(`Erased: ${integer(values)} sealed values, of ${of}.`);
      return 0;
    }
    if (Date.now() - reported >= REPORT_MS) {
      process.stderr.write(`${integer(scanned)} of ${order} entries looked at, ${integer(values)} values erased\n`);
      reported = Date.now();
    }
    await sleep(POLL_MS);
  }
}

function say(line: string): void {
  process.stdout.write(`${printable(line)}\n`);
}

function members(answer: string): Record<string, unknown> {
  const value = parseJson(answer);
  if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  throw bad();
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  throw bad();
}

function integer(value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw bad();
}

function bad(): CliError {
  return new CliError("log_answer", "the log does not answer an order as a log does");
}

import { EVENTS, type EventName, type Fields, type Format } from "./events.ts";
import { printable } from "./printable.ts";

/** A value that needs no quotes. */
const PLAIN = /^[\w.:/@[\]+-]+$/;

/** One event as one line, without its end. Whatever it says is fit for a terminal. */
export function formatLine(format: Format, time: string, event: EventName, message: string, fields: Fields): string {
  const level = EVENTS[event];
  if (format === "json") return printableJson({ time, level, event, message, ...fields });
  let line = `${time} ${level} ${event}: ${printable(message)}`;
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const text = String(value);
    line += ` ${name}=${PLAIN.test(text) ? text : printable(JSON.stringify(text))}`;
  }
  return line;
}

/** JSON.stringify leaves alone what a terminal does not. */
function printableJson(value: object): string {
  return JSON.stringify(value).replace(/[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}]/gu, (unsafe) =>
    Array.from({ length: unsafe.length }, (_, i) => `\\u${unsafe.charCodeAt(i).toString(16).padStart(4, "0")}`).join(
      "",
    ),
  );
}

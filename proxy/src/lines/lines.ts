import { EVENTS, type EventName, type Fields, type Format, LEVELS, type Level } from "./events.ts";
import { formatLine } from "./format.ts";
import { Repeats } from "./repeats.ts";

export interface LinesOptions {
  readonly level: Level;
  readonly format: Format;
}

const OF_OPERATORS: ReadonlySet<EventName> = new Set(["console.command", "config.changed", "config.refused"]);

/** What the proxy tells its operator: one line an event. */
export class Lines {
  readonly #write: (line: string) => void;
  readonly #now: () => string;
  readonly #repeats: Repeats;
  #options: LinesOptions;

  /**
   * @param write is given each line, without its end
   * @param now RFC 3339 timestamp
   */
  constructor(write: (line: string) => void, options: LinesOptions, now: () => string) {
    this.#write = write;
    this.#now = now;
    this.#options = options;
    this.#repeats = new Repeats((kind, count) => {
      const [event, code] = kind.split(" ") as [EventName, string | undefined];
      this.#line(event, `last message repeated ${count} times`, code === undefined ? {} : { code });
    });
  }

  /** What is written from here on. */
  set options(options: LinesOptions) {
    this.#options = options;
  }

  /** Whether an event is written at all: asked where it would cost something to say it. */
  tells(event: EventName): boolean {
    return LEVELS.indexOf(EVENTS[event]) <= LEVELS.indexOf(this.#options.level);
  }

  /**
   * @param fields `code` is what kind of it happened: those that differ in it are counted apart when there are many
   */
  say(event: EventName, message: string, fields: Fields = {}): void {
    if (!this.tells(event)) return;
    // Who asks for every session is given every session; what an operator does is never left out.
    if (EVENTS[event] !== "debug" && !OF_OPERATORS.has(event)) {
      const kind = fields.code === undefined ? event : `${event} ${String(fields.code).replaceAll(" ", "_")}`;
      if (!this.#repeats.admits(kind)) return;
    }
    this.#line(event, message, fields);
  }

  /** Says what is still to be said. */
  close(): void {
    this.#repeats.close();
  }

  #line(event: EventName, message: string, fields: Fields): void {
    this.#write(formatLine(this.#options.format, this.#now(), event, message, fields));
  }
}

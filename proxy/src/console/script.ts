import { ProxyError } from "../errors.ts";
import { type Command, parseCommand } from "./command.ts";
import type { Desk } from "./desk.ts";
import { ALL_TEXT, commandComplete, dataRow, EMPTY, type Formats, rowDescription } from "./messages.ts";
import { type Shown, TABLES } from "./shown.ts";
import type { Columns, Row } from "./table.ts";

/** Who is at the console. */
export interface Operator {
  readonly user: string;
  /** May change things; else may look only. */
  readonly admin: boolean;
}

/** A command's answer, as messages are made from it. */
export interface Answer {
  readonly tag: string;
  readonly shown: Shown | undefined;
  readonly rows: readonly Row[];
}

/** The columns that a command answers with; undefined for one that answers with none. */
export function columnsOf(command: Command | undefined): Columns | undefined {
  return command?.kind === "show" ? TABLES[command.what] : undefined;
}

/** @throws ProxyError `console_denied`, and what the desk throws */
export async function execute(command: Command, operator: Operator, desk: Desk, signal: AbortSignal): Promise<Answer> {
  switch (command.kind) {
    case "show":
      return { tag: "SHOW", shown: command.what, rows: await desk.show(command.what) };
    case "ignored":
      return { tag: command.tag, shown: undefined, rows: [] };
    case "act": {
      if (!operator.admin) {
        throw new ProxyError("console_denied", 'only those in "console.users" may do this; others may look, with SHOW');
      }
      await desk.act(command.act, operator.user, signal);
      return { tag: command.act.kind.toUpperCase(), shown: undefined, rows: [] };
    }
  }
}

/** Everything that answers a Query, but for ReadyForQuery. @throws as {@link execute}, and ProxyError `console_syntax` */
export async function answerQuery(text: string, operator: Operator, desk: Desk, signal: AbortSignal): Promise<Buffer> {
  const command = parseCommand(text);
  if (command === undefined) return EMPTY.emptyQuery;
  const { tag, shown, rows } = await execute(command, operator, desk, signal);
  if (shown === undefined) return commandComplete(tag);
  const columns = TABLES[shown];
  return Buffer.concat([
    rowDescription(columns, ALL_TEXT),
    ...rows.map((row) => dataRow(columns, row, ALL_TEXT)),
    commandComplete(tag),
  ]);
}

/** What a Bind has made, and how far it was read. */
export class ConsolePortal {
  readonly command: Command | undefined;
  readonly formats: Formats;
  #answer: Answer | undefined;
  #at = 0;

  constructor(command: Command | undefined, formats: Formats) {
    this.command = command;
    this.formats = formats;
  }

  /**
   * @param limit rows at most; 0: all
   * @throws as {@link execute}
   */
  async execute(limit: number, operator: Operator, desk: Desk, signal: AbortSignal): Promise<Buffer> {
    if (this.command === undefined) return EMPTY.emptyQuery;
    this.#answer ??= await execute(this.command, operator, desk, signal);
    const { tag, shown, rows } = this.#answer;
    if (shown === undefined) return commandComplete(tag);
    const end = limit === 0 ? rows.length : Math.min(rows.length, this.#at + limit);
    const part = rows.slice(this.#at, end).map((row) => dataRow(TABLES[shown], row, this.formats));
    this.#at = end;
    const more = limit > 0 && end < rows.length;
    return Buffer.concat([...part, more ? EMPTY.suspended : commandComplete(tag)]);
  }
}

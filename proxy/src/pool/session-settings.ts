/** More than this is not carried from one server connection to another. Bytes. */
const MAX_BYTES = 16_384;

/**
 * What a session has set, as the statements that set it, in the order in which they were last given: run on a
 * connection where nothing is set, they set it again. Immutable: a transaction that rolls back returns to the object
 * it began with.
 */
export class SessionSettings {
  static readonly NONE: SessionSettings = new SessionSettings(new Map());
  /** The statements, each with its semicolon; equal for equal settings. */
  readonly text: string;
  readonly #statements: ReadonlyMap<string, string>;

  private constructor(statements: ReadonlyMap<string, string>) {
    this.#statements = statements;
    this.text = [...statements.values()].map((statement) => `${statement};`).join("");
  }

  /** With what a session begins with. */
  static initial(application: string | undefined): SessionSettings {
    if (application === undefined || application === "") return SessionSettings.NONE;
    return SessionSettings.NONE.with("application_name", `SET application_name = ${literal(application)}`);
  }

  /** Whether the statement can be run again elsewhere and mean the same: it is read before any other of them has run. */
  static canCarry(statement: string): boolean {
    return /^[\t\n\r -[\]-~]*$/.test(statement);
  }

  has(name: string): boolean {
    return this.#statements.has(name);
  }

  /** Whether there is more than is carried. */
  get tooLarge(): boolean {
    return this.text.length > MAX_BYTES;
  }

  /** @param name in lower case, as the statement's effect tells it */
  with(name: string, statement: string): SessionSettings {
    const statements = new Map(this.#statements);
    statements.delete(name);
    // To become another user is to leave the role as well.
    if (name === "session_authorization") statements.delete("role");
    statements.set(name, statement);
    return new SessionSettings(statements);
  }

  /** These, and then those. */
  and(later: SessionSettings): SessionSettings {
    return new SessionSettings(new Map([...this.#statements, ...later.#statements]));
  }

  /** Back to what the connection was opened with. */
  reset(name: string): SessionSettings {
    // What it set has other names.
    if (this.#statements.has("session characteristics")) return this.with(name, `RESET ${quoted(name)}`);
    if (!this.#statements.has(name) && !(name === "session_authorization" && this.#statements.has("role"))) return this;
    const statements = new Map(this.#statements);
    statements.delete(name);
    if (name === "session_authorization") statements.delete("role");
    return new SessionSettings(statements);
  }

  /** RESET ALL, which leaves the user and the role. */
  resetAll(): SessionSettings {
    const kept = [...this.#statements].filter(([name]) => name === "role" || name === "session_authorization");
    return kept.length === this.#statements.size ? this : new SessionSettings(new Map(kept));
  }
}

/** What makes a connection that has `before` (a SessionSettings' text) one that has `after`. */
export function change(before: string, after: string): string {
  return before === "" ? after : `RESET SESSION AUTHORIZATION;RESET ROLE;RESET ALL;${after}`;
}

/** Means the same whatever standard_conforming_strings is. Bytes beyond ASCII go as they came, in UTF-8. */
function literal(value: string): string {
  const utf8 = Buffer.from(value).toString("latin1").replaceAll("\0", "");
  return `E'${utf8.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
}

function quoted(name: string): string {
  return name
    .split(".")
    .map((part) => `"${part.replaceAll('"', '""')}"`)
    .join(".");
}

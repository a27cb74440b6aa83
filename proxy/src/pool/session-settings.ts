const CHARACTERISTICS = "session characteristics";
/** One statement sets but a part of them, and leaves the others as they are: each is kept. */
const PARTIAL: ReadonlySet<string> = new Set([CHARACTERISTICS, "datestyle"]);
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
    // A comment at a statement's end goes to the end of its line.
    const ended = (statement: string): string => (statement.includes("--") ? `${statement}\n;` : `${statement};`);
    this.text = [...statements.values()].map(ended).join("");
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

  /** What of it names are read by; equal for equal settings. */
  get environment(): string {
    const of = (name: string): string => this.#statements.get(name) ?? "";
    return `${of("search_path")}\0${of("session_authorization")}\0${of("role")}`;
  }

  /** Whether there is more than is carried. */
  get tooLarge(): boolean {
    return this.text.length > MAX_BYTES;
  }

  /** @param name in lower case, as the statement's effect tells it */
  with(name: string, statement: string): SessionSettings {
    const statements = new Map(this.#statements);
    const key = PARTIAL.has(name) ? `${name} ${statement}` : name;
    statements.delete(key);
    // To become another user is to leave the role as well.
    if (name === "session_authorization") statements.delete("role");
    statements.set(key, statement);
    return new SessionSettings(statements);
  }

  /** These, and then those. */
  and(later: SessionSettings): SessionSettings {
    return new SessionSettings(new Map([...this.#statements, ...later.#statements]));
  }

  /** Back to what the connection was opened with. */
  reset(name: string): SessionSettings {
    // What it set has other names.
    if (this.#has(CHARACTERISTICS)) return this.with(name, `RESET ${quoted(name)}`);
    if (PARTIAL.has(name)) {
      if (!this.#has(name)) return this;
      return new SessionSettings(new Map([...this.#statements].filter(([key]) => !key.startsWith(`${name} `))));
    }
    if (!this.#statements.has(name) && !(name === "session_authorization" && this.#statements.has("role"))) return this;
    const statements = new Map(this.#statements);
    statements.delete(name);
    if (name === "session_authorization") statements.delete("role");
    return new SessionSettings(statements);
  }

  #has(partial: string): boolean {
    for (const key of this.#statements.keys()) if (key.startsWith(`${partial} `)) return true;
    return false;
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

/**
 * Means the same whatever standard_conforming_strings and client_encoding are. Bytes beyond ASCII are written as escapes:
 * in an encoding like SJIS they would take a backslash or a quote behind them for their own second byte.
 */
function literal(value: string): string {
  const escaped = [...Buffer.from(value.replaceAll("\0", ""))].map((byte) => {
    if (byte > 0x7e || byte < 0x20) return `\\x${byte.toString(16).padStart(2, "0")}`;
    return byte === 0x5c ? "\\\\" : byte === 0x27 ? "''" : String.fromCharCode(byte);
  });
  return `E'${escaped.join("")}'`;
}

function quoted(name: string): string {
  return name
    .split(".")
    .map((part) => `"${part.replaceAll('"', '""')}"`)
    .join(".");
}

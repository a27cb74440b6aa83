import { type AuditReport, auditLog, type Kept } from "@vitrine/verifier";
import { headOptions, type LogSession, saveState } from "@vitrine/verifier/node";
import type { Finding } from "./findings.ts";
import type { LogBook } from "./log-book.ts";

/** What the verifier finds and this comparison does not depend on: a seal that is not there yet comes within seconds. */
const LATER: ReadonlySet<string> = new Set(["unsealed", "silent"]);

/**
 * Reads a log into a book, and goes on where it stopped. Every entry passes the verifier's audit: signed checkpoint,
 * tree, form, each source's sequence and chain.
 */
export class Follower {
  readonly #session: LogSession;
  readonly #book: LogBook;
  #kept: Kept | undefined;
  #report: AuditReport | undefined;
  #saved = false;

  constructor(session: LogSession, book: LogBook) {
    this.#session = session;
    this.#book = book;
  }

  /** What was read so far. */
  get book(): LogBook {
    return this.#book;
  }

  /** Entries of the tree that were read. */
  get size(): number {
    return this.#report?.size ?? 0;
  }

  /** @throws VerifierError `log_unreachable`, `usage` */
  async read(): Promise<void> {
    const { kept, ...options } = headOptions(this.#session);
    const first = this.#kept === undefined;
    this.#report = await auditLog(this.#session.reader, {
      ...options,
      kept: first ? kept : this.#kept,
      all: first,
      onEntry: (_, entry) => {
        if (entry !== undefined) this.#book.add(entry.kind, entry.text);
      },
    });
    if (this.#report.keep !== undefined) this.#kept = this.#report.keep;
    if (this.#saved) return;
    this.#saved = true;
    // What is kept is the verifier's: the next audit continues it.
    await saveState(this.#session, this.#report);
  }

  /** What is wrong with the log itself: then nothing that it says can be relied on. */
  findings(): Finding[] {
    const found = (this.#report?.findings ?? []).filter(({ code }) => !LATER.has(code));
    if (found.length === 0) return [];
    const fails = this.#report!.verdict === "FAIL";
    const [{ code, message }] = found as [(typeof found)[number]];
    const more = found.length === 1 ? "" : `, and ${found.length - 1} more findings`;
    return [
      {
        code: fails ? "log_contradicts" : "log_unproven",
        message: `${code}: ${message}${more}; see vitrine-verifier audit`,
      },
    ];
  }
}

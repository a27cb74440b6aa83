/** Lies about sessions, and entries of a wrong form: told by someone who has both keys, so that nothing else shows them. */
import { bytes, changed, find, type Members, members } from "./lying-history.ts";
import { FAIL, type Honest, type LogLie } from "./lying-honest.ts";

export function sessions(honest: Honest): LogLie[] {
  const { at } = honest;
  const { early: statement, sessionStart, sessionEnd, stop2, recovered } = at;
  const entries = honest.entries.slice(0, at.half);
  const other = find(
    entries,
    ({ epoch, kind, session }) => epoch === 2 && kind === "session.start" && session === "2.4",
  );
  const change = (index: number, make: (entry: Members) => void) => () =>
    honest.withBothKeys(changed(entries, index, make));
  const list = (made: readonly Buffer[]) => () => honest.withBothKeys(made);
  const broken = { exit: FAIL, codes: ["session_break"] } as const;
  const totals = { exit: FAIL, codes: ["session_totals"], index: sessionEnd } as const;
  const more = (member: string) => (entry: Members) => {
    entry[member] = (entry[member] as number) + 1;
  };
  /** The statement is gone, and those behind it in its session count one less. */
  const closedUp = entries.toSpliced(statement, 1).map((entry, i) => {
    const after = members(entry);
    return i >= statement && i < sessionEnd && after.kind === "statement" ? bytes({ ...after, n: after.n - 1 }) : entry;
  });
  return [
    ...["statements", "failed", "rows", "bytes_in", "bytes_out"].map(
      (member): LogLie => ({
        name: `a session's total of ${member} is changed`,
        show: change(sessionEnd, more(member)),
        ...totals,
      }),
    ),
    {
      name: "a statement is left out, and those behind it renumbered",
      show: list(closedUp),
      ...totals,
      index: sessionEnd - 1,
    },
    {
      name: "a completed statement is said to have failed",
      show: change(statement, (entry) => {
        entry.outcome = "failed";
        entry.tag = undefined;
      }),
      ...totals,
    },
    { name: "a statement takes another number", show: change(statement, more("n")), ...broken, index: statement },
    {
      name: "a statement is left out, and its number is missing",
      show: list(entries.toSpliced(statement, 1)),
      exit: FAIL,
      codes: ["session_break"],
      also: ["session_totals"],
      index: statement,
    },
    {
      name: "two statements of a session change places",
      show: list(entries.with(statement, entries[statement + 1]!).with(statement + 1, entries[statement]!)),
      ...broken,
      index: statement,
    },
    {
      name: "a statement is given to another session, which has not begun",
      show: change(statement, (entry) => {
        entry.session = "2.4";
        entry.n = 1;
      }),
      exit: FAIL,
      codes: ["session_break"],
      also: ["session_totals"],
      index: statement,
    },
    {
      name: "a statement is given to a session of another epoch",
      show: change(statement, (entry) => {
        entry.session = "1.1";
      }),
      exit: FAIL,
      codes: ["session_break"],
      also: ["session_totals"],
      index: statement,
    },
    {
      name: "a statement stands before its session's start",
      show: list(entries.with(sessionStart, entries[sessionStart + 1]!).with(sessionStart + 1, entries[sessionStart]!)),
      exit: FAIL,
      codes: ["session_break"],
      also: ["session_totals"],
      index: sessionStart,
    },
    {
      name: "a statement stands behind its session's end",
      show: list(entries.with(sessionEnd, entries[sessionEnd - 1]!).with(sessionEnd - 1, entries[sessionEnd]!)),
      exit: FAIL,
      codes: ["session_break", "session_totals"],
      index: sessionEnd - 1,
    },
    { name: "a session's end is left out", show: list(entries.toSpliced(sessionEnd, 1)), ...broken, index: stop2 - 1 },
    {
      name: "a session ends twice",
      show: list(entries.toSpliced(sessionEnd, 0, entries[sessionEnd]!)),
      ...broken,
      index: sessionEnd + 1,
    },
    {
      name: "a session's start is left out",
      show: list(entries.toSpliced(sessionStart, 1)),
      ...broken,
      index: sessionStart,
    },
    {
      name: "a session starts under another epoch's number",
      show: change(other, (entry) => {
        entry.session = "1.4";
      }),
      ...broken,
      index: other,
    },
    {
      name: "a whole session bears another epoch's number",
      show: () =>
        honest.withBothKeys(entries, {
          entry: (entry) => (entry.session === "2.4" ? bytes({ ...entry, session: "1.4" }) : undefined),
        }),
      ...broken,
      index: other,
    },
    {
      name: "a recovered statement claims its own epoch",
      show: change(recovered, (entry) => {
        entry.recovered = { epoch: 2 };
      }),
      ...broken,
      index: recovered,
    },
    {
      name: "a recovered statement claims a session of another epoch than it says",
      show: change(recovered, (entry) => {
        entry.session = "2.1";
      }),
      ...broken,
      index: recovered,
    },
  ];
}

export function forms(honest: Honest): LogLie[] {
  const { at, source } = honest;
  const entries = honest.entries.slice(0, at.half);
  const index = at.early;
  /** The entry has other bytes, and everything else is made to fit them. */
  const as = (make: (text: string) => string | Buffer) => () =>
    honest.withBothKeys(entries, {
      entry: (now, i) => (i === index ? Buffer.from(make(JSON.stringify(now)) as string) : undefined),
    });
  const replaced = (from: string | RegExp, to: string) =>
    as((text) => {
      const after = text.replace(from, to);
      if (after === text) throw new Error(`the entry has no ${from}: ${text}`);
      return after;
    });
  const nested = `${"[".repeat(64)}${"]".repeat(64)}`;
  const malformed: readonly (readonly [string, LogLie["show"]])[] = [
    ["has white space between its members", replaced(",", ", ")],
    ["has a member twice", replaced('"v":1,', '"v":1,"v":1,')],
    ["has a number with a fraction", replaced(/"rows":(\d+)/, '"rows":$1.0')],
    ["has a number above 2^53 - 1", replaced(/"rows":(\d+)/, '"rows":9007199254740992')],
    ["has a string with an escape it does not need", replaced('"alice"', '"\\u0061lice"')],
    ["is nested 65 deep", replaced(/}$/, `,"more":${nested}}`)],
    ["has an outcome that is not in the list", replaced('"outcome":"completed"', '"outcome":"done"')],
    ["lacks a member of its kind", replaced(/"operation":"[^"]*",/, "")],
    ["has null where nothing says so", replaced('"tx":"I"', '"tx":null')],
    ["has a sealed value with a third member", replaced(/("sql":\{"sealed":"[^"]*")/, '$1,"salt":""')],
  ];
  const unreadable: readonly (readonly [string, LogLie["show"]])[] = [
    ["is not UTF-8", as((text) => Buffer.from(text.replace("alice", "al\u00ffce"), "latin1"))],
    ["begins with a byte order mark", as((text) => `\ufeff${text}`)],
    ["belongs to a source that is no name", replaced(`"source":"${source.name}"`, '"source":"a b"')],
  ];
  const misplaced: readonly (readonly [string, LogLie["show"]])[] = [
    ["has its kind before its version", replaced(/^{("v":1),("kind":"statement")/, "{$2,$1")],
    ["has another version", replaced('"v":1', '"v":2')],
    ["has a time of milliseconds", replaced(/("time":"[^"]*\.\d{3})\d{3}Z/, "$1Z")],
  ];
  const lie = ([what, show]: readonly [string, LogLie["show"]], also: readonly string[]): LogLie => ({
    name: `an entry ${what}`,
    show,
    exit: FAIL,
    codes: ["entry_malformed"],
    also,
    index,
  });
  return [
    ...malformed.map((one) => lie(one, [])),
    // Where a common member is wrong, or nothing can be read, the source may be said to have a gap there.
    ...misplaced.map((one) => lie(one, ["sequence_gap"])),
    ...unreadable.map((one) => lie(one, ["sequence_gap"])),
  ];
}

import type { Entry } from "../entries/entry.ts";
import { type FindingCode, VerifierError } from "../errors.ts";
import type { Findings } from "../findings.ts";
import { decodeBase64, encodeBase64 } from "../formats/base64.ts";
import { parseVerifierKey, type VerifierKey } from "../formats/key.ts";
import { chainHash, equalBytes, hashLength } from "../formats/merkle.ts";
import { timestampMs } from "../formats/text.ts";
import { compareSeal, openSeal, readSeal, type Seal } from "./seal.ts";
import { SealRun } from "./seal-run.ts";
import { Sessions, type SessionsJson } from "./session.ts";
import { openHandover } from "./source-key.ts";

type Position = { index: number; epoch: number; seq: number };

/** Everything carried on about a source from one audit to the next, as JSON. */
export type SourceRecord = {
  name: string;
  /** The key its seals are verified with, as text; null when none was acceptable. */
  vkey: string | null;
  /** Every key it has had, and the entry that first names it. */
  keys: (Position & { vkey: string })[];
  /** 0 before its first entry. */
  epoch: number;
  /** Number of entries of the epoch. */
  next: number;
  /** Base64 of c(next); null when entries of the epoch are missing, and no seal stands behind them yet. */
  chain: string | null;
  stopped: boolean;
  /** Of the epoch, as seals count them. */
  counts: { sessions: number; statements: number; refused: number };
  sessions: SessionsJson;
  /** As the epoch's `source.start` has them; null before any. */
  durability: { reads: string; others: string; window_ms: number } | null;
  seals: { every_entries: number; every_ms: number; idle_ms: number } | null;
  /** How many epochs ran with `relaxed`, and the longest of their windows. */
  relaxed: { epochs: number; window_ms: number };
  /** Of all epochs. */
  entries: number;
  epochs: number;
  cleanEnds: number;
  uncleanEnds: number;
  gaps: Position[];
  last: (Position & { time: string }) | null;
  lastSeal: (Position & { time: string }) | null;
  /** The first entry that neither a seal nor a later `previous` covers, and how many there are. */
  unsealed: (Position & { count: number }) | null;
};

/** How far ahead of the verifier's clock the last entry of a source may be, in milliseconds; as a cosignature (W2). */
const aheadMs = 300_000;

/**
 * Declared gaps that are remembered one by one: more than findings of a code are listed, so that nobody who has
 * acknowledged all that are shown seems to have acknowledged all.
 */
const keptGaps = 64;

type Previous = { epoch: number; next: number; chain: string; clean: boolean; spool: string };

/** One source, followed entry by entry: steps S1 to S11 and S13, and through {@link Sessions} N1 to N4. */
export class Source {
  readonly #record: SourceRecord;
  readonly #findings: Findings;
  readonly #pin: VerifierKey | undefined;
  #key: VerifierKey | undefined;
  /** S3 failed, so whatever its seals are signed with says nothing; that is reported, and not again at each seal. */
  #keyRefused = false;
  #chain: Uint8Array | undefined;
  #sessions: Sessions;
  readonly #run: SealRun = new SealRun();
  /** What S10 says of it, and of which entry. */
  #silence: { message: string; at: Position } | undefined;

  /**
   * @param start the name of a source not seen yet, or its record
   * @param pin the key that the verifier was given for it, if any
   */
  constructor(start: string | SourceRecord, findings: Findings, pin?: VerifierKey) {
    this.#record = typeof start === "string" ? newRecord(start) : structuredClone(start);
    this.#findings = findings;
    this.#pin = pin;
    this.#sessions = new Sessions(this.#record.sessions);
    const { name, vkey, chain } = this.#record;
    this.#chain = chain === null ? undefined : decodeBase64(chain);
    this.#key = vkey === null ? undefined : parseVerifierKey(vkey);
    // Nothing mends a declared gap: an audit that goes on behind it says so as the one that found it did.
    for (const gap of this.#record.gaps) findings.add("declared_gap", gapMessage(gap.epoch), { source: name, ...gap });
  }

  /** @param salvaged the entry failed E2, and only its common members can be relied on */
  add(entry: Entry, leaf: Uint8Array, index: number, salvaged = false): void {
    const record = this.#record;
    const report = (code: FindingCode, message: string): void =>
      this.#findings.add(code, message, { index, source: record.name, epoch: entry.epoch, seq: entry.seq });
    const seals = !salvaged && (entry.kind === "source.seal" || entry.kind === "source.stop");
    if (!seals) this.settle();
    if (!this.#place(entry, report)) return;
    if (salvaged) this.#sessions.giveUp();
    else if (seals) this.#seal(entry, index, report);
    this.#sessions.add(entry, report);

    if (entry.kind === "session.start") record.counts.sessions++;
    else if (entry.kind === "statement") record.counts.statements++;
    else if (entry.kind === "access.refused") record.counts.refused++;
    else if (entry.kind === "source.stop") record.stopped = true;
    if (entry.kind !== "source.seal" && entry.kind !== "source.stop") {
      if (record.unsealed === null) record.unsealed = { index, epoch: entry.epoch, seq: entry.seq, count: 1 };
      else record.unsealed.count++;
    }
    if (this.#chain !== undefined) this.#chain = chainHash(this.#chain, leaf);
    record.next = entry.seq + 1;
    record.entries++;
    record.last = { index, epoch: entry.epoch, seq: entry.seq, time: entry.time };
    if (salvaged) return;
    if (entry.kind === "source.start" && entry.seq === 0) this.#settings(entry, index, report);
    else if (entry.kind === "source.key") this.#handOver(entry, index, report);
  }

  /**
   * Steps S1, S2 and S5: where the entry stands. After a break the source is taken up where the entry is.
   * @returns whether it carries the source on; a repeated entry does not
   */
  #place(entry: Entry, report: (code: FindingCode, message: string) => void): boolean {
    const record = this.#record;
    const starts = entry.kind === "source.start" && entry.seq === 0;
    if (record.epoch === 0) {
      // S1
      if (!starts || entry.epoch !== 1 || entry.previous !== null) {
        const found = `${entry.kind} of epoch ${entry.epoch}, sequence ${entry.seq}`;
        report("epoch_break", `the first entry of the source is ${found}; it must start epoch 1, with previous null`);
      }
      this.#beginEpoch(entry);
      return true;
    }
    if (entry.epoch < record.epoch) {
      report("epoch_break", `an entry of epoch ${entry.epoch} stands behind the start of epoch ${record.epoch}`);
      return false;
    }
    if (entry.epoch > record.epoch) {
      this.#nextEpoch(entry, starts, report);
      return true;
    }
    // S2
    if (entry.seq < record.next) {
      report("sequence_repeat", `sequence ${entry.seq} stands behind sequence ${record.next - 1}`);
      return false;
    }
    if (record.stopped) {
      // S5
      report("epoch_break", `an entry follows source.stop in epoch ${entry.epoch}`);
    } else if (entry.seq > record.next) {
      const missing = entry.seq - record.next;
      report(
        "sequence_gap",
        `${missing} ${missing === 1 ? "entry is" : "entries are"} missing from sequence ${record.next} on`,
      );
    }
    if (entry.seq > record.next) this.#loseTrack();
    if (entry.kind === "source.start") report("epoch_break", "source.start stands inside an epoch"); // S1
    return true;
  }

  #nextEpoch(entry: Entry, starts: boolean, report: (code: FindingCode, message: string) => void): void {
    const record = this.#record;
    // S1
    if (entry.epoch !== record.epoch + 1) {
      report("epoch_break", `epoch ${entry.epoch} follows epoch ${record.epoch}`);
    } else if (!starts) {
      report(
        "epoch_break",
        `epoch ${entry.epoch} begins with ${entry.kind}, sequence ${entry.seq}, not with source.start`,
      );
    } else {
      this.#previous(entry, report); // S4
    }
    if (record.stopped) record.cleanEnds++;
    else record.uncleanEnds++;
    // S9: previous covers what has no seal yet, and is not covered itself. A seal of this epoch is over both.
    this.#beginEpoch(entry);
  }

  /** Step S4. */
  #previous(entry: Entry, report: (code: FindingCode, message: string) => void): void {
    const record = this.#record;
    const previous = entry.previous as Previous | null;
    if (previous === null) {
      report("epoch_break", `previous is null, and there is an epoch ${record.epoch}`);
      return;
    }
    if (previous.epoch !== record.epoch) {
      report("epoch_break", `previous names epoch ${previous.epoch}, and the one before is ${record.epoch}`);
    } else if (previous.next !== record.next) {
      report(
        "epoch_break",
        `previous counts ${previous.next} entries of epoch ${record.epoch}, and there are ${record.next}`,
      );
    } else if (this.#chain !== undefined && !equalBytes(decodeBase64(previous.chain)!, this.#chain)) {
      report("epoch_break", `previous has another chain value than the entries of epoch ${record.epoch} give`);
    } else if (previous.clean !== record.stopped && (previous.clean || previous.spool !== "lost")) {
      const end = record.stopped ? "with source.stop" : "without source.stop";
      report("epoch_break", `previous states clean ${previous.clean}, and epoch ${record.epoch} ended ${end}`);
    }
    if (previous.spool === "lost") report("declared_gap", gapMessage(entry.epoch));
  }

  #beginEpoch(entry: Entry): void {
    this.settle();
    const record = this.#record;
    record.epoch = entry.epoch;
    record.epochs++;
    record.next = 0;
    record.stopped = false;
    record.counts = { sessions: 0, statements: 0, refused: 0 };
    this.#sessions = new Sessions();
    this.#chain = new Uint8Array(hashLength);
    if (entry.seq !== 0) this.#loseTrack();
  }

  /** Entries of this epoch are missing: its sessions cannot be told any more, its chain and counts not before a seal. */
  #loseTrack(): void {
    this.settle();
    this.#chain = undefined;
    this.#sessions.giveUp();
  }

  /** Step S3, and what else `source.start` states. */
  #settings(entry: Entry, index: number, report: (code: FindingCode, message: string) => void): void {
    const record = this.#record;
    this.#checkKey(entry, index, report);
    record.durability = entry.durability as NonNullable<SourceRecord["durability"]>;
    record.seals = entry.seals as NonNullable<SourceRecord["seals"]>;
    const { reads, others, window_ms } = record.durability;
    // S11
    if (reads === "relaxed" || others === "relaxed") {
      record.relaxed = { epochs: record.relaxed.epochs + 1, window_ms: Math.max(record.relaxed.window_ms, window_ms) };
    }
    if ((entry.previous as Previous | null)?.spool === "lost") {
      record.gaps = [...record.gaps, { index, epoch: entry.epoch, seq: entry.seq }].slice(0, keptGaps);
    }
  }

  #checkKey(entry: Entry, index: number, report: (code: FindingCode, message: string) => void): void {
    const record = this.#record;
    const text = entry.vkey as string;
    this.#keyRefused = true;
    let key: VerifierKey;
    try {
      key = parseVerifierKey(text);
    } catch (error) {
      if (!(error instanceof VerifierError)) throw error;
      report("source_key_mismatch", `the vkey of source.start is malformed: ${error.message}`);
      return;
    }
    if (key.name !== record.name) {
      report("source_key_mismatch", `the vkey is of ${key.name}, and the source is ${record.name}`);
      return;
    }
    if (this.#key !== undefined && this.#key.text !== key.text) {
      const before = `the one it had before (${this.#key.id}), which has not handed over to it`;
      report("source_key_mismatch", `the source's key (${key.id}) is not ${before}`);
      return;
    }
    this.#keyRefused = false;
    if (this.#key === undefined) this.#take(key, entry, index);
  }

  /** Step S3, for `source.key`. When it does not hold, seals behind it are by nobody knows whom. */
  #handOver(entry: Entry, index: number, report: (code: FindingCode, message: string) => void): void {
    if (this.#key === undefined || this.#keyRefused) return;
    try {
      const { source, epoch, seq } = entry;
      const handover = { source, epoch, seq, vkey: entry.vkey as string, proof: entry.proof as string };
      const key = openHandover(handover, this.#key);
      if (this.#record.keys.some(({ vkey }) => vkey === key.text)) {
        throw new VerifierError(
          "source_key_mismatch",
          `the source had the key ${key.id} before: a key does not return`,
        );
      }
      this.#take(key, entry, index);
    } catch (error) {
      if (!(error instanceof VerifierError)) throw error;
      this.#keyRefused = true;
      report("source_key_mismatch", error.message);
    }
  }

  #take(key: VerifierKey, { epoch, seq }: Entry, index: number): void {
    this.#key = key;
    this.#record.vkey = key.text;
    this.#record.keys = [...this.#record.keys, { vkey: key.text, index, epoch, seq }];
  }

  /** Steps S6, S7 and S8. */
  #seal(entry: Entry, index: number, report: (code: FindingCode, message: string) => void): void {
    const record = this.#record;
    // By nobody knows whom, so what is before it stays unsealed.
    if (this.#key === undefined || this.#keyRefused) return;
    // Whether the seal is good or not, the entries before it are spoken of: they are not reported as unsealed as well.
    record.unsealed = null;
    const text = entry.seal as string;
    try {
      const seal = readSeal(text, this.#key);
      const rebuilt = {
        kind: entry.kind as Seal["kind"],
        source: record.name,
        epoch: entry.epoch,
        next: entry.seq,
        chain: this.#chain,
        ...record.counts,
      };
      const wrong = compareSeal(seal, rebuilt); // S7, S8
      if (wrong !== undefined) {
        openSeal(text, this.#key); // of a seal that is not the source's it is that which is said
        report("seal_mismatch", `the seal does not fit the entries before it: ${wrong}`);
        return;
      }
      if (this.#chain === undefined) {
        // Behind a gap the source itself says where it stands: what follows is held against that again.
        const { chain, sessions, statements, refused } = openSeal(text, this.#key);
        this.#chain = chain;
        record.counts = { sessions, statements, refused };
      }
    } catch (error) {
      if (!(error instanceof VerifierError)) throw error;
      report("seal_invalid", error.message);
      return;
    }
    const { epoch, seq, time } = entry;
    this.#run.add({ text, key: this.#key, place: { index, epoch, seq, time } });
    if (this.#run.full) this.settle();
  }

  /** Step S6, the signatures that are not verified yet. To be called before anything is said of the source. */
  settle(): void {
    const { name } = this.#record;
    const last = this.#run.settle((message, { index, epoch, seq }) =>
      this.#findings.add("seal_invalid", message, { index, source: name, epoch, seq }),
    );
    if (last !== undefined) this.#record.lastSeal = last;
  }

  get unsealed(): SourceRecord["unsealed"] {
    return this.#record.unsealed;
  }

  /**
   * Step S10, where the entries end that the verdict is about. What comes behind them while one waits is nobody's until
   * it is sealed.
   * @param now the verifier's clock, milliseconds since 1970
   */
  listen(now: number): void {
    this.#silence = this.#record.last === null ? undefined : this.#silenceBehind(this.#record.last, now);
  }

  #silenceBehind(last: Position & { time: string }, now: number): { message: string; at: Position } | undefined {
    const { seals, stopped } = this.#record;
    if (stopped || seals === null) return undefined;
    const age = now - timestampMs(last.time);
    const promised = `it promised a seal every ${seals.idle_ms / 1000} s`;
    if (age > seals.idle_ms * 1.5) {
      const message = `the source did not stop, and wrote its last entry ${Math.floor(age / 1000)} s ago; ${promised}`;
      return { message, at: last };
    }
    // No seal covers the entry that has the last one: whoever has the log's key can date it as they like.
    if (age >= -aheadMs) return undefined;
    const message = `the source did not stop, and its last entry is of ${last.time}, ahead of this clock: that does not show that it still writes; ${promised}`;
    return { message, at: last };
  }

  /**
   * Steps S9, S10 and S13, at the end of the entries.
   * @param now as for {@link listen}, which was called where the scope ends
   * @param scope entries from this index on were read for their seals only
   */
  finish(now: number, scope: number): void {
    const { name, unsealed, lastSeal, keys } = this.#record;
    // S13: with no key at all, S3 has found that.
    const [first] = keys;
    if (this.#pin !== undefined && first !== undefined && !keys.some(({ vkey }) => vkey === this.#pin!.text)) {
      const message = `the key given for source ${name} (${this.#pin.id}) is none that it has had (first ${parseVerifierKey(first.vkey).id})`;
      this.#findings.add("source_key_mismatch", message, { source: name, ...position(first) });
    }
    // S9
    if (unsealed !== null && unsealed.index < scope) {
      const what = unsealed.count === 1 ? "1 entry is" : `${unsealed.count} entries are`;
      const message = `${what} covered by no seal yet: nothing shows that they are all and unchanged`;
      this.#findings.add("unsealed", message, { source: name, ...position(unsealed) });
    }
    // S10
    const silence = lastSeal !== null && lastSeal.index >= scope ? this.#silenceBehind(lastSeal, now) : this.#silence;
    if (silence !== undefined) this.#findings.add("silent", silence.message, { source: name, ...position(silence.at) });
  }

  get record(): SourceRecord {
    const chain = this.#chain === undefined ? null : encodeBase64(this.#chain);
    return { ...this.#record, chain, sessions: this.#sessions.toJSON() };
  }
}

function gapMessage(epoch: number): string {
  return `epoch ${epoch} declares that the source had lost its spool: what it had recorded by then and not yet submitted is gone`;
}

function position(at: Position | null): Partial<Position> {
  return at === null ? {} : { index: at.index, epoch: at.epoch, seq: at.seq };
}

function newRecord(name: string): SourceRecord {
  return {
    name,
    vkey: null,
    keys: [],
    epoch: 0,
    next: 0,
    chain: null,
    stopped: false,
    counts: { sessions: 0, statements: 0, refused: 0 },
    sessions: { open: [], used: [], known: true },
    durability: null,
    seals: null,
    relaxed: { epochs: 0, window_ms: 0 },
    entries: 0,
    epochs: 0,
    cleanEnds: 0,
    uncleanEnds: 0,
    gaps: [],
    last: null,
    lastSeal: null,
    unsealed: null,
  };
}

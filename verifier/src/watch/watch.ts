import { auditLog } from "../audit/audit.ts";
import { Auditor, type AuditState } from "../audit/auditor.ts";
import { checkHead } from "../audit/head.ts";
import { joinKept, type Kept, listKept } from "../audit/kept.ts";
import type { AuditReport, Evidence, HeadReport } from "../audit/reports.ts";
import { comparePairs, compareViews, type View } from "../audit/views.ts";
import type { WitnessDemand } from "../audit/witnesses.ts";
import { VerifierError } from "../errors.ts";
import { type Finding, Findings, type Verdict } from "../findings.ts";
import { encodeBase64 } from "../formats/base64.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { type LogKeys, listKeys, type VerifierKey } from "../formats/key.ts";
import type { LeafHasher } from "../reading/hash-entries.ts";
import type { LogReader } from "../reading/log-reader.ts";
import type { SourceRecord } from "../sources/source.ts";
import { type AlertEvent, type AlertScope, Alerts, type Observed } from "./alerts.ts";
import { checkReach, checkSeals, checkStale, checkViews, type WatchSettings } from "./checks.ts";
import { rewind, type WatchMemory } from "./memory.ts";

export type WatchOptions = {
  /** How alerts name the log: its URL or folder. */
  name: string;
  reader: LogReader;
  /** Of several, all must have signed. */
  key: LogKeys;
  /** Without it, witnesses are not looked at. */
  witnesses?: WitnessDemand | undefined;
  /** Keys given for sources, by name. */
  pins?: ReadonlyMap<string, VerifierKey>;
  /** What others show of the log. */
  views?: readonly View[];
  settings: WatchSettings;
  /** As the last run kept it, perhaps under each key; undefined on first contact. */
  kept?: Kept | readonly Kept[] | undefined;
  memory: WatchMemory;
  /** The monitor's clock, milliseconds since 1970. */
  now?: () => number;
  onProgress?: (done: number, size: number) => void;
  /** As of an audit: what may be kept in the middle of a round already. */
  onVerified?: (keep: Kept) => Promise<void>;
  hashLeaves?: LeafHasher;
};

/** What a round has led to. It is to be told first, then kept: `memory`, and then `keep`. */
export type Round = {
  events: AlertEvent[];
  /** Whether the log answered. */
  reached: boolean;
  /** Pairs of notes that should not both exist. */
  evidence: { found: string; notes: Evidence }[];
  /** To be kept in place of what was; undefined when nothing may be advanced. */
  keep: Kept | undefined;
};

/** After a failure of T the entries are read again, after longer and longer pauses (milliseconds). */
const firstPause = 10_000;
const longestPause = 600_000;

/** Of one log so many pairs of notes are kept in a run. */
const mostForks = 100;

/** One log, followed for good: steps M1 to M7 of spec/monitor.md, a round at a time. */
export class Watch {
  readonly #options: WatchOptions;
  readonly #alerts: Alerts;
  readonly #memory: WatchMemory;
  /** What this process goes on from. The audit in it may be further than what may be kept. */
  #kept: Kept | undefined;
  /** What a head is held against: the same, but at first what was kept under each key. */
  #before: readonly Kept[];
  /** How far the audit came before anything failed; later runs go on from there. */
  #clean: AuditState | null;
  #tainted = false;
  #failures = 0;
  #retryAt = 0;
  readonly #forks = new Set<string>();

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#memory = options.memory;
    this.#alerts = new Alerts(options.memory.alerts);
    this.#before = listKept(options.kept);
    this.#kept = joinKept(this.#before);
    this.#clean = this.#kept?.audit ?? null;
  }

  /** The worst that is open. */
  get verdict(): Verdict {
    return this.#alerts.verdict;
  }

  /** The checkpoint last verified, if any. */
  get checkpoint(): Checkpoint | undefined {
    return this.#kept?.checkpoint;
  }

  /** How many entries are audited. */
  get audited(): number {
    return this.#kept?.audit?.size ?? 0;
  }

  get sources(): SourceRecord[] {
    return this.#kept?.audit?.sources ?? [];
  }

  /** To be kept from one run to the next. */
  get memory(): WatchMemory {
    return { ...this.#memory, alerts: this.#alerts.open };
  }

  #now(): number {
    return this.#options.now?.() ?? Date.now();
  }

  async round(): Promise<Round> {
    const round: Round = { events: [], reached: false, evidence: [], keep: undefined };
    rewind(this.#memory, this.#now());
    this.#retryAt = Math.min(this.#retryAt, this.#now() + longestPause);
    try {
      await this.#look(round);
      round.reached = true;
      this.#memory.unreachableSince = null;
    } catch (error) {
      if (!(error instanceof VerifierError) || error.code !== "log_unreachable") throw error;
      this.#memory.unreachableSince ??= this.#now();
    }
    await this.#compare(round);
    const now = this.#now();
    const { settings } = this.#options;
    this.#observe(round, "reach", checkReach(this.#memory.unreachableSince, now, settings));
    this.#observe(round, "stale", checkStale(this.#memory.head, now, settings));
    if (round.reached && this.#kept !== undefined) round.keep = { ...this.#kept, audit: this.#clean };
    return round;
  }

  #observe(round: Round, scope: AlertScope, found: readonly Observed[]): void {
    round.events.push(...this.#alerts.observe(scope, found, this.#now()));
  }

  /**
   * To be told of what failed outside: that the state could not be kept.
   * @returns what changed
   */
  noteKept(found: readonly Observed[]): AlertEvent[] {
    return this.#alerts.observe("keep", found, this.#now());
  }

  /** Step M3: C and K, and if they hold, the entries. */
  async #look(round: Round): Promise<void> {
    const { reader, key, witnesses } = this.#options;
    const head = await checkHead(reader, { key, kept: this.#before, witnesses, now: () => this.#now() });
    const fork = head.evidence === undefined ? undefined : await this.#confirm(head, head.evidence);
    const findings = fork?.findings ?? head.findings;
    // That the newest checkpoint has no cosignatures yet is as it should be; M7 says when it is not.
    const isLate = ({ code }: Finding): boolean => code === "quorum_missing" || code === "cosignature_old";
    this.#observe(
      round,
      "head",
      findings.filter((one) => !isLate(one)),
    );
    if (head.witnessing !== undefined) this.#witnessed(round, findings.find(isLate));
    if (fork?.evidence !== undefined) this.#evidence(round, forkCode(head), fork.evidence);
    if (head.checkpoint !== undefined) this.#seen(head.checkpoint);
    if (head.keep === undefined) return;
    // K1 to K3 hold: the checkpoint advances, whatever the entries are.
    this.#keep({ checkpoint: head.keep.checkpoint, audit: this.#kept?.audit ?? null });
    await this.#audit(round, head.keep.checkpoint);
  }

  /**
   * Behind K3: a proof fails where the tree is another one, and where the tiles are bad. Only the first is evidence, and
   * never goes away.
   */
  async #confirm(head: HeadReport, evidence: Evidence): Promise<Pick<HeadReport, "findings" | "evidence">> {
    if (forkCode(head) !== "inconsistent") return { findings: head.findings, evidence };
    const { kept, seen } = evidence;
    const trees = [
      { name: "kept", checkpoint: kept },
      { name: "seen", checkpoint: seen },
    ];
    const { reader } = this.#options;
    const tile: LogReader["tile"] = (level, n, width) => reader.tile(level, n, width);
    if ((await comparePairs(trees, [{ tile }], new Findings())).length > 0) {
      return { findings: head.findings, evidence };
    }
    const message = `the tiles that the log serves do not lead to the root of ${seen.size} entries that it signed, so it cannot be told whether that tree continues the one of ${kept.size} entries kept from before`;
    return { findings: [{ code: "tile_malformed", message }], evidence: undefined };
  }

  #keep(kept: Kept): void {
    this.#kept = kept;
    this.#before = [kept];
  }

  /** Step M7. */
  #witnessed(round: Round, missing: Finding | undefined): void {
    const since = missing === undefined ? null : (this.#memory.unwitnessedSince ?? this.#now());
    this.#memory.unwitnessedSince = since;
    const late = missing !== undefined && this.#now() - since! > this.#options.settings.cosignatureAfterMs;
    this.#observe(round, "witnesses", late ? [missing] : []);
  }

  #seen({ size }: Checkpoint): void {
    const { head } = this.#memory;
    if (head === null || size > head.size) this.#memory.head = { size, since: this.#now() };
  }

  async #audit(round: Round, checkpoint: Checkpoint): Promise<void> {
    const { settings } = this.#options;
    const audit = this.#kept?.audit ?? null;
    if (this.#failures > 0 && this.#now() < this.#retryAt) return;
    const findings =
      audit !== null && audit.size === checkpoint.size && this.#failures === 0
        ? this.#again(audit)
        : await this.#read(checkpoint);
    // That the newest entries have no seal yet is as it should be; M4 says when it is not.
    const found = findings.filter(({ code }) => code !== "unsealed");
    this.#observe(round, "audit", found);
    if (this.#failures > 0) return;
    const { unsealed, found: late } = checkSeals(this.sources, this.#memory.unsealed, this.#now(), settings);
    this.#memory.unsealed = unsealed;
    this.#observe(round, "seals", late);
  }

  /** Nothing is new: what depends on the time alone, S10 and S12. */
  #again(audit: AuditState): AuditReport["findings"] {
    const findings = new Findings();
    const { pins = new Map() } = this.#options;
    const auditor = new Auditor({ findings, state: audit, pins });
    auditor.listen(this.#now());
    auditor.finish(this.#now(), audit.size);
    return findings.sorted();
  }

  async #read(checkpoint: Checkpoint): Promise<AuditReport["findings"]> {
    const { reader, key, pins, now, onProgress, onVerified, hashLeaves } = this.#options;
    // The checkpoint that was just held against the one kept, and no other.
    const fixed: LogReader = {
      checkpoint: () => Promise.resolve(checkpoint.note),
      tile: (level, n, width) => reader.tile(level, n, width),
    };
    const report = await auditLog(fixed, {
      key,
      kept: this.#kept,
      ...(pins === undefined ? {} : { pins }),
      ...(now === undefined ? {} : { now }),
      ...(onProgress === undefined ? {} : { onProgress }),
      ...(hashLeaves === undefined ? {} : { hashLeaves }),
      ...(onVerified === undefined || this.#tainted ? {} : { onVerified: (keep) => this.#verified(keep) }),
    });
    if (report.progress === undefined) {
      this.#retryAt = this.#now() + Math.min(longestPause, firstPause * 2 ** this.#failures);
      this.#failures = Math.min(this.#failures + 1, 10);
      return report.findings;
    }
    this.#failures = 0;
    this.#keep({ checkpoint, audit: report.progress });
    // Behind a FAIL nothing more is kept: who starts anew finds it again.
    this.#tainted ||= report.verdict === "FAIL";
    if (!this.#tainted) this.#clean = report.progress;
    return report.findings;
  }

  /** What fails behind this is found again by who starts anew, and nothing before it is read again. */
  #verified(keep: Kept): Promise<void> {
    this.#clean = keep.audit;
    return this.#options.onVerified!(keep);
  }

  /** Steps M5 and M6. Other places are asked also while the log itself does not answer. */
  async #compare(round: Round): Promise<void> {
    const { key, name, reader, views = [], settings } = this.#options;
    const own = this.#kept?.checkpoint;
    if (views.length === 0 || own === undefined) return;
    const itself: View = {
      name,
      checkpoint: () => Promise.resolve(own.note),
      tile: (level, n, width) => reader.tile(level, n, width),
    };
    // What each view shows may be of before or after a change of keys, so one key is asked of all of them.
    const report = await compareViews([itself, ...views], listKeys(key)[0]);
    const { views: memory, found } = checkViews(report, own, this.#memory.views, this.#now(), settings);
    this.#memory.views = memory;
    this.#observe(round, "views", found);
    for (const split of report.splits) this.#evidence(round, split.found, split);
  }

  /** A fork that stays is evidence once. */
  #evidence(round: Round, found: string, { kept, seen }: Evidence): void {
    const both = `${encodeBase64(kept.note)} ${encodeBase64(seen.note)}`;
    // Who signs another tree each time is shown to have done so by any of them.
    if (this.#forks.has(both) || this.#forks.size === mostForks) return;
    this.#forks.add(both);
    round.evidence.push({ found, notes: { kept, seen } });
  }
}

function forkCode({ findings }: HeadReport): string {
  const found = findings.find(({ code }) => ["rolled_back", "split_view", "inconsistent"].includes(code));
  return found?.code ?? "inconsistent";
}

import { type FindingCode, findingVerdicts, isFindingCode, type Place, VerifierError } from "./errors.ts";

export type Verdict = "PASS" | "FAIL" | "NOT PROVEN";

/** One thing that is wrong or missing, and where. */
export type Finding = { code: FindingCode; message: string } & Place;

/** How many findings of one code are kept in full; the rest are counted, so that memory stays flat on a ruined log. */
const keptPerCode = 50;

/** Codes of C, K and W, then those of T; of all others the place in the log gives the order. */
const phases: Partial<Record<FindingCode, number>> = {
  note_malformed: 0,
  checkpoint_malformed: 0,
  origin_mismatch: 0,
  signature_missing: 0,
  signature_invalid: 0,
  rolled_back: 0,
  split_view: 0,
  inconsistent: 0,
  cosignature_invalid: 0,
  quorum_missing: 0,
  cosignature_old: 0,
  data_missing: 1,
  tile_malformed: 1,
  leaf_mismatch: 1,
  root_mismatch: 1,
};

/** Collects findings and gives the verdict over all of them. */
export class Findings {
  readonly list: Finding[] = [];
  readonly #counts = new Map<FindingCode, number>();

  add(code: FindingCode, message: string, place: Place = {}): void {
    const count = (this.#counts.get(code) ?? 0) + 1;
    this.#counts.set(code, count);
    if (count <= keptPerCode) this.list.push({ code, message, ...place });
  }

  /**
   * Adds an error that was thrown over bytes that were read. Anything else is passed on: a fault, or a bug of ours.
   * @throws the error, if it is no finding
   */
  addError(error: unknown, place: Place = {}): void {
    if (!(error instanceof VerifierError) || !isFindingCode(error.code)) throw error;
    this.add(error.code, error.message, { ...place, ...error.place });
  }

  /** Adds all findings of the other, which is empty afterwards. */
  take(other: Findings): void {
    for (const { code, message, ...place } of other.list) this.add(code, message, place);
    for (const [code, count] of other.#counts) {
      const unlisted = Math.max(0, count - keptPerCode);
      if (unlisted > 0) this.#counts.set(code, this.#counts.get(code)! + unlisted);
    }
    other.clear();
  }

  clear(): void {
    this.list.length = 0;
    this.#counts.clear();
  }

  has(code: FindingCode): boolean {
    return this.#counts.has(code);
  }

  /**
   * @returns the findings in the order of spec/proof.md: checkpoint, checkpoint kept, witnesses, tiles, then the entries with
   * their sources and sessions in the order of the log; among these, what contradicts before what is missing
   */
  sorted(): Finding[] {
    const phase = ({ code }: Finding): number => phases[code] ?? (findingVerdicts[code] === "FAIL" ? 2 : 3);
    const place = ({ index }: Finding): number => index ?? Number.MAX_SAFE_INTEGER;
    return [...this.list].sort((a, b) => phase(a) - phase(b) || (phase(a) < 2 ? 0 : place(a) - place(b))); // stable
  }

  get verdict(): Verdict {
    let verdict: Verdict = "PASS";
    for (const code of this.#counts.keys()) {
      if (findingVerdicts[code] === "FAIL") return "FAIL";
      verdict = "NOT PROVEN";
    }
    return verdict;
  }

  /** How many findings of each code are not in {@link list}. */
  get omitted(): Partial<Record<FindingCode, number>> {
    const omitted: Partial<Record<FindingCode, number>> = {};
    for (const [code, count] of this.#counts) if (count > keptPerCode) omitted[code] = count - keptPerCode;
    return omitted;
  }

  /** @returns the lowest index that a FAIL finding names. */
  get firstBadIndex(): number | undefined {
    let first: number | undefined;
    for (const finding of this.list) {
      if (finding.index === undefined || findingVerdicts[finding.code] !== "FAIL") continue;
      if (first === undefined || finding.index < first) first = finding.index;
    }
    return first;
  }
}

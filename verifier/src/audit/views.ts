import { isFindingCode, VerifierError } from "../errors.ts";
import { type Finding, Findings, type Verdict } from "../findings.ts";
import { type Checkpoint, verifyCheckpoint } from "../formats/checkpoint.ts";
import type { VerifierKey } from "../formats/key.ts";
import { equalBytes } from "../formats/merkle.ts";
import type { LogReader } from "../reading/log-reader.ts";
import { TileTree } from "../reading/tree.ts";
import type { Evidence } from "./reports.ts";

/** What somebody says is a log's checkpoint: the log itself, a mirror, a witness, a note that was saved. */
export type View = {
  /** For people: a URL, a file. */
  name: string;
  /** As {@link LogReader.checkpoint}. */
  checkpoint(): Promise<Uint8Array | "missing">;
  /** Tiles, when it has them. */
  tile?: LogReader["tile"];
};

/** A view whose checkpoint passed C1 to C5. */
export type SeenView = { name: string; checkpoint: Checkpoint };

/** Two signed trees that are not of one history; `kept` is the smaller. */
export type Split = Evidence & { found: "split_view" | "inconsistent"; names: [string, string] };

export type ViewsReport = {
  verdict: Verdict;
  findings: Finding[];
  /** Findings that are counted and not listed, by code. */
  omitted: Record<string, number>;
  /** In the order given; `checkpoint` is undefined when none verified. */
  views: { name: string; checkpoint: Checkpoint | undefined }[];
  splits: Split[];
  conclusion: string;
};

/**
 * Steps V1 to V3 (spec/monitor.md): whether all views are of one history.
 * @param views two at least
 * @param key the log's verifier key
 * @throws VerifierError `log_unreachable` when none of them answers
 */
export async function compareViews(views: readonly View[], key: VerifierKey): Promise<ViewsReport> {
  const findings = new Findings();
  const faults: VerifierError[] = [];
  const seen = await Promise.all(views.map((view) => open(view, key, findings, faults)));
  if (faults.length === views.length) throw faults[0];
  const known = seen.filter((view) => view !== undefined);
  const splits = await comparePairs(known, views, findings);
  const report: ViewsReport = {
    verdict: findings.verdict,
    findings: findings.sorted(),
    omitted: findings.omitted,
    views: views.map(({ name }, i) => ({ name, checkpoint: seen[i]?.checkpoint })),
    splits,
    conclusion: "",
  };
  report.conclusion = conclude(report, known);
  return report;
}

/** Step V1. */
async function open(
  { name, checkpoint }: View,
  key: VerifierKey,
  findings: Findings,
  faults: VerifierError[],
): Promise<SeenView | undefined> {
  try {
    const bytes = await checkpoint();
    if (bytes !== "missing") return { name, checkpoint: verifyCheckpoint(bytes, key) };
    findings.add("data_missing", "it has no checkpoint of this log", { where: name });
  } catch (error) {
    if (!(error instanceof VerifierError) || error.code === "usage") throw error;
    if (isFindingCode(error.code)) findings.addError(new VerifierError(error.code, error.message), { where: name });
    else {
      faults.push(error);
      findings.add("data_missing", `it does not answer: ${error.message}`, { where: name });
    }
  }
  return undefined;
}

/**
 * Steps V2 and V3, for each two that do not show the very same tree.
 * @param sources where tiles may be had
 */
export async function comparePairs(
  known: readonly SeenView[],
  sources: readonly Pick<View, "tile">[],
  findings: Findings,
): Promise<Split[]> {
  const trees = [...known].sort((a, b) => a.checkpoint.size - b.checkpoint.size).filter(isFirstOfItsTree);
  const splits: Split[] = [];
  for (const [i, large] of trees.entries()) {
    const prefixes = readPrefixes(large.checkpoint, sources);
    for (const small of trees.slice(0, i)) {
      const found = await comparePair(small, large, prefixes, findings);
      if (found === undefined) continue;
      splits.push({ found, names: [small.name, large.name], kept: small.checkpoint, seen: large.checkpoint });
    }
  }
  return splits;
}

function isFirstOfItsTree({ checkpoint }: SeenView, at: number, all: readonly SeenView[]): boolean {
  const same = (other: SeenView): boolean =>
    other.checkpoint.size === checkpoint.size && equalBytes(other.checkpoint.root, checkpoint.root);
  return all.findIndex(same) === at;
}

type Prefixes = (size: number) => Promise<Uint8Array | VerifierError>;

async function comparePair(
  { name, checkpoint: small }: SeenView,
  { name: other, checkpoint: large }: SeenView,
  prefixes: Prefixes,
  findings: Findings,
): Promise<Split["found"] | undefined> {
  if (small.size === large.size) {
    // V2
    const message = `the log's key has signed two different trees of ${small.size} entries: the other is that of ${other}`;
    findings.add("split_view", message, { where: name });
    return "split_view";
  }
  if (small.size === 0) return undefined;
  // V3
  const root = await prefixes(small.size);
  if (root instanceof VerifierError) {
    const message = `it cannot be told whether its tree of ${small.size} entries is the beginning of that of ${large.size} entries of ${other}: ${root.message}`;
    findings.add("data_missing", message, { where: name });
    return undefined;
  }
  if (equalBytes(root, small.root)) return undefined;
  const message = `its tree of ${small.size} entries is not the beginning of that of ${large.size} entries of ${other}, and both are signed`;
  findings.add("inconsistent", message, { where: name });
  return "inconsistent";
}

/**
 * @returns gives the root that the first entries of the tree have, from tiles of whichever source has those that lead to
 * the signed root; why not, when none has them
 */
function readPrefixes({ size, root }: Checkpoint, sources: readonly Pick<View, "tile">[]): Prefixes {
  const trees = sources.flatMap(({ tile }) => (tile === undefined ? [] : [new TileTree(tilesOnly(tile), size)]));
  return async (first) => {
    let why = new VerifierError("data_missing", "nobody was given who has tiles");
    for (const tree of trees) {
      try {
        const { prefix, whole } = await tree.prefix(first);
        if (equalBytes(whole, root)) return prefix;
        why = new VerifierError("data_missing", "the tiles that can be had do not lead to the root of the larger tree");
      } catch (error) {
        if (!(error instanceof VerifierError)) throw error;
        why = error;
      }
    }
    return why;
  };
}

function tilesOnly(tile: LogReader["tile"]): LogReader {
  return { checkpoint: () => Promise.resolve("missing"), tile };
}

function conclude({ verdict, views, splits }: ViewsReport, known: readonly SeenView[]): string {
  const [split] = splits;
  if (split !== undefined) {
    const { names, kept, seen } = split;
    return `The log's key has signed two histories: what ${names[0]} shows (${kept.size} entries) and what ${names[1]} shows (${seen.size} entries) cannot be of one tree. The two notes prove it by themselves.`;
  }
  if (verdict === "FAIL")
    return "One of the views is not a checkpoint signed by the log's key: the findings say which.";
  const sizes = known.map(({ checkpoint }) => checkpoint.size);
  if (verdict === "NOT PROVEN") {
    return `Nothing contradicts among the ${known.length} of ${views.length} views that could be read, and the findings say what is not proven.`;
  }
  return `Established: all ${views.length} views are signed by the log's key and of one history; the smallest tree has ${Math.min(...sizes)} entries, the largest ${Math.max(...sizes)}, and each is the beginning of the larger ones. Not established: that others are not shown another tree; the entries were not read.`;
}

/** What somebody who wrote a name may have meant. */

/** @returns `; did you mean "…"?`, or nothing where no known name is near */
export function didYouMean(name: string, known: readonly string[]): string {
  const near = known
    .map((one) => ({ one, distance: distance(name, one) }))
    .filter((item) => item.distance <= Math.max(1, Math.floor(item.one.length / 3)))
    .sort((a, b) => a.distance - b.distance)[0];
  return near === undefined ? "" : `; did you mean "${near.one}"?`;
}

/** Letters to insert, remove or change (Levenshtein). Long names are far from all that are known. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 4) return Number.POSITIVE_INFINITY;
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let k = 1; k <= b.length; k++) {
      const change = row[k - 1]! + (a[i - 1] === b[k - 1] ? 0 : 1);
      next.push(Math.min(change, row[k]! + 1, next[k - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
